"""From the Hub into the library: our own checkpoints as they are, other files converted; nothing is executed."""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from studio import library
from studio.checkpoint import CARD, INFO, VERSION, WEIGHTS, load_network, read_info
from studio.errors import CheckpointError, SettingError, StudioError
from studio.files import disk_errors, whole_file, whole_folder, write_bytes, write_json
from studio.hub.address import Address
from studio.hub.cache import RemoteFile
from studio.hub.client import Hub, Repository
from studio.hub.failures import HubError

SOURCE = "source.json"
FOREIGN = (".safetensors", ".pt", ".pth", ".bin", ".pkl", ".ckpt")
PICTURES = (".jpg", ".jpeg", ".png", ".webp")  # that a card shows
MAX_PICTURE, MAX_PICTURES, MAX_CARD = 16 << 20, 8, 1 << 20
_USUAL = re.compile(  # names that say nothing about what is in the file
    r"(pytorch_)?model|generator|network|net_?G|weights|(latest|\d+)(_net)?_?G?(_A|_B)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Source:
    """Where an installed model is from; source.json in its folder."""

    repo: str
    revision: str  # the commit's hash
    file: str  # the one that was converted; empty for a checkpoint of ours
    licence: str


@dataclass(frozen=True)
class Installed:
    """What has come of a fetch. `folder` is a checkpoint, or the file of a network that restores pictures."""

    name: str
    folder: Path
    source: Source
    bytes: int
    note: str = ""


def choose(repository: Repository) -> tuple[RemoteFile, ...]:
    """The files to fetch, with what matters first: our layout's, or one file of weights; and the card.

    Raises HubError, saying what to name.
    """
    by_name = {file.name: file for file in repository.files}
    card = [by_name[CARD]] if CARD in by_name and by_name[CARD].size <= MAX_CARD else []
    if repository.address.file:
        return (repository.file(repository.address.file), *card)
    if INFO in by_name and WEIGHTS in by_name:
        pictures = [f for f in repository.files if "/" not in f.name and f.name.lower().endswith(PICTURES)]
        pictures = [f for f in pictures if f.size <= MAX_PICTURE][:MAX_PICTURES]
        return (by_name[INFO], by_name[WEIGHTS], *card, *pictures)
    weights = [f for f in repository.files if f.name.lower().endswith(FOREIGN)]
    repo = repository.address.repo
    if repository.task and "image" not in repository.task:  # before some GB of a language model are fetched
        what = f"{repo} is for {repository.task}, which no tab here does"
        raise HubError(f"{what}; choose one for images, or name its file as {repo}:FILE")
    if not weights:
        where = "of it in the cache" if repository.note else "in it"
        step = "fetch it with a network" if repository.note else "choose a repository that has some"
        raise HubError(f"{repo} has no weights {where} ({', '.join(FOREIGN)}); {step}")
    if len(weights) > 1:
        sizes = ", ".join(f"{f.name} ({f.size / 1e6:,.1f} MB)" for f in weights[:12])
        raise HubError(f"{repo} has {len(weights)} files of weights; name one as {repo}:FILE, of {sizes}")
    return (weights[0], *card)  # of which the licence is read, also offline


def install(
    hub: Hub,
    address: Address,
    name: str = "",
    root: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Installed:
    """Fetch a model and put it into the library under `name`, or else under a name made from its address.

    `root` is the library's folder for the person's own models. A model that was fetched from the same place is
    replaced; any other keeps its name. Raises StudioError; Cancelled once `cancelled` says so.
    """
    root = root or library.home() / "models"
    name = free_name(name or default_name(address), address, root)
    repository = hub.look(address)
    files = choose(repository)
    snapshot = hub.download(repository, files, progress, cancelled)
    ours = files[0].name == INFO and not address.file
    file = "" if ours else files[0].name
    source = Source(address.repo, repository.commit, file, repository.licence)
    with working_folder(root) as work:
        if ours:
            folder = _copied(snapshot, files, work / name)
            _check_loads(folder, address.repo)
        else:
            try:
                folder = _converted(_staged(snapshot / file, work), work / name, source)
            except CheckpointError as error:
                kept = _kept_network(snapshot / file, name, source, error)
                return Installed(name, kept, source, files[0].size, repository.note)
        write_json(folder / SOURCE, asdict(source))
        with whole_folder(root / name) as beside:
            for path in folder.iterdir():
                os.replace(path, beside / path.name)
    return Installed(name, root / name, source, sum(f.size for f in files), repository.note)


def read_source(path: Path) -> Source | None:
    """Where an installed model, a folder or a network's file, is from, if that is known."""
    try:
        values = json.loads(source_path(path).read_text(encoding="utf-8"))
        return Source(**{key: str(values[key])[:300] for key in Source.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def source_path(path: Path) -> Path:
    """The file beside an installed model or network that tells where it is from."""
    return path / SOURCE if path.is_dir() else path.with_name(f"{path.name}.json")


def default_name(address: Address) -> str:
    """What a model is called here: its repository's name, or its file's where that says more."""
    stem = address.file.rpartition("/")[2].rpartition(".")[0]
    said = address.repo.partition("/")[2] if not stem or _USUAL.fullmatch(stem) else stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", said).strip(".-")[:80] or "model"


def free_name(name: str, address: Address | None, root: Path) -> str:
    """The name, if a model from there may be put into the library under it. Raises SettingError.

    address: none for what comes from nowhere on the Hub, which replaces nothing.
    """
    library.check_name(name)
    if (library.BUNDLED / name / INFO).is_file():
        raise SettingError(f"{name!r} is the name of a bundled model; give another name")
    _check_free(root / name, address)
    return name


def _check_free(path: Path, address: Address | None) -> None:
    """What was fetched from the same place may be replaced, and nothing else."""
    if path.exists():
        there = read_source(path)
        if (
            address is None or there is None or there.repo != address.repo
            or (address.file and there.file != address.file)
        ):
            whose = f" from {there.repo}" if there else ""
            raise SettingError(f"a model named {path.name!r}{whose} is installed; give another name")


@contextlib.contextmanager
def working_folder(root: Path) -> Iterator[Path]:
    """A hidden folder beside the models, so that what is finished there need only be renamed."""
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".fetch.", dir=root))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _copied(snapshot: Path, files: tuple[RemoteFile, ...], folder: Path) -> Path:
    with disk_errors(folder.parent):
        folder.mkdir()
        for file in files:
            shutil.copyfile(snapshot / file.name, folder / file.name)
    return folder


def _check_loads(folder: Path, repo: str) -> None:
    """What does not load, strictly, is not installed. Raises CheckpointError, which calls the folder by its `repo`."""
    try:
        load_network(folder)
    except CheckpointError as error:
        raise CheckpointError(str(error).replace(str(folder), repo)) from error


def _staged(path: Path, work: Path) -> Path:
    """The file under its own name: in the cache its name is a link to a blob, and its neighbours are a stranger's."""
    with disk_errors(work):
        (work / "file").mkdir()
        return Path(shutil.copyfile(path, work / "file" / path.name))


def _converted(path: Path, folder: Path, source: Source) -> Path:
    """A checkpoint folder of a foreign file, with the licence that its repository states. Raises CheckpointError."""
    from studio.formats import NOT_STATED, convert

    convert(path, folder)
    info = read_info(folder)
    if source.licence and info.licence == NOT_STATED:
        said = f"{source.licence} (as {source.repo} states)"
        write_json(folder / INFO, {"version": VERSION, **vars(replace(info, licence=said))})
        text = (folder / CARD).read_text(encoding="utf-8")
        write_bytes(folder / CARD, text.replace(NOT_STATED, said).encode())
    return folder


def _kept_network(path: Path, name: str, source: Source, error: CheckpointError) -> Path:
    """Raises `error` if the file is no network that restores pictures."""
    address = Address(source.repo, file=source.file)
    return keep_network(path, name, address, asdict(source), error)


def keep_network(
    path: Path, name: str, address: Address | None, known: Mapping[str, Any], otherwise: CheckpointError
) -> Path:
    """A restoration network's file, kept as it is: spandrel opens those from files. `known` is written beside it.

    Raises `otherwise` for what is no such network, SettingError where another one has the name, DiskError.
    """
    from studio.formats.spandrel import facts_of, read_foreign

    try:
        facts = facts_of(read_foreign(path))
    except StudioError:
        raise otherwise from None
    kept = library.home() / "networks" / f"{name}{path.suffix.lower()}"
    _check_free(kept, address)
    with disk_errors(kept.parent):
        kept.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(kept) as beside:
        shutil.copyfile(path, beside)
    write_json(source_path(kept), {**known, "network": facts})
    return kept
