"""The models of a run that can be opened: its newest states, those it kept on its way, and the best that was measured.

`best/` and `snapshots/0003.200/` are checkpoints already, without what a resume needs;
a state is exported when asked for.
"""

import re
import shutil
from pathlib import Path

from studio.checkpoint import INFO, ModelInfo, read_info
from studio.errors import RunError, StudioError
from studio.files import disk_errors, whole_folder, write_bytes, write_json
from studio.runfolder import RunFolder
from train.card import GRID, card
from train.export import export

_FOLDER = re.compile(r"\d{4,}\.\d{3}")


def snapshots(run: RunFolder) -> tuple[float, ...]:
    """The kimg that can be exported, ascending."""
    return tuple(sorted({*_kept(run), *(float(state.name) for state in run.states())}))


def best(run: RunFolder) -> float | None:
    """How far the run was when its samples measured best; None where nothing was measured."""
    try:
        return read_info(run.path / "best").kimg
    except StudioError:
        return None


def keep_snapshot(run: RunFolder) -> Path:
    """Write the newest state's model into the run, where later states leave it alone."""
    kimg = run.kimg()
    return export(run, run.path / "snapshots" / f"{kimg:08.3f}", title=f"{run.path.name} at {kimg:g} kimg")


def export_snapshot(
    run: RunFolder, out: Path, kimg: float | None = None, *, title: str | None = None, **words: str
) -> Path:
    """As `studio.training.Trainer.export`. What was kept is copied, under its title and the card's words."""
    if kimg is None or run.state_path(kimg) in run.states():
        return export(run, out, kimg, title=title, **words)
    folder = _kept(run).get(round(kimg, 3))
    if folder is None:
        known = ", ".join(f"{one:g}" for one in snapshots(run)) or "none yet"
        raise RunError(f"{run.path} kept no model at {kimg:g} kimg; there are: {known}")
    info = {**vars(read_info(folder)), "title": title or out.name}
    named = {"data": words.get("data_note"), "data_licence": words.get("data_licence"), "licence": words.get("licence")}
    info |= {name: text for name, text in named.items() if text}
    if words.get("note"):
        info["training"] = {**info["training"], "note": words["note"]}
    with whole_folder(out) as copy:
        with disk_errors(out):
            shutil.copytree(folder, copy, dirs_exist_ok=True)
        write_json(copy / INFO, {"version": 1, **info})
        write_bytes(copy / "README.md", card(ModelInfo(**info), (copy / GRID).exists()).encode())
    return out


def _kept(run: RunFolder) -> dict[float, Path]:
    """Folders of finished checkpoints within the run, by kimg."""
    folder = run.path / "snapshots"
    kept = {float(p.name): p for p in folder.iterdir() if _FOLDER.fullmatch(p.name)} if folder.is_dir() else {}
    measured = best(run)
    return kept if measured is None else {round(measured, 3): run.path / "best", **kept}
