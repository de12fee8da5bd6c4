import copy
import re
from pathlib import Path

import pytest

import studio.presets
import studio.ui
from studio.ui import i18n
from studio.ui.i18n import LANGUAGES, PageMessages, choose, messages, text

SOURCES = Path(studio.ui.__file__).parent
KEY = r"[a-z]+\.[a-z_0-9]+"


def test_every_language_has_the_same_keys() -> None:
    assert [set(messages(language)) ^ set(messages("en")) for language in LANGUAGES] == [set()] * len(LANGUAGES)


def test_no_locale_is_left_out() -> None:
    assert {file.stem for file in (SOURCES / "locales").iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_messages_are_filled_in_and_name_the_same_values(language: str) -> None:
    values = lambda message: sorted(re.findall(r"\{\w+\}", message))
    for key, message in messages(language).items():
        assert message.strip(), key
        assert values(message) == values(messages("en")[key]), key


def test_chinese_is_chinese() -> None:
    signs = {"page.lang", "explore.previous", "explore.next"}
    english = [key for key, message in messages("zh-CN").items() if not re.search("[\u4e00-\u9fff]", message)]
    assert set(english) == signs


def test_every_key_in_the_sources_exists() -> None:
    """Keys that are put together at run time go through text(), which refuses what no locale has."""
    patterns = [rf'data-t(?:-label|-title)?="({KEY})"', rf'\bt\(\s*"({KEY})"']
    patterns += [rf'"notice": "({KEY})"', rf'text\("({KEY})"\)']
    used = {
        key
        for file in SOURCES.rglob("*")
        if file.suffix in (".py", ".js", ".html")
        for pattern in patterns
        for key in re.findall(pattern, file.read_text(encoding="utf-8"))
    }
    assert {"live.undo", "live.lost", "explore.model_missing", "explore.dial"} <= used
    assert used - set(messages("en")) == set()


def test_no_message_is_without_use() -> None:
    files = [file for file in SOURCES.rglob("*") if file.suffix in (".py", ".js", ".html")]
    files.append(Path(studio.presets.__file__))  # whose names have titles
    sources = "".join(file.read_text(encoding="utf-8") for file in files)
    # A key's last part may be put together from a setting's name: "explore." + "mix_coarse".
    unused = [key for key in messages("en") if key not in sources and not _made_up(key, sources)]
    assert unused == []


def _made_up(key: str, sources: str) -> bool:
    words = key.partition(".")[2].split("_")
    return any(f'"{"_".join(words[i:])}"' in sources for i in range(len(words)))


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(KeyError, match="explore.sede"):
        text("explore.sede")


@pytest.mark.parametrize(
    "forced, cookie, accepted, language",
    [
        (None, None, "", "en"),
        (None, None, "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        (None, None, "zh-HK", "zh-CN"),
        (None, None, "fr-FR,fr;q=0.9", "en"),
        (None, None, "fr, zh;q=0.3, en;q=0.7", "en"),
        (None, None, "en;q=0, zh;q=0.1", "zh-CN"),
        (None, "en", "zh-CN", "en"),
        (None, "xx", "zh-CN", "zh-CN"),
        ("zh-CN", "en", "en", "zh-CN"),
        (None, None, "," * 10_000 + "zh", "en"),
    ],
)
def test_choice_of_language(forced: str | None, cookie: str | None, accepted: str, language: str) -> None:
    assert choose(forced, cookie, accepted) == language


def test_a_copy_of_the_messages_is_in_the_language_of_its_page() -> None:
    kept = {"i18n_translations": PageMessages().translations_dict}
    token = i18n._page_language.set("zh-CN")
    try:
        assert copy.deepcopy(kept) == {"i18n_translations": {"en": messages("zh-CN")}}
    finally:
        i18n._page_language.reset(token)
    assert copy.deepcopy(kept) == {"i18n_translations": {"en": messages("en")}}
