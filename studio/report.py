"""What was done to a picture, for its file: a page to read and print, and the same as JSON for programs.

The proof is drawn from the files themselves: what the result's file holds is compared with what the original's holds,
pixel by pixel, and every pixel that differs is on the map.
"""

import base64
import html
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.files import disk_errors, write_bytes, write_json
from studio.layers import Treatment, pixels_sha256
from studio.masks import components, encode_mask
from studio.provenance import STUDIO_VERSION
from studio.raster.opening import Picture

PAGE, FACTS, MASK, MAP = "report.html", "report.json", "mask.png", "changed.png"
SHOWN_SIDE = 900  # px; of the pictures on the page
_GREY, _INSIDE, _OUTSIDE = (232, 230, 225), (22, 96, 160), (200, 30, 30)


@dataclass(frozen=True, eq=False)
class Changes:
    """How a result differs from its original."""

    inside: np.ndarray  # [H, W] bool: differs, where it was filled
    outside: np.ndarray  # [H, W] bool: differs elsewhere, which nothing should

    @property
    def map(self) -> np.ndarray:
        """[H, W, 3] uint8: paper where both are equal, blue where they differ as meant, red elsewhere."""
        picture = np.empty((*self.inside.shape, 3), np.uint8)
        picture[:] = _GREY
        picture[self.inside], picture[self.outside] = _INSIDE, _OUTSIDE
        return picture


def compare(original: Picture, result: Picture, filled: np.ndarray) -> Changes:
    """filled [H, W] bool: where the result may differ. Pictures of another size, depth or kind differ everywhere."""
    if original.pixels.shape != result.pixels.shape or original.pixels.dtype != result.pixels.dtype:
        return Changes(filled.copy(), ~filled)
    differs = (original.pixels != result.pixels).any(axis=2)
    return Changes(differs & filled, differs & ~filled)


def facts(
    treatment: Treatment, result: Picture, *, files: Mapping[str, Mapping[str, str]], note: str = "",
    date: datetime | None = None,
) -> tuple[dict[str, Any], Changes]:
    """Everything that the report says, as JSON values.

    files: `original` and `result`, each with its `name` and `sha256`. result: as it was read again from its file.
    """
    original, filled = treatment.original, treatment.filled()
    changes = compare(original, result, filled)
    pieces = components(filled)
    area = int(filled.sum())
    values = {
        "studio": f"Atelier {STUDIO_VERSION}",
        "date": (date or datetime.now(timezone.utc)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "original": {**files["original"], **_described(original)},
        "result": {**files["result"], **_described(result)},
        "mask": {
            "area_px": area,
            "area_share": area / filled.size,
            "pieces": len(pieces),
            "widest_px": max((piece.widest_px for piece in pieces), default=0),
        },
        "changed": {"inside_px": int(changes.inside.sum()), "outside_px": int(changes.outside.sum())},
        "kept": {
            "colours": not original.read_as, "icc": original.icc == result.icc and not original.icc_applied,
            "exif": original.exif == result.exif, "resolution": _dpi(original) == _dpi(result),
            "bits": _bits(original) == _bits(result),
        },
        "layers": [{**layer.made, "hidden": layer.hidden, "sha256": layer.sha256} for layer in treatment.layers],
        "note": note,
    }
    return values, changes


def write_report(
    folder: Path, treatment: Treatment, result: Picture, values: Mapping[str, Any], changes: Changes
) -> None:
    """Write page, JSON, mask and map into a folder, which is made where it is missing. Raises DiskError."""
    changed = Image.fromarray(changes.map)
    png = io.BytesIO()
    changed.save(png, "PNG")
    shown = {
        "Original": _data_url(treatment.original.rgb()),
        "Result": _data_url(result.rgb()),
        "Changed pixels": _data_url(changed, Image.Resampling.BOX),
    }
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FACTS, values)
    write_bytes(folder / MASK, encode_mask(treatment.filled()))
    write_bytes(folder / MAP, png.getvalue())
    write_bytes(folder / PAGE, page(values, shown).encode())


def page(values: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The report as HTML that needs no other file. pictures: data URLs by caption."""
    mask, changed = values["mask"], values["changed"]
    outside = changed["outside_px"]
    verdict = f"{outside:,} pixels outside the mask differ." if outside else "No pixel outside the mask was changed."
    if read_as := values["original"].get("read_as"):
        verdict += f" But the original has {read_as}: they are compared as they were read."
    figures = "".join(
        f'<figure><img src="{_text(url)}" alt="{_text(caption)}"><figcaption>{_text(caption)}</figcaption></figure>'
        for caption, url in pictures.items()
    )
    tables = [
        _table("Original", values["original"]),
        _table("Result", values["result"]),
        _table("Mask", {**mask, "area_share": f"{mask['area_share']:.4%}"}),
        _table("Changed pixels", {"inside the mask": changed["inside_px"], "outside the mask": outside}),
        _table("Kept as in the original", {name: "yes" if kept else "no" for name, kept in values["kept"].items()}),
        *(_table(f"Layer {number}", layer) for number, layer in enumerate(values["layers"], 1)),
    ]
    return _PAGE.format(
        title=_text(f"Treatment report: {values['original']['name']}"),
        subtitle=_text(f"{values['date']}, {values['studio']}"),
        kind="bad" if outside or read_as else "good",
        verdict=_text(verdict),
        figures=figures,
        note=f"<h2>Note</h2><p>{_text(values['note'])}</p>" if values["note"] else "",
        tables="".join(tables),
    )


def _described(picture: Picture) -> dict[str, Any]:
    width, height = picture.size
    read = {"read_as": picture.read_as} if picture.read_as else {}
    return {
        "pixels_sha256": pixels_sha256(picture), "size": f"{width} x {height} px", "format": picture.format,
        "bits": _bits(picture), "resolution": _dpi(picture), **read,
    }


def _dpi(picture: Picture) -> str:
    # PNG counts in whole pixels a metre: what is nearer than that is the same
    return f"{picture.dpi[0]:.1f} x {picture.dpi[1]:.1f} dpi" if picture.dpi else "not stated"


def _bits(picture: Picture) -> int:
    return 8 * picture.pixels.itemsize


def _data_url(image: Image.Image, resample: Image.Resampling = Image.Resampling.LANCZOS) -> str:
    small = image.copy()
    small.thumbnail((SHOWN_SIDE, SHOWN_SIDE), resample)
    out = io.BytesIO()
    small.save(out, "PNG" if resample == Image.Resampling.BOX else "JPEG", quality=90)
    kind = "png" if resample == Image.Resampling.BOX else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"


def _table(title: str, values: Mapping[str, Any]) -> str:
    cells = ((_text(_words(name)), _text(value)) for name, value in values.items())
    rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in cells)
    return f"<section><h2>{_text(title)}</h2><table>{rows}</table></section>"


def _words(name: str) -> str:
    hashes = {"sha256": "SHA-256", "pixels_sha256": "SHA-256 of the pixels"}
    return hashes.get(name, name.replace("_", " "))


def _text(value: object) -> str:
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=False)
    return html.escape(f"{value:,}" if type(value) is int else str(value))


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.5rem; margin: 0 }}
h2 {{ font-size: 1.05rem; margin: 1.5rem 0 .4rem }}
.verdict {{ padding: .6rem 1rem; border-left: 4px solid; font-weight: 600 }}
.good {{ border-color: #1a7f4b; background: #eef8f2 }}
.bad {{ border-color: #c81e1e; background: #fdf0f0 }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 1rem }}
figure {{ margin: 0 }}
img {{ width: 100%; border: 1px solid #ddd }}
figcaption {{ color: #666; font-size: .85rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #eee }}
th {{ width: 14rem; font-weight: 500; color: #555 }}
td {{ overflow-wrap: anywhere; font-variant-numeric: tabular-nums }}
section {{ break-inside: avoid }}
</style>
<h1>{title}</h1>
<p>{subtitle}</p>
<p class="verdict {kind}">{verdict}</p>
<div class="figures">{figures}</div>
{note}
{tables}
</html>
"""
