"""Signs each request of a session with the token of its own tenant, person or scope."""

from collections.abc import Callable, Hashable, Iterable
from contextvars import ContextVar
from typing import Generic, NoReturn, Protocol, TypeVar

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from aritma_auth.errors import ConfigurationError
from aritma_auth.events import Listener, log_event
from aritma_auth.middleware import BearerMiddleware, TokenSource

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", contravariant=True)


class ProviderSource(Protocol[K_contra]):
    """What gives a source of tokens for a key; `aritma_auth.TokenProviderPool` is one."""

    def provider(self, key: K_contra, /) -> TokenSource:
        """Give a key's source of tokens."""
        ...


class PickingMiddleware(Generic[K]):
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
        return f"<PickingMiddleware over {self._bearer!r}>"


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
