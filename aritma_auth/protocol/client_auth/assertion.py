"""Client authentication by a signed assertion, made here or elsewhere."""

from typing import TYPE_CHECKING, ClassVar

import attrs

from aritma_auth.errors import ConfigurationError, require_instance
from aritma_auth.protocol.client_auth.base import (
    ClientAuth,
    ClientCredential,
    Proof,
    require_loaded,
)
from aritma_auth.protocol.credentials import (
    CredentialSource,
    as_key,
    as_source,
    load_signer,
    require_key,
    require_key_algorithm,
    require_source,
)
from aritma_auth.protocol.parameters import OPTIONAL_TEXT, require_bool, require_lifetime
from aritma_auth.protocol.redaction import JsonValue
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.protocol.signing import Signer
    from aritma_auth.protocol.unsigned_jwt import UnsignedJwt

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_TYP = "client-authentication+jwt"


def _require_one_audience(
    auth: "PrivateKeyJwt", field: "attrs.Attribute[bool]", value: object
) -> None:
    require_bool(auth, field, value)
    if value and auth.audience is not None:
        raise ConfigurationError(
            "audience must be left out with names_issuer: they exclude each other"
        )


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class PrivateKeyJwt(Value, ClientAuth):
    """
    A signed assertion instead of a secret; a key in this process needs the extra ``oidc``.

    Each request has an assertion of its own, since IdentityServer accepts each only once.

    Attributes:
        key: The private key: its text in PEM or as a JSON Web Key, a `Secret` that is read anew for
            each request, a `SigningKey`, or a `RemoteSigner` for a key that never leaves its place.

        algorithm: The signature algorithm of a key given as text or `Secret`; None takes the key's
            own, of an RSA key RS256. The other two know theirs.

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
    key_id: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT, kw_only=True)
    audience: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT, kw_only=True)
    names_issuer: bool = attrs.field(default=False, validator=_require_one_audience, kw_only=True)
    lifetime: int = attrs.field(default=60, validator=require_lifetime, kw_only=True)
    secret: CredentialSource | None = attrs.field(init=False, eq=False, repr=False)

    @secret.default
    def _find_secret(self) -> CredentialSource | None:
        return self.key if isinstance(self.key, CredentialSource) else None

    def build_assertion(self, credential: ClientCredential) -> "UnsignedJwt":
        """Build the assertion for one request, still to be signed."""
        # Imported here: a client with a secret does not load what signs.
        from aritma_auth.protocol.unsigned_jwt import UnsignedJwt

        signer = load_signer(self.key, credential.secret, self.algorithm, self.method)
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
    require_instance(field.name, "a string", value, str)
    text = str(value)
    if ":" not in text or " " in text or not text.isprintable():
        raise ConfigurationError(f"{field.name} must be a URI, such as {ASSERTION_TYPE}")


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class ClientAssertion(Value, ClientAuth):
    """
    An assertion that another party makes for this workload.

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
        assertion = require_loaded(credential, self.method)
        return Proof(
            (
                # The assertion's subject may be the platform's name of the workload.
                ("client_id", credential.client_id),
                ("client_assertion_type", self.type),
                ("client_assertion", assertion),
            )
        )
