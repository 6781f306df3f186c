"""What an application may set of its sign-in, and what of it can work."""

from typing import TypedDict

from aritma_auth.errors import (
    ConfigurationError,
    require_function,
    require_instance,
    require_seconds,
)
from aritma_auth.integrations.session_store import SessionStore
from aritma_auth.integrations.web_addresses import WebPaths
from aritma_auth.integrations.web_pages import RenderPage
from aritma_auth.protocol.authorization_parameters import AuthorizationParameters
from aritma_auth.protocol.urls import require_secure_url
from aritma_auth.runtime.clock import Clock
from aritma_auth.stores.contract import TokenStore
from aritma_auth.stores.key import require_store

_RESPONSE_MODES = ("query", "jwt", "query.jwt")


class WebSettings(TypedDict, total=False):
    """
    What an application may set of its sign-in; a key that is left out keeps its default.

    Attributes:
        api_url: Base URL of the sessions that call an API for the end-user; without one, calls name
            absolute URLs.

        paths: Where the pages of the sign-in are.

        sessions: Keeps the sessions (default: `MemorySessionStore`, for one process).

        store: Keeps the tokens (default: `MemoryTokenStore`, for one process).

        session_lifetime: Seconds until an end-user must sign in again (default: eight hours).

        parameters: What each authorization request asks for beyond its scope. ``response_mode``
            may be ``query``, ``jwt`` or ``query.jwt``: the callback is a GET.

        render_page: Writes the HTML of the sign-in's own pages.

        clock: The clocks of the process.
    """

    api_url: str | None
    paths: WebPaths
    sessions: SessionStore | None
    store: TokenStore | None
    session_lifetime: float
    parameters: AuthorizationParameters
    render_page: RenderPage | None
    clock: Clock


def require_settings(
    api_url: str | None,
    paths: object,
    sessions: object,
    store: object,
    session_lifetime: object,
    render_page: object,
) -> None:
    """
    Require the settings of a sign-in to be of their kinds.

    Raises:
        ConfigurationError: One is not; the message names it.
    """
    if api_url is not None:
        require_secure_url(api_url, "api_url")
    require_instance("paths", "WebPaths", paths, WebPaths)
    if sessions is not None:
        require_instance("sessions", "a SessionStore", sessions, SessionStore)
    require_store(store)
    require_seconds("session_lifetime", session_lifetime, above_zero=True)
    if render_page is not None:
        required = "a function that writes a WebPage as HTML"
        require_function("render_page", required, render_page, 1, is_awaited=False)


def require_parameters(parameters: AuthorizationParameters) -> None:
    """
    Require the parameters of a web application's authorization requests to be possible there.

    Args:
        parameters: What each request asks for beyond its scope.

    Raises:
        ConfigurationError: One is unknown, or makes the server respond in another way than by GET.
    """
    require_instance("parameters", "AuthorizationParameters", parameters, dict)
    unknown = parameters.keys() - AuthorizationParameters.__annotations__.keys()
    if unknown:
        names = ", ".join(map(str, unknown))
        raise ConfigurationError(
            f"parameters must be those of AuthorizationParameters, not {names}"
        )
    # The callback is a GET: it sees no form, and no server sees a fragment.
    if parameters.get("response_mode", "query") not in _RESPONSE_MODES:
        raise ConfigurationError(
            f"response_mode must be {', '.join(_RESPONSE_MODES)} in a web application, not "
            f"{parameters.get('response_mode')!r:.60}"
        )
    if parameters.get("response_type", "code") != "code":
        raise ConfigurationError(
            "response_type must be code in a web application: everything else comes in a fragment, "
            "which no server sees"
        )
