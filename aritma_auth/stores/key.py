"""
What makes two tokens the same: the key of a store's entry.

Two providers share an entry if and only if the authorization server cannot distinguish their token
requests, or if both hold the sign-in of the same named end-user (docs/explanation/security.md).
"""

import json
from hashlib import sha256
from typing import Protocol

from yarl import URL

from aritma_auth import events
from aritma_auth.environment import Environment
from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.events.base import Listener
from aritma_auth.events.listeners import notify
from aritma_auth.protocol.client_auth import ClientAuth
from aritma_auth.protocol.grants import Grant, SignedInGrant
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.stores.contract import TokenStore


class TokenClient(Protocol):
    """The client that tokens are issued to; `aritma_auth.OAuthClient` is one."""

    @property
    def client_id(self) -> str:
        """The client's identifier."""
        ...

    @property
    def client_auth(self) -> ClientAuth:
        """How the client authenticates."""
        ...

    @property
    def environment(self) -> Environment:
        """The authorization server."""
        ...


def token_key(client: TokenClient, grant: Grant) -> str:
    """
    Return the key of a grant's tokens: equal for two providers if and only if their requests are.

    Args:
        client: Counts with its issuer, token endpoint, client id, authentication method, and the
            thumbprint of the certificate or the DPoP key that its tokens are bound to.

        grant: Counts with its request, or with the end-user it is for; the order of scope and
            parameters does not matter.

    Returns:
        32 hex digits that reveal nothing of what went in.

    Raises:
        ConfigurationError: The grant takes part in no store.
    """
    environment, client_auth = client.environment, client.client_auth
    identity = [
        [
            _normal(environment.issuer.rstrip("/")),
            _configured_token_endpoint(environment),
            client.client_id,
            client_auth.method,
            client_auth.thumbprint,
            *_dpop_thumbprint(client),
        ],
        # A CustomGrant that spells what a sign-in or a source is known by can be sent as it stands,
        # and is not the same.
        grant.is_requestable and not grant.sources(),
        sorted(_canonical(_require_identity(grant))),
    ]
    return sha256(json.dumps(identity).encode()).hexdigest()[:32]


def _dpop_thumbprint(client: TokenClient) -> tuple[str, ...]:
    # Only those who hold the key can use its tokens.
    dpop = getattr(client, "dpop", None)
    return () if dpop is None else (str(dpop.thumbprint),)


def store_for(
    grant: Grant, store: TokenStore | None, on_event: Listener | None
) -> TokenStore | None:
    """
    Return the store that a grant's tokens are kept in, or None if they stay in this process.

    A PasswordGrant needs no store: it gets another token whenever the server accepts its password.
    A sign-in without a name does need one, so its absence is reported.

    Args:
        grant: The grant.

        store: The caller's store, or None.

        on_event: Receives StoreFailed if the tokens of a sign-in have no place in the store.

    Raises:
        ConfigurationError: The store is no TokenStore.
    """
    require_store(store)
    if store is None or grant.identity() is not None:
        return store
    if not grant.is_reusable:
        notify(on_event, events.StoreFailed("identify", _without_identity(grant)))
    return None


def require_store(store: object) -> None:
    """
    Require an argument ``store`` to be a TokenStore or None.

    Raises:
        ConfigurationError: It is something else.
    """
    is_class = isinstance(store, type)
    if store is None or not (is_class or any(not _has(store, name) for name in _METHODS)):
        return
    raise wrong_kind(
        "store",
        "a TokenStore, such as FileTokenStore(path) or RedisTokenStore(url, keys=keys)",
        store,
    )


_METHODS = ("load", "save", "acquire", "watch")


def _has(store: object, method: str) -> bool:
    return callable(getattr(store, method, None))


def _without_identity(grant: Grant) -> str:
    if isinstance(grant, SignedInGrant):
        return (
            "the SignedInGrant has no end_user, so its tokens stay in this process: give it the "
            "subject, or the identifier of your session"
        )
    return f"this {type(grant).__name__} cannot say whose its tokens are: they stay in this process"


def _configured_token_endpoint(environment: Environment) -> str:
    """Return the token endpoint if the issuer alone does not imply it, else an empty text."""
    # A discovered endpoint may change, and is unknown until then; the issuer is known and stays.
    given = _normal(environment.endpoints.get("token_endpoint", ""))
    implied = f"{environment.issuer.rstrip('/')}/{environment.ENDPOINTS['token_endpoint']}"
    return "" if given == _normal(implied) else given


def _normal(url: str) -> str:
    # As a request is sent: host in lower case, no default port.
    return str(URL(url))


def _require_identity(grant: Grant) -> Parameters:
    identity = grant.identity()
    if identity is None:
        raise ConfigurationError(
            f"this {type(grant).__name__} cannot say whose its tokens are: no store keeps them"
        )
    return identity


def _canonical(identity: Parameters) -> set[tuple[str, str]]:
    """Return the parameters as the server reads them: scope is a set (RFC 6749 §3.3)."""
    return {
        (name, " ".join(sorted(value.split(" "))) if name == "scope" else value)
        for name, value in identity
    }
