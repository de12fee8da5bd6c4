"""What a run showed on its way: its sample pictures in order, from the first to the latest."""

import re
from dataclasses import dataclass
from pathlib import Path

from studio.errors import RunError
from studio.runfolder import RunFolder

_NAME = re.compile(r"(\d{4,}\.\d{3})\.jpg")


@dataclass(frozen=True)
class Sample:
    """A grid of the same latents as all others of the run."""

    kimg: float
    path: Path


def timeline(run: RunFolder) -> list[Sample]:
    """All samples, oldest first. What a resume took back is among them until the run draws it again."""
    if not run.samples.is_dir():
        return []
    named = ((_NAME.fullmatch(path.name), path) for path in run.samples.iterdir())
    return sorted((Sample(float(found[1]), path) for found, path in named if found), key=lambda sample: sample.kimg)


def sample_at(run: RunFolder, place: int) -> Sample:
    """The sample at a place of the timeline; -1 is the latest one. Raises RunError."""
    samples = timeline(run)
    if not samples:
        raise RunError(f"{run.path.name} has drawn no sample yet; wait for its first one")
    if not -len(samples) <= place < len(samples):
        raise RunError(f"sample {place} is outside 0..{len(samples) - 1} of {run.path.name}; choose one of these")
    return samples[place]
