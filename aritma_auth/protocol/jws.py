"""
JSON Web Signatures: the algorithms, the public keys, and whether a key has signed.

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

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.optional import require
from aritma_auth.protocol.redaction import HiddenBytes, HiddenStr, JsonValue

MIN_RSA_BITS = 2048
"""Bits of an RSA modulus at least, ours and the server's (RFC 7518 §3.3, §3.5)."""

PUBLIC_MEMBERS = ("crv", "e", "kty", "n", "x", "y")
"""What makes a public key what it is (RFC 7638 §3.2)."""

KEY_MEMBERS = (*PUBLIC_MEMBERS, "d", "p", "q", "dp", "dq", "qi")
"""The same with its private half (RFC 7518 §6)."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")

KeyType = Literal["EC", "OKP", "RSA"]


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
    key_type: KeyType
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


def parse_algorithms(names: object, what: str = "algorithms") -> frozenset[str]:
    """
    Parse the algorithms that a caller accepts.

    Args:
        names: One name, or several.

        what: The argument, for the error.

    Raises:
        ConfigurationError: There is none, or one is unknown.

    Spec: RFC 8725 §3.1.
    """
    required = f"asymmetric algorithms, some of {', '.join(SIGNATURE_ALGORITHMS)}"
    if not isinstance(names, Iterable) or isinstance(names, bytes | bytearray):
        raise wrong_kind(what, required, names)
    algorithms = (names,) if isinstance(names, str) else tuple(names)
    # A tuple: what cannot be hashed is unknown too.
    unknown = [name for name in algorithms if name not in tuple(SIGNATURE_ALGORITHMS)]
    if unknown or not algorithms:
        found = f"{unknown[0]!r:.40}" if unknown else "none"
        raise ConfigurationError(f"{what} must be {required}, not {found}")
    return frozenset(algorithms)


def encode_base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def encode_json(members: Mapping[str, JsonValue]) -> HiddenStr:
    """Encode a JSON object as a part of a token (RFC 7515 §3.1)."""
    return HiddenStr(encode_base64url(json.dumps(members, separators=(",", ":")).encode()))


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


def extract_public_members(key: Mapping[str, object]) -> dict[str, str]:
    """
    Extract the members that make a public key what it is, in the order of their names.

    Args:
        key: A JSON Web Key.

    Returns:
        The members there are: those of an RSA, EC or OKP key are complete.

    Spec: RFC 7638 §3.2; RFC 8037 §2.
    """
    return {name: value for name in PUBLIC_MEMBERS if isinstance(value := key.get(name), str)}


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
    require("oidc", "joserfc")
    from joserfc import jwk, jws  # extra "oidc"

    signing_input, _, signature = token.rpartition(".")
    public: dict[str, str | list[str]] = {**extract_public_members(key)}
    try:
        known = jwk.import_key(public, SIGNATURE_ALGORITHMS[algorithm].key_type)
        verifier = jws.JWSRegistry.algorithms[find_implementation(algorithm)]
        return verifier.verify(signing_input.encode(), decode_base64url(signature), known)
    except Exception:  # noqa: BLE001 - one unusable key must not take its issuer down
        return False


def find_implementation(algorithm: str) -> str:
    """Find the name that joserfc has for an algorithm."""
    # joserfc warns of the name EdDSA, under which it also accepts Ed448.
    return "Ed25519" if algorithm == "EdDSA" else algorithm
