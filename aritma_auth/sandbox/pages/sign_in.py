"""What a person's browser meets at the identity server on the way in: sign-in and consent."""

from urllib.parse import urlsplit

from aiohttp import web

from aritma_auth.sandbox.identity.authentication_event import SignInFacts
from aritma_auth.sandbox.identity.authorization_request import AuthorizeCall, read_authorize_call
from aritma_auth.sandbox.identity.authorization_response import Callbacks
from aritma_auth.sandbox.identity.client_authentication import is_same
from aritma_auth.sandbox.identity.sessions import BrowserSession
from aritma_auth.sandbox.pages import form_security, templates
from aritma_auth.sandbox.refusals import Refusal
from aritma_auth.sandbox.state import SandboxState

Parameters = dict[str, list[str]]

_WRONG = "The user name or the password is wrong."
_WRONG_WITH_CODE = "The user name, the password or the code is wrong."


class SignInPages:
    """
    The routes that lead people in.

    Args:
        sandbox: Who owns the clients, the people and the clock.
    """

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox
        self._callbacks = Callbacks(
            sandbox.issuer, sandbox.sign_ins, sandbox.server_version, sandbox.overrides
        )

    def add_routes(self, app: web.Application) -> None:
        """
        Add the routes.

        Args:
            app: The identity server's application.
        """
        for prefix in ("", "/{tenant}"):
            app.router.add_get(f"{prefix}/connect/authorize", self.authorize)
            app.router.add_post(f"{prefix}/connect/authorize", self.authorize)
        app.router.add_get("/account/login", self.show_login)
        app.router.add_post("/account/login", self.login)
        app.router.add_get("/account/consent", self.show_consent)
        app.router.add_post("/account/consent", self.consent)

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """Answer an authorization request, or lead the person to what must come first."""
        parameters = await form_security.read_parameters(request)
        issuer = self._sandbox.issuer_of(request.match_info.get("tenant"))
        try:
            call = self._read(parameters)
            scripted = self._sandbox.faults.take_denial()
            if scripted is not None:
                return self._send(call, self._callbacks.failure(issuer, call, *scripted))
            step = self._next_step(request, call, form_security.address(request.path, parameters))
            if isinstance(step, web.StreamResponse):
                return step
            if isinstance(step, str):
                return self._send(call, self._callbacks.failure(issuer, call, step))
        except Refusal as refusal:
            return templates.error_page(refusal.error, refusal.description)
        step.client_ids.add((issuer, call.client.client_id))
        response = self._send(call, self._callbacks.success(issuer, call, _facts(step, call)))
        form_security.show_session(request, response, step.session_id)
        return response

    def _read(self, parameters: Parameters) -> AuthorizeCall:
        return read_authorize_call(parameters, self._sandbox.clients, self._sandbox.server_version)

    def _send(self, call: AuthorizeCall, answer: dict[str, str]) -> web.Response:
        if call.response_mode == "form_post":
            return templates.posting_page(call.redirect_uri, answer)
        status = self._sandbox.server_version.redirect_status
        return form_security.redirect(self._callbacks.location(call, answer), status)

    def _next_step(
        self, request: web.Request, call: AuthorizeCall, here: str
    ) -> web.StreamResponse | str | BrowserSession:
        """Give a page to show first, an error to send back, or the session."""
        if not call.is_satisfiable:
            return "unmet_authentication_requirements"
        if self._sandbox.automatic_user is not None:
            return self._automatic_session(self._sandbox.automatic_user.subject, call)
        session = self._session(request)
        if session is None or not self._is_enough(session, call):
            if "none" in call.prompt:
                return "login_required"
            return form_security.redirect(
                form_security.address("/account/login", {"return_url": here})
            )
        return self._consent_step(session, call, here) or session

    def _automatic_session(self, subject: str, call: AuthorizeCall) -> BrowserSession:
        session = self._sandbox.automatic_session
        if session is None or not self._is_enough(session, call):
            _, session = self._sandbox.sign_ins.open_session(
                subject, call.acr, call.idp or "local", session
            )
            self._sandbox.automatic_session = session
        return session

    def _consent_step(
        self, session: BrowserSession, call: AuthorizeCall, here: str
    ) -> web.StreamResponse | str | None:
        agreed = session.consents.get((call.client.client_id, call.scope))
        if "consent" in call.prompt or (call.client.requires_consent and agreed is None):
            if "none" in call.prompt:
                return "consent_required"
            return form_security.redirect(
                form_security.address("/account/consent", {"return_url": here})
            )
        if agreed is False:
            # Asked again the next time.
            del session.consents[call.client.client_id, call.scope]
            return "access_denied"
        return None

    def _is_enough(self, session: BrowserSession, call: AuthorizeCall) -> bool:
        age = self._sandbox.clock.time() - session.auth_time
        return (
            not call.prompt & {"login", "select_account"}
            and (call.max_age is None or age <= call.max_age)
            and session.acr.issuperset(call.acr)
            and call.idp in {None, session.idp}
        )

    async def show_login(self, request: web.Request) -> web.Response:
        """Ask who it is."""
        return_url = form_security.return_url_of(request.query)
        call = self._call_of(return_url)
        return form_security.show(
            request,
            lambda token: templates.sign_in_page(
                token,
                return_url,
                username="" if call is None else call.login_hint,
                wants_code=_wants_code(call),
            ),
        )

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Take the name and the password, and the one-time code where one is asked for."""
        form = await form_security.read_form(request)
        return_url = form_security.return_url_of(form)
        call = self._call_of(return_url)
        if "cancel" in form:
            return self._cancel(return_url, call)
        person = self._sandbox.users.get(form.get("username", ""))
        if (
            person is None
            or not is_same(form.get("password", ""), person.password)
            or (_wants_code(call) and not is_same(form.get("code", ""), person.one_time_code))
        ):
            return form_security.show(
                request,
                lambda token: templates.sign_in_page(
                    token,
                    return_url,
                    username=form.get("username", ""),
                    wants_code=_wants_code(call),
                    problem=_WRONG_WITH_CODE if _wants_code(call) else _WRONG,
                ),
            )
        response = form_security.redirect(
            # A maximal age of 0 would ask for ever.
            form_security.without(return_url, {"login", "select_account"}, {"max_age"})
        )
        before = self._sandbox.sign_ins.close_session(
            request.cookies.get(form_security.SESSION_COOKIE)
        )
        cookie, session = self._sandbox.sign_ins.open_session(
            person.subject,
            () if call is None else call.acr,
            "local" if call is None else call.idp or "local",
            before,
        )
        form_security.set_cookie(request, response, cookie)
        form_security.show_session(request, response, session.session_id)
        return response

    def _cancel(self, return_url: str, call: AuthorizeCall | None) -> web.Response:
        if call is None:
            return templates.done_page("Cancelled", "Nobody signed in.")
        tenant = urlsplit(return_url).path.removesuffix("/connect/authorize").strip("/")
        issuer = self._sandbox.issuer_of(tenant or None)
        return self._send(call, self._callbacks.failure(issuer, call, "access_denied"))

    async def show_consent(self, request: web.Request) -> web.Response:
        """Ask whether the person agrees."""
        return_url = form_security.return_url_of(request.query)
        call = self._call_of(return_url)
        if call is None or self._session(request) is None:
            return form_security.redirect(return_url)
        return form_security.show(
            request,
            lambda token: templates.consent_page(
                token, return_url, call.client.client_id, call.scope
            ),
        )

    async def consent(self, request: web.Request) -> web.StreamResponse:
        """Take the person's word."""
        form = await form_security.read_form(request)
        return_url = form_security.return_url_of(form)
        call, session = self._call_of(return_url), self._session(request)
        if call is not None and session is not None:
            session.consents[call.client.client_id, call.scope] = form.get("answer") == "yes"
        return form_security.redirect(form_security.without(return_url, {"consent"}))

    def _call_of(self, return_url: str) -> AuthorizeCall | None:
        """Read the request that a person comes from; None for a device's."""
        if urlsplit(return_url).path == "/device":
            return None
        try:
            return self._read(form_security.query_of(return_url))
        except Refusal as refusal:
            raise web.HTTPBadRequest(text=refusal.error) from None

    def _session(self, request: web.Request) -> BrowserSession | None:
        return self._sandbox.sign_ins.session(request.cookies.get(form_security.SESSION_COOKIE))


def _wants_code(call: AuthorizeCall | None) -> bool:
    return call is not None and bool(call.acr)


def _facts(session: BrowserSession, call: AuthorizeCall) -> SignInFacts:
    return SignInFacts(
        subject=session.subject,
        auth_time=session.auth_time,
        session_id=session.session_id,
        nonce=call.nonce,
        # What was asked for comes first.
        acr=tuple(dict.fromkeys([*call.acr, *sorted(session.acr)])),
        idp=session.idp,
        tenant=call.tenant,
    )
