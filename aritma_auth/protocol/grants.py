"""
Grants as frozen values: what entitles a client to a token.

A new grant is one class here: its ``grant_type`` and its own parameters.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

import attrs
from yarl import URL

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.scopes import IDENTITY_SCOPES, Scope, make_scope
from aritma_auth.protocol.sealed import Sealed, seal
from aritma_auth.protocol.wire import Parameters

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


def _resources(value: str | Iterable[str]) -> tuple[str, ...]:
    resources = (value,) if isinstance(value, str) else tuple(value)
    for resource in resources:
        if not URL(resource).scheme or "#" in resource:
            raise ConfigurationError("resource must be an absolute URI without fragment (RFC 8707)")
    return resources


def _extra(value: Mapping[str, str]) -> Parameters:
    taken = _PROTECTED & value.keys()
    if taken:
        raise ConfigurationError(f"extra must not replace {', '.join(sorted(taken))}")
    return tuple(value.items())


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

    scope: Scope | None = attrs.field(default=None, converter=make_scope)
    resource: tuple[str, ...] = attrs.field(default=(), converter=_resources)
    extra: Parameters = attrs.field(factory=dict, converter=_extra, repr=False)

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

    @abstractmethod
    def own_parameters(self) -> Parameters:
        """Give the parameters that only this grant has."""

    def problems(self) -> tuple[str, ...]:
        """Say what the server is known to refuse about this grant, before it is sent."""
        return ()


@attrs.frozen
class ClientCredentialsGrant(Grant):
    """
    The client on its own behalf.

    Spec: RFC 6749 §4.4; Aritma's authentication page.
    """

    grant_type: ClassVar[str] = "client_credentials"

    def own_parameters(self) -> Parameters:
        """Give none: the client's authentication says it all."""
        return ()

    def problems(self) -> tuple[str, ...]:
        """Refuse identity scopes: IdentityServer answers them with ``invalid_scope``."""
        wrong = sorted(IDENTITY_SCOPES.intersection(self.scope or ()))
        if not wrong:
            return ()
        return (f"client_credentials cannot have the scope {' '.join(wrong)}: no person signs in",)


@attrs.frozen
class RefreshTokenGrant(Grant):
    """
    A refresh token; treated as usable once, since servers may rotate it.

    Spec: RFC 6749 §6.
    """

    grant_type: ClassVar[str] = "refresh_token"
    is_reusable: ClassVar[bool] = False
    refresh_token: Sealed = attrs.field(converter=seal, kw_only=False)

    def own_parameters(self) -> Parameters:
        """Give the refresh token."""
        return (("refresh_token", self.refresh_token.text),)
