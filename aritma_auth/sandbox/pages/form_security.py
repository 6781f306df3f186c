"""How the pages' forms come and go: whom they are from, and where they lead."""

import hmac
import secrets
from collections.abc import Callable, Container, Mapping, Sequence
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web

SESSION_COOKIE = "aritma-sandbox"
STATE_COOKIE = "aritma-sandbox-session"
TOKEN_FIELD = "form_token"
_TOKEN_COOKIE = "aritma-sandbox-form"


def show(request: web.Request, page: Callable[[str], web.Response]) -> web.Response:
    """
    Show a page with a form that only this browser can send.

    Args:
        request: The browser's request.

        page: Makes the page from the form's token.
    """
    token = request.cookies.get(_TOKEN_COOKIE) or secrets.token_urlsafe(24)
    response = page(token)
    set_cookie(request, response, token, _TOKEN_COOKIE)
    return response


async def read_form(request: web.Request) -> dict[str, str]:
    """
    Read a form of ours.

    Args:
        request: The browser's request.

    Raises:
        HTTPBadRequest: The form was not shown to this browser: another site may have sent it.
    """
    form = {name: values[0] for name, values in (await read_parameters(request)).items()}
    token = form.pop(TOKEN_FIELD, "")
    cookie = request.cookies.get(_TOKEN_COOKIE, "")
    if not token or not hmac.compare_digest(token.encode(), cookie.encode()):
        raise web.HTTPBadRequest(text="This form was not shown to this browser.")
    return form


async def read_parameters(request: web.Request) -> dict[str, list[str]]:
    """
    Read a form, or a query where there is none, with each name's texts.

    Args:
        request: The browser's request.
    """
    given = await request.post() if request.method == "POST" else request.query
    parameters: dict[str, list[str]] = {}
    for name, value in given.items():
        if isinstance(value, str):
            parameters.setdefault(name, []).append(value)
    return parameters


def set_cookie(
    request: web.Request, response: web.StreamResponse, value: str, name: str = SESSION_COOKIE
) -> None:
    """
    Set a cookie that no script reads and no other site sends in a form.

    Args:
        request: The browser's request; over https the cookie stays there.

        response: The answer.

        value: The cookie's value.

        name: Its name.
    """
    response.set_cookie(name, value, httponly=True, samesite="Lax", secure=request.secure)


def show_session(request: web.Request, response: web.StreamResponse, session_id: str) -> None:
    """
    Set the cookie that the frame of ``/connect/checksession`` reads: nothing can be done with it.

    Args:
        request: The browser's request.

        response: The answer.

        session_id: The session.

    Spec: OpenID Connect Session Management 1.0 §3.2.
    """
    # Frames in other sites' pages have only cookies that say "None", which http cannot.
    samesite = "None" if request.secure else "Lax"
    response.set_cookie(STATE_COOKIE, session_id, samesite=samesite, secure=request.secure)


def forget_session(response: web.StreamResponse) -> None:
    """
    Take both cookies of a session back.

    Args:
        response: The answer.
    """
    response.del_cookie(SESSION_COOKIE)
    response.del_cookie(STATE_COOKIE)


def redirect(location: str, status: int = 302) -> web.Response:
    """
    Send a browser elsewhere.

    Args:
        location: Where to.

        status: HTTP status.
    """
    return web.Response(
        status=status,
        headers={
            "Location": location,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        },
    )


def address(path: str, parameters: Mapping[str, Sequence[str] | str]) -> str:
    """
    Write an address of ours.

    Args:
        path: Its path.

        parameters: Its query.
    """
    return f"{path}?{urlencode(parameters, doseq=True)}"


def return_url_of(given: Mapping[str, str]) -> str:
    """
    Take only ways back into the server itself: it must not redirect anywhere else.

    Args:
        given: The query or the form.

    Raises:
        HTTPBadRequest: It leads elsewhere.
    """
    url = given.get("return_url", "")
    is_ours = url.startswith("/") and not url.startswith(("//", "/\\"))
    path = urlsplit(url).path if is_ours else ""
    if not (path.endswith("/connect/authorize") or path == "/device"):
        raise web.HTTPBadRequest(text="return_url")
    return url


def query_of(url: str) -> dict[str, list[str]]:
    """
    Read an address's query.

    Args:
        url: The address.
    """
    return parse_qs(urlsplit(url).query, keep_blank_values=True)


def without(url: str, prompts: Container[str], names: Container[str] = ()) -> str:
    """
    Give a way back on which what was done is not asked for again.

    Args:
        url: The way back.

        prompts: Words of ``prompt`` that were heeded.

        names: Parameters that were heeded.
    """
    query = {name: values for name, values in query_of(url).items() if name not in names}
    left = [word for word in " ".join(query.pop("prompt", [])).split() if word not in prompts]
    if left:
        query["prompt"] = [" ".join(left)]
    return address(urlsplit(url).path, query)
