"""Restoration: fills beside classical ones and big-LaMa's time, found damage, enlarging and cleaning beside peers.

    python -m benchmarks.restore --data DIR [--quick] [--only inpaint|detect|enlarge] [--sheet FILE] [--json FILE]

Give the folder that the checkpoints were trained from: what they held out follows from the names in it. Damage is
drawn with fixed seeds, so that every run and every model meets the same.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from benchmarks.cases import Row, contact_sheet, open_held_out
from benchmarks.detecting import find_all
from benchmarks.enlarging import enlarge_all
from benchmarks.fidelity import Judge
from benchmarks.inpainting import SHEET_SIDE, fill_all, fillers, network_times, print_fills
from benchmarks.timing import write_json
from studio.community import network_at
from studio.engine import Engine
from studio.errors import StudioError
from studio.images import save_picture
from studio.library import Library
from studio.restore import Restorer

SIDES = (256, 512, 1024)
PARTS = ("inpaint", "detect", "enlarge")


def run(a: argparse.Namespace) -> None:
    """Raises StudioError for what a person can mend."""
    quick: bool = a.quick
    sides = a.sides or [side for side in SIDES if not quick or side <= 512]
    engine = Engine(Library.default(any_folder=True), a.device)
    written: dict[str, Any] = {"torch": torch.__version__, "threads": a.threads, "device": str(engine.device)}
    sheet: dict[str, list[Row]] = {}
    judge = Judge() if a.only != "detect" else None
    parts = [a.only] if a.only else PARTS

    if "inpaint" in parts:
        model = network_at(a.model)
        everyone = fillers(engine, model)
        openers = open_held_out(a.data, a.unseen, model)
        sheet_side = SHEET_SIDE if SHEET_SIDE in sides else sides[0]
        cases = a.cases or (4 if quick else 12)
        records, sheet["holes"] = fill_all(openers, everyone, judge, sides, cases, sheet_side)
        if records:
            written["inpaint"] = {"means": print_fills(records), "fills": records}
        written["networks_ms"] = network_times(engine, model, sides, a.rounds or (1 if quick else 3))
    if "detect" in parts:
        detector = network_at(a.detector)
        restorer = Restorer(engine, detector=detector)
        restorer.check_detector()
        openers = open_held_out(a.data, a.unseen, detector)
        written["detect"], sheet["damage"] = find_all(openers, restorer, a.cases or (8 if quick else 48))
    if "enlarge" in parts:
        model = network_at(a.upscaler)
        openers = open_held_out(a.data, a.unseen, model)
        cases = a.cases or (3 if quick else 12)
        written["enlarge"], rows = enlarge_all(openers, engine, model, judge, cases)
        sheet |= rows
    if a.sheet and any(sheet.values()):
        save_picture(a.sheet, contact_sheet({name: rows for name, rows in sheet.items() if rows}), quality=90)
    if a.json:
        write_json(a.json, written)


def main(argv: list[str] | None = None) -> None:
    p = argparse.ArgumentParser(prog="benchmarks.restore", description=__doc__.splitlines()[0])
    p.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder trained from")
    p.add_argument("--unseen", type=Path, metavar="DIR", help="more pictures, none of them trained on")
    p.add_argument("--model", default="inpaint", help="name, folder or file that fills holes (default inpaint)")
    p.add_argument("--detector", default="damage", help="name or folder of a damage detector (default damage)")
    p.add_argument("--upscaler", default="upscale", help="name, folder or file of an upscaler (default upscale)")
    p.add_argument("--quick", action="store_true", help="up to 512 px, and a few pictures")
    p.add_argument("--only", choices=PARTS, help="one part")
    p.add_argument("--sides", type=int, nargs="+", metavar="PX", help=f"default {' '.join(map(str, SIDES))}")
    p.add_argument("--cases", type=int, help="holes of each kind, aged and enlarged pictures (default 12, 48, 12)")
    p.add_argument("--rounds", type=int, help="timed passes of the networks alone (default 3)")
    p.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads (default torch's)")
    p.add_argument("--device", default="cpu", help="for ours, and big-LaMa's architecture (default cpu)")
    p.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet, to look at")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write every figure here")
    a = p.parse_args(argv)
    torch.set_num_threads(a.threads)
    try:
        run(a)
    except StudioError as error:
        p.exit(2, f"{p.prog}: {error}\n")


if __name__ == "__main__":
    main()
