"""One private key for all who share a store: made by the first, found by the others."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import ParamSpec, TypeVar

from aritma_auth.caller_code import require_clock
from aritma_auth.errors import AritmaAuthError, ConfigurationError, StoreError, wrong_kind
from aritma_auth.protocol.signing import SigningKey, require_algorithm
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.raised import describe_raised
from aritma_auth.runtime.tasks import WorkBrokenOffError, run_within
from aritma_auth.stores.contract import Entry, Record, TokenStore
from aritma_auth.stores.key import require_store

P = ParamSpec("P")
T = TypeVar("T")

_USED_WITHIN = 10.0
"""Seconds for each operation of the store."""

_KEPT_FOR = 10 * 365 * 24 * 3600.0
"""Seconds: a key that is lost ends every sign-in whose tokens are bound to it."""

_NO_TOKEN = "N_A"
"""The type of what is no access token (RFC 8693 §2.2.1)."""


async def load_signing_key(
    store: TokenStore, name: str, *, algorithm: str = "ES256", clock: Clock = SYSTEM_CLOCK
) -> SigningKey:
    """
    Load the private key that a store keeps under a name, and make it if there is none.

    All processes that share the store get one key, also those that start later: with `DPoP` each
    can use the tokens that the others have stored. Give the store encryption keys, since the
    private key is kept like a token. A key that must not leave a key management service stays
    outside of the store: use a `RemoteSigner`.

    Args:
        store: Keeps the key.

        name: Tells several keys of one store apart, such as the client id.

        algorithm: What a new key signs with.

        clock: Tells the time.

    Raises:
        ConfigurationError: An argument is of the wrong kind, or joserfc is not installed.

        StoreError: The store cannot be used now, or hangs for ten seconds; or the entry cannot be
            read here, and is not replaced, since tokens may be bound to that key.

        AritmaAuthError: What the store itself raises of this package's errors.
    """
    require_store(store)
    if store is None:
        raise wrong_kind("store", "a TokenStore, such as FileTokenStore(path)", store)
    if not isinstance(name, str):
        raise wrong_kind("name", "a text, such as the client id", name)
    if not name:
        raise ConfigurationError("name must be a text such as the client id, not empty")
    require_algorithm("algorithm", algorithm)
    place = sha256(f"signing key\n{name}".encode()).hexdigest()[:32]
    entry = await _use(name, store.load, place)
    if entry is None:
        key, now = SigningKey.generate(algorithm), require_clock(clock).time()
        kept = Token(key.to_jwk(), _NO_TOKEN, issued_at=now, expires_at=now + _KEPT_FOR)
        if await _use(name, store.save, place, Record(kept, serial=1), replaces=0):
            return key
        # Another process was faster: its key counts.
        entry = await _use(name, store.load, place)
    return _read(entry, name)


async def _use(
    name: str, method: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Await what a store does, for so long; whatever it raises is an error of this package."""

    async def call() -> T:
        return await method(*args, **kwargs)

    try:
        return await run_within(_USED_WITHIN, call(), "aritma-auth store")
    except AritmaAuthError:
        raise
    except TimeoutError:
        problem = f"the store did not respond within {_USED_WITHIN:g} s"
    except WorkBrokenOffError as broken:
        problem = broken.raised
    except Exception as error:  # noqa: BLE001 - whatever a caller's own store raises
        problem = describe_raised(error)
    # Outside the except block: the caught error may hold the key.
    raise StoreError(f"the signing key {name!r} cannot be had from the store: {problem}")


def _read(entry: Entry | None, name: str) -> SigningKey:
    token = None if entry is None else entry.token
    if token is not None and token.token_type == _NO_TOKEN:
        try:
            return SigningKey(token.access_token)
        except ConfigurationError:
            problem = "it is no key"
    else:
        problem = (entry.problem if entry is not None else None) or "it is no key"
    raise StoreError(f"the signing key {name!r} cannot be read from the store: {problem}")
