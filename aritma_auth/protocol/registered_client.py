"""
What a server has registered of a client, as the client keeps it.

Spec: RFC 7591 §3.2.1; RFC 7592 §3.
"""

from collections.abc import Mapping
from typing import Self

import attrs

from aritma_auth.errors import StoreError, wrong_kind
from aritma_auth.protocol.json_parameters import parse_members
from aritma_auth.protocol.kept_values import dump_value, parse_value
from aritma_auth.protocol.parameters import OPTIONAL_TEXT, OPTIONAL_TIME, require_text
from aritma_auth.protocol.redaction import (
    HiddenStr,
    JsonValue,
    Members,
    SecretText,
    as_optional_secret,
    require_secret,
)
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value


def _parse_registered(value: Mapping[str, JsonValue] | Members) -> Members:
    return parse_members(value, "metadata")


_OPTIONAL_SECRET = attrs.validators.optional(require_secret)


@with_hidden_arguments
@attrs.frozen(kw_only=True, eq=False, repr=False)
class RegisteredClient(Value):
    """
    A client that the server has registered, with what manages its registration.

    Keep `to_json` in a safe place after each call of `ClientRegistrar`: nobody can give a lost
    ``registration_access_token`` back.

    Attributes:
        client_id: The client's identifier.

        client_id_issued_at: When it was issued, in POSIX seconds, or None.

        client_secret_expires_at: When the secret ends, in POSIX seconds, or None for never, and if
            the server does not say.

        registration_client_uri: Where the registration is managed, or None if it is not.

        metadata: What the server has registered, which may differ from what was asked for.

    Spec: RFC 7591 §3.2.1; RFC 7592 §3.
    """

    client_id: str = attrs.field(validator=require_text)
    _client_secret: SecretText | None = attrs.field(
        default=None, converter=as_optional_secret, validator=_OPTIONAL_SECRET
    )
    client_id_issued_at: float | None = attrs.field(default=None, validator=OPTIONAL_TIME)
    client_secret_expires_at: float | None = attrs.field(default=None, validator=OPTIONAL_TIME)
    _registration_access_token: SecretText | None = attrs.field(
        default=None, converter=as_optional_secret, validator=_OPTIONAL_SECRET
    )
    registration_client_uri: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT)
    metadata: Members = attrs.field(factory=Members, converter=_parse_registered)

    @property
    def client_secret(self) -> str | None:
        """The client's secret, or None for a client with a key, a certificate or nothing."""
        return None if self._client_secret is None else self._client_secret.text

    @property
    def registration_access_token(self) -> str | None:
        """The token that manages the registration, or None if it is not managed."""
        token = self._registration_access_token
        return None if token is None else token.text

    def to_json(self) -> str:
        """Serialise it for the next start; it holds the secrets in clear."""
        return dump_value(
            {
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "client_id_issued_at": self.client_id_issued_at,
                "client_secret_expires_at": self.client_secret_expires_at,
                "registration_access_token": self.registration_access_token,
                "registration_client_uri": self.registration_client_uri,
                "metadata": dict(self.metadata.items()),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Deserialise what `to_json` wrote.

        Args:
            text: The JSON text.

        Raises:
            ConfigurationError: ``text`` is no string.

            StoreError: It holds no registration of this version. The message quotes nothing of it.
        """
        if not isinstance(text, str):
            problem = wrong_kind("text", "a string that to_json returned", text)
            del text
            raise problem
        # An error reporter may show this frame's locals.
        text = HiddenStr(text)
        client = parse_value(text, cls)
        if client is None:
            raise StoreError(
                "the text must be what RegisteredClient.to_json of this version wrote, and is not: "
                "restore it from a copy, or register anew"
            )
        return client
