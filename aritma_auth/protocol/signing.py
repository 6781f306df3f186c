"""
Keys that sign: in this process, or elsewhere, where a signature is awaited.

Spec: RFC 7517; RFC 7638.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import NoReturn, Self, TypeAlias, final

import attrs

from aritma_auth.errors import ConfigurationError, require_function, wrong_kind
from aritma_auth.optional import require
from aritma_auth.protocol.jws import (
    MIN_RSA_BITS,
    SIGNATURE_ALGORITHMS,
    count_modulus_bits,
    decode_base64url,
    encode_base64url,
    extract_public_members,
)
from aritma_auth.protocol.private_key import generate_private_key, import_private_key
from aritma_auth.protocol.redaction import JsonValue, SecretText
from aritma_auth.runtime.hidden_arguments import hides_arguments, with_hidden_arguments
from aritma_auth.runtime.values import Value

__all__ = [
    "RemoteSigner",
    "Signer",
    "SigningKey",
    "compute_thumbprint",
    "require_algorithm",
    "require_signer",
]

PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


def compute_thumbprint(public_jwk: Mapping[str, str]) -> str:
    """
    Compute the thumbprint of a public key.

    Args:
        public_jwk: Its required members, as `SigningKey.public_jwk` has them.

    Returns:
        The SHA-256 in base64url.

    Spec: RFC 7638 §3; RFC 8037 §2.
    """
    text = json.dumps(dict(sorted(public_jwk.items())), separators=(",", ":"))
    return encode_base64url(sha256(text.encode()).digest())


def require_algorithm(name: str, given: object) -> str:
    """
    Require an argument to be the name of a signature algorithm.

    Args:
        name: The argument.

        given: What was given.

    Raises:
        ConfigurationError: It is no asymmetric algorithm of RFC 7518, RFC 8037 or RFC 9864.
    """
    known = ", ".join(SIGNATURE_ALGORITHMS)
    if not isinstance(given, str):
        raise wrong_kind(name, f"one of {known}", given)
    if given not in SIGNATURE_ALGORITHMS:
        raise ConfigurationError(f"{name} must be one of {known}, not {given!r:.40}")
    return given


@final
class SigningKey:
    """
    A private key that signs in this process; needs the extra ``oidc``.

    It is read once. Two are equal if their public halves, algorithms and key ids are.

    Args:
        key: The private key: in PEM, or as a JSON Web Key, in JSON or as a mapping.

        algorithm: Its signature algorithm; a key's own ``alg`` allows no other. None takes it, or
            what its kind is used with: ES256, ES384 or ES512 by its curve, EdDSA for Ed25519, PS256
            for RSA.

        key_id: The header's ``kid``. None takes the key's own, if it has one.

    Raises:
        ConfigurationError: The key is not private, does not fit the algorithm, or is an RSA key of
            fewer than 2048 bits; or joserfc is not installed.

    Spec: RFC 7517; RFC 7518 §3; RFC 8037; RFC 7638.
    """

    __slots__ = ("_key", "_key_id", "_public_jwk", "_thumbprint")

    @hides_arguments
    def __init__(
        self,
        key: str | SecretText | Mapping[str, JsonValue],
        *,
        algorithm: str | None = None,
        key_id: str | None = None,
    ) -> None:
        text = _as_key_text(key)
        if text is None:
            wanted = "the text of a private key in PEM, or a JSON Web Key as text or mapping"
            problem = wrong_kind("key", wanted, key)
            # A traceback with local variables would show it.
            del key
            raise problem
        del key
        if algorithm is not None:
            require_algorithm("algorithm", algorithm)
        if key_id is not None and not isinstance(key_id, str):
            raise wrong_kind("key_id", "a string or None", key_id)
        require("oidc", "joserfc")
        imported = import_private_key(text, algorithm)
        if isinstance(imported, str):
            raise ConfigurationError(imported)
        self._key = imported
        self._key_id = imported.key_id if key_id is None else key_id
        self._public_jwk = MappingProxyType(imported.public_jwk)
        self._thumbprint = compute_thumbprint(imported.public_jwk)

    @classmethod
    def generate(cls, algorithm: str = "ES256", *, key_id: str | None = None) -> Self:
        """
        Generate a new key.

        Args:
            algorithm: What it signs with; an RSA key gets 2048 bits.

            key_id: The header's ``kid``, if the server wants one.

        Raises:
            ConfigurationError: The algorithm is unknown, or joserfc is not installed.
        """
        require_algorithm("algorithm", algorithm)
        require("oidc", "joserfc")
        return cls(generate_private_key(algorithm), algorithm=algorithm, key_id=key_id)

    @property
    def algorithm(self) -> str:
        """Its signature algorithm, the header's ``alg``."""
        return self._key.algorithm

    @property
    def key_id(self) -> str | None:
        """The header's ``kid``, or None."""
        return self._key_id

    @property
    def public_jwk(self) -> Mapping[str, str]:
        """The public half: the members that RFC 7638 §3.2 names."""
        return self._public_jwk

    @property
    def thumbprint(self) -> str:
        """The public half's SHA-256 thumbprint (RFC 7638), which ``jkt`` and ``dpop_jkt`` name."""
        return self._thumbprint

    def sign(self, signing_input: bytes) -> bytes:
        """
        Sign bytes.

        Args:
            signing_input: What to sign.

        Raises:
            ConfigurationError: The key's numbers do not make a signature.
        """
        signature = self._key.sign(signing_input)
        if isinstance(signature, str):
            raise ConfigurationError(signature)
        return signature

    def to_jwk(self) -> str:
        """Write the private key as a JSON Web Key: the deliberate way out. Keep it secret."""
        return self._key.to_jwk().text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SigningKey):
            return NotImplemented
        return self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, str, str | None]:
        return self.thumbprint, self.algorithm, self.key_id

    def __repr__(self) -> str:
        # An error reporter may show the frame of a constructor that has failed.
        if not hasattr(self, "_thumbprint"):
            return "<SigningKey>"
        return f"<SigningKey {self.algorithm} kid={self.key_id!r} thumbprint={self.thumbprint}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SigningKey is not pickled: write it with to_jwk(), or make it anew")


def _as_key_text(key: object) -> SecretText | None:
    """Return the key's text, or None: a traceback through a failing frame would show the key."""
    if isinstance(key, SecretText):
        return key
    if isinstance(key, str):
        return SecretText(key)
    if isinstance(key, Mapping):
        try:
            return SecretText(json.dumps(dict(key)))
        except (TypeError, ValueError):
            return None
    return None


def _require_algorithm(_signer: object, field: "attrs.Attribute[str]", value: object) -> None:
    require_algorithm(field.name, value)


def _require_sign(
    _signer: object, field: "attrs.Attribute[Callable[[bytes], Awaitable[bytes]]]", value: object
) -> None:
    required = "an async function of the bytes to sign"
    if isinstance(value, type):
        raise wrong_kind(field.name, required, value)
    require_function(field.name, required, value, 1, is_awaited=True)


def _require_key_id(_signer: object, field: "attrs.Attribute[str]", value: object) -> None:
    if not isinstance(value, str):
        raise wrong_kind(field.name, "a string or None", value)


def _require_public_jwk(
    signer: "RemoteSigner", field: "attrs.Attribute[Mapping[str, str]]", value: object
) -> None:
    if not isinstance(value, Mapping):
        raise wrong_kind(field.name, "a public JSON Web Key, as a mapping, or None", value)
    problem = _find_key_problem(value, signer.algorithm)
    if problem:
        raise ConfigurationError(f"{field.name} must be the public key of {problem}")


def _find_key_problem(key: Mapping[object, object], algorithm: str) -> str:
    """Return what the key must be and is not; never a value of it."""
    wanted = SIGNATURE_ALGORITHMS[algorithm]
    if any(name in key for name in PRIVATE_MEMBERS):
        return f"{algorithm} alone, and it holds private members: leave them where they are"
    curve = "" if wanted.curve is None else f" and crv {wanted.curve!r}"
    if key.get("kty") != wanted.key_type or key.get("crv") != wanted.curve:
        return f"{algorithm}, with kty {wanted.key_type!r}{curve}"
    numbers = {"EC": ("x", "y"), "OKP": ("x",), "RSA": ("e", "n")}[wanted.key_type]
    for name in numbers:
        try:
            text = key.get(name)
            is_number = isinstance(text, str) and bool(decode_base64url(text))
        except ValueError:
            is_number = False
        if not is_number:
            return f"{algorithm}, with a member {name!r} in base64url"
    if wanted.key_type == "RSA" and count_modulus_bits({"n": str(key["n"])}) < MIN_RSA_BITS:
        return f"{algorithm}, with at least {MIN_RSA_BITS} bits (RFC 7518 §3.3)"
    return ""


def _as_public_jwk(given: Mapping[str, str] | None) -> Mapping[str, str] | None:
    # A private key stays whole until it is refused by name.
    if not isinstance(given, Mapping) or any(name in given for name in PRIVATE_MEMBERS):
        return given
    return MappingProxyType(extract_public_members(given))


@final
@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class RemoteSigner(Value):
    """
    A private key that signs elsewhere: a key management service, an HSM, an agent.

    Each signature is awaited no longer than the client's ``timeout``.

    Attributes:
        algorithm: The key's signature algorithm.

        sign: An async function of the bytes to sign; it returns the signature, of an elliptic
            curve as R and S of fixed length, or in DER as most key management services give it.

        key_id: The header's ``kid``, or None.

        public_jwk: The public key as a JSON Web Key. Client assertions do without; `DPoP` needs it.

    Raises:
        ConfigurationError: An argument is of the wrong kind, or the key does not fit the algorithm.

    Spec: RFC 7515 §5.1; RFC 7518 §3.4.
    """

    algorithm: str = attrs.field(validator=_require_algorithm)
    sign: Callable[[bytes], Awaitable[bytes]] = attrs.field(validator=_require_sign, repr=False)
    key_id: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(_require_key_id)
    )
    public_jwk: Mapping[str, str] | None = attrs.field(
        default=None,
        converter=_as_public_jwk,
        validator=attrs.validators.optional(_require_public_jwk),
        hash=False,
        repr=False,
    )

    @property
    def thumbprint(self) -> str:
        """The public key's SHA-256 thumbprint (RFC 7638); empty if the key is not known."""
        return "" if self.public_jwk is None else compute_thumbprint(self.public_jwk)


Signer: TypeAlias = SigningKey | RemoteSigner


def require_signer(name: str, given: object) -> Signer:
    """
    Require an argument to be a key that signs.

    Args:
        name: The argument.

        given: What was given.

    Raises:
        ConfigurationError: It is neither a `SigningKey` nor a `RemoteSigner`.
    """
    if isinstance(given, SigningKey | RemoteSigner):
        return given
    problem = wrong_kind(name, "a SigningKey, such as SigningKey(pem), or a RemoteSigner", given)
    # A traceback with local variables would show a key given as text.
    del given
    raise problem
