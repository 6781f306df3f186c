"""Signs each request of an aiohttp session with the token of its own key."""

from collections.abc import Callable, Hashable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from aritma_auth.errors import ConfigurationError, require_function, wrong_kind
from aritma_auth.events.listeners import log_event
from aritma_auth.provider.middleware import BearerMiddleware, BearerTokenSource
from aritma_auth.runtime.hidden_arguments import hides_arguments

if TYPE_CHECKING:
    from aritma_auth.events.base import Listener

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
        on_event: "Listener | None" = log_event,
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
