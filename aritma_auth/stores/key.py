"""Keys of stored tokens: no two identities ever share one."""

import json
from hashlib import sha256
from typing import Protocol

from aritma_auth.environment import Environment
from aritma_auth.protocol.client_auth import ClientAuth
from aritma_auth.protocol.grants import Grant


class Registration(Protocol):
    """The client registration that tokens are issued to; `aritma_auth.OAuthClient` is one."""

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


def token_key(client: Registration, grant: Grant) -> str:
    """
    Derive the key of a token from whom it is for and what it was asked with.

    Args:
        client: Counts with its issuer, token endpoint, client id, authentication method, and the
            thumbprint of the key that its tokens are bound to.

        grant: Counts with its type, subject, scope (none differs from empty; order does not
            matter), resources and extra parameters.

    Returns:
        32 hex digits that tell nothing of what went in.
    """
    environment, client_auth = client.environment, client.client_auth
    # A discovered endpoint may change; the issuer does not.
    configured = environment.endpoints.get("token_endpoint", "")
    identity = [
        [
            environment.issuer,
            configured if environment.discovers else environment.token_endpoint,
            client.client_id,
            client_auth.method,
            client_auth.thumbprint,
        ],
        # As it is sent: a custom grant's class has none.
        dict(grant.parameters())["grant_type"],
        grant.subject(),
        None if grant.scope is None else sorted(grant.scope),
        sorted(grant.resource),
        sorted(grant.extra),
    ]
    return sha256(json.dumps(identity).encode()).hexdigest()[:32]
