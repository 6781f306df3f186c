"""
Which token of a key is the newest, also after a store was away or has lost its memory.

Each renewal counts one up. A sign-in starts at the clock's seconds, and so does a sign-in that was
forgotten: what came before them stays older, wherever it turns up again.
"""

import attrs

from aritma_auth.protocol.tokens import Token
from aritma_auth.renewal.cache import Obtained
from aritma_auth.stores import Entry, Record


@attrs.frozen
class Numbered:
    """
    A token and which one it is of its key.

    Attributes:
        token: The token, or None if there is none, or none any more.

        serial: Grows with each new one.
    """

    token: Token | None = None
    serial: int = 0


@attrs.frozen
class Found:
    """
    A token that can be used, and which one it is of its key.

    Attributes:
        obtained: The token.

        serial: Grows with each new one.
    """

    obtained: Obtained
    serial: int


def newest_of(entry: Entry | None, known: Numbered) -> Numbered:
    """
    Choose between the store's token and the provider's own, which may not have been kept.

    Args:
        entry: What is in the store; without a token but with a number it was forgotten.

        known: What the provider has.
    """
    record = Record() if entry is None else entry.record
    return known if known.serial > record.serial else Numbered(record.token, record.serial)


def serial_of_new(serial: int, *, now: float) -> int:
    """
    Number a sign-in, or the end of one.

    Args:
        serial: The highest number that is known.

        now: POSIX seconds.
    """
    return max(serial + 1, int(now))
