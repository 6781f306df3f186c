"""The parameters that a browser brings back, wherever they travelled."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from aritma_auth.errors import VerificationError
from aritma_auth.protocol.sealed import HiddenStr, Members

_LONGEST = 1 << 17
_MOST = 100


class PairedItems(Protocol):
    """A mapping that may name a parameter twice, such as the ``query`` of an aiohttp request."""

    def items(self) -> Iterable[tuple[str, object]]:
        """Give the pairs, repeated names included."""
        ...


Callback: TypeAlias = str | Mapping[str, str] | PairedItems | Iterable[tuple[str, str]]
"""A URL, an encoded query or form, a (multi-)mapping, or pairs of name and value."""


def read_callback(callback: Callback, *, response_mode: str) -> Members:
    """
    Read the parameters of a callback; one that is named twice is refused.

    Args:
        callback: The whole URL, or an encoded query, fragment or form, or the decoded pairs.

        response_mode: ``query``, ``fragment`` or ``form_post``: which part of a URL counts.

    Returns:
        The parameters; empty ones count as absent.

    Raises:
        VerificationError: A parameter appears twice, or the whole is beyond reason.

    Spec: RFC 6749 §3.1, §4.1.2, §4.2.2.
    """
    pairs = _pairs(callback, response_mode)
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise VerificationError("the callback names a parameter twice: treat it as hostile")
    return Members({name: HiddenStr(value) for name, value in pairs if value})


def _pairs(callback: Callback, response_mode: str) -> list[tuple[str, str]]:
    if not isinstance(callback, str):
        given = callback if isinstance(callback, Iterable) else callback.items()
        given = getattr(callback, "items", lambda: given)()
        return [(str(name), str(value)) for name, value in given]
    text = HiddenStr(callback)
    if "://" in text.partition("?")[0] or text.startswith(("/", "?", "#")):
        parts = urlsplit(text)
        text = HiddenStr(parts.fragment if response_mode == "fragment" else parts.query)
    is_readable = len(text) <= _LONGEST
    try:
        return parse_qsl(text if is_readable else "&" * _MOST, max_num_fields=_MOST - 1)
    except ValueError:
        is_readable = False
    raise VerificationError("the callback is longer than any server's answer")
