"""``aritma-auth login``, ``whoami`` and ``logout``: an end-user signs in, and out again."""

import asyncio
import contextlib
import os
from typing import Annotated

import cyclopts

from aritma_auth.cli.exit_codes import ExitCode, UsageError
from aritma_auth.cli.open_tokens import open_sign_in
from aritma_auth.cli.options import EndUser, Json, Port, RegistrationName, Seconds
from aritma_auth.cli.terminal import show, show_json
from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import (
    AritmaAuthError,
    EndpointMissingError,
    ReauthenticationRequiredError,
    TokenTimeoutError,
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
    browser: Annotated[bool, cyclopts.Parameter(negative="--no-browser")] = True,
    registration: RegistrationName | None = None,
    end_user: EndUser = "me",
    port: Port = 0,
    path: str = "/callback",
    timeout: Seconds = 300.0,
    acr: list[str] | None = None,
    json: Json = False,
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
    registration:
        Read the settings from this registration of a TOML file.
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
    json:
        Print the name and the claims of the ID token as one JSON object.
    """
    if device and acr:
        raise UsageError("--acr has no meaning for --device: leave one of them out")
    requested = scope or f"{DEFAULT_SCOPE} {os.environ.get('ARITMA_SCOPE', '')}"
    async with open_sign_in(end_user, registration=registration) as signed_in:
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
        await signed_in.tokens.set_token(sign_in.token)
    if json:
        show_json({"end_user": end_user, "claims": dict(sign_in.claims.items())})
    else:
        show(f"Signed in: {_name_of(sign_in)}")
    return ExitCode.DONE


async def _log_in_on_device(client: OAuthClient, scope: str, timeout: float) -> SignIn:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            return await login_with_device(client, scope)
    raise TokenTimeoutError(f"the code was not entered within {timeout:g} seconds: begin again")


async def show_userinfo(
    *, registration: RegistrationName | None = None, end_user: EndUser = "me", json: Json = False
) -> int:
    """
    Print the claims that the server's UserInfo endpoint has of the end-user who signed in.

    Parameters
    ----------
    registration:
        Read the settings from this registration of a TOML file.
    end_user:
        The name that the sign-in is stored under.
    json:
        As always: the claims are one JSON object.
    """
    del json  # the claims are one in any case
    async with open_sign_in(end_user, registration=registration) as signed_in:
        token = await signed_in.tokens.get_token()
        if token.id_token is None:
            raise ReauthenticationRequiredError(
                "this sign-in has no ID token, so the claims could be another end-user's: "
                "sign in with the scope openid"
            )
        claims = await signed_in.client.fetch_userinfo(token)
    show_json(claims)
    return ExitCode.DONE


async def log_out(
    *,
    registration: RegistrationName | None = None,
    end_user: EndUser = "me",
    browser: bool = False,
    json: Json = False,
) -> int:
    """
    End a sign-in: its tokens are revoked at the server, and deleted here in any case.

    Parameters
    ----------
    registration:
        Read the settings from this registration of a TOML file.
    end_user:
        The name that the sign-in is stored under.
    browser:
        Open the page that ends the browser's own session too; otherwise its address is printed.
    json:
        Print whether there was a sign-in, whether it was revoked, and that address, as one JSON
        object.
    """
    was_signed_in = was_revoked = False
    async with open_sign_in(end_user, registration=registration) as signed_in:
        try:
            token = await signed_in.tokens.get_token()
            was_signed_in = True
            await signed_in.client.revoke(token)
            was_revoked = True
        except (ReauthenticationRequiredError, EndpointMissingError):
            pass  # there is nothing to revoke, or no way to
        finally:
            await signed_in.tokens.forget()
        url = await _end_session_url(signed_in.client, is_wanted=browser)
    if json:
        show_json(
            {
                "was_signed_in": was_signed_in,
                "was_revoked": was_revoked,
                "end_session_url": url,
            }
        )
    elif was_revoked:
        show("Signed out.")
    elif was_signed_in:
        show("Signed out. The server offers no revocation: the tokens are deleted here alone.")
    else:
        show("There is no sign-in here.")
    if browser and url is not None:
        await asyncio.to_thread(open_in_browser, url)
    elif url is not None and not json:
        show(f"The browser's own session ends at {url}")
    return ExitCode.DONE


async def _end_session_url(client: OAuthClient, *, is_wanted: bool) -> str | None:
    """Find where the browser's session ends; without a wish for it, a server may have no place."""
    try:
        # No id_token_hint: other users of the machine can read the browser's command line.
        return await client.end_session_url()
    except AritmaAuthError:
        if is_wanted:
            raise
        return None


def _name_of(sign_in: SignIn) -> str:
    claims = sign_in.claims
    names = (claims.get(claim) for claim in ("name", "preferred_username", "sub"))
    return next((name for name in names if isinstance(name, str)), "no ID token names the end-user")
