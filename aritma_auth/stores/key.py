"""Keys of stored tokens: no two identities ever share one."""

import json
from collections.abc import Iterable
from hashlib import sha256

from aritma_auth.protocol.grants import Grant


def token_key(client_identity: Iterable[str], grant: Grant) -> str:
    """
    Derive the key of a token from whom it is for and what it was asked with.

    Args:
        client_identity: Issuer, token endpoint, client id, method of authentication, and the
            thumbprint of the key that tokens are bound to.

        grant: The grant: its type, subject, scope (none differs from empty; order does not
            matter), resources and extra parameters.

    Returns:
        32 hex digits that tell nothing of what went in.
    """
    scope = None if grant.scope is None else sorted(grant.scope)
    identity = [
        list(client_identity),
        # As it is sent: a custom grant's class has none.
        dict(grant.parameters())["grant_type"],
        grant.subject(),
        scope,
        sorted(grant.resource),
        sorted(grant.extra),
    ]
    return sha256(json.dumps(identity).encode()).hexdigest()[:32]
