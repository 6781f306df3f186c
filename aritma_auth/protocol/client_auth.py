"""
Client authentication at the token endpoint, by the names of the IANA registry.

A method is a frozen value. What it needs for one request, its secret above all, is loaded outside
and handed in as a `ClientCredential`, so that nothing here awaits.
"""

import secrets
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import attrs

from aritma_auth.errors import ConfigurationError, require_seconds, wrong_kind
from aritma_auth.protocol.credentials import (
    CredentialSource,
    PlainSecret,
    as_key,
    as_source,
    require_key,
    require_key_algorithm,
    require_source,
)
from aritma_auth.protocol.http_messages import Parameters, form_encode
from aritma_auth.protocol.redaction import HiddenStr, JsonValue, SecretText
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.protocol.signing import Signer, UnsignedJwt

__all__ = [
    "ClientAssertion",
    "ClientAuth",
    "ClientCredential",
    "ClientSecretBasic",
    "ClientSecretPost",
    "CredentialSource",
    "NoClientAuth",
    "PlainSecret",
    "PrivateKeyJwt",
    "Proof",
    "SelfSignedTlsClientAuth",
    "TlsClientAuth",
    "generate_jti",
]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_TYP = "client-authentication+jwt"


@attrs.frozen(eq=False, repr=False)
class ClientCredential(Value):
    """
    What authenticates one request.

    Attributes:
        client_id: The client's identifier.

        secret: The loaded secret or private key, or None for methods without one.

        token_endpoint: Absolute URL that the request goes to.

        issuer: The authorization server's issuer identifier.

        now: POSIX seconds by the server's clock, as well as we know it.

        jti: A fresh identifier for an assertion, as `generate_jti` makes it.

        assertion: What `ClientAuth.build_assertion` gave, signed; or None.
    """

    client_id: str
    secret: SecretText | None = None
    token_endpoint: str = ""
    issuer: str = ""
    now: float = 0.0
    jti: str = ""
    assertion: HiddenStr | None = attrs.field(default=None, repr=False)


def generate_jti() -> str:
    """Generate an identifier for one assertion: 128 random bits."""
    return secrets.token_urlsafe(16)


@attrs.frozen(eq=False, repr=False)
class Proof(Value):
    """Parameters and header fields that authenticate the client; their values never show."""

    parameters: Parameters = attrs.field(default=(), repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)


class ClientAuth(ABC):
    """
    One way for a client to authenticate.

    Attributes:
        method: Its name in the IANA registry of token endpoint authentication methods.

        secret: Where its secret comes from, or None if it has none.

        thumbprint: Of the key that its tokens are bound to; empty for bearer tokens.
    """

    method: ClassVar[str]
    secret: CredentialSource | None = None
    thumbprint: str = ""

    def build_assertion(self, credential: ClientCredential) -> "UnsignedJwt | None":
        """Return what must be signed for one request before `prove`; None if nothing must."""
        del credential
        return None

    @abstractmethod
    def prove(self, credential: ClientCredential) -> Proof:
        """Return the proof for one request."""


@attrs.frozen(eq=False, repr=False)
class ClientSecretPost(Value, ClientAuth):
    """
    The secret in the form, as every sample of Aritma sends it.

    Attributes:
        secret: The secret, or where it comes from.

    Raises:
        ConfigurationError: ``secret`` is neither a string nor a `Secret`.

    Spec: RFC 6749 §2.3.1; Aritma's authentication page.
    """

    method: ClassVar[str] = "client_secret_post"
    secret: CredentialSource = attrs.field(converter=as_source, validator=require_source)

    def prove(self, credential: ClientCredential) -> Proof:
        """Put id and secret into the form."""
        secret = _require_loaded(credential, self.method)
        return Proof((("client_id", credential.client_id), ("client_secret", secret)))


@attrs.frozen(eq=False, repr=False)
class ClientSecretBasic(Value, ClientAuth):
    """
    The secret in the ``Authorization`` header.

    Attributes:
        secret: The secret, or where it comes from.

        is_form_encoded: Id and secret are form-encoded before base64, as RFC 6749 demands and
            IdentityServer undoes. False is for servers that take them as they come.

    Raises:
        ConfigurationError: ``secret`` is neither a string nor a `Secret`; or the client id holds a
            colon and must not be encoded.

    Spec: RFC 6749 §2.3.1; RFC 7617 §2.
    """

    method: ClassVar[str] = "client_secret_basic"
    secret: CredentialSource = attrs.field(converter=as_source, validator=require_source)
    is_form_encoded: bool = attrs.field(default=True, kw_only=True)

    def prove(self, credential: ClientCredential) -> Proof:
        """Put id and secret into the header."""
        name, secret = credential.client_id, _require_loaded(credential, self.method)
        if self.is_form_encoded:
            name, secret = form_encode(name), form_encode(secret)
        elif ":" in name:
            raise ConfigurationError(
                "the client id must not hold a colon unless it is form-encoded (RFC 7617 §2)"
            )
        pair = HiddenStr(f"{name}:{secret}")
        return Proof(
            headers={"Authorization": HiddenStr(f"Basic {b64encode(pair.encode()).decode()}")}
        )


def _require_text(_auth: object, field: "attrs.Attribute[str]", value: object) -> None:
    if not isinstance(value, str):
        raise wrong_kind(field.name, "a string", value)


def _require_lifetime(_auth: object, field: "attrs.Attribute[int]", value: object) -> None:
    require_seconds(field.name, value, above_zero=True)


def _require_one_audience(
    auth: "PrivateKeyJwt", field: "attrs.Attribute[bool]", value: object
) -> None:
    if not isinstance(value, bool):
        raise wrong_kind(field.name, "True or False", value)
    if value and auth.audience is not None:
        raise ConfigurationError("names_issuer and audience exclude each other: give one of them")


@attrs.frozen(eq=False, repr=False)
class PrivateKeyJwt(Value, ClientAuth):
    """
    A signed assertion instead of a secret; a key in this process needs the extra ``oidc``.

    Each request has an assertion of its own, since IdentityServer accepts each only once.

    Attributes:
        key: The private key: its text in PEM or as a JSON Web Key, a `Secret` that is read anew for
            each request, a `SigningKey`, or a `RemoteSigner` for a key that never leaves its place.

        algorithm: The signature algorithm of a key given as text or `Secret`, RS256 by default. The
            other two know theirs.

        key_id: The header's ``kid``; None takes that of the key, if it has one.

        audience: Whom the assertion is for; None means the token endpoint's URL, which every
            IdentityServer accepts.

        names_issuer: The assertion is for the issuer alone, and is typed
            ``client-authentication+jwt``: so no other server can be fooled into taking it.

        lifetime: Seconds that an assertion is valid.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Spec: OpenID Connect Core 1.0 §9; RFC 7523 §2.2, §3; draft-ietf-oauth-rfc7523bis §4; FAPI 2.0
    §5.3.2.1; Aritma ID's page on client assertions.
    """

    method: ClassVar[str] = "private_key_jwt"
    key: "CredentialSource | Signer" = attrs.field(converter=as_key, validator=require_key)
    algorithm: str | None = attrs.field(default=None, validator=require_key_algorithm, kw_only=True)
    key_id: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(_require_text), kw_only=True
    )
    audience: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(_require_text), kw_only=True
    )
    names_issuer: bool = attrs.field(default=False, validator=_require_one_audience, kw_only=True)
    lifetime: int = attrs.field(default=60, validator=_require_lifetime, kw_only=True)
    secret: CredentialSource | None = attrs.field(init=False, eq=False, repr=False)

    @secret.default
    def _find_secret(self) -> CredentialSource | None:
        return self.key if isinstance(self.key, CredentialSource) else None

    def build_assertion(self, credential: ClientCredential) -> "UnsignedJwt":
        """Build the assertion for one request, still to be signed."""
        # Imported here: a client with a secret does not load what signs.
        from aritma_auth.protocol.signing import SigningKey, UnsignedJwt  # noqa: PLC0415

        signer = self.key
        if isinstance(signer, CredentialSource):
            if credential.secret is None:
                raise ConfigurationError("private_key_jwt needs a private key, but none was loaded")
            signer = SigningKey(credential.secret, algorithm=self.algorithm or "RS256")
        issued_at = int(credential.now)
        addressee = credential.issuer if self.names_issuer else credential.token_endpoint
        header: dict[str, JsonValue] = {"typ": _ASSERTION_TYP} if self.names_issuer else {}
        claims: dict[str, JsonValue] = {
            "iss": credential.client_id,
            "sub": credential.client_id,
            "aud": self.audience or addressee,
            "jti": credential.jti,
            "iat": issued_at,
            "exp": issued_at + int(self.lifetime),
        }
        if self.key_id is not None:
            header["kid"] = self.key_id
        return UnsignedJwt(signer, claims, header)

    def prove(self, credential: ClientCredential) -> Proof:
        """Put the assertion into the form, signed now if it is not yet."""
        assertion = credential.assertion
        if assertion is None:
            assertion = self.build_assertion(credential).sign()
        return Proof((("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)))


def _require_urn(_auth: object, field: "attrs.Attribute[str]", value: object) -> None:
    _require_text(_auth, field, value)
    if ":" not in str(value):
        raise ConfigurationError(f"{field.name} must be a URI, such as {ASSERTION_TYPE}")


@attrs.frozen(eq=False, repr=False)
class ClientAssertion(Value, ClientAuth):
    """
    An assertion that somebody else makes for this workload.

    A platform knows its workloads: it hands each a short-lived token, and the authorization server
    is told to take that instead of a secret. The source is asked anew for each request.

    Attributes:
        secret: Where the assertion comes from: ``Secret.from_file`` for a token that the platform
            keeps fresh in a file, ``Secret.from_callable`` for one that is asked for.

        type: Its ``client_assertion_type``: a JWT as RFC 7523 has it, unless the platform's own.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Spec: RFC 7521 §4.2; RFC 7523 §2.2; draft-ietf-oauth-spiffe-client-auth.
    """

    method: ClassVar[str] = "client_assertion"
    secret: CredentialSource = attrs.field(converter=as_source, validator=require_source)
    type: str = attrs.field(default=ASSERTION_TYPE, validator=_require_urn, kw_only=True)

    def prove(self, credential: ClientCredential) -> Proof:
        """Put the assertion into the form, beside the client's id."""
        assertion = _require_loaded(credential, self.method)
        return Proof(
            (
                # The assertion's subject may be the platform's name of the workload.
                ("client_id", credential.client_id),
                ("client_assertion_type", self.type),
                ("client_assertion", assertion),
            )
        )


def _require_certificate(_auth: object, field: "attrs.Attribute[object]", value: object) -> None:
    # The pure rooms do not import ssl: a context is what can wrap a socket.
    context = getattr(value, "ssl_context", value)
    if isinstance(value, type) or not callable(getattr(context, "wrap_bio", None)):
        raise wrong_kind(
            field.name, "a ClientCertificate, or an ssl.SSLContext with one loaded", value
        )


@attrs.frozen(eq=False, repr=False)
class TlsClientAuth(Value, ClientAuth):
    """
    A client certificate of an authority that the server trusts, instead of a secret.

    Attributes:
        certificate: A `ClientCertificate`, or an ``ssl.SSLContext`` with the certificate loaded.

        thumbprint: The certificate's, to keep its tokens apart in a store: those of one certificate
            are then never used by another. Leave it out if certificates are renewed: a token of the
            one before is refreshed when an API refuses it, and a sign-in outlives the renewal.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Spec: RFC 8705 §2.1, §3.1.
    """

    method: ClassVar[str] = "tls_client_auth"
    certificate: object = attrs.field(repr=False, validator=_require_certificate)
    thumbprint: str = attrs.field(default="", validator=_require_text)
    secret: CredentialSource | None = attrs.field(init=False, eq=False, repr=False)

    @secret.default
    def _find_files(self) -> CredentialSource | None:
        return self.certificate if isinstance(self.certificate, CredentialSource) else None

    @property
    def ssl_context(self) -> object:
        """The ``ssl.SSLContext`` for the next connection."""
        return getattr(self.certificate, "ssl_context", self.certificate)

    def prove(self, credential: ClientCredential) -> Proof:
        """Name the client; the connection carries the certificate (RFC 8705 §2)."""
        return Proof((("client_id", credential.client_id),))


@attrs.frozen(eq=False, repr=False)
class SelfSignedTlsClientAuth(TlsClientAuth):
    """
    A client certificate that the server knows itself, by ``jwks`` or ``jwks_uri``.

    Attributes:
        certificate: A `ClientCertificate`, or an ``ssl.SSLContext`` with the certificate loaded.

        thumbprint: The certificate's, as for `TlsClientAuth`.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Spec: RFC 8705 §2.2.
    """

    method: ClassVar[str] = "self_signed_tls_client_auth"


@attrs.frozen(eq=False, repr=False)
class NoClientAuth(Value, ClientAuth):
    """
    A public client: it names itself and proves nothing.

    Spec: RFC 6749 §2.1, §3.2.1.
    """

    method: ClassVar[str] = "none"

    def prove(self, credential: ClientCredential) -> Proof:
        """Name the client."""
        return Proof((("client_id", credential.client_id),))


def _require_loaded(credential: ClientCredential, method: str) -> HiddenStr:
    if credential.secret is None:
        raise ConfigurationError(f"{method} needs a secret, but none was loaded")
    return credential.secret.text
