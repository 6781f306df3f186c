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
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, final

import attrs

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.redaction import HiddenBytes, JsonValue, SecretText

if TYPE_CHECKING:
    from joserfc.jwk import Key

MIN_RSA_BITS = 2048
"""Bits of an RSA modulus at least, ours and the server's (RFC 7518 §3.3, §3.5)."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_PUBLIC_MEMBERS = ("crv", "e", "kty", "n", "x", "y")
_KEY_MEMBERS = (*_PUBLIC_MEMBERS, "d", "p", "q", "dp", "dq", "qi")
_USUAL = {
    None: "PS256",
    "P-256": "ES256",
    "P-384": "ES384",
    "P-521": "ES512",
    # Its name in the metadata of today's servers; RFC 9864 calls it Ed25519.
    "Ed25519": "EdDSA",
}
"""What a key of a curve, or an RSA key, signs with if nothing else is said."""


KeyType = Literal["EC", "OKP", "RSA"]


class _Hash(Protocol):
    def digest(self) -> bytes: ...


class _Implementation(Protocol):
    def sign(self, msg: bytes, key: Any, /) -> bytes: ...


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
        import joserfc  # noqa: F401 - extra "oidc"
    except ImportError:
        is_missing = True
    else:
        is_missing = False
    if is_missing:
        raise ConfigurationError(
            'verifying signatures needs joserfc: pip install "aritma-auth[oidc]"'
        )


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
        return SecretText(json.dumps({k: members[k] for k in _KEY_MEMBERS if k in members}))

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
    except ImportError:
        return 'signing needs joserfc: pip install "aritma-auth[oidc]"'
    except _UnusableKeyError as problem:
        return str(problem)
    except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds
        return _describe_wrong_key(algorithm, error)


class _UnusableKeyError(Exception):
    """What a key must be and is not; it leaves this module as text."""


def _import(key: SecretText, algorithm: str | None) -> PrivateKey:
    from joserfc import jwk, jws  # extra "oidc"

    value: str | dict[str, Any] = key.text
    if key.text.lstrip().startswith("{"):
        value = json.loads(key.text)
    elif "PRIVATE KEY" not in key.text:
        raise _UnusableKeyError(
            f"the key must be a private key, in PEM or as a JSON Web Key; it is {_name_pem(key)}"
        )
    elif "ENCRYPTED" in key.text:
        raise _UnusableKeyError(
            "the key must not be encrypted: take the password off (openssl pkey), and keep the "
            "file as a secret"
        )
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
    kid, crv = members.get("kid"), members.get("crv")
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
    signer = jws.JWSRegistry.algorithms[_implementation(name)]
    signer.check_key(private)
    return PrivateKey(private, signer, name, kid if isinstance(kid, str) else None)


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
        else (f"signs with {algorithm}")
    )
    return (
        f"the key must be one that {wanted}, in PEM or as a JSON Web Key "
        f"({type(error).__name__}): check the key"
    )


def generate_private_key(algorithm: str) -> SecretText | None:
    """
    Generate a key, as a JSON Web Key; an RSA key has 2048 bits.

    Args:
        algorithm: One of `SIGNATURE_ALGORITHMS`.

    Returns:
        None if joserfc is not installed.
    """
    try:
        from joserfc import jwk  # extra "oidc"
    except ImportError:
        return None
    wanted = SIGNATURE_ALGORITHMS[algorithm]
    size = MIN_RSA_BITS if wanted.curve is None else wanted.curve
    key = jwk.JWKRegistry.generate_key(wanted.key_type, size, private=True)
    return SecretText(json.dumps(key.as_dict(private=True)))


def extract_public_members(key: Mapping[str, object]) -> dict[str, str]:
    """
    Extract the members that make a public key what it is, in the order of their names.

    Args:
        key: A JSON Web Key.

    Returns:
        The members there are: those of an RSA, EC or OKP key are complete.

    Spec: RFC 7638 §3.2; RFC 8037 §2.
    """
    return {name: value for name in _PUBLIC_MEMBERS if isinstance(value := key.get(name), str)}


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
    from joserfc import jwk, jws  # extra "oidc"

    signing_input, _, signature = token.rpartition(".")
    public: dict[str, str | list[str]] = {**extract_public_members(key)}
    try:
        known = jwk.import_key(public, SIGNATURE_ALGORITHMS[algorithm].key_type)
        verifier = jws.JWSRegistry.algorithms[_implementation(algorithm)]
        return verifier.verify(signing_input.encode(), decode_base64url(signature), known)
    except Exception:  # noqa: BLE001 - one unusable key must not take its issuer down
        return False


def _implementation(algorithm: str) -> str:
    # joserfc warns of the name EdDSA, under which it also accepts Ed448.
    return "Ed25519" if algorithm == "EdDSA" else algorithm
