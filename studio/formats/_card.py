"""The card of an imported checkpoint: where it comes from, and what is not known about it."""

from studio.checkpoint import ModelInfo

GRID = "samples.jpg"


def card(info: ModelInfo, format: str, show_grid: bool) -> str:
    """README.md. Texts of a stranger's file stand in it as code, where they can do nothing to the page."""
    facts = [
        ("imported from", _code(info.training["imported_from"])),
        ("sha256 of that file", _code(info.training["imported_sha256"])),
        ("format", format),
        ("network", info.family.title + f" ({info.family.paper})"),
        ("licence of the weights", info.licence),
        ("trained on", _code(info.data) if info.data else "not stated in the file"),
        ("trained for", f"{info.kimg:g} kimg" if info.kimg else "not stated in the file"),
    ]
    lines = [f"# {_code(info.title)}", "", "Imported: the numbers are its maker's, the layout is Atelier's.", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts), ""]
    if show_grid:
        lines += [f"![samples]({GRID})", "", "Four pictures from noise, psi 0.7.", ""]
    return "\n".join(lines)


def _code(text: object) -> str:
    return "`" + str(text).replace("`", "'").replace("|", "/").replace("\n", " ").replace("\r", " ")[:200] + "`"
