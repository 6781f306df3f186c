"""
Signing end-users in to a web application, for any framework.

::

    /sign-in ──▶ pending sign-in in the store, cookie of this state ──▶ the server's pages
    /callback ◀── the response; cookie and state find the pending sign-in, once
        │  exchange, verification, UserInfo
        ▶ a session under a new id ──▶ the page that was asked for
    /sign-out ── POST from a page of ours: session, refresh token, then the server's session
    /signed-out ◀── the server; the cookie of this state says that this browser began it
    /back-channel-logout ◀── the server itself: a signed token; a mark ends the sessions

An adapter turns its framework's request into a `WebRequest` and a `WebResponse` into its
framework's response; everything else is here.
"""

import contextlib
import json
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterable

import aiohttp

from aritma_auth.caller_code import require_clock
from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    ReauthenticationRequiredError,
    StateMismatchError,
    StepUpRequiredError,
    VerificationError,
    require_instance,
)
from aritma_auth.integrations.bounded_sessions import BoundedSessionStore, parse_kept
from aritma_auth.integrations.session_store import MemorySessionStore, SessionStore
from aritma_auth.integrations.web_addresses import WebPaths, parse_base_url, parse_return_path
from aritma_auth.integrations.web_messages import (
    CookieJar,
    WebRequest,
    WebResponse,
    build_redirect,
)
from aritma_auth.integrations.web_pages import PageWriter, RenderPage, build_problem
from aritma_auth.integrations.web_sessions import SignedInUser, WebSessions
from aritma_auth.integrations.web_settings import require_parameters, require_settings
from aritma_auth.integrations.web_sign_out import WebSignOut
from aritma_auth.optional import require
from aritma_auth.protocol.authorization_parameters import AuthorizationParameters
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.jwt import parse_unverified_claims
from aritma_auth.protocol.parameters import parse_scope
from aritma_auth.protocol.redaction import HiddenStr, Members, SecretText
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.tasks import run_to_the_end
from aritma_auth.stores.contract import TokenStore
from aritma_auth.stores.memory import MemoryTokenStore

DEFAULT_SCOPE = ("openid", "profile", "offline_access", "bankservice")

_PATHS = WebPaths()

SECOND_SIGN_IN = (
    "an application must have one sign-in, and this one has it already: mount an application of "
    "its own for the other"
)
_API_TIMEOUT = aiohttp.ClientTimeout(total=30)
_MAX_PENDING = 12
"""Sign-ins of one browser that are kept: their cookies travel with each of its requests."""

_PROFILE = frozenset({"address", "email", "phone", "profile"})
_REAUTHENTICATION = "reauthentication"


class WebSignInFlow:
    """
    The sign-in of one web application.

    Args:
        client: The client that end-users sign in to.

        base_url: Scheme, host and port of the application, and the path below which it is if any,
            as browsers see them.

        scope: Scope to ask for; ``openid`` must be in it.

        api_url: As `WebSettings` says, like all that follow.

    Raises:
        ConfigurationError: An argument is of the wrong kind, or not secure, or the extra ``oidc``
            is missing.

    Spec: RFC 9700; OpenID Connect Core 1.0 §3.1; RP-Initiated Logout 1.0; Back-Channel Logout 1.0.
    """

    def __init__(
        self,
        client: OAuthClient,
        base_url: str,
        scope: str | Iterable[str] = DEFAULT_SCOPE,
        *,
        api_url: str | None = None,
        paths: WebPaths = _PATHS,
        sessions: SessionStore | None = None,
        store: TokenStore | None = None,
        session_lifetime: float = 8 * 3600.0,
        parameters: AuthorizationParameters | None = None,
        render_page: RenderPage | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        # Said when the application starts, and not when its first end-user comes back.
        require("oidc", "joserfc")
        require_instance("client", "an OAuthClient", client, OAuthClient)
        require_settings(api_url, paths, sessions, store, session_lifetime, render_page)
        clock = require_clock(clock)
        self.address = parse_base_url(base_url)
        self.client_id = client.client_id
        self.paths = paths
        self._shown = paths.below(self.address.prefix)
        self._own = paths.own | self._shown.own
        self._client = client
        self._scope = parse_scope(scope)
        if "openid" not in (self._scope or ()):
            raise ConfigurationError("scope must contain openid, which proves who signs in")
        self._api_url = api_url
        self._parameters: AuthorizationParameters = {} if parameters is None else parameters
        require_parameters(self._parameters)
        self._cookies = CookieJar(self.address.url.startswith("https:"), self.address.prefix)
        self._pages = PageWriter(self._shown.home, render_page)
        self._store = BoundedSessionStore(
            MemorySessionStore(clock=clock) if sessions is None else sessions
        )
        self._sessions = WebSessions(
            client,
            self._store,
            MemoryTokenStore(clock=clock) if store is None else store,
            lifetime=session_lifetime,
            clock=clock,
        )
        self._ends = WebSignOut(
            client, self._url_of(self._shown.signed_out), self._cookies, self._sessions, self._pages
        )
        self._connector: aiohttp.BaseConnector | None = None

    # What an application asks

    async def find_user(self, request: WebRequest) -> SignedInUser | None:
        """
        Return the end-user of the browser's session, or None.

        Args:
            request: The browser's request.

        Raises:
            VerificationError: Another site made the browser send a request that may change
                something.

            AritmaAuthError: The session store is away.
        """
        handle = self._handle_of(request)
        if not handle:
            return None
        if not request.is_safe:
            self._require_own_page(request)
        return await self._sessions.find(handle)

    @contextlib.asynccontextmanager
    async def session(self, user: SignedInUser) -> AsyncIterator[aiohttp.ClientSession]:
        """
        Give an aiohttp session whose requests carry the end-user's token.

        All of them share the connections; none keeps a cookie.

        Args:
            user: The end-user.
        """
        if self._connector is None or self._connector.closed:
            self._connector = aiohttp.TCPConnector()
        async with aiohttp.ClientSession(
            self._api_url,
            connector=self._connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(user.tokens.middleware(),),
            timeout=_API_TIMEOUT,
        ) as session:
            yield session
        await self._sessions.note_success(user)

    # The pages

    async def serve(self, page: str, request: WebRequest) -> WebResponse:
        """
        Serve a page of the sign-in.

        Args:
            page: ``sign_in``, ``callback``, ``sign_out`` or ``signed_out``.

            request: The browser's request.
        """
        pages = {
            "sign_in": self._show_sign_in,
            "callback": self._complete,
            "sign_out": self._sign_out,
            "signed_out": self._ends.show_signed_out,
        }
        try:
            return await pages[page](request)
        except AritmaAuthError as error:
            return self._pages.explain(request, error)

    async def respond_to(self, request: WebRequest, error: AritmaAuthError) -> WebResponse:
        """
        Respond to a request that has failed: with a sign-in where that helps, else with a page.

        Args:
            request: The browser's request.

            error: What a handler or a signed session has raised.
        """
        try:
            if isinstance(error, ReauthenticationRequiredError):
                return await self._demand(request, _REAUTHENTICATION, None)
            if isinstance(error, StepUpRequiredError):
                return await self._demand(request, _describe(error), error)
        except AritmaAuthError as later:
            error = later
        return self._pages.explain(request, error)

    async def _demand(
        self, request: WebRequest, cause: str, step_up: StepUpRequiredError | None
    ) -> WebResponse:
        handle = self._handle_of(request)
        user = await self._sessions.find(handle) if handle else None
        if user is not None and await self._sessions.is_circle(user, cause):
            return self._pages.show_or_tell(
                request, 403, "Not allowed", "The service wants more than your sign-in proves."
            )
        if not request.expects_page:
            return build_problem(401, "A sign-in is needed: load the page again.")
        seen = self.address.path_of_request(request.path, request.root)
        return_to = seen if request.is_safe else self._shown.home
        return await self._begin(request, return_to, "" if user is None else cause, step_up)

    async def _show_sign_in(self, request: WebRequest) -> WebResponse:
        path = parse_return_path(request.parameter("next"), own=self._own, default=self._shown.home)
        return await self._begin(request, self.address.path_of_link(path), "", None)

    async def _begin(
        self,
        request: WebRequest,
        return_to: str,
        cause: str,
        step_up: StepUpRequiredError | None,
    ) -> WebResponse:
        parameters: AuthorizationParameters = {**self._parameters}
        if step_up is not None:
            parameters["step_up"] = step_up
        asked = await self._client.begin_sign_in(
            self._url_of(self._shown.callback), self._scope, **parameters
        )
        path = parse_return_path(return_to, own=self._shown.own, default=self._shown.home)
        # The response counts in this browser alone, and each tab has a cookie of its own.
        name, handle = self._sign_in_cookie(asked.state), HiddenStr(secrets.token_urlsafe(16))
        pending = HiddenStr(json.dumps([asked.to_json(), path, cause]))
        await self._store.put(
            self._sessions.keys.name("pending", name, handle), pending, seconds=asked.lifetime
        )
        return build_redirect(
            asked.url,
            self._cookies.set(name, handle, max_age=asked.lifetime),
            *self._surplus(request),
        )

    def _url_of(self, path: str) -> str:
        return f"{self.address.origin}{path}"

    def _handle_of(self, request: WebRequest) -> HiddenStr:
        # Hidden, since an error reporter may show the frames' locals.
        return HiddenStr(request.cookies.get(self._cookies.session, ""))

    def _sign_in_cookie(self, state: SecretText) -> str:
        return self._cookies.name(f"sign-in-{state.fingerprint}")

    def _surplus(self, request: WebRequest) -> list[tuple[str, str]]:
        """Delete the cookies of sign-ins that a browser has begun and left, the oldest first."""
        start = self._cookies.name("sign-in-")
        names = [name for name in request.cookies if name.startswith(start)]
        # Browsers send the oldest cookie first (RFC 6265 §5.4).
        return [self._cookies.delete(name) for name in names[: -_MAX_PENDING + 1]]

    async def _complete(self, request: WebRequest) -> WebResponse:
        name = self._sign_in_cookie(_read_state(request))
        key = self._sessions.keys.name("pending", name, HiddenStr(request.cookies.get(name, "")))
        text = await self._store.take(key)
        pending = None if text is None else _parse_pending(HiddenStr(text))
        if pending is None:
            raise StateMismatchError("this browser has no such sign-in pending: start a new one")
        asked, path, cause = pending
        # A code whose exchange is cut off is spent: a browser that has gone cancels nothing.
        handle = await run_to_the_end(
            self._open_session(request, AuthorizationRequest.from_json(asked), cause),
            "aritma-auth sign-in",
        )
        return build_redirect(
            path,
            self._cookies.set(self._cookies.session, handle),
            self._cookies.delete(name),
        )

    async def _open_session(
        self, request: WebRequest, asked: AuthorizationRequest, cause: str
    ) -> HiddenStr:
        sign_in = await self._client.complete_sign_in(asked, request.query)
        marks, claims = await self._sessions.read_marks(sign_in), sign_in.claims
        if _PROFILE.intersection(asked.scope or ()):
            more = await self._client.fetch_userinfo(sign_in.token, subject=sign_in.subject)
            claims = Members({**dict(more.items()), **dict(claims.items())})
        # A new id at every sign-in: a planted one never becomes a session.
        before = self._handle_of(request)
        if before:
            await self._sessions.close(self._sessions.session_key(before))
        return await self._sessions.open(sign_in, marks, claims, cause)

    async def _sign_out(self, request: WebRequest) -> WebResponse:
        user = await self.find_user(request)
        if user is None:
            return build_redirect(self._shown.home)
        return await self._ends.sign_out(user)

    async def end_sessions(self, body: AsyncIterable[bytes]) -> WebResponse:
        """
        End the sessions that a logout token is about.

        Args:
            body: The posted form, in pieces as it comes.
        """
        return await self._ends.end_sessions(body)

    def _require_own_page(self, request: WebRequest) -> None:
        if not request.is_from(self.address.origin):
            raise VerificationError(
                f"a page of {self.address.origin} must have sent this {request.method} request: "
                "Sec-Fetch-Site or Origin says otherwise, or both are missing"
            )

    async def aclose(self) -> None:
        """Close the connections and the providers of this process; the sessions stay."""
        connector, self._connector = self._connector, None
        if connector is not None:
            await connector.close()
        await self._sessions.aclose()


def require_user(user: SignedInUser | None) -> SignedInUser:
    """
    Return the end-user of a session.

    Args:
        user: What `WebSignInFlow.find_user` returned.

    Raises:
        ReauthenticationRequiredError: There is no session: the browser goes to the sign-in.
    """
    if user is None:
        raise ReauthenticationRequiredError("no end-user has signed in with this browser")
    return user


def _parse_pending(text: HiddenStr) -> tuple[HiddenStr, HiddenStr, HiddenStr] | None:
    """
    Parse what a begun sign-in has left; None for another version's, which has expired.

    Raises:
        StoreError: The text is not whole.
    """
    match parse_kept(text):
        case [str(asked), str(path), str(cause)]:
            return HiddenStr(asked), HiddenStr(path), HiddenStr(cause)
        case _:
            return None


def _read_state(request: WebRequest) -> SecretText:
    """Read which sign-in a callback is for: not verified, and good for nothing but a look-up."""
    claims = parse_unverified_claims(HiddenStr(request.parameter("response")))
    # The state of a signed response is inside it (JARM §2.1).
    state = None if claims is None else claims.get("state")
    return SecretText(state if isinstance(state, str) else request.parameter("state"))


def _describe(demand: StepUpRequiredError) -> str:
    """Write down what an API demands, to see whether it demands the same again."""
    return json.dumps([sorted(demand.scope or ()), list(demand.acr_values), demand.max_age])
