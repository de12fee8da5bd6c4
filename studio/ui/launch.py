"""Serve the page: nothing leaves this machine unless `share` is asked for."""

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from studio.errors import ServerError
from studio.ui.address import Address
from studio.ui.guard import BodyLimit, OnlyUsedRoutes, OwnPages
from studio.ui.i18n import PageLanguage, PageMessages
from studio.ui.shell import HEAD
from studio.ui.theme import CSS, theme


def launch(
    page: gr.Blocks,
    address: Address,
    *,
    language: str | None = None,
    share: bool = False,
    auth: tuple[str, str] | None = None,
) -> str:
    """Start serving and return the page's address; `page.close()` ends it. Raises ServerError."""
    fetch_nothing(page)
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(address.visible_hosts)),
        Middleware(OwnPages, welcome=address.welcome),
        Middleware(OnlyUsedRoutes),
        Middleware(BodyLimit),
        Middleware(PageLanguage, forced=language),
    ]
    try:
        _, local, public = page.queue(max_size=64).launch(
            server_name=address.host, server_port=address.port, share=share, auth=auth,
            prevent_thread_lock=True, quiet=True, ssr_mode=False, pwa=False, mcp_server=False,
            enable_monitoring=False, run_history=False, footer_links=[], max_file_size="64mb", allowed_paths=[],
            i18n=PageMessages(), theme=theme(), css=CSS.read_text(encoding="utf-8"), head=HEAD,
            app_kwargs={"middleware": middleware, "docs_url": None, "redoc_url": None, "openapi_url": None},
        )
    except OSError as error:
        raise ServerError(f"port {address.port} was taken meanwhile; start again or choose another --port") from error
    return public or local


def fetch_nothing(page: gr.Blocks) -> None:
    """Refuse values that name files or addresses: Gradio would fetch those for whoever sends them.

    It does so before our code runs. All that this page takes and gives are numbers, texts and bytes.
    """

    async def refuse(place: object) -> str:
        sentence = "files and addresses are not fetched here; send the picture itself, as a data URL"
        raise gr.Error(sentence, print_exception=False)

    for block in page.blocks.values():
        block.async_move_resource_to_block_cache = refuse
