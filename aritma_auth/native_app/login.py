"""A person signs in from a terminal or a desktop: with the browser beside it, or another device."""

import asyncio
import contextlib
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypedDict, Unpack

from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    ReauthenticationRequiredError,
    StepUpRequiredError,
    TokenTimeoutError,
    printable,
)
from aritma_auth.events import Listener, log_event
from aritma_auth.native_app.loopback import NOTHING_HERE, LoopbackListener, Page
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.device_authorization import DeviceAuthorization
from aritma_auth.protocol.grants import SignedInGrant
from aritma_auth.protocol.sign_in import SignIn
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.stores import TokenStore

DEFAULT_SCOPE = "openid profile offline_access"
"""Who it is, and a refresh token; an API's scope comes on top."""

_URL_LIMIT = 2000
_EXCHANGE_TIME = 60.0
_SIGNED_IN = Page("Signed in", "You can close this window and return to the program.")


class AuthorizationParameters(TypedDict, total=False):
    """How a person should sign in, in the words of `OAuthClient.begin_sign_in`."""

    prompt: str | Iterable[str]
    max_age: int | None
    login_hint: str | None
    acr_values: str | Iterable[str]
    requires_acr: bool
    ui_locales: str | Iterable[str]
    resource: str | Iterable[str]
    extra: Mapping[str, str] | None
    step_up: StepUpRequiredError | None


def open_in_browser(url: str) -> bool:
    """
    Open the person's usual browser.

    Args:
        url: The address.

    Returns:
        Whether one was found; what becomes of it is not known.
    """
    return webbrowser.open(url)


def show_url(url: str) -> None:
    """
    Tell the person on standard error where to sign in.

    Args:
        url: The sign-in's address.
    """
    sys.stderr.write(f"Sign in with your browser. If none opens, go to:\n\n  {url}\n\n")


def show_device_code(authorization: DeviceAuthorization) -> None:
    """
    Tell the person on standard error which code to type where.

    Args:
        authorization: The sign-in that waits.

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
    response_mode: str = "query",
    host: str = "127.0.0.1",
    port: int = 0,
    path: str = "/callback",
    timeout: float = 300.0,
    open_browser: Callable[[str], object] | None = open_in_browser,
    show: Callable[[str], object] = show_url,
    **parameters: Unpack[AuthorizationParameters],
) -> SignIn:
    """
    Let the person at this machine sign in with their own browser.

    The answer comes back to a listener on the loopback interface, which is gone when this returns.

    Args:
        client: A client for native apps: public, with the redirect URI registered.

        scope: Scope to ask for; ``openid`` proves who signs in, ``offline_access`` refreshes.

        response_mode: ``query`` or ``form_post``.

        host: ``127.0.0.1`` or ``::1``; part of the redirect URI.

        port: The redirect URI's port; 0 takes a free one, for servers that let it vary.

        path: The redirect URI's path; empty for none.

        timeout: Seconds within which the person must be back.

        open_browser: Opens a URL, in a thread of its own; None opens nothing.

        show: Told the URL first, since a browser that does not open often says nothing.

        parameters: How to sign in, in the words of `OAuthClient.begin_sign_in`: ``prompt``,
            ``max_age``, ``login_hint``, ``acr_values``, ``requires_acr``, ``ui_locales``,
            ``resource``, ``extra``, ``step_up``.

    Raises:
        TokenTimeoutError: Nobody came back in time.

        ConfigurationError: An argument makes no sense, or the port is taken.

        AccessDeniedError: The person said no.

        AritmaAuthError: The sign-in failed, as `OAuthClient.complete_sign_in` says.

    Spec: RFC 8252 §6, §7.3, §8.
    """
    if response_mode not in {"form_post", "query"}:
        raise ConfigurationError("a listener sees only query and form_post")
    if not timeout > 0:
        raise ConfigurationError("timeout must be greater than 0 seconds")
    async with LoopbackListener(host, port, path) as listener:
        request = await client.begin_sign_in(
            listener.redirect_uri,
            scope,
            response_mode=response_mode,
            lifetime=timeout + _EXCHANGE_TIME,
            **parameters,
        )
        show(request.url)
        if open_browser is not None:
            _open_meanwhile(open_browser, request.url)
        return await _first_answer(client, request, listener, timeout)


def _open_meanwhile(open_browser: Callable[[str], object], url: str) -> None:
    """Open the browser in a thread that nobody waits for: some return only when it is closed."""

    def run() -> None:
        # Whatever the machine's browser raises: the person has seen the URL.
        with contextlib.suppress(Exception):
            open_browser(url)

    threading.Thread(target=run, name="aritma-auth-browser", daemon=True).start()


async def _first_answer(
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
                # No answer of ours: a web page must not be able to end somebody's sign-in.
                visit.answer(NOTHING_HERE)
                continue
            visit.answer(Page("Not signed in", f"{error}. Return to the program.", 400))
            raise
        visit.answer(_SIGNED_IN)
        return sign_in
    raise TokenTimeoutError(
        f"nobody came back to {request.redirect_uri} within {timeout:g} seconds: look at the "
        "browser window. IdentityServer shows most errors on a page of its own, such as a redirect "
        "URI or a scope that is not registered for the client"
    )


async def login_with_device(
    client: OAuthClient,
    scope: str | Iterable[str] | None = DEFAULT_SCOPE,
    *,
    show: Callable[[DeviceAuthorization], object] = show_device_code,
) -> SignIn:
    """
    Let a person sign in on another device, where this one has no browser.

    Args:
        client: A client that may use device codes.

        scope: Scope to ask for; ``openid`` proves who signs in, ``offline_access`` refreshes.

        show: Shows the code and the address.

    Raises:
        ExpiredTokenError: Nobody signed in before the code ran out: begin again.

        AccessDeniedError: The person said no.

    Spec: RFC 8628.
    """
    authorization = await client.begin_device_sign_in(scope)
    show(authorization)
    return await client.complete_device_sign_in(authorization)


async def signed_in_provider(
    client: OAuthClient,
    *,
    person: str = "me",
    store: TokenStore | None = None,
    sign_in: Callable[[OAuthClient], Awaitable[SignIn]] = login_with_browser,
    on_event: Listener | None = log_event,
) -> TokenProvider:
    """
    Give a provider of a person's tokens: from the store, refreshed, or else by a new sign-in.

    Args:
        client: The client that the person signs in to.

        person: Distinguishes the stored tokens of several end-users; any text.

        store: Keeps the tokens for the next time.

        sign_in: Lets the person sign in; `login_with_browser`, or a function of your own.

        on_event: Told what happens; by default it is logged.

    Returns:
        A provider that has a token. When the sign-in ends, its `get_token` raises
        ReauthenticationRequiredError: then call this function again.

    Raises:
        AritmaAuthError: The refresh or the sign-in failed.
    """
    async with contextlib.AsyncExitStack() as stack:
        provider = await stack.enter_async_context(
            TokenProvider(client, SignedInGrant(person), store=store, on_event=on_event)
        )
        try:
            await provider.get_token()
        except ReauthenticationRequiredError:
            is_over = True
        else:
            is_over = False
        if is_over:
            await provider.set_token((await sign_in(client)).require_token())
        stack.pop_all()
        return provider
