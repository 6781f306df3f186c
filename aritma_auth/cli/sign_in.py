"""``aritma-auth login``, ``whoami`` and ``logout``: an end-user signs in, and out again."""

import asyncio
import contextlib
import os
from typing import Annotated

import cyclopts

from aritma_auth.cli.stored_sign_in import open_sign_in
from aritma_auth.cli.terminal import show, show_json
from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import (
    ConfigurationError,
    ReauthenticationRequiredError,
    TokenTimeoutError,
    require_seconds,
)
from aritma_auth.native_app.login import (
    DEFAULT_SCOPE,
    login_with_browser,
    login_with_device,
    open_in_browser,
)
from aritma_auth.protocol.sign_in import SignIn


async def log_in(
    *,
    scope: str | None = None,
    device: bool = False,
    browser: bool = True,
    end_user: str = "me",
    port: int = 0,
    path: str = "/callback",
    timeout: float = 300.0,
    acr: Annotated[list[str] | None, cyclopts.Parameter(negative="")] = None,
) -> int:
    """
    Sign in with the browser, and keep the tokens for the other commands.

    The client in ARITMA_CLIENT_ID needs no secret. Its redirect URI is http://127.0.0.1, with the
    port and the path given here.

    Parameters
    ----------
    scope:
        Scope to request; by default openid profile offline_access, and that of ARITMA_SCOPE.
    device:
        Sign in on another device, where this one has no browser.
    browser:
        Open the browser; otherwise only the address is shown.
    end_user:
        The name to store the sign-in under.
    port:
        Port of the redirect URI; 0 takes a free one.
    path:
        Path of the redirect URI.
    timeout:
        Seconds to wait for the end-user.
    acr:
        How to sign in, such as mfa, verify or idp:NAME; may be repeated.
    """
    if device and acr:
        raise ConfigurationError("--acr has no meaning for --device: leave one of them out")
    require_seconds("--timeout", timeout, above_zero=True)
    requested = scope or f"{DEFAULT_SCOPE} {os.environ.get('ARITMA_SCOPE', '')}"
    async with open_sign_in(end_user) as signed_in:
        if device:
            sign_in = await _log_in_on_device(signed_in.client, requested, timeout)
        else:
            sign_in = await login_with_browser(
                signed_in.client,
                requested,
                acr_values=acr or (),
                port=port,
                path=path,
                timeout=timeout,
                open_browser=open_in_browser if browser else None,
            )
        await signed_in.tokens.set_token(sign_in.require_token())
    show(f"Signed in: {_name_of(sign_in)}")
    return 0


async def _log_in_on_device(client: OAuthClient, scope: str, timeout: float) -> SignIn:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            return await login_with_device(client, scope)
    raise TokenTimeoutError(f"the code was not entered within {timeout:g} seconds: begin again")


async def show_userinfo(*, end_user: str = "me") -> int:
    """
    Print the claims that the server's UserInfo endpoint has of the end-user who signed in.

    Parameters
    ----------
    end_user:
        The name that the sign-in is stored under.
    """
    async with open_sign_in(end_user) as signed_in:
        token = await signed_in.tokens.get_token()
        if token.id_token is None:
            raise ConfigurationError(
                "this sign-in has no ID token, so the claims could be another end-user's: "
                "sign in with the scope openid"
            )
        claims = await signed_in.client.fetch_userinfo(token)
    show_json(claims)
    return 0


async def log_out(*, end_user: str = "me", browser: bool = False) -> int:
    """
    End a sign-in: its tokens are revoked at the server, and deleted here in any case.

    Parameters
    ----------
    end_user:
        The name that the sign-in is stored under.
    browser:
        Open the page that ends the browser's own session too; otherwise its address is printed.
    """
    async with open_sign_in(end_user) as signed_in:
        try:
            await signed_in.client.revoke(await signed_in.tokens.get_token())
        except ReauthenticationRequiredError:
            outcome = "There is no sign-in here."
        else:
            outcome = "Signed out."
        finally:
            await signed_in.tokens.forget()
        # No id_token_hint: other users of the machine can read the browser's command line.
        url = await signed_in.client.end_session_url()
    show(outcome)
    if browser:
        await asyncio.to_thread(open_in_browser, url)
    else:
        show(f"The browser's own session ends at {url}")
    return 0


def _name_of(sign_in: SignIn) -> str:
    claims = sign_in.claims
    names = (claims.get(claim) for claim in ("name", "preferred_username", "sub"))
    return next((name for name in names if isinstance(name, str)), "no ID token names the end-user")
