import json

import pytest

from studio.ui.cards import MAX_BLOCKS, MAX_TEXT, read_card


def words(blocks: list) -> str:
    return "|".join("".join(span["text"] for span in block.get("spans", [])) for block in blocks)


def test_the_kinds() -> None:
    text = "---\nlicense: mit\n---\n# A *brush*\n\nIt paints\n**ink**, `x < y`.\n\n- one\n- two\n  more\n\n---\n"
    text += "```\na | b\n```\n| k | v |\n|---|:-:|\n| a | **1** |\n"
    assert read_card(text) == [
        {"kind": "heading", "level": 1, "spans": [{"text": "A "}, {"text": "brush", "style": "slant"}]},
        {"kind": "text", "spans": [
            {"text": "It paints"}, {"text": " "}, {"text": "ink", "style": "bold"}, {"text": ", "},
            {"text": "x < y", "style": "code"}, {"text": "."},
        ]},
        {"kind": "item", "spans": [{"text": "one"}]},
        {"kind": "item", "spans": [{"text": "two"}, {"text": " "}, {"text": "more"}]},
        {"kind": "rule"},
        {"kind": "code", "text": "a | b"},
        {
            "kind": "table",
            "rows": [[[{"text": "k"}], [{"text": "v"}]], [[{"text": "a"}], [{"text": "1", "style": "bold"}]]],
        },
    ]


@pytest.mark.parametrize(
    "text, left",
    [
        ("a <script>alert(1)</script>b", "a b"),
        ("<img src=x onerror=alert(1)>c", "c"),
        ("<!-- x -->d", "d"),
        ("![spy](https://evil.example/x.png)e", "e"),
        ("\u202egnp.exe", "gnp.exe"),
    ],
)
def test_nothing_of_html_or_pictures_is_left(text: str, left: str) -> None:
    assert words(read_card(text)) == left


@pytest.mark.parametrize(
    "to",
    ["javascript:evil", "data:text/html,x", "http://x.example", "//x.example", "file:///etc/passwd", "/gradio_api"],
)
def test_only_https_is_a_link(to: str) -> None:
    assert read_card(f"[here]({to})") == [{"kind": "text", "spans": [{"text": "here"}]}]


def test_a_link_and_a_bare_address() -> None:
    spans = read_card("[paper](https://arxiv.org/abs/1) and https://x.example/a.")[0]["spans"]
    assert spans == [
        {"text": "paper", "to": "https://arxiv.org/abs/1"}, {"text": " and "},
        {"text": "https://x.example/a", "to": "https://x.example/a"}, {"text": "."},
    ]


@pytest.mark.parametrize(
    "sign", ["[", "<", "**", "`", "|", "<a ", "- ", "![", "#", "<!--", "<script>", "[a](", "--- ", "*a "],
)
def test_endless_cards_are_read_at_once(sign: str) -> None:
    text = sign * (MAX_TEXT // len(sign))
    assert len(json.dumps(read_card(text))) < 10_000_000


def test_a_card_of_many_lines_is_cut() -> None:
    assert len(read_card("a\n\n" * 10_000)) == MAX_BLOCKS
