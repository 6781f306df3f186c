"""The pages on which an end-user signs in and consents."""

from collections.abc import Container, Mapping, Sequence
from urllib.parse import urlsplit

from aiohttp import web

from aritma_auth.sandbox.identity.authorization_request import (
    AuthorizationRequest,
    parse_authorization_request,
)
from aritma_auth.sandbox.identity.authorization_response import AuthorizationResponses
from aritma_auth.sandbox.identity.client_authentication import secrets_match
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent, BrowserSession
from aritma_auth.sandbox.pages import form_security, templates
from aritma_auth.sandbox.state import SandboxState

Parameters = Mapping[str, Sequence[str]]

_WRONG_PASSWORD = "The user name or the password is wrong."
_WRONG_WITH_CODE = "The user name, the password or the code is wrong."


class SignInPages:
    """The routes of sign-in and consent."""

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox
        self._responses = AuthorizationResponses(
            sandbox.issuer, sandbox.sessions, sandbox.server_version, sandbox.overrides
        )

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        for prefix in ("", "/{tenant}"):
            app.router.add_get(f"{prefix}/connect/authorize", self.authorize)
            app.router.add_post(f"{prefix}/connect/authorize", self.authorize)
        app.router.add_get("/account/login", self.show_login)
        app.router.add_post("/account/login", self.login)
        app.router.add_get("/account/consent", self.show_consent)
        app.router.add_post("/account/consent", self.consent)

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """Respond to an authorization request, or redirect to the page that must come first."""
        parameters: Parameters = await form_security.read_parameters(request)
        issuer = self._sandbox.issuer_of(request.match_info.get("tenant"))
        try:
            parameters = self._sandbox.pushed_requests.refer(parameters)
            asked = self._read(parameters)
            scripted = self._sandbox.faults.take_denial()
            if scripted is not None:
                return self._fail(parameters, asked, issuer, *scripted)
            step = self._next_step(request, asked, form_security.address(request.path, parameters))
            if isinstance(step, web.StreamResponse):
                return step
            if isinstance(step, str):
                return self._fail(parameters, asked, issuer, step)
        except ErrorResponse as error:
            return templates.error_page(error)
        self._sandbox.pushed_requests.consume(parameters)
        step.client_ids.add((issuer, asked.client.client_id))
        response = self._send(
            asked, self._responses.success(issuer, asked, _authentication_event(step, asked))
        )
        form_security.show_session(request, response, step.session_id)
        return response

    def _read(self, parameters: Parameters) -> AuthorizationRequest:
        return parse_authorization_request(
            self._sandbox.pushed_requests.resolve(parameters),
            self._sandbox.clients,
            self._sandbox.server_version,
        )

    def _fail(
        self,
        parameters: Parameters,
        asked: AuthorizationRequest,
        issuer: str,
        error: str,
        description: str | None = None,
    ) -> web.Response:
        response = self._responses.failure(issuer, asked, error, description)
        self._sandbox.pushed_requests.consume(parameters)
        return self._send(asked, response)

    def _without(self, return_url: str, prompts: Container[str], names: Container[str] = ()) -> str:
        """Remove what has been done from an authorization request, pushed or not."""
        self._sandbox.pushed_requests.forget_done(
            form_security.query_of(return_url), prompts, names
        )
        return form_security.without(return_url, prompts, names)

    def _send(self, asked: AuthorizationRequest, response: dict[str, str]) -> web.Response:
        if asked.response_mode == "form_post":
            return templates.posting_page(asked.redirect_uri, response)
        status = self._sandbox.server_version.redirect_status
        return form_security.redirect(self._responses.location(asked, response), status)

    def _next_step(
        self, request: web.Request, asked: AuthorizationRequest, here: str
    ) -> web.StreamResponse | str | BrowserSession:
        """Give a page to show first, an error for the client, or the session."""
        if not asked.is_satisfiable:
            return "unmet_authentication_requirements"
        if self._sandbox.automatic_user is not None:
            return self._automatic_session(self._sandbox.automatic_user.subject, asked)
        session = self._session(request)
        if session is None or not self._is_enough(session, asked):
            if "none" in asked.prompt:
                return "login_required"
            return form_security.redirect(
                form_security.address("/account/login", {"return_url": here})
            )
        return self._consent_step(session, asked, here) or session

    def _automatic_session(self, subject: str, asked: AuthorizationRequest) -> BrowserSession:
        session = self._sandbox.automatic_session
        if session is None or not self._is_enough(session, asked):
            _, session = self._sandbox.sessions.open_session(
                subject, asked.acr, asked.idp or "local", session
            )
            self._sandbox.automatic_session = session
        return session

    def _consent_step(
        self, session: BrowserSession, asked: AuthorizationRequest, here: str
    ) -> web.StreamResponse | str | None:
        agreed = session.consents.get((asked.client.client_id, asked.scope))
        if "consent" in asked.prompt or (asked.client.requires_consent and agreed is None):
            if "none" in asked.prompt:
                return "consent_required"
            return form_security.redirect(
                form_security.address("/account/consent", {"return_url": here})
            )
        if agreed is False:
            # The end-user is asked again the next time.
            del session.consents[asked.client.client_id, asked.scope]
            return "access_denied"
        return None

    def _is_enough(self, session: BrowserSession, asked: AuthorizationRequest) -> bool:
        age = self._sandbox.clock.time() - session.auth_time
        return (
            not asked.prompt & {"login", "select_account"}
            and (asked.max_age is None or age <= asked.max_age)
            and session.acr.issuperset(asked.acr)
            and asked.idp in {None, session.idp}
        )

    async def show_login(self, request: web.Request) -> web.Response:
        """Show the sign-in page."""
        return_url = form_security.return_url_of(request.query)
        asked = self._request_of(return_url)
        return form_security.show(
            request,
            lambda token: templates.sign_in_page(
                token,
                return_url,
                username="" if asked is None else asked.login_hint,
                wants_code=_wants_code(asked),
            ),
        )

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Validate name and password, and the one-time code where a second factor is required."""
        form = await form_security.read_form(request)
        return_url = form_security.return_url_of(form)
        asked = self._request_of(return_url)
        if "cancel" in form:
            return self._cancel(return_url, asked)
        user = self._sandbox.users.get(form.get("username", ""))
        if (
            user is None
            or not secrets_match(form.get("password", ""), user.password)
            or (_wants_code(asked) and not secrets_match(form.get("code", ""), user.one_time_code))
        ):
            return form_security.show(
                request,
                lambda token: templates.sign_in_page(
                    token,
                    return_url,
                    username=form.get("username", ""),
                    wants_code=_wants_code(asked),
                    problem=_WRONG_WITH_CODE if _wants_code(asked) else _WRONG_PASSWORD,
                ),
            )
        response = form_security.redirect(
            # max_age=0 would otherwise ask again for ever.
            self._without(return_url, {"login", "select_account"}, {"max_age"})
        )
        before = self._sandbox.sessions.close_session(
            request.cookies.get(form_security.SESSION_COOKIE)
        )
        cookie, session = self._sandbox.sessions.open_session(
            user.subject,
            () if asked is None else asked.acr,
            "local" if asked is None else asked.idp or "local",
            before,
        )
        form_security.set_cookie(request, response, cookie)
        form_security.show_session(request, response, session.session_id)
        return response

    def _cancel(self, return_url: str, asked: AuthorizationRequest | None) -> web.Response:
        if asked is None:
            return templates.done_page("Cancelled", "You are not signed in.")
        tenant = urlsplit(return_url).path.removesuffix("/connect/authorize").strip("/")
        issuer = self._sandbox.issuer_of(tenant or None)
        parameters = form_security.query_of(return_url)
        return self._fail(parameters, asked, issuer, "access_denied")

    async def show_consent(self, request: web.Request) -> web.Response:
        """Show the consent page."""
        return_url = form_security.return_url_of(request.query)
        asked = self._request_of(return_url)
        if asked is None or self._session(request) is None:
            return form_security.redirect(return_url)
        return form_security.show(
            request,
            lambda token: templates.consent_page(
                token, return_url, asked.client.client_id, asked.scope
            ),
        )

    async def consent(self, request: web.Request) -> web.StreamResponse:
        """Take the end-user's decision."""
        form = await form_security.read_form(request)
        return_url = form_security.return_url_of(form)
        asked, session = self._request_of(return_url), self._session(request)
        if asked is not None and session is not None:
            session.consents[asked.client.client_id, asked.scope] = form.get("decision") == "yes"
        return form_security.redirect(self._without(return_url, {"consent"}))

    def _request_of(self, return_url: str) -> AuthorizationRequest | None:
        """Parse the authorization request behind a page; None for a device's."""
        if urlsplit(return_url).path == "/device":
            return None
        try:
            return self._read(form_security.query_of(return_url))
        except ErrorResponse as error:
            raise web.HTTPBadRequest(text=error.error) from None

    def _session(self, request: web.Request) -> BrowserSession | None:
        return form_security.session_of(request, self._sandbox.sessions)


def _wants_code(asked: AuthorizationRequest | None) -> bool:
    return asked is not None and bool(asked.acr)


def _authentication_event(
    session: BrowserSession, asked: AuthorizationRequest
) -> AuthenticationEvent:
    return AuthenticationEvent(
        subject=session.subject,
        auth_time=session.auth_time,
        session_id=session.session_id,
        nonce=asked.nonce,
        # The requested contexts come first.
        acr=tuple(dict.fromkeys([*asked.acr, *sorted(session.acr)])),
        idp=session.idp,
        tenant=asked.tenant,
    )
