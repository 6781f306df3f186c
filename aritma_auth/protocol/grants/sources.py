"""
What a grant has made or fetched anew for each request, so that it can be presented again.

A grant of this kind names where its assertion or token comes from: a `Secret`, another provider, or
a JWT that the client signs. Nothing here awaits: the client loads the sources and evolves the grant
into one that holds their texts.
"""

import json
from collections.abc import Mapping
from typing import Protocol, TypeAlias, final, runtime_checkable

import attrs

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.client_auth import ClientCredential
from aritma_auth.protocol.credentials import (
    CredentialSource,
    as_key,
    load_signer,
    require_key,
    require_key_algorithm,
)
from aritma_auth.protocol.json_parameters import parse_members
from aritma_auth.protocol.parameters import OPTIONAL_TEXT, require_lifetime
from aritma_auth.protocol.redaction import HiddenStr, JsonValue, Members, SecretText, as_secret
from aritma_auth.protocol.signing import Signer
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.unsigned_jwt import UnsignedJwt
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value

_TIMES = ("iat", "exp", "jti")


@runtime_checkable
class SubjectTokenSource(Protocol):
    """What gives the token that a grant presents; `aritma_auth.TokenProvider` is one."""

    async def get_token(self, min_ttl: float = 0.0, timeout: float | None = None) -> Token:
        """Give a token that works."""
        ...

    def report_rejected(self, token: Token) -> bool:
        """Report that a server rejected a token; tell whether a different one may be had."""
        ...

    def peek(self) -> Token | None:
        """Give the cached token if it is fresh."""
        ...

    def identity(self) -> str | None:
        """Return whose its tokens are: the same text for the same end-user; None if unknown."""
        ...


def _parse_header(value: Mapping[str, JsonValue] | Members) -> Members:
    header = parse_members(value, "header")
    fixed = [name for name in ("alg", "b64") if name in header]
    if fixed:
        # What it says must be how the key signs (RFC 7515 §4.1.1; RFC 7797 §7).
        raise ConfigurationError(f"header must not set {', '.join(fixed)}: the key decides it")
    for name in ("kid", "typ"):
        if not isinstance(header.get(name), str | None):
            raise wrong_kind(f"{name} in header", "a string", header.get(name))
    return header


def _parse_claims(value: Mapping[str, JsonValue] | Members) -> Members:
    claims = parse_members(value, "claims")
    fixed = [name for name in _TIMES if name in claims]
    if fixed:
        raise ConfigurationError(
            f"claims must not set {', '.join(fixed)}: each assertion has its own; use lifetime"
        )
    return claims


@final
@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class JwtAssertion(Value):
    """
    An assertion that the client signs, with times and an identifier of its own for each request.

    Attributes:
        key: The private key: its text in PEM or as a JSON Web Key, a `Secret` that is read anew for
            each request, a `SigningKey`, or a `RemoteSigner` for a key that never leaves its place.

        subject: For whom the token is to be, ``sub``; None means the client.

        issuer: Who says so, ``iss``; None means the client.

        audience: Whom the assertion is for, ``aud``; None means the server's issuer identifier.
            Some servers want their token endpoint's URL.

        claims: Further claims, such as Maskinporten's ``scope``, or others in place of the above.
            None leaves a claim out. They are never shown.

        header: Further members of the header, such as ``x5c`` or ``typ``.

        algorithm: The signature algorithm of a key given as text or `Secret`; None takes the key's
            own, of an RSA key RS256. The other two know theirs.

        key_id: The header's ``kid``; None takes that of the key, if it has one.

        lifetime: Seconds that an assertion is valid.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Spec: RFC 7523 §3; RFC 7521 §5.1.
    """

    key: "CredentialSource | Signer" = attrs.field(converter=as_key, validator=require_key)
    subject: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT)
    issuer: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT, kw_only=True)
    audience: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT, kw_only=True)
    claims: Members = attrs.field(default=Members(), converter=_parse_claims, kw_only=True)
    header: Members = attrs.field(default=Members(), converter=_parse_header, kw_only=True)
    algorithm: str | None = attrs.field(default=None, validator=require_key_algorithm, kw_only=True)
    key_id: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT, kw_only=True)
    lifetime: int = attrs.field(default=60, validator=require_lifetime, kw_only=True)

    def build(self, credential: ClientCredential) -> UnsignedJwt:
        """
        Build the assertion for one request, still to be signed.

        Args:
            credential: Names client, server, time and a fresh identifier; holds the key if that is
                a `Secret`.

        Raises:
            ConfigurationError: The key was not loaded, or does not fit the algorithm.
        """
        signer = load_signer(self.key, credential.secret, self.algorithm, "JwtAssertion")
        issued_at = int(credential.now)
        claims: dict[str, JsonValue] = {
            "iss": self.issuer or credential.client_id,
            "sub": self.subject or credential.client_id,
            "aud": self.audience or credential.issuer,
            "jti": credential.jti,
            "iat": issued_at,
            "exp": issued_at + int(self.lifetime),
            **dict(self.claims.items()),
        }
        header = dict(self.header.items())
        if self.key_id is not None:
            header["kid"] = self.key_id
        return UnsignedJwt(
            signer, {name: value for name, value in claims.items() if value is not None}, header
        )

    def identity(self) -> str:
        """Return what it says of whom: all but the key, the times and the identifier."""
        claims = dict(self.claims.items())
        return json.dumps([self.issuer, self.subject, self.audience, claims], sort_keys=True)


GrantSource: TypeAlias = CredentialSource | SubjectTokenSource | JwtAssertion


def as_text_or_source(value: "str | SecretText | GrantSource") -> "SecretText | GrantSource":
    """Wrap a text; a source stays as it is, and anything else is left to the validator."""
    return as_secret(value) if isinstance(value, str | SecretText) else value


def require_text_or_source(
    _grant: object, field: "attrs.Attribute[SecretText | GrantSource]", value: object
) -> None:
    """Require an attribute to be a secret text that is not empty, or a source of one."""
    if isinstance(value, SecretText):
        if not value.text:
            raise ConfigurationError(f"{field.name} must not be empty")
        return
    kinds = CredentialSource | SubjectTokenSource | JwtAssertion
    if isinstance(value, type) or not isinstance(value, kinds):
        problem = wrong_kind(
            field.name, "a string such as token.access_token, a Secret or a TokenProvider", value
        )
        # A traceback with local variables would show the value.
        del value
        raise problem


def text_of(value: "SecretText | GrantSource") -> HiddenStr:
    """Return the text, or an empty one while a source has not been loaded."""
    return value.text if isinstance(value, SecretText) else HiddenStr("")
