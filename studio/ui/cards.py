"""A stranger's Markdown as a plain tree of a few harmless kinds, which the page builds out of text alone.

No HTML gets through, no picture is fetched (that would tell its owner who reads the card), and a link is one only to an
https address. What this small reader does not know stays text.
"""

import re
from typing import Any

MAX_TEXT = 60_000  # characters that are read
MAX_BLOCKS, MAX_ROWS = 400, 200
Block = dict[str, Any]
Span = dict[str, str]

_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_ITEM = re.compile(r"^\s{0,12}(?:[-*+]|\d{1,9}[.)])\s+(.*)$")
_RULE = re.compile(r"^ {0,3}([-*_])(?:\s*\1){2,}\s*$")
_SEPARATOR = re.compile(r"^\s*\|?[\s:|-]*-[\s:|-]*$")
_HIDDEN = (("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>"))
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,2000}>")
_SPAN = re.compile(
    r"`(?P<code>[^`\n]{1,2000})`"
    r"|!\[(?P<picture>[^\[\]\n]{0,500})\]\([^()\s]{0,2000}(?:\s[^()]{0,200})?\)"
    r"|\[(?P<link>[^\[\]\n]{1,500})\]\((?P<to>[^()\s]{1,2000})(?:\s[^()]{0,200})?\)"
    r"|(?P<bare>https://[^\s<>()\[\]\"'`|]{4,500}[^\s<>()\[\]\"'`|.,;:!?])"
    r"|\*\*(?P<bold>[^*\n]{1,1000})\*\*|\*(?P<slant>[^*\s][^*\n]{0,1000})\*"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


def read_card(text: str) -> list[Block]:
    """Blocks in order: {"kind": heading, text, item, code, table or rule}; spans are {"text", "style"?, "to"?}.

    heading: level, spans. text, item: spans. code: text. table: rows of cells of spans, the first of which is its head.
    """
    lines = _plain(text).split("\n")
    blocks: list[Block] = []
    i = 0
    while i < len(lines) and len(blocks) < MAX_BLOCKS:
        line = lines[i]
        if fence := _FENCE.match(line):
            end = next((j for j in range(i + 1, len(lines)) if lines[j].lstrip().startswith(fence[1])), len(lines))
            blocks.append({"kind": "code", "text": "\n".join(lines[i + 1 : end])})
            i = end + 1
        elif "|" in line and i + 1 < len(lines) and "|" in lines[i + 1] and _SEPARATOR.match(lines[i + 1]):
            end = next((j for j in range(i + 2, len(lines)) if "|" not in lines[j]), len(lines))
            rows = [_cells(row) for row in (line, *lines[i + 2 : end][:MAX_ROWS])]
            blocks.append({"kind": "table", "rows": rows})
            i = end
        else:
            blocks += _line(line, i > 0 and bool(lines[i - 1].strip()), blocks)
            i += 1
    return [block for block in blocks if block.get("spans") != []]


def _plain(text: str) -> str:
    """Without front matter, HTML and signs that turn the writing round."""
    text = text[:MAX_TEXT].replace("\r\n", "\n").replace("\r", "\n")
    if text.startswith("---\n") and (end := text.find("\n---", 3)) >= 0:
        text = text[end + 4 :]
    for begin, end in _HIDDEN:
        text = _without(text, begin, end)
    return _CONTROL.sub("", _TAG.sub("", text))


def _without(text: str, begin: str, end: str) -> str:
    """What stands between the two is gone, and all of the rest where it never ends."""
    # by hand: a pattern would look for an end that is not there again and again
    lower, kept, at = text.lower(), [], 0
    if len(lower) != len(text):  # some signs become two
        lower = text
    while (start := lower.find(begin, at)) >= 0:
        kept.append(text[at:start])
        stop = lower.find(end, start)
        at = stop + len(end) if stop >= 0 else len(text)
    return "".join(kept) + text[at:]


def _line(line: str, goes_on: bool, blocks: list[Block]) -> list[Block]:
    """The block that a line begins; none where it belongs to the one before, which it is added to."""
    if not line.strip():
        return []
    if _RULE.match(line):
        return [{"kind": "rule"}]
    if found := _HEADING.match(line):
        return [{"kind": "heading", "level": len(found[1]), "spans": _spans(found[2])}]
    if found := _ITEM.match(line):
        return [{"kind": "item", "spans": _spans(found[1])}]
    words = _spans(line.lstrip(" >"))
    if goes_on and blocks and blocks[-1]["kind"] in ("text", "item") and words:
        blocks[-1]["spans"] += [{"text": " "}, *words]
        return []
    return [{"kind": "text", "spans": words}]


def _cells(row: str) -> list[list[Span]]:
    return [_spans(cell.strip()) for cell in row.strip().strip("|").split("|")[:30]]


def _spans(text: str) -> list[Span]:
    spans: list[Span] = []
    at = 0
    for found in _SPAN.finditer(text):
        if found.start() > at:
            spans.append({"text": text[at : found.start()]})
        spans += _span(found)
        at = found.end()
    return spans + ([{"text": text[at:]}] if text[at:].strip() else [])


def _span(found: re.Match[str]) -> list[Span]:
    kind = found.lastgroup
    if found["link"] is not None:
        to = found["to"]
        return [{"text": found["link"], "to": to} if to.startswith("https://") else {"text": found["link"]}]
    if kind == "bare":
        return [{"text": found["bare"], "to": found["bare"]}]
    if kind == "picture":
        return []
    return [{"text": found[kind], "style": kind}]
