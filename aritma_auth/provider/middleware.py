"""Signs an aiohttp session's requests with a bearer token, and only those it may sign."""

import re
from collections.abc import Iterable
from copy import copy
from typing import TYPE_CHECKING, Protocol

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, hdrs
from yarl import URL

from aritma_auth import events
from aritma_auth.errors import ConfigurationError, require_flag, wrong_kind
from aritma_auth.events.listeners import log_event, notify, require_listener
from aritma_auth.network.transport import require_verified_request
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import (
    Origin,
    describe_url,
    is_loopback,
    origin_of,
    require_secure_url,
)
from aritma_auth.provider.cache import TokenCache
from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.provider.replay import RefusedResponse, is_replayable, let_go
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.runtime.hidden_arguments import hides_arguments

if TYPE_CHECKING:
    from aritma_auth.events.base import Event, Listener
    from aritma_auth.provider.bound_requests import BoundRequests

_AUTHORIZATION = hdrs.AUTHORIZATION
_REFUSALS = frozenset({401, 403})

_PLAIN = frozenset({"http", "ws"})
_HOST = r"[\w.-]{1,100}(:\d{1,5})?"

_NOT_SEEN = object()

# What stands for the cache of a source that is no provider: such a source is asked each time.
_NOTHING_CACHED = TokenCache(RefreshPolicy(), SYSTEM_CLOCK, float)

_REMEMBERED = 64
"""Origins remembered: a hostile redirect could name any number."""


class BearerTokenSource(Protocol):
    """
    What gives tokens that work; `aritma_auth.TokenProvider` is one.

    A source of tokens that are bound to a key has an attribute ``proofs`` that makes
    the proofs.
    """

    async def get_token(self, min_ttl: float = 0.0, timeout: float | None = None) -> Token:
        """Give a token."""
        ...

    def peek(self) -> Token | None:
        """Give a token at once, or None if `get_token` must be awaited."""
        ...

    def report_rejected(self, token: Token) -> bool:
        """Report that an API rejected a token; tell whether a different one may be had."""
        ...


class BearerMiddleware:
    """
    A client middleware for ``aiohttp.ClientSession(middlewares=[...])`` or one request.

    It acts on each hop of a redirect anew, sets ``Authorization`` and takes it away again once the
    response has come, so that aiohttp's exceptions do not carry it. On a 401 the token is refreshed
    once, however many requests got one, and each request is repeated once, if its body can be sent
    again and the refresh brought a different token. When no token can be had, nothing is sent. A
    challenge that asks for a wider scope or a stronger sign-in becomes a `StepUpRequiredError`:
    only the end-user or another grant can help. Every other refusal is the caller's.

    With `DPoP` each request and hop carries a proof of its own, and is repeated once if the API
    wants its nonce in the proof; the token then stays.

    Args:
        source: Gives the tokens; usually a `TokenProvider`.

        origins: URLs whose scheme, host and port the token may go to.

        strict: Refuse requests to other origins instead of sending them unsigned.

        keep_authorization: Leave a request alone that has an ``Authorization`` header of its own;
            by default the token replaces it, with an event.

        on_event: Receives an event when a request goes out unsigned, or its own header is replaced.

    Raises:
        ConfigurationError: No origin is given, or one is not https (http is for loopback only).

    Spec: RFC 6750 §2.1, §3.1, §5.3; RFC 9449 §7.1; RFC 9470 §3; RFC 9700 §4.9.1.
    """

    __slots__ = (
        "_allowed",
        "_bound",
        "_cache",
        "_connector",
        "_hosts",
        "_keep",
        "_on_event",
        "_origins",
        "_reported",
        "_source",
        "_strict",
        "_usual",
    )

    @hides_arguments
    def __init__(
        self,
        source: BearerTokenSource,
        origins: Iterable[str],
        *,
        strict: bool = False,
        keep_authorization: bool = False,
        on_event: "Listener | None" = log_event,
    ) -> None:
        if not hasattr(source, "peek"):
            raise wrong_kind("source", "a TokenProvider", source)
        require_listener(on_event)
        require_flag("strict", strict)
        require_flag("keep_authorization", keep_authorization)
        self._origins = _parse_origins(origins)
        # Scheme and authority of allowed origins, and the authorities of those with https.
        self._allowed: set[str] = set()
        self._hosts: set[str] = set()
        self._reported: set[tuple[type[Event], str]] = set()
        # What was last seen to verify certificates.
        self._connector: object = _NOT_SEEN
        self._strict = strict
        self._keep = keep_authorization
        self._on_event = on_event
        self._take(source)

    def _take(self, source: BearerTokenSource) -> None:
        self._source = source
        self._cache = _NOTHING_CACHED
        self._bound = _find_bound(source)
        # Where a token may go without a further look; every twin that may use it shares it.
        self._usual = frozenset() if self._keep or self._bound is not None else self._hosts

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Sign one request, send it, and repeat it once with another token if that may help."""
        # The usual case is written out: each look-up shows in what a request costs.
        url = request.url
        usual = self._usual
        # Private names of aiohttp and yarl, of which _remember has made sure.
        if (
            not usual
            or url._netloc not in usual  # noqa: SLF001
            or url._scheme != "https"  # noqa: SLF001
            or request._ssl is not True  # noqa: SLF001
            or request._session._connector is not self._connector  # noqa: SLF001
        ):
            if not self._admits(request):
                return await handler(request)
            if self._bound is not None:
                return await self._send_bound(request, handler, self._bound)
        cache = self._cache
        now, current = cache.now, cache.current
        token = current.token if now() < current.refresh_at else self._source.peek()
        if token is None:
            token = await self._source.get_token()
        header = token.authorization
        headers = request.headers
        if headers.setdefault(_AUTHORIZATION, header) is not header:
            headers[_AUTHORIZATION] = header
            self._report_replaced(url)
        try:
            response = await handler(request)
        finally:
            # request_info of aiohttp's responses and errors is a live view of these headers.
            try:  # noqa: SIM105 - suppress() costs more than all else here
                del headers[_AUTHORIZATION]
            except KeyError:
                pass
        if response.status < 401 or response.status not in _REFUSALS:
            return response
        refused = RefusedResponse(response)
        del response
        return await self._respond(request, handler, refused, token)

    async def _send_bound(
        self, request: ClientRequest, handler: ClientHandlerType, bound: "BoundRequests"
    ) -> ClientResponse:
        """Do the same with a token that is bound to a key."""
        if _AUTHORIZATION in request.headers:
            self._report_replaced(request.url)
        token = self._source.peek()
        if token is None:
            token = await self._source.get_token()
        response = await bound.send(request, handler, token, self._report)
        if response.status not in _REFUSALS:
            return response
        refused = RefusedResponse(response)
        del response
        return await self._respond(request, handler, refused, token)

    async def _respond(
        self,
        request: ClientRequest,
        handler: ClientHandlerType,
        refused: RefusedResponse,
        token: Token,
    ) -> ClientResponse:
        """Give the response of a request that an API has refused: to it, or to its repetition."""
        await _raise_step_up(refused, token)
        if (
            refused.response.status != 401
            or not is_replayable(request)
            or (self._bound is not None and self._bound.is_refused(refused.response))
            or not self._source.report_rejected(token)
        ):
            return refused.response
        await let_go(refused)
        return await self._repeat(request, handler, refused, token)

    async def _repeat(
        self,
        request: ClientRequest,
        handler: ClientHandlerType,
        refused: RefusedResponse,
        rejected: Token,
    ) -> ClientResponse:
        token = await self._source.get_token()
        if token.access_token == rejected.access_token:
            # The server has no other token: the API would respond the same.
            return refused.response
        refused.response.release()
        if self._bound is not None:
            response = await self._bound.send(request, handler, token, self._report)
        else:
            request.headers[_AUTHORIZATION] = token.authorization
            try:
                response = await handler(request)
            finally:
                request.headers.popall(_AUTHORIZATION, None)
        origin = origin_of(request.url).url
        self._report(events.RequestReplayed(origin, response.status, fingerprint=token.fingerprint))
        if response.status not in _REFUSALS:
            return response
        refused = RefusedResponse(response)
        del response
        await _raise_step_up(refused, token)
        return refused.response

    def with_source(self, source: BearerTokenSource) -> "BearerMiddleware":
        """
        Return the same middleware, with the same origins, for another source of tokens.

        Args:
            source: Gives the tokens.
        """
        twin = copy(self)
        twin._take(source)  # noqa: SLF001 - our own
        return twin

    def _admits(self, request: ClientRequest) -> bool:
        """Tell whether a request is signed; report or refuse what goes to no named origin."""
        url = request.url
        if not self._allow(url):
            self._pass_unsigned(url)
            return False
        if url.scheme in _PLAIN:
            _require_direct(request)
        elif not is_loopback(url.raw_host):
            require_verified_request(request)
            self._remember(request)
        return not self._keep or _AUTHORIZATION not in request.headers

    def _remember(self, request: ClientRequest) -> None:
        """
        Remember the host and the connector of a request whose certificate is verified.

        Only if the connector has no context, which may change, and if what the properties of
        request, session and URL return is where `__call__` looks for it: each of them costs up to
        a tenth of all that it does. Not the session: it would live as long as this, and nobody
        would be told that it was left open.
        """
        url, connector = request.url, request.session.connector
        kept = getattr(getattr(request, "_session", None), "_connector", None)
        if (
            kept is connector
            and getattr(url, "_scheme", None) == url.scheme
            and getattr(url, "_netloc", None) == url.raw_authority
            and getattr(connector, "_ssl", None) is True
            and getattr(request, "_ssl", None) is True
            and f"https://{url.raw_authority}" in self._allowed
        ):
            self._connector = connector
            self._hosts.add(url.raw_authority)

    def _allow(self, url: URL) -> bool:
        """Tell whether a URL's origin is allowed, and remember it."""
        origin = f"{url.scheme}://{url.raw_authority}"
        if origin in self._allowed:
            return True
        is_allowed = origin_of(url) in self._origins
        if is_allowed and len(self._allowed) < _REMEMBERED:
            self._allowed.add(origin)
        return is_allowed

    def _report_replaced(self, url: URL) -> None:
        """Report that the token takes the place of a request's own header."""
        origin = origin_of(url).url
        is_first = self._is_first(events.AuthorizationReplaced, origin)
        self._report(events.AuthorizationReplaced(origin, is_first=is_first))

    def _pass_unsigned(self, url: URL) -> None:
        """Refuse a request to an origin that is not named, or report that it goes unsigned."""
        origin = origin_of(url).url
        if self._strict:
            allowed = ", ".join(sorted(origin.url for origin in self._origins))
            raise ConfigurationError(
                f"a token may go to {allowed} only, not to {origin}: add it to origins, or send "
                "the request through a session without this middleware"
            )
        is_first = self._is_first(events.RequestUnsigned, origin)
        self._report(events.RequestUnsigned(origin, is_first=is_first))

    def _is_first(self, kind: "type[Event]", origin: str) -> bool:
        """Tell whether such an event is an origin's first; of so many that memory has a bound."""
        told = (kind, origin)
        is_first = told not in self._reported and len(self._reported) < _REMEMBERED
        if is_first:
            self._reported.add(told)
        return is_first

    def _report(self, event: "Event") -> None:
        """Tell the listener what happened, and whose token it is about if the source knows."""
        label = getattr(self._source, "label_event", None)
        notify(self._on_event, event if label is None else label(event))

    def allows(self, url: str | URL) -> bool:
        """
        Tell whether requests to a URL are signed.

        Args:
            url: An absolute URL.
        """
        try:
            return origin_of(URL(url)) in self._origins
        except (TypeError, ValueError):
            # What is no URL has no origin.
            is_text = isinstance(url, str)
        if not is_text:
            raise wrong_kind("url", "an absolute URL", url)
        return False

    def __repr__(self) -> str:
        origins = ", ".join(sorted(origin.url for origin in self._origins))
        return f"<BearerMiddleware for {origins}>"


def read_from(middleware: BearerMiddleware, cache: TokenCache) -> BearerMiddleware:
    """Let a middleware read the cache of its own source: one call less for each request."""
    middleware._cache = cache  # noqa: SLF001 - our own
    return middleware


def _find_bound(source: BearerTokenSource) -> "BoundRequests | None":
    proofs = getattr(source, "proofs", None)
    if proofs is None:
        return None
    from aritma_auth.provider.bound_requests import BoundRequests  # with a key only

    return BoundRequests(proofs)


def _require_direct(request: ClientRequest) -> None:
    if request.proxy is not None:
        raise ConfigurationError(
            "a token goes to http on loopback only directly, and this request would pass a proxy "
            "in clear text: set NO_PROXY=127.0.0.1,localhost, or give the request no proxy"
        )


def _parse_origins(origins: Iterable[str]) -> frozenset[Origin]:
    if isinstance(origins, str | bytes | bytearray) or not isinstance(origins, Iterable):
        raise wrong_kind("origins", "a collection of URLs, such as [url]", origins)
    parsed = frozenset(origin_of(_parse_origin(url)) for url in origins)
    if not parsed:
        raise ConfigurationError(
            "origins must name at least one API: give middleware(origins=[...]), or an environment "
            "with api_origins"
        )
    return parsed


def _parse_origin(url: object) -> URL:
    if not isinstance(url, str):
        raise wrong_kind("each of origins", "a URL", url)
    if "://" not in url:
        host = url.partition("/")[0]
        # What is no host, such as a wildcard, makes no URL either.
        meant = host if re.fullmatch(_HOST, host, re.ASCII) else "api.example.com"
        raise ConfigurationError(
            f"each of origins must be an absolute URL, such as 'https://{meant}', not "
            f"{describe_url(url)}"
        )
    return require_secure_url(url, "each of origins")


async def _raise_step_up(refused: RefusedResponse, token: Token) -> None:
    """Raise what an API asks for, if its challenge says more than "another token"."""
    from aritma_auth.protocol.www_authenticate import find_step_up  # of refusals only

    step_up = find_step_up(
        refused.response.headers.getall(hdrs.WWW_AUTHENTICATE, ()), sent=(token.access_token,)
    )
    if step_up is not None:
        await let_go(refused)
        refused.response.release()
        raise step_up
