"""
Encrypted tokens, which are for this client alone, and requests that are encrypted to the server.

Both have a signed JWT inside, but for UserInfo. Encryption hides what it says and proves nothing:
the JWT inside is verified as ever. joserfc comes with the extra ``oidc`` and is imported when
something is encrypted or decrypted.

Spec: RFC 7516; RFC 7518 §4, §5; OpenID Connect Core 1.0 §10.2.
"""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, final

import attrs

from aritma_auth.errors import ConfigurationError, VerificationError, require_instance
from aritma_auth.optional import require
from aritma_auth.protocol.jws import (
    KEY_MEMBERS,
    MIN_RSA_BITS,
    count_modulus_bits,
    decode_base64url,
    extract_public_members,
)
from aritma_auth.protocol.redaction import HiddenStr, JsonValue, SecretText
from aritma_auth.protocol.strict_json import parse_json_object
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

__all__ = ["DecryptionKey", "RequestEncryption", "is_encrypted"]

# RSA1_5 is left out: it lets an attacker decrypt by asking (RFC 8725 §3.2).
_ALGORITHMS = frozenset(
    {
        "ECDH-ES",
        "ECDH-ES+A128KW",
        "ECDH-ES+A192KW",
        "ECDH-ES+A256KW",
        "RSA-OAEP",
        "RSA-OAEP-256",
    }
)
_ENCRYPTIONS = frozenset(
    {"A128CBC-HS256", "A128GCM", "A192CBC-HS384", "A192GCM", "A256CBC-HS512", "A256GCM"}
)
_CURVES = frozenset({"P-256", "P-384", "P-521", "X25519"})
_MAX_LENGTH = 1 << 18
_PARTS = 5

_KeyForm = str | SecretText | Mapping[str, JsonValue]


def is_encrypted(text: str) -> bool:
    """Tell whether a token is encrypted, by its five parts (RFC 7516 §3.1)."""
    return text.count(".") == _PARTS - 1


@final
class DecryptionKey:
    """
    A private key to which a server encrypts; needs the extra ``oidc``.

    It opens ID tokens, UserInfo and signed authorization responses.

    Args:
        key: The private key: in PEM, or as a JSON Web Key, in JSON or as a mapping.

        older: The keys before it, to which a server may encrypt until it has read the new one.

    Raises:
        ConfigurationError: One is no private RSA key of 2048 bits or more, EC or X25519 key; or
            joserfc is not installed.

    Spec: RFC 7517; OpenID Connect Core 1.0 §10.2.1.
    """

    __slots__ = ("_keys",)

    @hides_arguments
    def __init__(self, key: _KeyForm, *older: _KeyForm) -> None:
        require("oidc", "joserfc")
        imported = [_import(each) for each in (key, *older)]
        del key, older
        problem = next((each for each in imported if isinstance(each, str)), None)
        if problem is not None:
            raise ConfigurationError(problem)
        self._keys = tuple(each for each in imported if not isinstance(each, str))

    def decrypt(self, text: str) -> HiddenStr:
        """
        Decrypt a token.

        Args:
            text: The compact serialisation, of five parts.

        Returns:
            What is inside, a signed JWT not yet verified, or claims that nobody has signed.

        Raises:
            VerificationError: It is no such token, by another algorithm or for another key.
        """
        text = HiddenStr(text)
        for key in self._keys if _is_acceptable(text) else ():
            inside = _decrypt(text, key)
            if inside is not None:
                return inside
        raise VerificationError(
            "the encrypted token must be for this client's key, by "
            f"{', '.join(sorted(_ALGORITHMS))} and {', '.join(sorted(_ENCRYPTIONS))}"
        )

    def __repr__(self) -> str:
        return "<DecryptionKey ***>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a DecryptionKey is not pickled: make it anew in the other process")


def _import(key: _KeyForm) -> "RSAKey | ECKey | OKPKey | str":
    """Return the key, or the problem: a traceback through this frame would show the key."""
    from joserfc import jwk  # extra "oidc"

    try:
        value: Any = key.text if isinstance(key, SecretText) else key
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = json.loads(value)
        if isinstance(value, Mapping):
            # What a key says of its use is for those who encrypt.
            value = {name: value[name] for name in KEY_MEMBERS if name in value}
        for kind in (jwk.RSAKey, jwk.ECKey, jwk.OKPKey):
            try:
                imported = kind.import_key(value)
            except Exception:  # noqa: BLE001, S112 - joserfc and cryptography raise many kinds
                continue
            if imported.is_private and _fits(imported):
                return imported
    except Exception:  # noqa: BLE001, S110 - as above, and json of a text that is none
        pass
    return (
        "key must be a private RSA key of 2048 bits or more, a key of P-256, P-384 or P-521, or an "
        "X25519 key, in PEM or as a JSON Web Key, without a password: check the key"
    )


def _fits(key: "RSAKey | ECKey | OKPKey") -> bool:
    public = extract_public_members(key.as_dict(private=False))
    if public["kty"] == "RSA":
        return count_modulus_bits(public) >= MIN_RSA_BITS
    return public.get("crv") in _CURVES


def _is_acceptable(text: str) -> bool:
    """Judge the header alone: nothing is decrypted that would not be accepted."""
    if not is_encrypted(text) or len(text) > _MAX_LENGTH or not text.isascii():
        return False
    try:
        header = parse_json_object(decode_base64url(text.partition(".")[0]))
    except ValueError:
        return False
    algorithm, encryption = header.get("alg"), header.get("enc")
    return (
        isinstance(algorithm, str)
        and algorithm in _ALGORITHMS
        and isinstance(encryption, str)
        and encryption in _ENCRYPTIONS
        # A compressed token could grow without end; an extension must not be ignored.
        and not {"zip", "crit"} & header.keys()
    )


def _decrypt(text: str, key: "RSAKey | ECKey | OKPKey") -> HiddenStr | None:
    from joserfc import jwe  # extra "oidc"

    # Servers repeat iss and aud in the header (RFC 7519 §5.3), which joserfc would refuse.
    accepted = jwe.JWERegistry(algorithms=[*_ALGORITHMS, *_ENCRYPTIONS], strict_check_header=False)
    try:
        plain = jwe.decrypt_compact(text, key, registry=accepted).plaintext
        return None if plain is None else HiddenStr(plain.decode())
    except Exception:  # noqa: BLE001 - joserfc and cryptography raise many kinds
        return None


def _require_known(_encryption: object, field: "attrs.Attribute[str]", given: object) -> None:
    known = _ALGORITHMS if field.name == "algorithm" else _ENCRYPTIONS
    require_instance(field.name, "a string", given, str)
    if given not in known:
        raise ConfigurationError(
            f"{field.name} must be one of {', '.join(sorted(known))}, not {given!r:.40}"
        )


@final
@attrs.frozen(eq=False, repr=False)
class RequestEncryption(Value):
    """
    How a client's signed authorization requests are encrypted to the server, as it is registered.

    Attributes:
        algorithm: What was registered as ``request_object_encryption_alg``.

        encryption: What was registered as ``request_object_encryption_enc``.

    Raises:
        ConfigurationError: One is of the wrong kind, or not among the algorithms that are safe.

    Spec: RFC 9101 §6.1; OpenID Connect Dynamic Client Registration 1.0 §2.
    """

    algorithm: str = attrs.field(validator=_require_known)
    encryption: str = attrs.field(default="A128CBC-HS256", validator=_require_known)

    def encrypt(self, jwt: str, keys: Iterable[Mapping[str, JsonValue]]) -> HiddenStr | None:
        """
        Encrypt a signed JWT to the server.

        Args:
            jwt: The compact serialisation.

            keys: The server's JSON Web Keys; those for another use or algorithm are passed over.

        Returns:
            The compact serialisation of five parts; None if no key fits.

        Raises:
            ConfigurationError: joserfc is not installed.
        """
        require("oidc", "joserfc")
        fitting = [key for key in keys if self._fits(key)]
        # A key without a use may be for signatures: the others come first.
        fitting.sort(key=lambda key: key.get("use") != "enc")
        return next(filter(None, (self._encrypt(jwt, key) for key in fitting)), None)

    def _fits(self, key: Mapping[str, JsonValue]) -> bool:
        is_rsa = self.algorithm.startswith("RSA")
        return (
            key.get("use", "enc") == "enc"
            and key.get("alg", self.algorithm) == self.algorithm
            and (
                key.get("kty") == "RSA" and count_modulus_bits(key) >= MIN_RSA_BITS
                if is_rsa
                else key.get("kty") in ("EC", "OKP") and key.get("crv") in tuple(_CURVES)
            )
        )

    def _encrypt(self, jwt: str, key: Mapping[str, JsonValue]) -> HiddenStr | None:
        from joserfc import jwe, jwk  # extra "oidc"

        header = {"alg": self.algorithm, "enc": self.encryption, "cty": "JWT"}
        kid = key.get("kid")
        if isinstance(kid, str):
            header["kid"] = kid
        accepted = jwe.JWERegistry(algorithms=[self.algorithm, self.encryption])
        public: dict[str, Any] = {**extract_public_members(key)}
        try:
            recipient = jwk.import_key(public)
            return HiddenStr(jwe.encrypt_compact(header, jwt, recipient, registry=accepted))
        except Exception:  # noqa: BLE001 - joserfc and cryptography raise many kinds
            return None
