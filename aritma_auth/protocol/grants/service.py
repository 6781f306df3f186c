"""The grant of a service on its own behalf."""

from typing import ClassVar

import attrs

from aritma_auth.protocol.grants.base import Grant
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.parameters import IDENTITY_SCOPES, Scope, parse_scope
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class ClientCredentialsGrant(Grant):
    """
    The client on its own behalf.

    Spec: RFC 6749 §4.4; Aritma's authentication page.
    """

    grant_type: ClassVar[str] = "client_credentials"
    scope: Scope | None = attrs.field(default=None, converter=parse_scope, kw_only=False)

    def own_parameters(self) -> Parameters:
        """Return none: the client's authentication is the grant."""
        return ()

    def explain(self, error: str) -> str | None:
        """Say that IdentityServer refuses identity scopes where no end-user signs in."""
        wrong = sorted(IDENTITY_SCOPES.intersection(self.scope or ()))
        if error != "invalid_scope" or not wrong:
            return super().explain(error)
        return (
            f"this server may refuse the scope {' '.join(wrong)} with client_credentials, since no "
            "end-user signs in: leave it out"
        )
