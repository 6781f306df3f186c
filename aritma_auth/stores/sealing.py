"""Stored bytes under lock and key: AES-256-GCM, bound to the place where they are kept."""

import secrets
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import NoReturn, Protocol, final

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.sealed import HiddenBytes
from aritma_auth.stores.extras import require
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
class SealingKeys:
    """
    The keys that stored tokens are sealed with: one seals, all of them open.

    To change keys, add the new one in front, roll it out, and take the old one away a token's
    lifetime later.

    Args:
        keys: 32 random bytes each, by a short name that never changes; the first one seals. Also
            taken: base64url text of such bytes.

    Raises:
        ConfigurationError: There is no key, or one is not 32 bytes, or cryptography is missing.

    Spec: NIST SP 800-38D.
    """

    __slots__ = ("_ciphers", "_first")

    def __init__(self, keys: Mapping[str, bytes | str]) -> None:
        if not keys:
            raise ConfigurationError("give at least one sealing key")
        self._ciphers = {_name(name): _cipher(key) for name, key in keys.items()}
        self._first = next(iter(self._ciphers))

    @classmethod
    def generate(cls, name: str = "1") -> "SealingKeys":
        """
        Make a new key, for tests: a service keeps its key where it keeps its secrets.

        Args:
            name: The key's name.
        """
        return cls({name: secrets.token_bytes(_KEY_SIZE)})

    def seal(self, body: bytes, *, place: str) -> bytes:
        """
        Seal bytes.

        Args:
            body: What to keep.

            place: Where it is kept; it opens nowhere else.
        """
        nonce = secrets.token_bytes(_NONCE_SIZE)
        head = _FORMAT + bytes((len(self._first),)) + self._first
        return (
            head
            + nonce
            + self._ciphers[self._first].encrypt(nonce, bytes(body), _bound(head, place))
        )

    def open(self, sealed: bytes, *, place: str) -> HiddenBytes:
        """
        Open what `seal` has sealed.

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
        return f"<SealingKeys {', '.join(name.decode() for name in self._ciphers)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("sealing keys are not pickled: load them again in the other process")


def _bound(head: bytes, place: str) -> bytes:
    return head + place.encode()


def _name(name: str) -> bytes:
    if not name or not name.isascii() or not name.isprintable() or len(name) > _NAME_LIMIT:
        raise ConfigurationError(f"a sealing key's name is 1 to {_NAME_LIMIT} plain characters")
    return name.encode()


def _cipher(key: bytes | str) -> "Cipher":
    try:
        raw = urlsafe_b64decode(key + "=" * (-len(key) % 4)) if isinstance(key, str) else key
    except ValueError:
        raw = b""
    if len(raw) != _KEY_SIZE:
        raise ConfigurationError("a sealing key is 32 random bytes, or their base64url text")
    require("file", "cryptography")
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra

    return AESGCM(raw)
