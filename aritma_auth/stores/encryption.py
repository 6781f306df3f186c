"""Encryption of stored bytes with AES-256-GCM, bound to the place where they are kept."""

import secrets
from base64 import b64decode
from collections.abc import Mapping
from typing import NoReturn, Protocol, final

from aritma_auth.errors import ConfigurationError, require_instance, wrong_kind
from aritma_auth.optional import require
from aritma_auth.protocol.redaction import HiddenBytes
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.stores.records import RecordError

_FORMAT = b"\x01"
_KEY_SIZE = 32
_NONCE_SIZE = 12
_NAME_LIMIT = 32
_MAKES_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'


class Cipher(Protocol):
    """An AEAD cipher, such as cryptography's AESGCM."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        """Encrypt and authenticate."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        """Authenticate and decrypt."""
        ...


@final
class EncryptionKeys:
    """
    The keys that stored tokens are encrypted with: the first encrypts, all of them decrypt.

    To rotate, append the new key, so that every process can decrypt what any process will encrypt;
    then move it to the front; and remove the old key once everything encrypted with it is replaced.

    Args:
        keys: Key by name. A name is short and never changes; a key is 32 random bytes, or their
            base64 or base64url text.

    Raises:
        ConfigurationError: There is no key, one is not 32 bytes, or cryptography is not installed.

    Spec: NIST SP 800-38D.
    """

    __slots__ = ("_ciphers", "_first")

    @hides_arguments
    def __init__(self, keys: Mapping[str, bytes | str]) -> None:
        # A traceback with locals shows this object before it has any key.
        self._ciphers: dict[bytes, Cipher] = {}
        if not isinstance(keys, Mapping):
            problem = wrong_kind("keys", 'keys by name, such as {"1": key}', keys)
            # And it would show the key.
            del keys
            raise problem
        raw = {name: _raw_key(key) for name, key in keys.items()}
        del keys
        _require_keys(raw)
        require("file or redis", "cryptography")
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # an extra

        self._ciphers.update((name.encode(), AESGCM(key)) for name, key in raw.items())
        self._first = next(iter(self._ciphers))

    @classmethod
    def generate(cls, name: str = "1") -> "EncryptionKeys":
        """
        Generate a key, for tests: a service loads its key from where its other secrets are.

        Args:
            name: The key's name.
        """
        require_instance("name", "a string", name, str)
        return cls({name: secrets.token_bytes(_KEY_SIZE)})

    @hides_arguments
    def encrypt(self, body: bytes, *, place: str) -> bytes:
        """
        Encrypt bytes with the first key.

        Args:
            body: The bytes.

            place: Where they will be kept; they cannot be decrypted for another place.

        Raises:
            ConfigurationError: An argument is of the wrong kind.
        """
        _require_bytes("body", body)
        nonce = secrets.token_bytes(_NONCE_SIZE)
        head = _FORMAT + bytes((len(self._first),)) + self._first
        cipher = self._ciphers[self._first]
        return head + nonce + cipher.encrypt(nonce, bytes(body), _bound(head, place))

    @hides_arguments
    def decrypt(self, encrypted: bytes, *, place: str) -> HiddenBytes:
        """
        Decrypt what `encrypt` returned.

        Args:
            encrypted: The bytes as they were kept.

            place: Where they were kept.

        Raises:
            RecordError: The bytes were not encrypted with one of these keys for this place, or were
                changed since.

            ConfigurationError: An argument is of the wrong kind.
        """
        _require_bytes("encrypted", encrypted)
        # A bytearray is no key of a mapping.
        encrypted = bytes(encrypted)
        end = 2 + (encrypted[1] if len(encrypted) > 1 else 0)
        head, nonce = encrypted[:end], encrypted[end : end + _NONCE_SIZE]
        cipher = self._ciphers.get(head[2:])
        if head[:1] != _FORMAT or cipher is None:
            raise RecordError("it is encrypted with a key that is not known here")
        try:
            return HiddenBytes(
                cipher.decrypt(nonce, encrypted[end + _NONCE_SIZE :], _bound(head, place))
            )
        except Exception:  # noqa: BLE001 - InvalidTag, or ValueError for odd lengths
            problem = "its authentication tag is wrong: another key, another place, or damage"
        # Outside the except block, so that no traceback holds cryptography's frames.
        raise RecordError(problem)

    def __repr__(self) -> str:
        return f"<EncryptionKeys {', '.join(name.decode() for name in self._ciphers)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("encryption keys cannot be pickled: load them again in the other process")


def encryption_keys_problem(keys: object) -> ConfigurationError | None:
    """
    Return the error for an argument ``keys`` that is no EncryptionKeys; it says how to make a key.

    It is returned, not raised: a traceback with locals would show a key in the wrong place.
    """
    if isinstance(keys, EncryptionKeys):
        return None
    return wrong_kind(
        "keys",
        f'EncryptionKeys({{"1": key}}), with a key from {_MAKES_KEY}',
        keys,
    )


def _bound(head: bytes, place: str) -> bytes:
    require_instance("place", "a string", place, str)
    return head + place.encode(errors="surrogatepass")


def _require_bytes(name: str, given: object) -> None:
    if not isinstance(given, bytes | bytearray):
        problem = wrong_kind(name, "bytes", given)
        # A traceback with local variables would show what was to be encrypted.
        del given
        raise problem


def _require_keys(keys: Mapping[str, HiddenBytes]) -> None:
    if not keys:
        raise ConfigurationError("keys must hold at least one encryption key; it is empty")
    if not all(map(_is_name, keys)):
        raise ConfigurationError(
            f"the name of an encryption key must be a text of 1 to {_NAME_LIMIT} printable ASCII "
            "characters"
        )
    wrong = [name for name, key in keys.items() if not key]
    if wrong:
        raise ConfigurationError(
            f"encryption key {wrong[0]!r} must be 32 random bytes, or their base64 text: make one "
            f"with {_MAKES_KEY}"
        )


def _is_name(name: object) -> bool:
    return (
        isinstance(name, str)
        and 0 < len(name) <= _NAME_LIMIT
        and name.isascii()
        and name.isprintable()
    )


def _raw_key(key: object) -> HiddenBytes:
    """Return the 32 bytes of a key, or nothing if it is no key."""
    if isinstance(key, str):
        # A key from a file often ends in a newline.
        text = key.strip().rstrip("=")
        text += "=" * (-len(text) % 4)
        try:
            key = b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
        except ValueError:
            key = b""
    return HiddenBytes(key if isinstance(key, bytes) and len(key) == _KEY_SIZE else b"")
