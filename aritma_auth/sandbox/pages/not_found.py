"""The page for an end-user who opened an address that a server does not have."""

from html import escape

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from aritma_auth.sandbox.pages.home import LINKS
from aritma_auth.sandbox.pages.templates import show_page
from aritma_auth.sandbox.state import SandboxState


def show_not_found(sandbox: SandboxState) -> Middleware:
    """Return a middleware that shows browsers where to go on; programs get the bare status."""

    @web.middleware
    async def show(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            if "text/html" not in request.headers.get("Accept", ""):
                raise
            response = _page(sandbox.identity_url, request.path, error.status)
            # The methods that are allowed (RFC 9110 §15.5.6).
            response.headers.update(
                (name, value) for name, value in error.headers.items() if name == "Allow"
            )
            return response

    return show


def _page(identity_url: str, path: str, status: int) -> web.Response:
    links = ", ".join(f'<a href="{identity_url}{path}">{text}</a>' for path, text in LINKS)
    body = (
        f"<p><code>{escape(path)}</code> is no page of the sandbox.</p>"
        f'<p><a href="{identity_url}/">Home page</a>, {links}</p>'
    )
    return show_page("There is no such page", body, status=status, problem=f"HTTP status {status}")
