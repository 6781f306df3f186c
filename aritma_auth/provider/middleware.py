"""Signs an aiohttp session's requests with a bearer token, and only those it may sign."""

import re
from collections.abc import Callable, Hashable, Iterable
from contextvars import ContextVar
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, hdrs
from yarl import URL

from aritma_auth import events
from aritma_auth.errors import ConfigurationError, require_flag, require_function, wrong_kind
from aritma_auth.events.base import Event, Listener, log_event, notify, require_listener
from aritma_auth.network.transport import require_verified_request
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import (
    Origin,
    describe_url,
    is_loopback,
    origin_of,
    require_secure_url,
)
from aritma_auth.provider.replay import RefusedResponse, is_replayable, let_go
from aritma_auth.runtime.hidden_arguments import hides_arguments

if TYPE_CHECKING:
    from aritma_auth.provider.bound_requests import BoundRequests

_AUTHORIZATION = hdrs.AUTHORIZATION
_REFUSALS = frozenset({401, 403})

_PLAIN = frozenset({"http", "ws"})
_HOST = re.compile(r"[\w.-]{1,100}(:\d{1,5})?", re.ASCII)

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
        "_keep",
        "_on_event",
        "_origins",
        "_reported",
        "_source",
        "_strict",
    )

    @hides_arguments
    def __init__(
        self,
        source: BearerTokenSource,
        origins: Iterable[str],
        *,
        strict: bool = False,
        keep_authorization: bool = False,
        on_event: Listener | None = log_event,
    ) -> None:
        if not hasattr(source, "peek"):
            raise wrong_kind("source", "a TokenProvider", source)
        require_listener(on_event)
        require_flag("strict", strict)
        require_flag("keep_authorization", keep_authorization)
        self._source = source
        self._bound = _find_bound(source)
        self._origins = _parse_origins(origins)
        self._allowed: dict[str, str] = {}
        self._reported: set[str] = set()
        self._strict = strict
        self._keep = keep_authorization
        self._on_event = on_event

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Sign one request, send it, and repeat it once with another token if that may help."""
        url, headers = request.url, request.headers
        if not self._allow(url):
            self._pass_unsigned(url)
            return await handler(request)
        _require_confidential(request)
        if _AUTHORIZATION in headers and self._keeps(url):
            return await handler(request)
        source = self._source
        token = source.peek()
        if token is None:
            token = await source.get_token()
        if self._bound is not None:
            response = await self._bound.send(request, handler, token, self._report)
        else:
            headers[_AUTHORIZATION] = token.authorization
            try:
                response = await handler(request)
            finally:
                # request_info of aiohttp's responses and errors is a live view of these headers.
                headers.pop(_AUTHORIZATION, None)
        if response.status < 401 or response.status not in _REFUSALS:
            return response
        refused = RefusedResponse(response)
        del response
        await _raise_step_up(refused, token)
        if (
            refused.response.status != 401
            or not is_replayable(request)
            or (self._bound is not None and self._bound.is_refused(refused.response))
            or not source.report_rejected(token)
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
                request.headers.pop(_AUTHORIZATION, None)
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
        twin._source = source  # noqa: SLF001 - our own
        twin._bound = _find_bound(source)  # noqa: SLF001 - our own
        return twin

    def _allow(self, url: URL) -> bool:
        """Tell whether a URL's origin is allowed, and remember its scheme by its authority."""
        if self._allowed.get(url.raw_authority) == url.scheme:
            return True
        is_allowed = origin_of(url) in self._origins
        if is_allowed and len(self._allowed) < _REMEMBERED:
            self._allowed[url.raw_authority] = url.scheme
        return is_allowed

    def _keeps(self, url: URL) -> bool:
        """Tell whether a request keeps its own header; report it otherwise."""
        if not self._keep:
            self._report(events.AuthorizationReplaced(origin_of(url).url))
        return self._keep

    def _pass_unsigned(self, url: URL) -> None:
        """Refuse a request to an origin that is not named, or report that it goes unsigned."""
        origin = origin_of(url).url
        if self._strict:
            allowed = ", ".join(sorted(origin.url for origin in self._origins))
            raise ConfigurationError(
                f"a token may go to {allowed} only, not to {origin}: add it to origins, or send "
                "the request through a session without this middleware"
            )
        is_first = origin not in self._reported and len(self._reported) < _REMEMBERED
        if is_first:
            self._reported.add(origin)
        self._report(events.RequestUnsigned(origin, is_first=is_first))

    def _report(self, event: Event) -> None:
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


def _find_bound(source: BearerTokenSource) -> "BoundRequests | None":
    proofs = getattr(source, "proofs", None)
    if proofs is None:
        return None
    from aritma_auth.provider.bound_requests import BoundRequests  # with a key only

    return BoundRequests(proofs)


def _require_confidential(request: ClientRequest) -> None:
    """Require that nobody between here and the API reads the token."""
    url = request.url
    if url.scheme not in _PLAIN:
        if not is_loopback(url.raw_host):
            require_verified_request(request)
    elif request.proxy is not None:
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
        meant = host if _HOST.fullmatch(host) else "api.example.com"
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


K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", contravariant=True)


class KeyedTokenSource(Protocol[K_contra]):
    """What gives a source of tokens for a key; `aritma_auth.TokenProviderPool` is one."""

    def provider(self, key: K_contra, /) -> BearerTokenSource:
        """Give a key's source of tokens."""
        ...


class KeyedBearerMiddleware(Generic[K]):
    """
    A client middleware that chooses a provider for each request, then signs as `BearerMiddleware`.

    Args:
        pool: Gives the providers; usually a `TokenProviderPool`.

        key: Returns the key of a request; or a context variable that holds it.

        origins: URLs whose scheme, host and port the tokens may go to.

        strict: Refuse requests to other origins instead of sending them unsigned.

        keep_authorization: Leave a request alone that has an ``Authorization`` header of its own.

        on_event: Receives an event when a request goes out unsigned, or its own header is replaced.

    Raises:
        ConfigurationError: No origin is given, or one is not https (http is for loopback only).
    """

    __slots__ = ("_bearer", "_key", "_pool")

    @hides_arguments
    def __init__(
        self,
        pool: KeyedTokenSource[K],
        key: Callable[[ClientRequest], K] | ContextVar[K],
        origins: Iterable[str],
        *,
        strict: bool = False,
        keep_authorization: bool = False,
        on_event: Listener | None = log_event,
    ) -> None:
        if not hasattr(pool, "provider"):
            raise wrong_kind("pool", "a TokenProviderPool", pool)
        if not isinstance(key, ContextVar):
            required = "a function of a request, or a ContextVar"
            require_function("key", required, key, 1, is_awaited=False)
        self._pool = pool
        self._key = _reader(key) if isinstance(key, ContextVar) else _caller(key)
        self._bearer = BearerMiddleware(
            _NoSource(),
            origins,
            strict=strict,
            keep_authorization=keep_authorization,
            on_event=on_event,
        )

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Sign one request with its own key's token, as `BearerMiddleware` does."""
        bearer = self._bearer
        if bearer.allows(request.url):
            bearer = bearer.with_source(self._pool.provider(self._key(request)))
        return await bearer(request, handler)

    def __repr__(self) -> str:
        return f"<KeyedBearerMiddleware over {self._bearer!r}>"


def _caller(key: Callable[[ClientRequest], K]) -> Callable[[ClientRequest], K]:
    from aritma_auth.caller_code import call  # with keys only

    def read(request: ClientRequest) -> K:
        return call("key of the KeyedBearerMiddleware", key, request)

    return read


def _reader(variable: ContextVar[K]) -> Callable[[ClientRequest], K]:
    def read(_request: ClientRequest) -> K:
        try:
            return variable.get()
        except LookupError:
            pass
        raise ConfigurationError(f"set the context variable {variable.name} before the request")

    return read


class _NoSource:
    """Stands for the source that is given to the middleware before it signs; it is never asked."""

    def __getattr__(self, _name: str) -> Any:
        return None
