"""
RSA signing keys, whose ids have the form that IdentityServer gives X.509 certificates.

IdentityServer signs with RS256 unless it is told otherwise; the FAPI profiles want PS256.
"""

import functools
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.identity.base64url import encode_base64url

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

FOREIGN = DECOY = -1
"""A key that never signs a valid token; it may be published as a decoy."""


ENCRYPTION_ALGORITHMS = ("RSA-OAEP", "RSA-OAEP-256")
CONTENT_ENCRYPTIONS = ("A128CBC-HS256", "A256GCM")
"""Of requests that are encrypted to the sandbox."""

_ENCRYPTION = -2
"""A key that never signs: requests may be encrypted to it."""


@attrs.frozen
class SigningKey:
    """
    A key that signs tokens.

    Attributes:
        kid: The thumbprint in forty upper-case hex digits, and the algorithm's name.

        x5t: The same thumbprint in base64url.

        private: The private key, in PEM.

        public: The public part, as a JSON Web Key.
    """

    kid: str
    x5t: str
    private: bytes = attrs.field(repr=False)
    public: dict[str, str] = attrs.field(repr=False)

    def sign(
        self, claims: dict[str, object], header: dict[str, object], signature: str = "good"
    ) -> str:
        """
        Sign a token, its header in the order of Aritma's sample.

        Source: Aritma's authentication page (Example Response); RFC 9068 §2.1.
        """
        is_asymmetric = signature in {"good", "foreign", "alternate"}
        algorithm = self.public["alg"] if is_asymmetric else signature
        if signature == "alternate":
            algorithm = "PS256" if algorithm == "RS256" else "RS256"
        own: dict[str, object] = {"alg": algorithm, "kid": self.kid, "typ": None, "x5t": self.x5t}
        members = {name: value for name, value in (own | header).items() if value is not None}
        if is_asymmetric:
            key = signing_key(FOREIGN) if signature == "foreign" else self
            return _sign_with_joserfc(members, claims, key.private)
        signed = f"{_encoded(members)}.{_encoded(claims)}"
        secret = json.dumps(self.public).encode()
        proof = hmac.digest(secret, signed.encode(), "sha256") if signature == "HS256" else b""
        return f"{signed}.{encode_base64url(proof)}"


def _sign_with_joserfc(
    members: dict[str, object], claims: dict[str, object], private: bytes
) -> str:
    from joserfc import jws  # extra "sandbox"

    payload = json.dumps(claims, separators=(",", ":"))
    return jws.serialize_compact(members, payload, _loaded(private), [str(members["alg"])])


@functools.cache
def _loaded(private: bytes) -> "RSAKey":
    """Import a private key once: importing takes a hundred times as long as signing."""
    from joserfc.jwk import RSAKey  # extra "sandbox"

    return RSAKey.import_key(private)


def _encoded(members: dict[str, object]) -> str:
    return encode_base64url(json.dumps(members, separators=(",", ":")).encode())


def signing_key(number: int, algorithm: str = "RS256") -> SigningKey:
    """
    Give the process's n-th key; all sandboxes share them, since generating one takes 0.1 s.

    Args:
        number: Which one.

        algorithm: ``RS256`` or ``PS256``.

    Raises:
        ConfigurationError: joserfc is not installed.
    """
    key = _generated(number)
    kid = f"{key.kid.removesuffix('RS256')}{algorithm}"
    return attrs.evolve(key, kid=kid, public=key.public | {"kid": kid, "alg": algorithm})


@functools.cache
def _generated(_number: int) -> SigningKey:
    try:
        from joserfc.jwk import RSAKey  # extra "sandbox"
    except ImportError:
        is_missing = True
    else:
        is_missing = False
    if is_missing:
        raise ConfigurationError('the sandbox needs joserfc: pip install "aritma-auth[sandbox]"')
    key = RSAKey.generate_key(2048, auto_kid=False)
    public = {name: str(value) for name, value in key.as_dict(private=False).items()}
    # There is no certificate: the key's own hash stands in for its thumbprint.
    thumbprint = hashlib.sha1(public["n"].encode(), usedforsecurity=False).digest()
    x5t = encode_base64url(thumbprint)
    kid = f"{thumbprint.hex().upper()}RS256"
    return SigningKey(
        kid,
        x5t,
        key.as_pem(private=True),
        {
            "kty": "RSA",
            "use": "sig",
            "kid": kid,
            "x5t": x5t,
            "e": public["e"],
            "n": public["n"],
            "alg": "RS256",
        },
    )


def encrypt(text: str, key: str) -> str:
    """
    Encrypt a signed token to a client.

    Args:
        text: The token.

        key: The client's public key, a JSON Web Key as text.

    Raises:
        ConfigurationError: It is no key to which a token can be encrypted.
    """
    from joserfc import jwe, jwk  # extra "sandbox"

    try:
        public = json.loads(key)
        algorithm = "RSA-OAEP" if public["kty"] == "RSA" else "ECDH-ES"
        header = {"alg": algorithm, "enc": "A256GCM", "cty": "JWT"}
        accepted = jwe.JWERegistry(algorithms=[algorithm, "A256GCM"])
        return jwe.encrypt_compact(header, text, jwk.import_key(public), registry=accepted)
    except Exception:  # noqa: BLE001, S110 - joserfc and cryptography raise many kinds
        pass
    raise ConfigurationError(
        "encryption_key must be a public RSA, EC or X25519 key, as a JSON Web Key"
    )


def encryption_key() -> dict[str, str]:
    """Give the key to which requests may be encrypted, as it is published."""
    public = signing_key(_ENCRYPTION).public
    return {"kty": "RSA", "use": "enc", "kid": "encryption", "n": public["n"], "e": public["e"]}


def decrypt(text: str) -> str:
    """
    Decrypt what was encrypted to that key.

    Args:
        text: The compact serialisation, of five parts.

    Returns:
        What is inside; empty if it is not for the key, or by another algorithm.
    """
    from joserfc import jwe  # extra "sandbox"

    accepted = jwe.JWERegistry(algorithms=[*ENCRYPTION_ALGORITHMS, *CONTENT_ENCRYPTIONS])
    try:
        private = _loaded(signing_key(_ENCRYPTION).private)
        plain = jwe.decrypt_compact(text, private, registry=accepted).plaintext
        return (plain or b"").decode()
    except Exception:  # noqa: BLE001 - joserfc and cryptography raise many kinds
        return ""
