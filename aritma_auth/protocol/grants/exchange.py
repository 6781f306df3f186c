"""Grants that present what another gave: a token to exchange, or an assertion."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.grants.base import Grant, names_someone
from aritma_auth.protocol.grants.sources import (
    GrantSource,
    as_text_or_source,
    require_text_or_source,
    text_of,
)
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.parameters import OPTIONAL_TEXT, parse_names, require_text
from aritma_auth.protocol.redaction import SecretText
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments

_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"
_ACCESS_TOKEN = f"{_TOKEN_TYPE}access_token"
_FOR_APIS = frozenset({None, _ACCESS_TOKEN, f"{_TOKEN_TYPE}jwt"})
"""Kinds that a server may replace by one another: the response is an access token."""


@attrs.frozen(eq=False, repr=False)
class SourcedGrant(Grant):
    """The parent of grants that present what another gave: as a text, or from a source."""

    _PRESENTED: ClassVar[tuple[str, ...]]
    """Names of the attributes that may be sources."""

    def sources(self) -> "Mapping[str, GrantSource]":
        """Return what must be loaded anew for each request, by the name of its attribute."""
        given = ((name, getattr(self, name)) for name in self._PRESENTED)
        return MappingProxyType(
            {
                name: value
                for name, value in given
                if value is not None and not isinstance(value, SecretText)
            }
        )

    def identity(self) -> Parameters | None:
        """
        Return the request, with the identity of each source in place of its text.

        None if a source cannot say whose its tokens are: it could be any end-user's.
        """
        whose = []
        sources = self.sources()
        for name, source in sources.items():
            known = _identify(name, source)
            if known is None:
                return None
            whose.append((name, known))
        return (*whose, *(pair for pair in self.parameters() if pair[0] not in sources))


def _identify(name: str, source: "GrantSource") -> str | None:
    identify: Callable[[], object] | None = getattr(source, "identity", None)
    try:
        known = None if identify is None else identify()
    except Exception as error:  # noqa: BLE001 - whatever a caller's own source raises
        from aritma_auth.runtime.raised import describe_raised  # of wrong code only

        found = f"it raised {describe_raised(error)}"
    else:
        if isinstance(known, str | None):
            return known if names_someone(known) else None
        found = f"it returned a value of type {type(known).__name__}"
    raise ConfigurationError(
        f"identity() of {name} must return whose its tokens are, or None; {found}"
    )


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class DelegationGrant(SourcedGrant):
    """
    Another token, exchanged for one to call on with: Aritma's own grant, not RFC 8693.

    Attributes:
        token: An access token of Aritma, or of a trusted external provider: its text, or a
            `TokenProvider` that has a living one for each request.

        provider: Id of the external provider, or None for a token of Aritma.

    Source: Aritma ID's page on delegation.
    """

    grant_type: ClassVar[str] = "delegation"
    _PRESENTED: ClassVar[tuple[str, ...]] = ("token",)
    token: "SecretText | GrantSource" = attrs.field(
        converter=as_text_or_source, validator=require_text_or_source, kw_only=False
    )
    provider: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT)

    def own_parameters(self) -> Parameters:
        """Return the token and where it comes from."""
        provider = () if self.provider is None else (("provider", self.provider),)
        return (("token", text_of(self.token)), *provider)


def _audience(value: str | Iterable[str]) -> tuple[str, ...]:
    return parse_names(value, "audience")


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class TokenExchangeGrant(SourcedGrant):
    """
    A token exchanged for another.

    Attributes:
        subject_token: The token of whom the new one is for: its text; or a `TokenProvider` that has
            a living one for each request, so that this grant outlives any of them; or a `Secret` or
            a `JwtAssertion`.

        subject_token_type: Its kind, as a URI of RFC 8693 §3. Of a provider's token the ID token is
            presented as ``id_token``, and the refresh token as ``refresh_token``.

        actor_token: The token of who acts, given in the same ways, or None.

        actor_token_type: Its kind.

        requested_token_type: The kind wanted, or None for the server's choice. What was to be no
            access token is refused if it is of another kind.

        audience: Names of the services that the token is for: one, or several.

    Spec: RFC 8693 §2.1.
    """

    grant_type: ClassVar[str] = "urn:ietf:params:oauth:grant-type:token-exchange"
    _PRESENTED: ClassVar[tuple[str, ...]] = ("subject_token", "actor_token")
    subject_token: "SecretText | GrantSource" = attrs.field(
        converter=as_text_or_source, validator=require_text_or_source, kw_only=False
    )
    subject_token_type: str = attrs.field(default=_ACCESS_TOKEN, validator=require_text)
    actor_token: "SecretText | GrantSource | None" = attrs.field(
        default=None,
        converter=attrs.converters.optional(as_text_or_source),
        validator=attrs.validators.optional(require_text_or_source),
    )
    actor_token_type: str = attrs.field(default=_ACCESS_TOKEN, validator=require_text)
    requested_token_type: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT)
    audience: tuple[str, ...] = attrs.field(default=(), converter=_audience)

    def own_parameters(self) -> Parameters:
        """Return the tokens with their kinds, the kind wanted and the audience."""
        actor, wanted = self.actor_token, self.requested_token_type
        return (
            ("subject_token", text_of(self.subject_token)),
            ("subject_token_type", self.subject_token_type),
            *(
                ()
                if actor is None
                else (("actor_token", text_of(actor)), ("actor_token_type", self.actor_token_type))
            ),
            *(() if wanted is None else (("requested_token_type", wanted),)),
            *(("audience", name) for name in self.audience),
        )

    @property
    def token_types(self) -> frozenset[str]:  # type: ignore[override] # elsewhere it is the class's
        """Token types that the response may have: what is no access token has none."""
        is_for_apis = self.requested_token_type in {None, _ACCESS_TOKEN}
        return frozenset() if is_for_apis else frozenset({"n_a"})

    def choose(self, name: str, token: Token) -> str | None:
        """Return what of a provider's token is presented as this attribute; None if it lacks it."""
        kind = self.subject_token_type if name == "subject_token" else self.actor_token_type
        if kind == f"{_TOKEN_TYPE}id_token":
            return token.id_token
        if kind == f"{_TOKEN_TYPE}refresh_token":
            return token.refresh_token
        return token.access_token

    def find_problem(self, token: Token) -> str | None:
        """Say why the issued token must not be used: it is of another kind than was asked for."""
        wanted, issued = self.requested_token_type, token.extra.get("issued_token_type")
        if wanted in _FOR_APIS or issued == wanted:
            return None
        # What was meant for an API must not be presented to another server as an assertion.
        return f"issued_token_type must be {wanted}, as it was requested (RFC 8693 §2.2.1)"


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class JwtBearerGrant(SourcedGrant):
    """
    An assertion, presented for a token.

    Attributes:
        assertion: A `JwtAssertion` that the client signs for each request; a `Secret` whose file or
            callable gives one that was made elsewhere; a `TokenProvider` whose token is one, such
            as an identity assertion (ID-JAG); or its text, which is presented once.

        end_user: Says whose the tokens are if the assertion comes from a `Secret`, as in
            `SignedInGrant`. Without it they are kept in no store.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Spec: RFC 7523 §2.1; RFC 7521 §4.1.
    """

    grant_type: ClassVar[str] = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    _PRESENTED: ClassVar[tuple[str, ...]] = ("assertion",)
    assertion: "SecretText | GrantSource" = attrs.field(
        converter=as_text_or_source, validator=require_text_or_source, kw_only=False
    )
    end_user: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT)

    @property
    def is_reusable(self) -> bool:  # type: ignore[override] # elsewhere it is the class's
        """The same grant may be presented again: each request has an assertion of its own."""
        return not isinstance(self.assertion, SecretText)

    def own_parameters(self) -> Parameters:
        """Return the assertion."""
        return (("assertion", text_of(self.assertion)),)

    def identity(self) -> Parameters | None:
        """Return the request, or whose the assertion is if it is made anew."""
        known = super().identity()
        if not names_someone(self.end_user) or not self.sources():
            return known
        request = (pair for pair in self.parameters() if pair[0] != "assertion")
        return (("end_user", self.end_user), *(tuple(request) if known is None else known))
