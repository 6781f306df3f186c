"""JSON Web Signatures; the only module that knows joserfc (extra ``oidc``)."""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256, sha384, sha512
from typing import Literal, Protocol

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.redaction import HiddenStr, JsonValue, SecretText

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")


def encode_base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def decode_base64url(text: str) -> bytes:
    """
    Decode strictly.

    Python's own decoder skips what it does not know, so that one signature would have many
    spellings.

    Args:
        text: Without padding.

    Raises:
        ValueError: A foreign character, padding, or bits beyond the last byte.

    Spec: RFC 7515 §2; RFC 4648 §3.5.
    """
    if _ALPHABET.fullmatch(text) is not None and len(text) % 4 != 1:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if encode_base64url(data) == text:
            return data
    raise ValueError("the text is not base64url")


class _Hash(Protocol):
    def digest(self) -> bytes: ...


@attrs.frozen
class SignatureAlgorithm:
    """
    One algorithm of JSON Web Signatures; all of them are asymmetric.

    Attributes:
        name: Its ``alg``.

        key_type: The ``kty`` of its keys.

        digest: The hash that ID tokens signed with it bind their neighbours by.

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
        # Two names of one: RFC 9864 says which curve the older one means.
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
"""The algorithms by name. A shared secret signs nothing here, and ``none`` is no algorithm."""


def parse_algorithms(names: str | Iterable[str]) -> frozenset[str]:
    """
    Read the algorithms that a caller accepts.

    Args:
        names: One name, or several.

    Raises:
        ConfigurationError: There is none, or one is not known.

    Spec: RFC 8725 §3.1.
    """
    algorithms = frozenset((names,) if isinstance(names, str) else names)
    if not algorithms or not algorithms <= SIGNATURE_ALGORITHMS.keys():
        known = ", ".join(SIGNATURE_ALGORITHMS)
        raise ConfigurationError(f"accept asymmetric signature algorithms, some of {known}")
    return algorithms


_PUBLIC = ("kty", "n", "e", "crv", "x", "y")


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
        ConfigurationError: joserfc is missing, the key is none, or it does not fit the algorithm.

    Spec: RFC 7515 §3.1, RFC 7519 §7.1.
    """
    header = {"alg": algorithm, "typ": "JWT"} | ({} if key_id is None else {"kid": key_id})
    signing_input = HiddenStr(".".join(map(_encode, (header, dict(claims)))))
    try:
        from joserfc import jwk, jws  # noqa: PLC0415 - extra "oidc"

        value = json.loads(key.text) if key.text.lstrip().startswith("{") else key.text
        private = jwk.import_key(value, SIGNATURE_ALGORITHMS[algorithm].key_type)
        if not private.is_private:
            raise ValueError  # noqa: TRY301 - told below, like all that is wrong with a key
        signer = jws.JWSRegistry.algorithms[_implementation(algorithm)]
        signer.check_key(private)
        signature = signer.sign(signing_input.encode(), private)
        return HiddenStr(f"{signing_input}.{encode_base64url(signature)}")
    except ImportError:
        problem = 'signing needs joserfc: pip install "aritma-auth[oidc]"'
    except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds
        problem = f"the key cannot sign with {algorithm} ({type(error).__name__}): check the key"
    # Outside the except block: the caught error may hold the key.
    raise ConfigurationError(problem)


def require_joserfc() -> None:
    """
    Say at once that signatures cannot be checked, before a person signs in for nothing.

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
            'checking signatures needs joserfc: pip install "aritma-auth[oidc]"'
        )


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
        name: value for name in _PUBLIC if isinstance(value := key.get(name), str)
    }
    try:
        known = jwk.import_key(public, SIGNATURE_ALGORITHMS[algorithm].key_type)
        verifier = jws.JWSRegistry.algorithms[_implementation(algorithm)]
        return verifier.verify(signing_input.encode(), decode_base64url(signature), known)
    except Exception:  # noqa: BLE001 - one bad key must not take its issuer down
        return False


def _implementation(algorithm: str) -> str:
    # joserfc warns of the older name, under which it takes other curves too.
    return "Ed25519" if algorithm == "EdDSA" else algorithm


def _encode(members: object) -> HiddenStr:
    return HiddenStr(encode_base64url(json.dumps(members, separators=(",", ":")).encode()))
