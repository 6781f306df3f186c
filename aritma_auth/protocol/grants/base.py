"""What all grants have: scope, resource, details, further parameters, and an identity."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeGuard

import attrs

from aritma_auth.errors import printable
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.parameters import (
    IDENTITYSERVER_SCOPE_LIMIT,
    Scope,
    parse_extra,
    parse_resource,
    parse_scope,
)
from aritma_auth.protocol.redaction import SecretParameters, SecretText
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.protocol.authorization_details import AuthorizationDetail
    from aritma_auth.protocol.grants.sources import GrantSource
    from aritma_auth.protocol.redaction import JsonValue
    from aritma_auth.protocol.single_use import SingleUse
    from aritma_auth.protocol.tokens import Token
else:
    # A type that cattrs can resolve: the real one is loaded when details are given.
    AuthorizationDetail = object

RESERVED = frozenset(
    {
        "authorization_details",
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "grant_type",
        "resource",
        "scope",
    }
)
"""Parameters that callers do not write: they are the client's authentication, or a grant's own."""

Extra = Mapping[str, str] | SecretParameters


def _extra(value: Extra) -> SecretParameters:
    # The client's authentication is not for callers to write.
    return parse_extra(value, reserved=RESERVED)


def _details(
    value: "Iterable[AuthorizationDetail | Mapping[str, JsonValue]]",
) -> "tuple[AuthorizationDetail, ...]":
    if value == ():
        return ()
    # Imported here: few services ask for more than a scope.
    from aritma_auth.protocol.authorization_details import parse_authorization_details

    return parse_authorization_details(value)


def _encode_details(details: "tuple[AuthorizationDetail, ...]") -> Parameters:
    if not details:
        return ()
    from aritma_auth.protocol.authorization_details import encode_authorization_details

    return (("authorization_details", encode_authorization_details(details)),)


_NOBODY = frozenset({"", "none", "null", "undefined"})


def names_someone(text: str | None) -> TypeGuard[str]:
    """
    Tell whether a text says whose tokens are, so that nobody else's are found by it.

    A sign-in without the scope ``openid`` has no subject. What programs make of its absence is the
    same for everybody: an empty text, or the name of nothing as a text.

    Args:
        text: The end-user's name, or None.
    """
    return text is not None and (
        "".join(filter(str.isprintable, text)).strip().lower() not in _NOBODY
    )


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Grant(Value, ABC):
    """
    What entitles a client to a token.

    Attributes:
        scope: Scope to ask for: text or tokens; None sends none.

        resource: Absolute URIs of the APIs that the token is for (RFC 8707).

        authorization_details: What it is to be good for, finer than a scope: `AuthorizationDetail`
            or mappings with a ``type`` (RFC 9396).

        extra: Further parameters of this server, name to value; never shown.

    Raises:
        ConfigurationError: An argument is of the wrong kind, or ``extra`` replaces a parameter.
    """

    grant_type: ClassVar[str]
    is_reusable: ClassVar[bool] = True
    """The same value may be presented again: for the next token, or after a lost response."""
    is_requestable: ClassVar[bool] = True
    """It can be sent to a token endpoint."""
    token_types: ClassVar[frozenset[str]] = frozenset()
    """Further token types, in lower case, that the response may have (RFC 8693 §2.2.1)."""

    scope: Scope | None = attrs.field(default=None, converter=parse_scope)
    resource: tuple[str, ...] = attrs.field(default=(), converter=parse_resource)
    authorization_details: tuple[AuthorizationDetail, ...] = attrs.field(
        default=(), converter=_details
    )
    extra: SecretParameters = attrs.field(default=SecretParameters(), converter=_extra)

    @extra.validator
    def _replaces_nothing(self, _attribute: object, extra: SecretParameters) -> None:
        if len(extra):
            parse_extra(extra, reserved=(name for name, _ in self.own_parameters()))

    def parameters(self) -> Parameters:
        """Return the form of this grant, without the client's authentication."""
        scope = () if self.scope is None else (("scope", " ".join(self.scope)),)
        resources = tuple(("resource", resource) for resource in self.resource)
        return (
            ("grant_type", self.grant_type),
            *self.own_parameters(),
            *scope,
            *resources,
            *_encode_details(self.authorization_details),
            *self.extra,
        )

    def is_for(self, client_id: str, issuer: str) -> bool:  # noqa: ARG002 - see AuthorizationCodeGrant
        """Tell whether this client may present it to this server."""
        return True

    @property
    def single_use(self) -> "SingleUse | None":
        """A mark that is taken when the grant is presented, if it can be presented once only."""
        return None

    def sources(self) -> "Mapping[str, GrantSource]":
        """Return what must be loaded anew for each request, by the name of its attribute."""
        return {}

    def with_texts(self, texts: Mapping[str, SecretText]) -> Self:
        """Return the same grant with the texts of its sources, by the name of the attribute."""
        changes: dict[str, Any] = {**texts}
        return attrs.evolve(self, **changes)

    def choose(self, name: str, token: "Token") -> str | None:  # noqa: ARG002 - see TokenExchangeGrant
        """Return what of a provider's token is presented as this attribute; None if it lacks it."""
        return token.access_token

    @abstractmethod
    def own_parameters(self) -> Parameters:
        """Return the parameters that only this grant has."""

    def identity(self) -> Parameters | None:
        """
        Return what caches and stores know this grant's tokens by.

        By default that is the request: two grants are the same if the server cannot tell their
        requests apart. None means that the grant takes part in no store, as one with a password
        does, which only the server can check: an entry of the username alone would serve any
        password, and a key made of the password could be guessed from the entry's name.
        """
        parameters = self.parameters()
        has_password = ("grant_type", "password") in parameters or any(
            name.lower() == "password" for name, _ in parameters
        )
        return None if has_password else parameters

    def problems(self) -> tuple[str, ...]:
        """Say what the server is known to refuse about this grant, before it is sent."""
        return ()

    def explain(self, error: str) -> str | None:
        """Say what an error code of the server means for this grant, if more than usual."""
        if error != "invalid_scope" or not self.scope:
            return None
        asked = " ".join(self.scope)
        hint = ""
        if "," in asked:
            hint = "; scopes are separated by spaces, not by commas"
        elif len(asked) > IDENTITYSERVER_SCOPE_LIMIT:
            hint = f"; IdentityServer takes {IDENTITYSERVER_SCOPE_LIMIT} characters at most"
        return (
            f"the scope asked for is {printable(asked, 100)!r}: ask for what the server has "
            f"granted to this client{hint}"
        )

    def find_problem(self, token: "Token") -> str | None:  # noqa: ARG002 - see TokenExchangeGrant
        """Say why the token of a response must not be used, or None."""
        return None
