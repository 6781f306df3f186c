"""
What a store of one machine writes: a record with its generation and fence, sealed or summed.

    aritma-auth 1 sealed 12 7 <sealed record>
    aritma-auth 1 plain 12 7 <SHA-256> <record>

The sum or the seal covers the key and the head too: an entry that was copied to another key, cut
short or given another number is found out. The sum finds accidents; only a seal keeps people out.
"""

import hmac
import re
from hashlib import sha256

import attrs

from aritma_auth.protocol.redaction import HiddenBytes
from aritma_auth.stores import Entry, Record
from aritma_auth.stores.encryption import EncryptionKeys
from aritma_auth.stores.records import RecordError, dump_record, parse_record

_HEAD = re.compile(rb"aritma-auth 1 (plain|sealed) ([1-9][0-9]{0,17}) (0|[1-9][0-9]{0,17}) ")
_SUM_SIZE = 64


@attrs.frozen
class Kept:
    """
    What was kept.

    Attributes:
        entry: The entry.

        fence: Number of the latest lease under which it was written, or 0.
    """

    entry: Entry
    fence: int = 0


def pack(kept: Kept, *, key: str, keys: EncryptionKeys | None, now: float) -> HiddenBytes:
    """
    Write an entry as bytes; without encryption keys they are ASCII.

    Args:
        kept: The entry and its fence.

        key: The key under which it is kept.

        keys: Seal it, or None.

        now: POSIX seconds.
    """
    manner = "plain" if keys is None else "sealed"
    head = f"aritma-auth 1 {manner} {kept.entry.generation} {kept.fence} "
    record, place = dump_record(kept.entry.record, now=now), _place(key, head)
    if keys is None:
        return HiddenBytes(f"{head}{_sum(place, record)} ".encode() + record)
    return HiddenBytes(head.encode() + keys.encrypt(record, place=place))


def unpack(body: bytes, *, key: str, keys: EncryptionKeys | None, now: float) -> Kept:
    """
    Read what `pack` wrote; anything else is an entry with a problem.

    Args:
        body: The bytes.

        key: The key under which they were kept.

        keys: Open them, or None if they must be plain.

        now: POSIX seconds.
    """
    try:
        return _unpack(body, key, keys, now)
    except RecordError as error:
        problem = str(error)
    return unreadable(body, problem)


def unreadable(content: bytes, problem: str) -> Kept:
    """
    Make an entry of what cannot be read, so that it can be overwritten.

    Args:
        content: Tells it from any other: its generation is made of this.

        problem: Why it cannot be read.
    """
    generation = 1 + int.from_bytes(sha256(content).digest()[:6], "big")
    return Kept(Entry(Record(), generation, problem=problem))


def _unpack(body: bytes, key: str, keys: EncryptionKeys | None, now: float) -> Kept:
    match = _HEAD.match(body)
    if match is None:
        raise RecordError("it is of another version, or of another program")
    head, rest = match[0].decode(), HiddenBytes(body[match.end() :])
    place, is_sealed = _place(key, head), match[1] == b"sealed"
    if is_sealed != (keys is not None):
        raise RecordError("it is sealed, and there is no key" if is_sealed else "it is not sealed")
    record = _check(rest, place) if keys is None else keys.decrypt(rest, place=place)
    return Kept(Entry(parse_record(record, now=now), int(match[2])), int(match[3]))


def _check(rest: bytes, place: str) -> HiddenBytes:
    record = HiddenBytes(rest[_SUM_SIZE + 1 :])
    if not hmac.compare_digest(rest[: _SUM_SIZE + 1], f"{_sum(place, record)} ".encode()):
        raise RecordError("its sum is wrong, or it was kept in another place")
    return record


def _sum(place: str, record: bytes) -> str:
    return sha256(place.encode() + record).hexdigest()


def _place(key: str, head: str) -> str:
    return f"{key}\n{head}"
