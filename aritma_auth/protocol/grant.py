"""What every grant is: parameters of a token request, and whether they may be sent again."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import attrs

from aritma_auth.protocol.once import Once
from aritma_auth.protocol.resources import make_resources
from aritma_auth.protocol.scopes import Scope, make_scope
from aritma_auth.protocol.wire import Parameters, make_extra

_PROTECTED = frozenset(
    {
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "grant_type",
        "resource",
        "scope",
    }
)


def make_grant_extra(value: Mapping[str, str]) -> Parameters:
    """Take further parameters; the client's authentication is not for callers to write."""
    return make_extra(value, taken=_PROTECTED)


@attrs.frozen(kw_only=True)
class Grant(ABC):
    """
    What entitles a client to a token.

    Attributes:
        scope: Scope to ask for: text or tokens; None sends none.

        resource: Absolute URIs of the APIs the token is for (RFC 8707).

        extra: Further parameters of this server, name to value; never shown.
    """

    grant_type: ClassVar[str]
    is_reusable: ClassVar[bool] = True
    """The same value may be presented again: for the next token, or after an answer was lost."""
    is_requestable: ClassVar[bool] = True
    """It can be sent to a token endpoint."""

    scope: Scope | None = attrs.field(default=None, converter=make_scope)
    resource: tuple[str, ...] = attrs.field(default=(), converter=make_resources)
    extra: Parameters = attrs.field(factory=dict, converter=make_grant_extra, repr=False)

    @extra.validator
    def _replaces_nothing(self, _attribute: object, extra: Parameters) -> None:
        make_extra(extra, taken=(name for name, _ in self.own_parameters()) if extra else ())

    def parameters(self) -> Parameters:
        """Give the form of this grant, without the client's authentication."""
        scope = () if self.scope is None else (("scope", " ".join(self.scope)),)
        resources = tuple(("resource", resource) for resource in self.resource)
        return (
            ("grant_type", self.grant_type),
            *self.own_parameters(),
            *scope,
            *resources,
            *self.extra,
        )

    def is_for(self, client_id: str, issuer: str) -> bool:  # noqa: ARG002 - see AuthorizationCodeGrant
        """Tell whether this client may present it to this server."""
        return True

    @property
    def once(self) -> Once | None:
        """A mark that is taken when it is presented, if it can be presented once only."""
        return None

    @abstractmethod
    def own_parameters(self) -> Parameters:
        """Give the parameters that only this grant has."""

    def subject(self) -> Parameters:
        """Give what tells this grant's tokens from those of another subject."""
        return self.own_parameters()

    def problems(self) -> tuple[str, ...]:
        """Say what the server is known to refuse about this grant, before it is sent."""
        return ()
