"""Client authentication by an assertion that the client secret signs: the secret never travels."""

import hmac
from typing import ClassVar

import attrs

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.client_auth.assertion import ASSERTION_TYPE
from aritma_auth.protocol.client_auth.base import ClientAuth, ClientCredential, Proof
from aritma_auth.protocol.credentials import CredentialSource, as_source, require_source
from aritma_auth.protocol.jws import encode_base64url, encode_json
from aritma_auth.protocol.parameters import OPTIONAL_TEXT, require_lifetime
from aritma_auth.protocol.redaction import HiddenStr, JsonValue
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value

_DIGESTS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_MIN_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}


def _require_algorithm(_auth: object, field: "attrs.Attribute[str]", value: object) -> None:
    known = ", ".join(_DIGESTS)
    if not isinstance(value, str):
        raise wrong_kind(field.name, f"one of {known}", value)
    if value not in _DIGESTS:
        raise ConfigurationError(f"{field.name} must be one of {known}, not {value!r:.40}")


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class ClientSecretJwt(Value, ClientAuth):
    """
    An assertion that the client secret signs.

    The secret does not travel, and a proxy's log holds nothing that counts a second time. A key
    pair is better where the server takes one: `PrivateKeyJwt`.

    Attributes:
        secret: The secret, or where it comes from; at least as many bytes as the hash has.

        algorithm: ``HS256``, ``HS384`` or ``HS512``, as registered.

        audience: Whom the assertion is for; None means the token endpoint's URL.

        lifetime: Seconds that an assertion is valid.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Spec: OpenID Connect Core 1.0 §9; RFC 7523 §2.2, §3; RFC 7518 §3.2.
    """

    method: ClassVar[str] = "client_secret_jwt"
    secret: CredentialSource = attrs.field(converter=as_source, validator=require_source)
    algorithm: str = attrs.field(default="HS256", validator=_require_algorithm, kw_only=True)
    audience: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT, kw_only=True)
    lifetime: int = attrs.field(default=60, validator=require_lifetime, kw_only=True)

    def prove(self, credential: ClientCredential) -> Proof:
        """Sign an assertion for one request."""
        if credential.secret is None:
            raise ConfigurationError("client_secret_jwt needs a secret, but none was loaded")
        issued_at = int(credential.now)
        claims: dict[str, JsonValue] = {
            "iss": credential.client_id,
            "sub": credential.client_id,
            "aud": self.audience or credential.token_endpoint,
            "jti": credential.jti,
            "iat": issued_at,
            "exp": issued_at + int(self.lifetime),
        }
        header: dict[str, JsonValue] = {"alg": self.algorithm, "typ": "JWT"}
        signed = HiddenStr(f"{encode_json(header)}.{encode_json(claims)}")
        assertion = HiddenStr(f"{signed}.{self._sign(signed, credential.secret.text)}")
        return Proof((("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)))

    def _sign(self, signing_input: HiddenStr, secret: HiddenStr) -> str:
        size, least = len(secret.encode()), _MIN_BYTES[self.algorithm]
        if size < least:
            raise ConfigurationError(
                f"secret must have at least {least} bytes to sign with {self.algorithm} (RFC 7518 "
                f"§3.2), not {size}: let the server make a longer one"
            )
        digest = _DIGESTS[self.algorithm]
        return encode_base64url(hmac.digest(secret.encode(), signing_input.encode(), digest))
