"""Signs an aiohttp session's requests with a bearer token, and only those it may sign."""

import contextlib
from collections.abc import Callable, Hashable, Iterable
from contextvars import ContextVar
from copy import copy
from typing import Generic, NoReturn, Protocol, TypeVar

from aiohttp import ClientError, ClientHandlerType, ClientRequest, ClientResponse, hdrs
from yarl import URL

from aritma_auth.errors import ConfigurationError
from aritma_auth.events import Listener, RequestUnsigned, log_event, notify
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import origin_of, require_secure_url
from aritma_auth.protocol.www_authenticate import find_step_up

_SMALL_BODY = 1 << 16
_AUTHORITIES = 64
_REFUSALS = frozenset({401, 403})


class TokenSource(Protocol):
    """What gives tokens that work; `aritma_auth.TokenProvider` is one."""

    async def get_token(self, min_ttl: float = 0.0, timeout: float | None = None) -> Token:
        """Give a token."""
        ...

    def peek(self) -> Token | None:
        """Give a token at once, or None if `get_token` must be awaited."""
        ...

    def report_rejected(self, token: Token) -> bool:
        """Report that an API refused a token; tell whether a different one can be had."""
        ...


class BearerMiddleware:
    """
    A client middleware for ``aiohttp.ClientSession(middlewares=[...])`` or one request.

    It acts on each hop of a redirect anew, sets ``Authorization`` over whatever stands there, and
    takes it away again once the answer has come, so that aiohttp's exceptions do not carry it. On
    a 401 the token is refreshed once, however many requests met one, and each request is repeated
    once, if its body can be sent again. When no token can be had, nothing is sent. A challenge that
    asks for a wider scope or a stronger sign-in becomes a `StepUpRequiredError`: only a person or
    another grant can help. Every other refusal is the caller's.

    Args:
        source: Gives the tokens.

        origins: URLs whose scheme, host and port the token may go to.

        strict: Refuse requests to other origins instead of sending them unsigned.

        on_event: Told when a request goes out unsigned.

    Raises:
        ConfigurationError: No origin is given, or one is not https (http is for loopback only).

    Spec: RFC 6750 §2.1, §3.1, §5.3; RFC 9470 §3; RFC 9700 §4.9.1.
    """

    __slots__ = ("_judged", "_on_event", "_origins", "_source", "_strict")

    def __init__(
        self,
        source: TokenSource,
        origins: Iterable[str],
        *,
        strict: bool = False,
        on_event: Listener | None = log_event,
    ) -> None:
        if isinstance(origins, str):
            raise ConfigurationError("origins is a collection of URLs, not one string")
        self._source = source
        self._origins = frozenset(
            origin_of(require_secure_url(url, "an origin")) for url in origins
        )
        if not self._origins:
            raise ConfigurationError("no API's origin is known: give middleware(origins=[...])")
        self._judged: dict[str, str] = {}
        self._strict = strict
        self._on_event = on_event

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Sign one request, send it, and repeat it once with another token if that may help."""
        url, headers = request.url, request.headers
        if self._judged.get(url.raw_authority) != url.scheme and not self._verifier(url):
            return await self._pass_by(request, handler)
        token = self._source.peek() or await self._source.get_token()
        headers[hdrs.AUTHORIZATION] = token.authorization
        try:
            response = await handler(request)
        finally:
            # request_info of aiohttp's answers and errors is a live view of these headers.
            headers.pop(hdrs.AUTHORIZATION, None)
        if response.status not in _REFUSALS:
            return response
        await _raise_step_up(response)
        if (
            response.status != 401
            or not _is_replayable(request)
            or not self._source.report_rejected(token)
        ):
            return response
        await _let_go(response)
        return await self._repeat(request, handler)

    async def _repeat(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        token = await self._source.get_token()
        request.headers[hdrs.AUTHORIZATION] = token.authorization
        try:
            response = await handler(request)
        finally:
            request.headers.pop(hdrs.AUTHORIZATION, None)
        if response.status in _REFUSALS:
            await _raise_step_up(response)
        return response

    def with_source(self, source: TokenSource) -> "BearerMiddleware":
        """
        Give the same middleware, with the same origins, for another source of tokens.

        Args:
            source: Gives the tokens.
        """
        twin = copy(self)
        twin._source = source  # noqa: SLF001 - our own
        return twin

    def _verifier(self, url: URL) -> bool:
        """Tell whether a URL's origin is allowed, and remember its scheme by its authority."""
        is_allowed = origin_of(url) in self._origins
        # Only what is allowed is remembered: strangers could fill the memory.
        if is_allowed and len(self._judged) < _AUTHORITIES:
            self._judged[url.raw_authority] = url.scheme
        return is_allowed

    async def _pass_by(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        origin = origin_of(request.url).url
        if self._strict:
            raise ConfigurationError(f"{origin} is not an origin that the token may go to")
        notify(self._on_event, RequestUnsigned(origin))
        return await handler(request)

    def allows(self, url: str | URL) -> bool:
        """
        Tell whether requests to a URL are signed.

        Args:
            url: An absolute URL.
        """
        return origin_of(URL(url)) in self._origins

    def __repr__(self) -> str:
        origins = ", ".join(sorted(origin.url for origin in self._origins))
        return f"<BearerMiddleware for {origins}>"


def _is_replayable(request: ClientRequest) -> bool:
    # A spent stream would be sent again empty, and nothing would notice.
    return not getattr(request.body, "consumed", False)


async def _raise_step_up(response: ClientResponse) -> None:
    """Raise what an API asks for, if its challenge says more than "another token"."""
    step_up = find_step_up(response.headers.getall(hdrs.WWW_AUTHENTICATE, ()))
    if step_up is not None:
        await _let_go(response)
        raise step_up


async def _let_go(response: ClientResponse) -> None:
    """Free the refused answer's connection before anything else needs one."""
    async with response:
        length = response.content_length
        if length is not None and length <= _SMALL_BODY:
            # A body that breaks off takes its connection along, and nothing else.
            with contextlib.suppress(ClientError):
                await response.read()


K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", contravariant=True)


class ProviderSource(Protocol[K_contra]):
    """What gives a source of tokens for a key; `aritma_auth.TokenProviderPool` is one."""

    def provider(self, key: K_contra, /) -> TokenSource:
        """Give a key's source of tokens."""
        ...


class KeyedBearerMiddleware(Generic[K]):
    """
    A client middleware that picks a provider for each request, then signs as `BearerMiddleware`.

    Args:
        pool: Gives the providers.

        pick: Gives the key of a request; or a context variable that holds it.

        origins: URLs whose scheme, host and port the tokens may go to.

        strict: Refuse requests to other origins instead of sending them unsigned.

        on_event: Told when a request goes out unsigned.

    Raises:
        ConfigurationError: No origin is given, or one is not https (http is for loopback only).
    """

    __slots__ = ("_bearer", "_pick", "_pool")

    def __init__(
        self,
        pool: ProviderSource[K],
        pick: Callable[[ClientRequest], K] | ContextVar[K],
        origins: Iterable[str],
        *,
        strict: bool = False,
        on_event: Listener | None = log_event,
    ) -> None:
        self._pool = pool
        self._pick = _reader(pick) if isinstance(pick, ContextVar) else pick
        self._bearer = BearerMiddleware(_Nobody(), origins, strict=strict, on_event=on_event)

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Sign one request with its own key's token, as `BearerMiddleware` does."""
        bearer = self._bearer
        if bearer.allows(request.url):
            bearer = bearer.with_source(self._pool.provider(self._pick(request)))
        return await bearer(request, handler)

    def __repr__(self) -> str:
        return f"<KeyedBearerMiddleware over {self._bearer!r}>"


def _reader(variable: ContextVar[K]) -> Callable[[ClientRequest], K]:
    def read(_request: ClientRequest) -> K:
        try:
            return variable.get()
        except LookupError:
            pass
        raise ConfigurationError(f"set the context variable {variable.name} before the request")

    return read


class _Nobody:
    """Whom requests that are not signed would get their tokens from: it is never asked."""

    def __getattr__(self, _name: str) -> NoReturn:
        raise ConfigurationError("no token was picked for this request")
