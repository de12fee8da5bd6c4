"""What the page says, in the reader's language.

`text("explore.seed")` marks a place in the page; the browser fills it from the messages that came with it. Their
language is decided once, on the server, for each page: --lang, else the reader's own choice (a cookie), else what the
browser asks for. Sentences made on the server (`StudioError`) stay English.
"""

import functools
import json
import re
from collections.abc import Iterable
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.i18n import I18nData
from starlette.types import ASGIApp, Receive, Scope, Send

LANGUAGES = {"en": "English", "zh-CN": "中文"}
COOKIE = "atelier_lang"
_LOCALES = Path(__file__).parent / "locales"
_page_language: ContextVar[str] = ContextVar("page_language", default="en")


@functools.cache
def messages(language: str) -> dict[str, str]:
    """All messages of one of LANGUAGES, by key."""
    return json.loads((_LOCALES / f"{language}.json").read_text(encoding="utf-8"))


def text(key: str) -> I18nData:
    """A place for the message `key`. Raises KeyError for one that no locale has: the reader would see a bare key."""
    if key not in messages("en"):
        raise KeyError(f"no message {key!r} in the locales")
    return I18nData(key)


def choose(forced: str | None, cookie: str | None, accepted: str) -> str:
    """The page's language: the forced one, else the cookie's, else the best of Accept-Language, else English."""
    for wish in (forced, cookie):
        if wish in LANGUAGES:
            return wish
    for tag in _by_preference(accepted):
        # Every kind of Chinese is nearer to ours than English is.
        if tag.split("-")[0] == "zh":
            return "zh-CN"
        if tag.split("-")[0] == "en":
            return "en"
    return "en"


def _by_preference(accepted: str) -> Iterable[str]:
    """The tags of an Accept-Language header (RFC 9110, 12.5.4), most wanted first."""
    found = re.findall(r"([a-zA-Z*-]+)\s*(?:;\s*q=([0-9.]{1,5}))?(?:,|$)", accepted[:500])
    weight = lambda q: float(q) if re.fullmatch(r"\d(\.\d*)?", q) else 1.0
    ranked = sorted(((weight(q), tag.lower()) for tag, q in found), key=lambda pair: -pair[0])
    return [tag for q, tag in ranked if q > 0]


class PageLanguage:
    """ASGI middleware: notes the language of the request, for PageMessages to serve."""

    def __init__(self, app: ASGIApp, forced: str | None = None) -> None:
        self.app, self.forced = app, forced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            headers = {k: v.decode("latin-1") for k, v in scope["headers"] if k in (b"cookie", b"accept-language")}
            language = choose(self.forced, _cookie(headers.get(b"cookie", "")), headers.get(b"accept-language", ""))
            _page_language.set(language)
        await self.app(scope, receive, send)


def _cookie(header: str) -> str | None:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


class _Messages(dict[str, Any]):
    """Gradio copies its page configuration for each page it serves; a copy of this holds the page's own language.

    The messages go under "en" whatever they are: there Gradio looks when it has none in the browser's language.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, dict[str, str]]:
        return {"en": messages(_page_language.get())}


class PageMessages(gr.I18n):
    """The messages as Gradio takes them."""

    @property
    def translations_dict(self) -> dict[str, dict[str, str]]:
        return _Messages(en=messages(_page_language.get()))
