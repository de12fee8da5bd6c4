"""All that the style tab's page says, checked: the state that is sent, kept, undone and read back from pictures."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.config import Config, setting
from studio.errors import SettingError
from studio.files import sha256
from studio.presets import STYLES, style_path
from studio.styling import MAX_SIZE, MAX_STYLES, StyleSettings
from studio.ui.desks import FILE

SLOTS = MAX_STYLES
KEEP = 5  # the label of what stays a photo, as style.js has it; 1..4 are the styles


@dataclass(frozen=True)
class StyleControls(Config):
    """All that the tab's page says. Files are named by their hash and lie on the page's desk."""

    model: str = setting("style", "name of an installed model")
    work: str = setting("", "the picture or film that is painted, a file")
    at_s: float = setting(0.0, "time of the frame that is shown of a film", low=0, high=1e6, unit="s")
    styles: tuple[str, ...] = setting(
        ("great_wave", "", "", ""), "presets or files; empty for none", length=SLOTS
    )
    weights: tuple[float, ...] = setting((1.0,) * SLOTS, "of each style", low=0, high=1, length=SLOTS)
    strength: float = setting(1.0, "0 the photo, 1 the painting", low=0, high=1)
    stroke: float = setting(1.0, "size of strokes", low=0.25, high=4)
    detail: float = setting(0.0, "of the photo's detail, given back", low=0, high=1)
    keep_colour: str = setting("no", "whose colours", choices=["no", "luminance", "histogram"])
    mask: str = setting("", "regions that were painted, a file")
    quality: str = setting("fast", "fast, or fine and slow", choices=["fast", "fine"])
    steps: int = setting(300, "of the fine quality", low=1, high=10_000)
    format: str = setting("png", "of the finished picture", choices=["png", "jpeg", "tiff", "webp"])
    size: int = setting(0, "longest side of the finished picture; 0 as the photo", low=0, high=MAX_SIZE, unit="px")

    def check(self) -> None:
        for name in (self.work, self.mask, *self.styles):
            if name and not FILE.fullmatch(name) and name not in STYLES:
                raise SettingError(f"{name[:80]!r} is neither a file nor one of the presets {', '.join(STYLES)}")

    @classmethod
    def restored(cls, settings: Mapping[str, Any]) -> "StyleControls":
        """From a picture's provenance, also that of a picture made on the command line. Raises SettingError."""
        if "controls" in settings:
            return cls.from_dict(settings["controls"])
        shared = ("strength", "stroke", "detail", "keep_colour")
        values = {name: settings[name] for name in shared if name in settings}
        used = settings.get("styles")
        hashes = [style.get("sha256") for style in used if isinstance(style, dict)] if isinstance(used, list) else []
        presets = preset_hashes()
        values["styles"] = padded([presets.get(found, found) for found in hashes], "")
        values["weights"] = padded(settings.get("weights") or [], 1.0)
        return cls.from_dict({**values, "size": settings.get("size") or 0})

    @property
    def chosen(self) -> list[int]:
        """The places of the styles that are there."""
        return [i for i, name in enumerate(self.styles) if name]

    @property
    def sources(self) -> list[tuple[str, str]]:
        """The styles' names and hashes, as a stylist writes them into what it makes; a visitor's file is nameless."""
        hashes = {name: found for found, name in preset_hashes().items()}
        chosen = [self.styles[i] for i in self.chosen]
        return [(name if name in hashes else "", hashes.get(name, name)) for name in chosen]

    def of_style(self) -> StyleSettings:
        """What the stylist is told."""
        weights = tuple(self.weights[i] for i in self.chosen)
        return StyleSettings(
            strength=self.strength, weights=weights if any(weights) else (), keep_colour=self.keep_colour,
            stroke=self.stroke, detail=self.detail, size=self.size or None,
        )


def padded(values: Sequence[Any], rest: Any) -> list[Any]:
    """One value for each place."""
    return [*values, *[rest] * SLOTS][:SLOTS]


@functools.cache
def preset_hashes() -> dict[str, str]:
    """Names of the presets by the SHA-256 of their files."""
    return {sha256(style_path(name)): name for name in STYLES}
