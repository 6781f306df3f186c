"""
What a store of one machine writes: a record with its generation and fence, encrypted or summed.

    aritma-auth 1 encrypted 12 7 <encrypted record>
    aritma-auth 1 plain 12 7 <SHA-256> <record>

The authentication tag or the sum covers the key and the head too, so that an entry which was copied
to another key, truncated or renumbered is detected. The sum detects accidents; only encryption
keeps out an attacker who can write the file.
"""

import hmac
import re
from hashlib import sha256

import attrs

from aritma_auth.protocol.redaction import HiddenBytes
from aritma_auth.stores.contract import Entry, Record
from aritma_auth.stores.encryption import EncryptionKeys
from aritma_auth.stores.records import RecordError, dump_record, parse_record

_HEAD = re.compile(rb"aritma-auth 1 (plain|encrypted) ([1-9][0-9]{0,17}) (0|[1-9][0-9]{0,17}) ")
_SUM_SIZE = 64


@attrs.frozen
class Kept:
    """An entry, and the fence of the latest lease under which it was written (0 for none)."""

    entry: Entry
    fence: int = 0


def pack(kept: Kept, *, key: str, keys: EncryptionKeys | None, now: float) -> HiddenBytes:
    """Return an entry as bytes, bound to its key; without encryption keys they are ASCII."""
    kind = "plain" if keys is None else "encrypted"
    head = f"aritma-auth 1 {kind} {kept.entry.generation} {kept.fence} "
    record, place = dump_record(kept.entry.record, now=now), _place(key, head)
    if keys is None:
        return HiddenBytes(f"{head}{_sum(place, record)} ".encode() + record)
    return HiddenBytes(head.encode() + keys.encrypt(record, place=place))


def unpack(body: bytes, *, key: str, keys: EncryptionKeys | None, now: float) -> Kept:
    """Return the entry that `pack` wrote; anything else is an entry with a problem."""
    try:
        return _unpack(body, key, keys, now)
    except RecordError as error:
        problem = str(error)
    return unreadable(body, problem)


def unreadable(content: bytes, problem: str, *, is_lost: bool = False) -> Kept:
    """Return an entry for what cannot be read; its generation is made of the content."""
    # Compare and swap needs a generation that changes with the content, and there is no other.
    generation = 1 + int.from_bytes(sha256(content).digest()[:6], "big")
    return Kept(Entry(Record(), generation, problem=problem, is_lost=is_lost))


def _unpack(body: bytes, key: str, keys: EncryptionKeys | None, now: float) -> Kept:
    match = _HEAD.match(body)
    if match is None:
        raise RecordError("it was written by another version, or by another program")
    head, rest = match[0].decode(), HiddenBytes(body[match.end() :])
    place, is_encrypted = _place(key, head), match[1] == b"encrypted"
    if is_encrypted and keys is None:
        raise RecordError("it is encrypted, and the store has no keys")
    if not is_encrypted and keys is not None:
        # Any process that can write the file could have written it.
        raise RecordError("it is not encrypted, and the store has keys")
    record = _require_sum(rest, place) if keys is None else keys.decrypt(rest, place=place)
    return Kept(Entry(parse_record(record, now=now), int(match[2])), int(match[3]))


def _require_sum(rest: bytes, place: str) -> HiddenBytes:
    record = HiddenBytes(rest[_SUM_SIZE + 1 :])
    if not hmac.compare_digest(rest[: _SUM_SIZE + 1], f"{_sum(place, record)} ".encode()):
        raise RecordError("its checksum is wrong: it is damaged, or was copied from another place")
    return record


def _sum(place: str, record: bytes) -> str:
    return sha256(place.encode() + record).hexdigest()


def _place(key: str, head: str) -> str:
    return f"{key}\n{head}"
