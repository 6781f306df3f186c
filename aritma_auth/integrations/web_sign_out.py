"""How an end-user leaves a web application: by its own sign-out, or by the server's word."""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterable
from urllib.parse import parse_qsl

from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import AritmaAuthError, VerificationError
from aritma_auth.integrations.web_messages import (
    CookieJar,
    WebRequest,
    WebResponse,
    build_redirect,
    build_response,
)
from aritma_auth.integrations.web_pages import PageWriter
from aritma_auth.integrations.web_sessions import SignedInUser, WebSessions
from aritma_auth.protocol.logout import validate_logout_callback
from aritma_auth.protocol.redaction import HiddenStr, SecretText

_log = logging.getLogger("aritma_auth")

_MAX_LOGOUT_BODY = 1 << 16
_LOGOUT_BODY_TIMEOUT = 10.0
_SIGN_OUT_SECONDS = 600.0


class WebSignOut:
    """
    The sign-out of one web application.

    Spec: OpenID Connect RP-Initiated Logout 1.0; Back-Channel Logout 1.0.
    """

    def __init__(
        self,
        client: OAuthClient,
        return_url: str,
        cookies: CookieJar,
        sessions: WebSessions,
        pages: PageWriter,
    ) -> None:
        self._client = client
        self._return_url = return_url
        self._cookies = cookies
        self._sessions = sessions
        self._pages = pages

    async def sign_out(self, user: SignedInUser) -> WebResponse:
        """
        End the session here, then at the server.

        Args:
            user: The end-user, who has asked for it from a page of the application.

        Spec: OpenID Connect RP-Initiated Logout 1.0 §2.
        """
        await self._sessions.sign_out(user)
        forget = self._cookies.delete(self._cookies.session)
        state = SecretText(secrets.token_urlsafe(32))
        try:
            location = await self._client.end_session_url(
                id_token_hint=None if user.id_token is None else user.id_token.text,
                post_logout_redirect_uri=self._return_url,
                state=state.text,
            )
        except AritmaAuthError as error:
            # The session here has ended, whatever the server offers.
            _log.warning("the end-user stays signed in at the server: %s", error)
            return self._show(forget)
        cookie = self._sign_out_cookie(state)
        return build_redirect(
            location,
            forget,
            self._cookies.set(cookie, state.text, max_age=_SIGN_OUT_SECONDS),
        )

    def _sign_out_cookie(self, state: SecretText) -> str:
        # One for each tab that signs out.
        return self._cookies.name(f"sign-out-{state.fingerprint}")

    async def show_signed_out(self, request: WebRequest) -> WebResponse:
        """
        Show that the end-user is signed out, if this browser has begun the sign-out.

        Args:
            request: The browser's request, which the server has redirected.

        Raises:
            VerificationError: It has not.

        Spec: OpenID Connect RP-Initiated Logout 1.0 §3.
        """
        cookie = self._sign_out_cookie(SecretText(request.parameter("state")))
        validate_logout_callback(request.query, state=request.cookies.get(cookie))
        return self._show(self._cookies.delete(cookie))

    def _show(self, *further: tuple[str, str]) -> WebResponse:
        return self._pages.show(200, "Signed out", "You are signed out.", *further)

    async def end_sessions(self, body: AsyncIterable[bytes]) -> WebResponse:
        """
        End the sessions that a logout token is about.

        Args:
            body: The posted form, in pieces as it comes.

        Spec: OpenID Connect Back-Channel Logout 1.0 §2.5, §2.8.
        """
        try:
            async with asyncio.timeout(_LOGOUT_BODY_TIMEOUT):
                form = await _read_form(body)
            logout = await self._client.verify_logout_token(form.get("logout_token", ""))
            if await self._sessions.mark_ended(logout):
                return build_response(200)
        except (TimeoutError, VerificationError) as error:
            _log.warning("a logout token was refused: %s", error)
        except AritmaAuthError as error:
            _log.warning("a logout token could not be checked: %s", error)
            return build_response(503)
        body_text = json.dumps({"error": "invalid_request"})
        return build_response(400, body=body_text, media_type="application/json")


async def _read_form(body: AsyncIterable[bytes]) -> dict[str, str]:
    text = bytearray()
    async for piece in body:
        text += piece
        if len(text) > _MAX_LOGOUT_BODY:
            raise VerificationError(f"the form must have at most {_MAX_LOGOUT_BODY} bytes")
    try:
        pairs = parse_qsl(text.decode(), max_num_fields=16)
    except ValueError:
        pairs = []
    return {name: HiddenStr(value) for name, value in pairs}
