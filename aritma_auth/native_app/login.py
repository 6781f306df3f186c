"""An end-user signs in to a program on this machine: in a browser here, or on another device."""

import asyncio
import contextlib
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable, Iterable
from typing import Unpack

from aritma_auth.caller_code import call
from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    ReauthenticationRequiredError,
    TokenTimeoutError,
    printable,
    require_function,
    require_instance,
    require_seconds,
)
from aritma_auth.events import ReauthenticationRequired, RefreshFailed, RefreshRecovered
from aritma_auth.events.base import Event, Listener
from aritma_auth.events.listeners import (
    WaitingListener,
    log_event,
    notify,
    require_listener,
)
from aritma_auth.native_app.loopback import NOT_EXPECTED, LoopbackListener, Page
from aritma_auth.protocol.authorization_parameters import AuthorizationParameters
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.device_authorization import DeviceAuthorization
from aritma_auth.protocol.grants import SignedInGrant
from aritma_auth.protocol.sign_in import SignIn
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.stores import TokenStore

DEFAULT_SCOPE = "openid profile offline_access"
"""Proves who signs in, and gives a refresh token; add the scope of an API."""

_URL_LIMIT = 2000
_EXCHANGE_TIME = 60.0
_RESPONSE_MODES = ("form_post", "form_post.jwt", "jwt", "query", "query.jwt")
_CALLED = "a plain function of one argument, which is called and not awaited"
_SIGN_IN_FUNCTION = "a coroutine function that takes the client and returns a SignIn"
_SIGNED_IN = Page("Signed in", "You can close this window and return to the program.")


def open_in_browser(url: str) -> bool:
    """
    Open the end-user's default browser.

    Args:
        url: The address.

    Returns:
        Whether a browser was found; whether it shows the page is not known.
    """
    return webbrowser.open(url)


def show_url(url: str) -> None:
    """
    Show the sign-in's address on standard error.

    Args:
        url: The address.
    """
    shown = printable(url, limit=len(url))
    sys.stderr.write(f"Sign in with your browser. If none opens, go to:\n\n  {shown}\n\n")


def show_device_code(authorization: DeviceAuthorization) -> None:
    """
    Show the user code and the address to enter it at on standard error.

    Args:
        authorization: The sign-in that `begin_device_sign_in` has begun.

    Spec: RFC 8628 §3.3.
    """
    complete = authorization.verification_uri_complete
    shortcut = f"\nOr go to {printable(complete, _URL_LIMIT)}" if complete else ""
    sys.stderr.write(
        f"Go to {printable(authorization.verification_uri, _URL_LIMIT)} on any device and enter "
        f"the code {authorization.user_code}{shortcut}\n"
    )


async def login_with_browser(
    client: OAuthClient,
    scope: str | Iterable[str] | None = DEFAULT_SCOPE,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    path: str = "/callback",
    timeout: float = 300.0,
    open_browser: Callable[[str], object] | None = open_in_browser,
    show: Callable[[str], object] = show_url,
    **parameters: Unpack[AuthorizationParameters],
) -> SignIn:
    """
    Let the end-user at this machine sign in with the browser.

    The authorization response arrives at a listener on the loopback interface, which is closed when
    this returns.

    Args:
        client: A client for native apps: public, with the redirect URI registered.

        scope: Scope to request; ``openid`` proves who signs in, ``offline_access`` gives a refresh
            token.

        host: ``127.0.0.1`` or ``::1``; part of the redirect URI.

        port: The redirect URI's port; 0 takes a free one, for servers that let it vary.

        path: The redirect URI's path; empty for none.

        timeout: Seconds within which the authorization response must arrive.

        open_browser: Opens a URL, in a thread of its own; None opens nothing. It gets a one-time
            address of the listener that redirects to the authorization request: other users of the
            machine can read the browser's command line.

        show: Called with the authorization request's URL first, since a browser that does not open
            often reports nothing.

        parameters: How to sign in: `AuthorizationParameters`. ``response_mode`` must be ``query``
            or ``form_post``, signed or not: a listener sees no fragment.

    Raises:
        TokenTimeoutError: No authorization response arrived in time.

        ConfigurationError: An argument is not usable, or the port is taken.

        AccessDeniedError: The end-user or the server denied access.

        AritmaAuthError: The sign-in failed, as `OAuthClient.complete_sign_in` says.

    Spec: RFC 8252 §6, §7.3, §8.
    """
    _require_client(client)
    require_function("show", _CALLED, show, 1, is_awaited=False)
    if open_browser is not None:
        require_function("open_browser", _CALLED, open_browser, 1, is_awaited=False)
    if parameters.get("response_type", "code") != "code":
        # A code comes in the query by itself, signed or not; tokens would take the fragment.
        parameters.setdefault("response_mode", "query")
    mode = parameters.get("response_mode", "query")
    if mode not in _RESPONSE_MODES:
        raise ConfigurationError(
            f"response_mode must be query or form_post, not {mode!r}: a listener sees no fragment"
        )
    require_seconds("timeout", timeout, above_zero=True)
    parameters.setdefault("lifetime", timeout + _EXCHANGE_TIME)
    async with LoopbackListener(host, port, path) as listener:
        request = await client.begin_sign_in(listener.redirect_uri, scope, **parameters)
        call("show", show, request.url)
        if open_browser is not None:
            _open_in_thread(open_browser, listener.hand_over(request.url))
        return await _first_response(client, request, listener, timeout)


def _open_in_thread(open_browser: Callable[[str], object], url: str) -> None:
    """Open the browser in a daemon thread: some browsers return only when they are closed."""

    def run() -> None:
        # A browser that cannot be opened is no error: `show` has shown the URL.
        with contextlib.suppress(Exception):
            open_browser(url)

    threading.Thread(target=run, name="aritma-auth-browser", daemon=True).start()


async def _first_response(
    client: OAuthClient, request: AuthorizationRequest, listener: LoopbackListener, timeout: float
) -> SignIn:
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                visit = await listener.next_visit()
        except TimeoutError:
            break
        try:
            sign_in = await client.complete_sign_in(request, visit.callback)
        except AritmaAuthError as error:
            if request.single_use.is_left:
                # Its state is not ours: a hostile web page must not be able to end the sign-in.
                visit.respond(NOT_EXPECTED)
                continue
            visit.respond(Page("Not signed in", f"{error}. Return to the program.", 400))
            raise
        visit.respond(_SIGNED_IN)
        return sign_in
    raise TokenTimeoutError(
        f"no authorization response arrived at {request.redirect_uri} within {timeout:g} seconds: "
        "look at the browser window. IdentityServer shows most errors on a page of its own, such "
        "as a redirect URI or a scope that is not registered for the client"
    )


async def login_with_device(
    client: OAuthClient,
    scope: str | Iterable[str] | None = DEFAULT_SCOPE,
    *,
    show: Callable[[DeviceAuthorization], object] = show_device_code,
) -> SignIn:
    """
    Let an end-user sign in on another device, where this one has no browser.

    Args:
        client: A client that may use device codes; its clock waits between two polls.

        scope: Scope to request; ``openid`` proves who signs in, ``offline_access`` gives a refresh
            token.

        show: Shows the user code and the address.

    Raises:
        ExpiredTokenError: The code expired before the end-user signed in: begin again.

        AccessDeniedError: The end-user or the server denied access.

        AritmaAuthError: The sign-in failed, as `OAuthClient.complete_device_sign_in` says.

    Spec: RFC 8628.
    """
    _require_client(client)
    require_function("show", _CALLED, show, 1, is_awaited=False)
    authorization = await client.begin_device_sign_in(scope)
    call("show", show, authorization)
    return await client.complete_device_sign_in(authorization)


async def signed_in_provider(
    client: OAuthClient,
    *,
    end_user: str = "me",
    store: TokenStore | None = None,
    sign_in: Callable[[OAuthClient], Awaitable[SignIn]] = login_with_browser,
    on_event: Listener | None = log_event,
) -> TokenProvider:
    """
    Create a provider of an end-user's tokens: stored ones, or else those of a new sign-in.

    Args:
        client: The client that the end-user signs in to.

        end_user: Tells the stored tokens of several end-users apart; any text.

        store: Keeps the tokens for the next start.

        sign_in: Lets the end-user sign in; `login_with_browser`, or a function of your own.

        on_event: Receives the provider's events; by default they are logged.

    Returns:
        A provider that has a token. When the sign-in ends, its `get_token` raises
        ReauthenticationRequiredError: then call this function again.

    Raises:
        AritmaAuthError: The refresh or the sign-in failed. A store that is away, and a server that
            is, are such failures: neither asks the end-user to sign in.
    """
    _require_client(client)
    require_instance("end_user", "a text", end_user, str)
    require_listener(on_event)
    require_function("sign_in", _SIGN_IN_FUNCTION, sign_in, 1, is_awaited=True)
    listen = _listen_after_sign_in(on_event)
    async with contextlib.AsyncExitStack() as stack:
        provider = await stack.enter_async_context(
            TokenProvider(client, SignedInGrant(end_user), store=store, on_event=listen)
        )
        try:
            await provider.get_token()
            must_sign_in = False
        except ReauthenticationRequiredError:
            must_sign_in = True
        if must_sign_in:
            await provider.set_token((await _sign_in(client, sign_in)).token)
        listen.is_first_look = False
        stack.pop_all()
        return provider


async def _sign_in(
    client: OAuthClient, sign_in: Callable[[OAuthClient], Awaitable[SignIn]]
) -> SignIn:
    returned = sign_in(client)
    require_instance("sign_in", _SIGN_IN_FUNCTION, returned, Awaitable)
    signed_in = await returned
    require_instance("sign_in", _SIGN_IN_FUNCTION, signed_in, SignIn)
    return signed_in


def _require_client(client: object) -> None:
    require_instance("client", "an OAuthClient", client, OAuthClient)


class _AfterSignIn:
    """
    A listener that keeps quiet while a provider looks for a stored sign-in.

    Without a usable one the end-user signs in next: neither that nor its end is to report.
    """

    def __init__(self, listener: Listener | None) -> None:
        self.is_first_look = True
        self._listener = listener

    def __call__(self, event: Event) -> None:
        if not (self.is_first_look and _concerns_sign_in(event)):
            notify(self._listener, event)


class _WaitingAfterSignIn(_AfterSignIn):
    """The same for a listener that learns who waits."""

    def __init__(self, listener: WaitingListener) -> None:
        super().__init__(listener)
        self.on_wait = listener.on_wait


def _listen_after_sign_in(listener: Listener | None) -> _AfterSignIn:
    if isinstance(listener, WaitingListener):
        return _WaitingAfterSignIn(listener)
    return _AfterSignIn(listener)


def _concerns_sign_in(event: Event) -> bool:
    return isinstance(event, ReauthenticationRequired | RefreshRecovered) or (
        isinstance(event, RefreshFailed) and isinstance(event.error, ReauthenticationRequiredError)
    )
