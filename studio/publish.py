"""A checkpoint onto the Hub, under the person's own login: first what would be sent, then, if that is right, sent.

Only what belongs to a checkpoint leaves the machine: weights, model.json, the card and its pictures. The card gets
the licence that was chosen, the tags by which the Hub's filters find it, and three lines of Python that work.
"""

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from studio.capabilities import DamageDetector, Inpainter, NoiseGenerator, Styler, Upscaler
from studio.checkpoint import CARD, INFO, VERSION, WEIGHTS, ModelInfo, load_network, read_info
from studio.errors import CheckpointError, SettingError, stop_if
from studio.hub import Address, Hub, HubError
from studio.hub.failures import LOGIN, sentences
from studio.hub.install import MAX_CARD, MAX_PICTURE, MAX_PICTURES, PICTURES, read_source

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

# as the Hub spells them; what else there is can be chosen on its page
LICENCES = (
    "mit", "apache-2.0", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
    "openrail", "other",
)
_PIPELINES = {"explore": "unconditional-image-generation", "damage": "image-segmentation"}


@dataclass(frozen=True)
class Publication:
    """What would be sent, to the byte. `files` by their names in the repository: bytes, or where they are."""

    repo: str
    private: bool
    title: str
    licence: str
    card: str
    files: Mapping[str, bytes | Path]
    notes: tuple[str, ...]  # what to look at before it is sent

    def sizes(self) -> dict[str, int]:
        return {name: len(f) if isinstance(f, bytes) else f.stat().st_size for name, f in self.files.items()}


def prepare(folder: Path, repo: str, licence: str, private: bool = True) -> Publication:
    """What `publish` would send of a checkpoint. Nothing leaves the machine.

    Raises SettingError for a name or a licence that the Hub has not, and CheckpointError for what does not load.
    """
    address = Address(repo)
    if licence not in LICENCES:
        known = ", ".join(LICENCES)
        raise SettingError(f"{licence[:40]!r} is no licence that the Hub knows by that name; give one of {known}")
    network = load_network(folder)
    info = replace(read_info(folder), licence=licence)
    card = _card(folder, info, network, address.repo)
    values = json.dumps({"version": VERSION, **vars(info)}, indent=2, ensure_ascii=False) + "\n"
    pictures = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in PICTURES and p.is_file()]
    pictures = [p for p in pictures if p.stat().st_size <= MAX_PICTURE][:MAX_PICTURES]
    files = {
        CARD: card.encode(), INFO: values.encode(), WEIGHTS: folder / WEIGHTS, **{p.name: p for p in pictures}
    }
    notes = tuple(_notes(folder, info, card + values, licence))
    return Publication(address.repo, private, info.title or folder.name, licence, card, files, notes)


class Outgoing(io.BufferedReader):
    """A file on its way: it tells how far it has been read, and raises Cancelled instead of being read on."""

    progress: Callable[[int, int], None] | None = None  # hears how many bytes of how many

    def __init__(self, path: Path, cancelled: Callable[[], bool]) -> None:
        super().__init__(io.FileIO(path))
        self.bytes, self.cancelled = path.stat().st_size, cancelled

    def read(self, size: int | None = -1, /) -> bytes:
        stop_if(self.cancelled)
        block = super().read(size)
        if self.progress is not None:
            self.progress(self.tell(), self.bytes)
        return block


def publish(
    publication: Publication, hub: Hub | None = None, progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """Send it, making the repository where there is none; the address of what has become of it.

    A repository that is there keeps its other files and its visibility, and is not touched where that is another than
    was asked for. progress hears how many bytes of the weights, of how many, are read. Raises HubError; Cancelled once
    `cancelled` says so: then nothing is to be seen there, though a repository that was made for it stays, empty.
    """
    from huggingface_hub import CommitOperationAdd, get_token
    from huggingface_hub.errors import RepositoryNotFoundError

    hub = hub or Hub()
    repo = publication.repo
    with sentences(Address(repo), hub.url):
        if not get_token():
            raise HubError(f"the Hub does not know who publishes {repo}; {LOGIN}, with a token that may write")
        api = hub.api()
        try:
            there = api.model_info(repo)
        except RepositoryNotFoundError:
            api.create_repo(repo, private=publication.private)
        else:
            _same_visibility(repo, bool(there.private), publication.private)
        stop_if(cancelled)
        weights = Outgoing(publication.files[WEIGHTS], cancelled)
        sources = {name: data if isinstance(data, bytes) else str(data) for name, data in publication.files.items()}
        with weights:
            operations = [CommitOperationAdd(name, data) for name, data in {**sources, WEIGHTS: weights}.items()]
            weights.progress = progress  # until here it was read for its hash
            _commit(api, repo, operations, publication.title)
    return f"{hub.url}/{repo}"


def _commit(api: "HfApi", repo: str, operations: list["CommitOperationAdd"], title: str) -> None:
    try:
        api.create_commit(repo, operations, commit_message=f"Publish {title}"[:72])
    except RuntimeError as error:  # the client's wrapping of whatever went wrong with one file
        if not isinstance(error.__cause__, Exception):
            what = f"sending to {repo} broke off"
            raise HubError(f"{what}; try again, what has arrived is not sent twice") from error
        raise error.__cause__ from None


def _same_visibility(repo: str, is_private: bool, asked_private: bool) -> None:
    if is_private and not asked_private:
        raise HubError(f"{repo} is there and private; publish as private, or choose another name")
    if asked_private and not is_private:
        raise HubError(f"{repo} is there and public; publish for all to see, or choose another name")


def _card(folder: Path, info: ModelInfo, network: nn.Module, repo: str) -> str:
    from huggingface_hub import ModelCard

    path = folder / CARD
    if path.is_file() and path.stat().st_size > MAX_CARD:
        raise CheckpointError(f"{path} is over {MAX_CARD >> 20} MiB and no card; shorten it")
    title = f"# {info.title or folder.name}\n"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else title
    if not text.startswith("---"):
        text = f"---\nlibrary_name: atelier\n---\n{text}"  # without any the client warns
    try:
        card = ModelCard(text)
    except Exception as error:  # front matter by hand meets any exception of YAML's
        raise CheckpointError(f"the first lines of {path} are no YAML that the Hub can read; mend them") from error
    task = info.family.task
    card.data.license = info.licence
    card.data.library_name = "atelier"
    card.data.pipeline_tag = _PIPELINES.get(task, "image-to-image")
    card.data.tags = sorted({*(card.data.tags or ()), "atelier", "art", "gan", info.model})
    row = f"| licence of the weights | {info.licence} |"
    body = re.sub(r"\| licence of the weights \|.*\|", lambda _: row, card.text)
    if info.metrics and "## Measured" not in body:
        rows = [f"| {name} | {value} |" for name, value in info.metrics.items()]
        body = "\n".join([body.rstrip(), "", "## Measured", "", "| metric | value |", "|---|---|", *rows, ""])
    body = body.partition("\n## In Python\n")[0].rstrip()  # what an earlier publication said
    lines = [body, "", "## In Python", "", "With Atelier's folder as the current one:", "", "```python"]
    lines += [*_python(network, repo), "```", "", f"Or install it: `python -m studio fetch {repo}`", ""]
    return f"---\n{card.data}\n---\n" + "\n".join(lines).lstrip("\n")


def _python(network: nn.Module, repo: str) -> list[str]:
    """Three lines, which run as they stand where all they need is noise."""
    load = f'from_pretrained("{repo}")'
    if isinstance(network, NoiseGenerator):
        shape = f"{network.channels}, {network.resolution}, {network.resolution}] in [-1, 1]"
        count, classes = (network.classes, f", torch.eye({network.classes})") if network.classes else (4, "")
        call = f"{load}.generate(torch.randn({count}, {network.z_dim}){classes}, psi=0.7)"
        return ["import torch", "from studio.hub import from_pretrained", f"pictures = {call}  # [{count}, {shape}"]
    given = "pictures [N, 3, H, W] in [-1, 1]"
    uses = {
        Inpainter: ("filled = network.fill(pictures, masks)", f"{given}, masks [N, 1, H, W], 1 = to be filled"),
        Upscaler: ("larger = network.upscale(pictures, strength)", f"{given}, strength [N] of cleaning in [0, 1]"),
        DamageDetector: ("likely = network.detect(pictures)", given),
        Styler: ("style = network.encode(styles)", "styles [S, 3, H, W] in [-1, 1]"),
    }
    other = ("network.eval()", "a torch.nn.Module")
    call, comment = next((use for kind, use in uses.items() if isinstance(network, kind)), other)
    return ["from studio.hub import from_pretrained", f"network = {load}", f"{call}  # {comment}"]


def _notes(folder: Path, info: ModelInfo, texts: str, licence: str) -> list[str]:
    notes = []
    source = read_source(folder)
    if source:
        said = source.licence or "no licence that is stated"
        notes.append(f"it was fetched from {source.repo} under {said}: publish it only if that allows it")
    if info.data_licence == "not stated":
        notes.append("the licence of the pictures it learned from is not stated: be sure that they may be used so")
    if str(Path.home()) in texts:
        notes.append(f"its texts name {Path.home()}, a folder of yours: edit {CARD} or {INFO} first")
    if licence == "other":
        notes.append("'other' asks for the licence's text as a file LICENSE, which is to be added on the Hub's page")
    return notes
