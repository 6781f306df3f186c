"""What a person's browser meets at the identity server: sign-in, consent, sign-out, devices."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
from aiohttp import web

from aritma_auth.sandbox import pages
from aritma_auth.sandbox.authentication import is_same
from aritma_auth.sandbox.authorize import AuthorizeAnswers, AuthorizeCall, read_authorize_call
from aritma_auth.sandbox.issuing import SignInFacts
from aritma_auth.sandbox.refusals import Refusal
from aritma_auth.sandbox.sign_ins import BrowserSession
from aritma_auth.sandbox.state import SandboxState

_COOKIE = "aritma-sandbox"


class BrowserPages:
    """
    The routes of one sandbox's identity server that people see.

    Args:
        sandbox: Who owns the clients, the people and the clock.
    """

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox
        self._answers = AuthorizeAnswers(sandbox.issuer, sandbox.sign_ins, sandbox.generation)

    def add_routes(self, app: web.Application) -> None:
        """
        Add the routes.

        Args:
            app: The identity server's application.
        """
        for prefix in ("", "/{tenant}"):
            app.router.add_route("*", f"{prefix}/connect/authorize", self.authorize)
            app.router.add_route("*", f"{prefix}/connect/endsession", self.end_session)
        app.router.add_get("/account/login", self.show_login)
        app.router.add_post("/account/login", self.login)
        app.router.add_get("/account/consent", self.show_consent)
        app.router.add_post("/account/consent", self.consent)
        app.router.add_get("/device", self.show_device)
        app.router.add_post("/device", self.device)

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """Answer an authorization request, or lead the person to what must come first."""
        self._sandbox.authorization_requests += 1
        issuer = self._sandbox.issuer_of(request.match_info.get("tenant"))
        try:
            parameters = await _parameters(request)
            call = read_authorize_call(parameters, self._sandbox.clients)
            scripted = self._sandbox.take_denial()
            if scripted is not None:
                answer = self._answers.failure(issuer, call, *scripted)
            else:
                step = self._next_step(request, call)
                if isinstance(step, web.StreamResponse):
                    return step
                answer = (
                    self._answers.failure(issuer, call, step)
                    if isinstance(step, str)
                    else self._answers.success(issuer, call, step)
                )
        except Refusal as refusal:
            return pages.error_page(refusal.error, refusal.description)
        if call.response_mode == "form_post":
            return pages.posting_page(call.redirect_uri, answer)
        status = self._sandbox.generation.redirect_status
        return _redirect(self._answers.location(call, answer), status)

    def _next_step(
        self, request: web.Request, call: AuthorizeCall
    ) -> web.StreamResponse | str | SignInFacts:
        """Give a page to show first, an error to send back, or the sign-in."""
        person = self._sandbox.automatic_person
        if person is not None:
            return SignInFacts(
                subject=person.subject,
                auth_time=self._sandbox.clock.now(),
                session_id="AUTOMATIC",
                nonce=call.nonce,
            )
        session = self._session(request)
        here = f"{request.path}?{request.query_string}"
        if session is None or not self._is_fresh(session, call):
            if "none" in call.prompt:
                return "login_required"
            return _redirect(f"/account/login?{urlencode({'return_url': here})}")
        return self._consent_step(session, call, here) or SignInFacts(
            subject=session.subject,
            auth_time=session.auth_time,
            session_id=session.session_id,
            nonce=call.nonce,
        )

    def _consent_step(
        self, session: BrowserSession, call: AuthorizeCall, here: str
    ) -> web.StreamResponse | str | None:
        agreed = session.consents.get((call.client.client_id, call.scope))
        if agreed is None and (call.client.requires_consent or "consent" in call.prompt):
            if "none" in call.prompt:
                return "consent_required"
            return _redirect(f"/account/consent?{urlencode({'return_url': here})}")
        if agreed is False:
            # Asked again the next time.
            del session.consents[call.client.client_id, call.scope]
            return "access_denied"
        session.client_ids.add(call.client.client_id)
        return None

    def _is_fresh(self, session: BrowserSession, call: AuthorizeCall) -> bool:
        age = self._sandbox.clock.now() - session.auth_time
        return not call.prompt & {"login", "select_account"} and (
            call.max_age is None or age <= call.max_age
        )

    async def show_login(self, request: web.Request) -> web.Response:
        """Ask who it is."""
        return_url = _return_url(request.query)
        hint = dict(parse_qsl(urlsplit(return_url).query)).get("login_hint", "")
        return pages.sign_in_page(return_url, username=hint)

    async def login(self, request: web.Request) -> web.StreamResponse:
        """Take the name and the password."""
        form = _texts(await request.post())
        return_url = _return_url(form)
        if "cancel" in form:
            return self._cancel(return_url)
        person = self._sandbox.people.get(form.get("username", ""))
        if person is None or not is_same(form.get("password", ""), person.password):
            return pages.sign_in_page(
                return_url,
                username=form.get("username", ""),
                problem="The user name or the password is wrong.",
            )
        response = _redirect(_without_prompts(return_url, {"login", "select_account"}))
        cookie = self._sandbox.sign_ins.open_session(person.subject)
        response.set_cookie(_COOKIE, cookie, httponly=True, samesite="Lax")
        return response

    def _cancel(self, return_url: str) -> web.StreamResponse:
        parts = urlsplit(return_url)
        call = read_authorize_call(dict(parse_qsl(parts.query)), self._sandbox.clients)
        tenant = parts.path.removesuffix("/connect/authorize").strip("/") or None
        answer = self._answers.failure(self._sandbox.issuer_of(tenant), call, "access_denied")
        if call.response_mode == "form_post":
            return pages.posting_page(call.redirect_uri, answer)
        return _redirect(self._answers.location(call, answer))

    async def show_consent(self, request: web.Request) -> web.Response:
        """Ask whether the person agrees."""
        return_url = _return_url(request.query)
        call = self._call_of(return_url)
        return pages.consent_page(return_url, call.client.client_id, call.scope)

    async def consent(self, request: web.Request) -> web.StreamResponse:
        """Take the person's word."""
        form = _texts(await request.post())
        return_url = _return_url(form)
        call, session = self._call_of(return_url), self._session(request)
        if session is not None:
            agreed = form.get("answer") == "yes"
            session.consents[call.client.client_id, call.scope] = agreed
        return _redirect(_without_prompts(return_url, {"consent"}))

    def _call_of(self, return_url: str) -> AuthorizeCall:
        parameters = dict(parse_qsl(urlsplit(return_url).query))
        try:
            return read_authorize_call(parameters, self._sandbox.clients)
        except Refusal as refusal:
            raise web.HTTPBadRequest(text=refusal.error) from None

    async def show_device(self, request: web.Request) -> web.Response:
        """Ask for a device's code."""
        if self._session(request) is None:
            return_url = f"/device?{request.query_string}"
            raise web.HTTPFound(f"/account/login?{urlencode({'return_url': return_url})}")
        return pages.device_page(request.query.get("user_code", ""))

    async def device(self, request: web.Request) -> web.Response:
        """Take a device's code."""
        form = _texts(await request.post())
        session = self._session(request)
        subject = session.subject if session and form.get("answer") == "yes" else None
        user_code = form.get("user_code", "").strip()
        if session is None or not self._sandbox.sign_ins.answer_device(user_code, subject):
            return pages.device_page("", problem="There is no such code.")
        return pages.done_page()

    async def end_session(self, request: web.Request) -> web.StreamResponse:
        """Sign a person out; what is wrong with the request only costs the way back."""
        parameters = await _parameters(request)
        session = self._session(request)
        is_confirmed = parameters.pop("confirmed", None) == "yes"
        is_automatic = self._sandbox.automatic_person is not None
        if not (is_confirmed or is_automatic):
            return pages.sign_out_page(parameters)
        if session is not None:
            await self._announce(request, session)
        self._sandbox.sign_ins.close_session(request.cookies.get(_COOKIE))
        return_url = self._way_back(parameters)
        if is_automatic and return_url is not None:
            return _redirect(return_url)
        response = pages.signed_out_page(return_url)
        response.del_cookie(_COOKIE)
        return response

    def _way_back(self, parameters: Mapping[str, str]) -> str | None:
        uri = parameters.get("post_logout_redirect_uri", "")
        audience = self._sandbox.issuer.audience_of(parameters.get("id_token_hint", ""))
        client = self._sandbox.clients.get(audience or parameters.get("client_id", ""))
        if client is None or not client.may_return_to(uri, client.post_logout_redirect_uris):
            return None
        state = parameters.get("state")
        joint = "&" if "?" in uri else "?"
        return uri if state is None else f"{uri}{joint}{urlencode({'state': state})}"

    async def _announce(self, request: web.Request, session: BrowserSession) -> None:
        issuer = self._sandbox.issuer_of(request.match_info.get("tenant"))
        for client_id in session.client_ids:
            uri = self._sandbox.clients[client_id].back_channel_logout_uri
            if uri is None:
                continue
            token = self._sandbox.issuer.issue_logout_token(
                issuer, client_id, session.subject, session.session_id
            )
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as browserless,
                browserless.post(uri, data={"logout_token": token}) as response,
            ):
                self._sandbox.logout_answers.append(response.status)

    def _session(self, request: web.Request) -> BrowserSession | None:
        return self._sandbox.sign_ins.session(request.cookies.get(_COOKIE))


async def _parameters(request: web.Request) -> dict[str, str]:
    given = await request.post() if request.method == "POST" else request.query
    names = list(given)
    if len(set(names)) != len(names):
        raise Refusal("invalid_request", "duplicate parameter")
    return _texts(given)


def _texts(given: Mapping[str, object]) -> dict[str, str]:
    return {name: value for name, value in given.items() if isinstance(value, str)}


def _return_url(given: Mapping[str, str]) -> str:
    """Take only ways back into the server itself: it must not redirect anywhere else."""
    url = given.get("return_url", "")
    path = urlsplit(url).path
    is_ours = url.startswith("/") and not url.startswith(("//", "/\\"))
    if not is_ours or not (path.endswith("/connect/authorize") or path == "/device"):
        raise web.HTTPBadRequest(text="return_url")
    return url


def _without_prompts(return_url: str, done: set[str]) -> str:
    parts = urlsplit(return_url)
    query = [
        (name, " ".join(p for p in value.split() if p not in done) if name == "prompt" else value)
        for name, value in parse_qsl(parts.query)
    ]
    kept = [(name, value) for name, value in query if value]
    return f"{parts.path}?{urlencode(kept)}"


def _redirect(location: str, status: int = 302) -> web.Response:
    return web.Response(
        status=status,
        headers={
            "Location": location,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        },
    )
