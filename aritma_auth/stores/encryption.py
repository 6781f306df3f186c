"""Stored bytes under lock and key: AES-256-GCM, bound to the place where they are kept."""

import secrets
from base64 import b64decode
from collections.abc import Mapping
from typing import NoReturn, Protocol, final

from aritma_auth.errors import ConfigurationError
from aritma_auth.optional import require
from aritma_auth.protocol.redaction import HiddenBytes
from aritma_auth.stores.records import RecordError

_FORMAT = b"\x01"
_KEY_SIZE = 32
_NONCE_SIZE = 12
_NAME_LIMIT = 32


class Cipher(Protocol):
    """An AEAD, as cryptography's AESGCM is."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        """Encrypt."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        """Decrypt."""
        ...


@final
class EncryptionKeys:
    """
    The keys that stored tokens are sealed with: one seals, all of them open.

    To change keys, add the new one at the end, so that every process can open what it will seal;
    then move it to the front; and take the old one away when what it has sealed is replaced.

    Args:
        keys: 32 random bytes each, by a short name that never changes; the first one seals. Also
            taken: base64 or base64url text of such bytes.

    Raises:
        ConfigurationError: There is no key, or one is not 32 bytes, or cryptography is missing.

    Spec: NIST SP 800-38D.
    """

    __slots__ = ("_ciphers", "_first")

    def __init__(self, keys: Mapping[str, bytes | str]) -> None:
        self._ciphers: dict[bytes, Cipher] = {}
        if not isinstance(keys, Mapping):
            del keys
            raise ConfigurationError('encryption keys have names: EncryptionKeys({"1": key})')
        raw = {name: _raw_key(key) for name, key in keys.items()}
        # An error's traceback would hold them.
        del keys
        problem = _problem(raw)
        if problem is not None:
            raise ConfigurationError(problem)
        require("file or redis", "cryptography")
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra

        self._ciphers.update((name.encode(), AESGCM(key)) for name, key in raw.items())
        self._first = next(iter(self._ciphers))

    @classmethod
    def generate(cls, name: str = "1") -> "EncryptionKeys":
        """
        Make a new key, for tests: a service keeps its key where it keeps its secrets.

        Args:
            name: The key's name.
        """
        return cls({name: secrets.token_bytes(_KEY_SIZE)})

    def encrypt(self, body: bytes, *, place: str) -> bytes:
        """
        Seal bytes.

        Args:
            body: What to keep.

            place: Where it is kept; it opens nowhere else.
        """
        nonce = secrets.token_bytes(_NONCE_SIZE)
        head = _FORMAT + bytes((len(self._first),)) + self._first
        cipher = self._ciphers[self._first]
        return head + nonce + cipher.encrypt(nonce, bytes(body), _bound(head, place))

    def decrypt(self, sealed: bytes, *, place: str) -> HiddenBytes:
        """
        Open what `encrypt` has sealed.

        Args:
            sealed: The bytes as they were kept.

            place: Where they were kept.

        Raises:
            RecordError: They are not ours, from another place, changed, or of an unknown key.
        """
        end = 2 + (sealed[1] if len(sealed) > 1 else 0)
        head, nonce, rest = (
            sealed[:end],
            sealed[end : end + _NONCE_SIZE],
            sealed[end + _NONCE_SIZE :],
        )
        cipher = self._ciphers.get(head[2:])
        if head[:1] != _FORMAT or cipher is None:
            raise RecordError("it is not sealed with a key that is known here")
        try:
            return HiddenBytes(cipher.decrypt(nonce, rest, _bound(head, place)))
        except Exception:  # noqa: BLE001 - cryptography's InvalidTag and whatever odd lengths raise
            problem = "its seal is broken, or it was kept in another place"
        raise RecordError(problem)

    def __repr__(self) -> str:
        return f"<EncryptionKeys {', '.join(name.decode() for name in self._ciphers)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("encryption keys are not pickled: load them again in the other process")


def _bound(head: bytes, place: str) -> bytes:
    return head + place.encode()


def _problem(keys: Mapping[str, HiddenBytes]) -> str | None:
    if not keys:
        return "give at least one encryption key"
    if not all(map(_is_name, keys)):
        return f"a encryption key's name is 1 to {_NAME_LIMIT} plain characters"
    if not all(keys.values()):
        return "a encryption key is 32 random bytes, or their base64 text"
    return None


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _NAME_LIMIT and name.isascii() and name.isprintable()


def _raw_key(key: bytes | str) -> HiddenBytes:
    """Give the bytes of a key, or none if it is no key."""
    if isinstance(key, str):
        text = key.rstrip("=") + "=" * (-len(key.rstrip("=")) % 4)
        try:
            key = b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
        except ValueError:
            key = b""
    return HiddenBytes(key if len(key) == _KEY_SIZE else b"")
