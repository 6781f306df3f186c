"""
Private keys, from PEM or a JSON Web Key: imported once, and never shown.

What joserfc and cryptography raise leaves this module as text: a traceback would show the key.

Spec: RFC 7517; RFC 7518 §3.3, §3.5; RFC 8037; RFC 5958.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, final

from aritma_auth.protocol.jws import (
    KEY_MEMBERS,
    MIN_RSA_BITS,
    SIGNATURE_ALGORITHMS,
    KeyType,
    count_modulus_bits,
    extract_public_members,
    find_implementation,
)
from aritma_auth.protocol.redaction import JsonValue, SecretText

if TYPE_CHECKING:
    from joserfc.jwk import Key

_USUAL = {
    None: "PS256",
    "P-256": "ES256",
    "P-384": "ES384",
    "P-521": "ES512",
    # Its name in the metadata of today's servers; RFC 9864 calls it Ed25519.
    "Ed25519": "EdDSA",
}
"""What a key of a curve, or an RSA key, signs with if nothing else is said."""


class _Implementation(Protocol):
    def sign(self, msg: bytes, key: Any, /) -> bytes: ...


@final
class PrivateKey:
    """
    A private key that was read once and signs many times; it shows nothing.

    Attributes:
        algorithm: The one algorithm that it signs with.

        key_id: The ``kid`` that a JSON Web Key brought along, or None.

        public_jwk: The members of its public half that RFC 7638 §3.2 names, in their order.
    """

    __slots__ = ("_key", "_signer", "algorithm", "key_id", "public_jwk")

    def __init__(
        self, key: "Key", signer: "_Implementation", algorithm: str, key_id: str | None
    ) -> None:
        self._key, self._signer = key, signer
        self.algorithm, self.key_id = algorithm, key_id
        self.public_jwk = extract_public_members(key.as_dict(private=False))

    def sign(self, signing_input: bytes) -> bytes | str:
        """Return the signature, or the problem: a traceback through joserfc would show the key."""
        try:
            return self._signer.sign(signing_input, self._key)
        except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds
            return _describe_wrong_key(self.algorithm, error)

    def to_jwk(self) -> SecretText:
        """Write the key as a JSON Web Key with its private members."""
        # The key's own members: kid and the rest are for its owner.
        members = self._key.as_dict(private=True)
        return SecretText(json.dumps({k: members[k] for k in KEY_MEMBERS if k in members}))

    def __repr__(self) -> str:
        return "<PrivateKey ***>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not pickled: keep it in PEM or as a JSON Web Key")


def import_private_key(key: SecretText, algorithm: str | None) -> PrivateKey | str:
    """
    Import a private key.

    Args:
        key: In PEM or as a JSON Web Key.

        algorithm: One of `SIGNATURE_ALGORITHMS`; None takes the key's ``alg``, or what its kind
            and curve are used with: ES256, ES384, ES512, EdDSA or PS256.

    Returns:
        The key, or the problem: a traceback through this frame would show the key.

    Spec: RFC 7518 §3.3, §3.5; RFC 8037; RFC 5958.
    """
    try:
        return _import(key, algorithm)
    except _UnusableKeyError as problem:
        return str(problem)
    except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds
        return _describe_wrong_key(algorithm, error)


class _UnusableKeyError(Exception):
    """What a key must be and is not; it leaves this module as text."""


def _import(key: SecretText, algorithm: str | None) -> PrivateKey:
    from joserfc import jwk, jws  # extra "oidc"

    value = _parse(key)
    key_type, bits = _inspect_pem(value) if isinstance(value, str) else _inspect_web_key(value)
    if bits is not None and bits < MIN_RSA_BITS:
        raise _UnusableKeyError(
            f"the RSA key must have at least {MIN_RSA_BITS} bits, not {bits} (RFC 7518 §3.3): "
            "generate a new one and register it"
        )
    private = jwk.import_key(value, key_type)
    if not private.is_private:
        raise _UnusableKeyError("the key must be private to sign, not public: give that half")
    members: Mapping[str, object] = private.as_dict(private=False)
    name, kid = _choose_algorithm(members, key_type, algorithm), members.get("kid")
    signer = jws.JWSRegistry.algorithms[find_implementation(name)]
    signer.check_key(private)
    return PrivateKey(private, signer, name, kid if isinstance(kid, str) else None)


def _parse(key: SecretText) -> str | dict[str, Any]:
    if key.text.lstrip().startswith("{"):
        web_key: dict[str, Any] = json.loads(key.text)
        return web_key
    if "PRIVATE KEY" not in key.text:
        raise _UnusableKeyError(
            f"the key must be a private key, in PEM or as a JSON Web Key; it is {_name_pem(key)}"
        )
    if "ENCRYPTED" in key.text:
        raise _UnusableKeyError(
            "the key must not be encrypted: take the password off (openssl pkey), and keep the "
            "file as a secret"
        )
    return key.text


def _choose_algorithm(
    members: Mapping[str, object], key_type: KeyType, algorithm: str | None
) -> str:
    crv = members.get("crv")
    curve = crv if isinstance(crv, str) else None
    name = algorithm or members.get("alg") or _USUAL.get(curve)
    found = key_type if curve is None else f"{key_type} {curve}"
    if name is None:
        raise _UnusableKeyError(
            f"the key must be of RSA, P-256, P-384, P-521 or Ed25519 to sign, not of {found}: give "
            "another key"
        )
    if not isinstance(name, str) or name not in SIGNATURE_ALGORITHMS:
        known = ", ".join(SIGNATURE_ALGORITHMS)
        raise _UnusableKeyError(f"the key's alg must be one of {known}: give another key")
    wanted = SIGNATURE_ALGORITHMS[name]
    if (key_type, curve) != (wanted.key_type, wanted.curve):
        raise _UnusableKeyError(
            f"the key must be one that signs with {name}, not of {found}: give the key that is "
            "registered, and its algorithm"
        )
    return name


def _name_pem(key: SecretText) -> str:
    """Say what was given in the place of a private key, without showing it."""
    for label, name in (("PUBLIC KEY-----", "a public key"), ("CERTIFICATE-----", "a certificate")):
        if label in key.text:
            return f"{name}: give the private half"
    return (
        f"a text of {len(key.text)} characters: give the content of the file, not its path, such "
        "as Path(path).read_text()"
    )


def _describe_wrong_key(algorithm: str | None, error: Exception) -> str:
    wanted = (
        "signs: of RSA, P-256, P-384, P-521 or Ed25519"
        if algorithm is None
        else f"signs with {algorithm}"
    )
    return (
        f"the key must be one that {wanted}, in PEM or as a JSON Web Key "
        f"({type(error).__name__}): check the key"
    )


def generate_private_key(algorithm: str) -> SecretText:
    """
    Generate a key, as a JSON Web Key; an RSA key has 2048 bits.

    Args:
        algorithm: One of `SIGNATURE_ALGORITHMS`.
    """
    from joserfc import jwk  # extra "oidc"

    wanted = SIGNATURE_ALGORITHMS[algorithm]
    size = MIN_RSA_BITS if wanted.curve is None else wanted.curve
    key = jwk.JWKRegistry.generate_key(wanted.key_type, size, private=True)
    return SecretText(json.dumps(key.as_dict(private=True)))


def _inspect_web_key(key: Mapping[str, JsonValue]) -> tuple[KeyType, int | None]:
    """Tell a key's type and size before joserfc imports it, which warns of a small one."""
    kind = key["kty"]
    if kind == "RSA":
        return "RSA", count_modulus_bits(key)
    return ("EC" if kind == "EC" else "OKP"), None


def _inspect_pem(key: str) -> tuple[KeyType, int | None]:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # as joserfc does
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    loaded = load_pem_private_key(key.encode(), None, unsafe_skip_rsa_key_validation=True)
    if isinstance(loaded, rsa.RSAPrivateKey):
        return "RSA", loaded.key_size
    return ("EC" if isinstance(loaded, ec.EllipticCurvePrivateKey) else "OKP"), None
