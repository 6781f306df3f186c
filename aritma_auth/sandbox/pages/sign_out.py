"""The pages on which an end-user signs out, and what they tell the clients."""

from collections.abc import Mapping
from urllib.parse import urlencode

from aiohttp import web

from aritma_auth.sandbox.identity.sessions import BrowserSession
from aritma_auth.sandbox.outgoing import send
from aritma_auth.sandbox.pages import form_security, templates
from aritma_auth.sandbox.state import SandboxState


class SignOutPages:
    """The routes of sign-out."""

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        for prefix in ("", "/{tenant}"):
            app.router.add_get(f"{prefix}/connect/endsession", self.end_session)
            app.router.add_post(f"{prefix}/connect/endsession", self.end_session)
        app.router.add_post("/account/logout", self.confirm)

    async def end_session(self, request: web.Request) -> web.Response:
        """
        Sign the end-user out, after a page that asks unless ``id_token_hint`` is of the session.

        An invalid request only loses the redirect back.
        """
        given = await form_security.read_parameters(request)
        parameters = {name: values[0] for name, values in given.items() if len(values) == 1}
        session = self._session(request)
        hint = self._sandbox.issuer.find_id_token(parameters.get("id_token_hint", ""))
        is_known = hint is not None and session is not None and hint[1] == session.subject
        if session is None or is_known or self._sandbox.automatic_user is not None:
            return await self._sign_out(request, session, parameters)
        return form_security.show(request, lambda token: templates.sign_out_page(token, parameters))

    async def confirm(self, request: web.Request) -> web.Response:
        """Sign the end-user out who has agreed."""
        parameters = await form_security.read_form(request)
        return await self._sign_out(request, self._session(request), parameters)

    async def _sign_out(
        self, request: web.Request, session: BrowserSession | None, parameters: Mapping[str, str]
    ) -> web.Response:
        frames: list[str] = []
        if session is not None:
            await self._post_logout_tokens(session)
            frames = self._frames(session)
        self._sandbox.sessions.close_session(request.cookies.get(form_security.SESSION_COOKIE))
        self._sandbox.automatic_session = None
        return_url = self._return_url(parameters)
        if self._sandbox.automatic_user is not None and return_url is not None and not frames:
            response = form_security.redirect(return_url)
        else:
            response = templates.signed_out_page(return_url, frames)
        form_security.forget_session(response)
        return response

    def _return_url(self, parameters: Mapping[str, str]) -> str | None:
        uri = parameters.get("post_logout_redirect_uri", "")
        hint = self._sandbox.issuer.find_id_token(parameters.get("id_token_hint", ""))
        client_id = parameters.get("client_id", "") if hint is None else hint[0]
        client = self._sandbox.clients.get(client_id)
        if client is None or not client.may_redirect_to(uri, client.post_logout_redirect_uris):
            return None
        return _extended(uri, {n: v for n, v in parameters.items() if n == "state"})

    def _frames(self, session: BrowserSession) -> list[str]:
        """Give the addresses to load in frames (OpenID Connect Front-Channel Logout 1.0 §3)."""
        return [
            _extended(uri, {"iss": issuer, "sid": session.session_id})
            for issuer, client_id in sorted(session.client_ids)
            if (uri := self._sandbox.clients[client_id].front_channel_logout_uri) is not None
        ]

    async def _post_logout_tokens(self, session: BrowserSession) -> None:
        """Post a logout token to each client (OpenID Connect Back-Channel Logout 1.0 §2.5)."""
        for issuer, client_id in sorted(session.client_ids):
            uri = self._sandbox.clients[client_id].back_channel_logout_uri
            if uri is not None:
                token = self._sandbox.issuer.issue_logout_token(
                    issuer, client_id, session.subject, session.session_id
                )
                status = await send("POST", uri, data={"logout_token": token})
                self._sandbox.logout_responses.append(status)

    def _session(self, request: web.Request) -> BrowserSession | None:
        if self._sandbox.automatic_user is not None:
            return self._sandbox.automatic_session
        return form_security.session_of(request, self._sandbox.sessions)


def _extended(uri: str, parameters: Mapping[str, str]) -> str:
    if not parameters:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(parameters)}"
