"""Grants that exchange another token for one to call on with."""

from collections.abc import Iterable
from typing import ClassVar

import attrs

from aritma_auth.protocol.grants.base import OPTIONAL_TEXT, Grant, require_text
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.parameters import parse_names
from aritma_auth.protocol.redaction import (
    SecretText,
    as_optional_secret,
    as_secret,
    require_secret,
)

_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@attrs.frozen(eq=False, repr=False)
class DelegationGrant(Grant):
    """
    Another token, exchanged for one to call on with: Aritma's own grant, not RFC 8693.

    Attributes:
        token: An access token of Aritma, or of a trusted external provider.

        provider: Id of the external provider, or None for a token of Aritma.

    Source: Aritma ID's page on delegation.
    """

    grant_type: ClassVar[str] = "delegation"
    token: SecretText = attrs.field(converter=as_secret, validator=require_secret, kw_only=False)
    provider: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT)

    def own_parameters(self) -> Parameters:
        """Return the token and where it comes from."""
        provider = () if self.provider is None else (("provider", self.provider),)
        return (("token", self.token.text), *provider)


def _audience(value: str | Iterable[str]) -> tuple[str, ...]:
    return parse_names(value, "audience")


@attrs.frozen(eq=False, repr=False)
class TokenExchangeGrant(Grant):
    """
    A token exchanged for another.

    Attributes:
        subject_token: The token of whom the new one is for.

        subject_token_type: Its kind, as a URI of RFC 8693 §3.

        actor_token: The token of who acts, or None.

        actor_token_type: Its kind.

        requested_token_type: The kind wanted, or None for the server's choice.

        audience: Names of the services that the token is for: one, or several.

    Spec: RFC 8693 §2.1.
    """

    grant_type: ClassVar[str] = "urn:ietf:params:oauth:grant-type:token-exchange"
    subject_token: SecretText = attrs.field(
        converter=as_secret, validator=require_secret, kw_only=False
    )
    subject_token_type: str = attrs.field(default=_ACCESS_TOKEN, validator=require_text)
    actor_token: SecretText | None = attrs.field(
        default=None,
        converter=as_optional_secret,
        validator=attrs.validators.optional(require_secret),
    )
    actor_token_type: str = attrs.field(default=_ACCESS_TOKEN, validator=require_text)
    requested_token_type: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT)
    audience: tuple[str, ...] = attrs.field(default=(), converter=_audience)

    def own_parameters(self) -> Parameters:
        """Return the tokens with their kinds, the kind wanted and the audience."""
        actor, wanted = self.actor_token, self.requested_token_type
        return (
            ("subject_token", self.subject_token.text),
            ("subject_token_type", self.subject_token_type),
            *(
                ()
                if actor is None
                else (("actor_token", actor.text), ("actor_token_type", self.actor_token_type))
            ),
            *(() if wanted is None else (("requested_token_type", wanted),)),
            *(("audience", name) for name in self.audience),
        )
