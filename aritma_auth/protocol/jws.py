"""
JSON Web Signatures: the algorithms, signing and checking; the only module that knows joserfc.

joserfc comes with the extra ``oidc`` and is imported when something is signed or verified. Its
primitives are used and not its token functions: which key and which algorithm may verify a token
is decided in `aritma_auth.protocol.jwt`, from the issuer's key set and never from the token.

Spec: RFC 7515; RFC 7518.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256, sha384, sha512
from typing import Literal, Protocol

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.redaction import HiddenBytes, HiddenStr, JsonValue, SecretText

MIN_RSA_BITS = 2048
"""Bits of an RSA modulus at least, ours and the server's (RFC 7518 §3.3, §3.5)."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_PUBLIC_MEMBERS = ("kty", "n", "e", "crv", "x", "y")


class _Hash(Protocol):
    def digest(self) -> bytes: ...


@attrs.frozen
class SignatureAlgorithm:
    """
    One algorithm of JSON Web Signatures; all of them are asymmetric.

    Attributes:
        name: Its ``alg``.

        key_type: The ``kty`` of its keys.

        digest: The hash by which an ID token signed with it binds the code and the access token.

        curve: The ``crv`` of its keys, or None.

    Spec: RFC 7518 §3.1; RFC 8037 §3.1; RFC 9864 §2.2; OpenID Connect Core 1.0 §3.1.3.6.
    """

    name: str
    key_type: Literal["EC", "OKP", "RSA"]
    digest: Callable[[bytes], _Hash]
    curve: str | None = None


SIGNATURE_ALGORITHMS: Mapping[str, SignatureAlgorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        SignatureAlgorithm("ES256", "EC", sha256, "P-256"),
        SignatureAlgorithm("ES384", "EC", sha384, "P-384"),
        SignatureAlgorithm("ES512", "EC", sha512, "P-521"),
        # EdDSA is deprecated; accepted for Ed25519 only (RFC 9864 §2.2).
        SignatureAlgorithm("Ed25519", "OKP", sha512, "Ed25519"),
        SignatureAlgorithm("EdDSA", "OKP", sha512, "Ed25519"),
        SignatureAlgorithm("PS256", "RSA", sha256),
        SignatureAlgorithm("PS384", "RSA", sha384),
        SignatureAlgorithm("PS512", "RSA", sha512),
        SignatureAlgorithm("RS256", "RSA", sha256),
        SignatureAlgorithm("RS384", "RSA", sha384),
        SignatureAlgorithm("RS512", "RSA", sha512),
    )
}
"""The algorithms by name. None of them has a shared key, and ``none`` is not among them."""


def parse_algorithms(names: str | Iterable[str]) -> frozenset[str]:
    """
    Parse the algorithms that a caller accepts.

    Args:
        names: One name, or several.

    Raises:
        ConfigurationError: There is none, or one is unknown.

    Spec: RFC 8725 §3.1.
    """
    algorithms = frozenset((names,) if isinstance(names, str) else names)
    if not algorithms or not algorithms <= SIGNATURE_ALGORITHMS.keys():
        known = ", ".join(SIGNATURE_ALGORITHMS)
        raise ConfigurationError(f"algorithms must be asymmetric ones, some of {known}")
    return algorithms


def encode_base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def decode_base64url(text: str) -> HiddenBytes:
    """
    Decode strictly: of each value exactly one encoding is accepted.

    Python's own decoder skips unknown characters and ignores spare bits, so that one signature
    would have many encodings.

    Args:
        text: Without padding.

    Raises:
        ValueError: A character outside the alphabet, padding, or bits beyond the last byte.

    Spec: RFC 7515 §2; RFC 4648 §3.5.
    """
    if _BASE64URL.fullmatch(text) is not None and len(text) % 4 != 1:
        data = HiddenBytes(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if encode_base64url(data) == text:
            return data
    raise ValueError("the text is not base64url")


def require_joserfc() -> None:
    """
    Require the extra that verifies signatures, before an end-user signs in for nothing.

    Raises:
        ConfigurationError: joserfc is missing.
    """
    try:
        import joserfc  # noqa: F401, PLC0415 - extra "oidc"
    except ImportError:
        is_missing = True
    else:
        is_missing = False
    if is_missing:
        raise ConfigurationError(
            'verifying signatures needs joserfc: pip install "aritma-auth[oidc]"'
        )


def sign_jwt(
    claims: Mapping[str, JsonValue], key: SecretText, *, algorithm: str, key_id: str | None = None
) -> HiddenStr:
    """
    Sign claims as a compact JWT.

    Args:
        claims: The payload.

        key: A private key, in PEM or as a JSON Web Key.

        algorithm: One of `SIGNATURE_ALGORITHMS` that fits the key.

        key_id: The header's ``kid``, if the server wants one.

    Raises:
        ConfigurationError: joserfc is missing, or the key is not private, does not fit the
            algorithm, or is an RSA key of fewer than 2048 bits.

    Spec: RFC 7515 §3.1, RFC 7519 §7.1; RFC 7518 §3.3, §3.5.
    """
    header = {"alg": algorithm, "typ": "JWT"} | ({} if key_id is None else {"kid": key_id})
    signing_input = HiddenStr(".".join(map(_encode, (header, dict(claims)))))
    signature = _sign(signing_input.encode(), key, algorithm)
    if isinstance(signature, str):
        raise ConfigurationError(signature)
    return HiddenStr(f"{signing_input}.{encode_base64url(signature)}")


def _sign(signing_input: bytes, key: SecretText, algorithm: str) -> bytes | str:
    """Return the signature, or the problem: a traceback through this frame would show the key."""
    try:
        from joserfc import jwk, jws  # noqa: PLC0415 - extra "oidc"

        value = json.loads(key.text) if key.text.lstrip().startswith("{") else key.text
        key_type = SIGNATURE_ALGORITHMS[algorithm].key_type
        bits = _count_rsa_bits(value) if key_type == "RSA" else None
        if bits is not None and bits < MIN_RSA_BITS:
            return (
                f"the RSA key must have at least {MIN_RSA_BITS} bits, not {bits}: "
                "generate a new one and register it (RFC 7518 §3.3)"
            )
        private = jwk.import_key(value, key_type)
        if not private.is_private:
            return f"the key must be private to sign with {algorithm}, not public: check the key"
        signer = jws.JWSRegistry.algorithms[_implementation(algorithm)]
        signer.check_key(private)
        return signer.sign(signing_input, private)
    except ImportError:
        return 'signing needs joserfc: pip install "aritma-auth[oidc]"'
    except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds
        return (
            f"the key must be one that signs with {algorithm}, in PEM or as a JSON Web Key "
            f"({type(error).__name__}): check the key"
        )


def _count_rsa_bits(key: str | dict[str, JsonValue]) -> int | None:
    """Count the bits before joserfc imports the key, which warns; None if it is no RSA key."""
    if isinstance(key, dict):
        return count_modulus_bits(key) if key.get("kty") == "RSA" else None
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - as joserfc does
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    if "PRIVATE KEY" not in key:
        return None
    loaded = load_pem_private_key(key.encode(), None, unsafe_skip_rsa_key_validation=True)
    return loaded.key_size if isinstance(loaded, rsa.RSAPrivateKey) else None


def count_modulus_bits(key: Mapping[str, JsonValue]) -> int:
    """
    Count the bits of an RSA key's modulus.

    Args:
        key: A JSON Web Key.

    Returns:
        0 if it has no modulus.
    """
    modulus = key.get("n")
    try:
        number = decode_base64url(modulus) if isinstance(modulus, str) else b""
    except ValueError:
        return 0
    return int.from_bytes(number).bit_length()


def is_signed_by(token: str, key: Mapping[str, JsonValue], algorithm: str) -> bool:
    """
    Tell whether a public key has signed a compact JWT.

    Args:
        token: The compact serialisation.

        key: A JSON Web Key of the algorithm's kind and curve.

        algorithm: The one algorithm that counts, one of `SIGNATURE_ALGORITHMS`.

    Raises:
        ConfigurationError: joserfc is missing.

    Spec: RFC 7515 §5.2.
    """
    require_joserfc()
    from joserfc import jwk, jws  # noqa: PLC0415 - extra "oidc"

    signing_input, _, signature = token.rpartition(".")
    public: dict[str, str | list[str]] = {
        name: value for name in _PUBLIC_MEMBERS if isinstance(value := key.get(name), str)
    }
    try:
        known = jwk.import_key(public, SIGNATURE_ALGORITHMS[algorithm].key_type)
        verifier = jws.JWSRegistry.algorithms[_implementation(algorithm)]
        return verifier.verify(signing_input.encode(), decode_base64url(signature), known)
    except Exception:  # noqa: BLE001 - one unusable key must not take its issuer down
        return False


def _implementation(algorithm: str) -> str:
    # joserfc warns of the name EdDSA, under which it also accepts Ed448.
    return "Ed25519" if algorithm == "EdDSA" else algorithm


def _encode(members: object) -> HiddenStr:
    return HiddenStr(encode_base64url(json.dumps(members, separators=(",", ":")).encode()))
