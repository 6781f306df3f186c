"""The commands with which a person signs in, looks, and signs out."""

import asyncio
import contextlib
import json
import os
from typing import Annotated

import cyclopts

from aritma_auth.cli.stored_sign_in import open_sign_in
from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import (
    ConfigurationError,
    ReauthenticationRequiredError,
    TokenTimeoutError,
    printable,
)
from aritma_auth.native_app.login import (
    DEFAULT_SCOPE,
    login_with_browser,
    login_with_device,
    open_in_browser,
)
from aritma_auth.protocol.sign_in import SignIn


async def login(
    *,
    scope: str | None = None,
    device: bool = False,
    browser: bool = True,
    person: str = "me",
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
        Scope to ask for; by default openid profile offline_access, and that of ARITMA_SCOPE.
    device:
        Sign in on another device, where this one has no browser.
    browser:
        Open the browser; otherwise only the address is shown.
    person:
        The name to keep the sign-in under.
    port:
        Port of the redirect URI; 0 takes a free one.
    path:
        Path of the redirect URI.
    timeout:
        Seconds to wait for the person.
    acr:
        How to sign in, such as mfa, verify or idp:NAME; may be repeated.
    """
    if device and acr:
        raise ConfigurationError("--acr has no meaning for --device")
    wanted = scope or f"{DEFAULT_SCOPE} {os.environ.get('ARITMA_SCOPE', '')}"
    async with open_sign_in(person) as signed_in:
        if device:
            sign_in = await _wait_for_device(signed_in.client, wanted, timeout)
        else:
            sign_in = await login_with_browser(
                signed_in.client,
                wanted,
                acr_values=acr or (),
                port=port,
                path=path,
                timeout=timeout,
                open_browser=open_in_browser if browser else None,
            )
        await signed_in.tokens.set_token(sign_in.require_token())
    print(f"Signed in: {_name_of(sign_in)}")  # noqa: T201 - the command's voice
    return 0


async def _wait_for_device(client: OAuthClient, scope: str, timeout: float) -> SignIn:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            return await login_with_device(client, scope)
    raise TokenTimeoutError(f"nobody entered the code within {timeout:g} seconds: begin again")


async def whoami(*, person: str = "me") -> int:
    """
    Print what the server says of the person who signed in.

    Parameters
    ----------
    person:
        The name that the sign-in is kept under.
    """
    async with open_sign_in(person) as signed_in:
        token = await signed_in.tokens.get_token()
        if token.id_token is None:
            raise ConfigurationError("this sign-in proves nobody: sign in with the scope openid")
        claims = await signed_in.client.fetch_userinfo(token)
    print(json.dumps(dict(claims), indent=2))  # noqa: T201 - what was asked for
    return 0


async def logout(*, person: str = "me", browser: bool = False) -> int:
    """
    End a sign-in: its tokens are revoked at the server and deleted here, whatever the server says.

    Parameters
    ----------
    person:
        The name that the sign-in is kept under.
    browser:
        Open the page that ends the browser's own sign-in too; otherwise its address is printed.
    """
    async with open_sign_in(person) as signed_in:
        try:
            await signed_in.client.revoke(await signed_in.tokens.get_token())
        except ReauthenticationRequiredError:
            verdict = "There is no sign-in here."
        else:
            verdict = "Signed out."
        finally:
            await signed_in.tokens.forget()
        # Without the ID token as a hint: an address is seen by many, and the server asks instead.
        url = await signed_in.client.end_session_url()
    print(verdict)  # noqa: T201 - the command's voice
    if browser:
        await asyncio.to_thread(open_in_browser, url)
    else:
        print(f"The browser's own sign-in ends at {url}")  # noqa: T201 - as above
    return 0


def _name_of(sign_in: SignIn) -> str:
    claims = sign_in.claims
    names = (claims.get(claim) for claim in ("name", "preferred_username", "sub"))
    return printable(next((name for name in names if isinstance(name, str)), "nobody knows who"))
