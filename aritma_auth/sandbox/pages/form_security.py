"""Forms of the pages: bound to the browser, and leading back to the server alone."""

import hmac
import secrets
from collections.abc import Callable, Container, Mapping, Sequence
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web

from aritma_auth.sandbox.identity.parameters import leave_out_done
from aritma_auth.sandbox.identity.session_management import STATE_COOKIE
from aritma_auth.sandbox.identity.sessions import BrowserSession, Sessions

SESSION_COOKIE = "aritma-sandbox"
TOKEN_FIELD = "form_token"
_TOKEN_COOKIE = "aritma-sandbox-form"


def show(request: web.Request, page: Callable[[str], web.Response]) -> web.Response:
    """Show a page with a form that only this browser can submit."""
    token = request.cookies.get(_TOKEN_COOKIE) or secrets.token_urlsafe(24)
    response = page(token)
    set_cookie(request, response, token, _TOKEN_COOKIE)
    return response


async def read_form(request: web.Request) -> dict[str, str]:
    """
    Read a form of ours.

    Raises:
        HTTPBadRequest: The form's token is not this browser's: another site may have sent it.
    """
    form = {name: values[0] for name, values in (await read_parameters(request)).items()}
    token = form.pop(TOKEN_FIELD, "")
    cookie = request.cookies.get(_TOKEN_COOKIE, "")
    if not token or not hmac.compare_digest(token.encode(), cookie.encode()):
        raise web.HTTPBadRequest(
            text="This form was not shown to this browser. Go back and load the page again."
        )
    return form


async def read_parameters(request: web.Request) -> dict[str, list[str]]:
    """Read a posted form, or the query, with all values of each name."""
    given = await request.post() if request.method == "POST" else request.query
    parameters: dict[str, list[str]] = {}
    for name, value in given.items():
        if isinstance(value, str):
            parameters.setdefault(name, []).append(value)
    return parameters


def set_cookie(
    request: web.Request, response: web.StreamResponse, value: str, name: str = SESSION_COOKIE
) -> None:
    """Set a cookie that no script can read and no other site's form can send."""
    response.set_cookie(name, value, httponly=True, samesite="Lax", secure=request.secure)


def show_session(request: web.Request, response: web.StreamResponse, session_id: str) -> None:
    """
    Set the cookie that the check_session_iframe reads; it authenticates nothing.

    Spec: OpenID Connect Session Management 1.0 §3.2.
    """
    # A frame in another site's page gets only SameSite=None cookies, which need https.
    samesite = "None" if request.secure else "Lax"
    response.set_cookie(STATE_COOKIE, session_id, samesite=samesite, secure=request.secure)


def session_of(request: web.Request, sessions: Sessions) -> BrowserSession | None:
    """Find the session of a request's browser."""
    return sessions.session(request.cookies.get(SESSION_COOKIE))


def forget_session(response: web.StreamResponse) -> None:
    """Delete both cookies of a session."""
    response.del_cookie(SESSION_COOKIE)
    response.del_cookie(STATE_COOKIE)


def redirect(location: str, status: int = 302) -> web.Response:
    """Redirect a browser."""
    return web.Response(
        status=status,
        headers={
            "Location": location,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        },
    )


def address(path: str, parameters: Mapping[str, Sequence[str] | str]) -> str:
    """Build an address of the server."""
    return f"{path}?{urlencode(parameters, doseq=True)}"


def return_url_of(given: Mapping[str, str]) -> str:
    """
    Read the return URL, which must lead into the server itself.

    Raises:
        HTTPBadRequest: It leads elsewhere: the server must not be an open redirector.
    """
    url = given.get("return_url", "")
    is_ours = url.startswith("/") and not url.startswith(("//", "/\\"))
    path = urlsplit(url).path if is_ours else ""
    if not (path.endswith("/connect/authorize") or path == "/device"):
        raise web.HTTPBadRequest(
            text="return_url must be /device or an authorization endpoint of this server."
        )
    return url


def query_of(url: str) -> dict[str, list[str]]:
    """Parse a URL's query."""
    return parse_qs(urlsplit(url).query, keep_blank_values=True)


def without(url: str, prompts: Container[str], names: Container[str] = ()) -> str:
    """Remove from a return URL what has been done and must not be asked for again."""
    return address(urlsplit(url).path, leave_out_done(query_of(url), prompts, names))
