"""The parameters that a browser brings back, wherever they travelled."""

import re
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from yarl import URL

from aritma_auth.errors import VerificationError
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.redaction import HiddenStr, Members
from aritma_auth.protocol.strict_json import is_whole

_LONGEST = 1 << 17
_MOST = 100
# Half a character, as a badly decoded byte becomes: it could not be sent on.
_NO_TEXT = "\ud800"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[/?#]")


class PairedItems(Protocol):
    """A mapping that may name a parameter twice, such as the ``query`` of an aiohttp request."""

    def items(self) -> Iterable[tuple[str, object]]:
        """Give the pairs, repeated names included."""
        ...


Callback: TypeAlias = (
    str | bytes | URL | Mapping[str, str] | PairedItems | Iterable[tuple[str, str]]
)
"""
A URL, an encoded query or form, a (multi-)mapping, or pairs of name and value.

A mapping whose ``items`` hide what is named twice is asked for all it has: by ``multi_items`` in
Starlette and FastAPI, by ``lists`` in Django and Flask.
"""


def parse_callback(callback: Callback, *, response_mode: str) -> Members:
    """
    Read the parameters of a callback; one that is named twice is refused.

    Args:
        callback: The whole URL, or an encoded query, fragment or form, or the decoded pairs.

        response_mode: ``query``, ``fragment`` or ``form_post``: which part of a URL counts.

    Returns:
        The parameters; empty ones count as absent.

    Raises:
        VerificationError: A parameter appears twice or is no text, or the whole is beyond reason.

    Spec: RFC 6749 §3.1, §4.1.2, §4.2.2.
    """
    callback = hide_callback(callback)
    pairs = _decode(callback, response_mode) if isinstance(callback, str) else callback
    if not all(is_whole(value) for _, value in pairs):
        raise VerificationError("the callback holds what is no text: treat it as hostile")
    if len({name for name, _ in pairs}) != len(pairs):
        raise VerificationError("the callback names a parameter twice: treat it as hostile")
    return Members({name: value for name, value in pairs if value})


def hide_callback(callback: Callback) -> HiddenStr | Parameters:
    """
    Give a callback in a form that may stand in a traceback.

    Args:
        callback: What came, in any of its forms.

    Returns:
        The text or the pairs, hidden.
    """
    if isinstance(callback, bytes):
        return HiddenStr(callback.decode(errors="replace"))
    if isinstance(callback, str | URL):
        return HiddenStr(str(callback))
    return tuple(
        (name, HiddenStr(value if isinstance(value, str) else _NO_TEXT))
        for name, value in _all_items(callback)
    )


def _all_items(callback: object) -> Iterable[tuple[str, object]]:
    lists = getattr(callback, "lists", None)
    if lists is not None:
        return [(name, value) for name, values in lists() for value in values]
    items = getattr(callback, "multi_items", None) or getattr(callback, "items", None)
    given: Iterable[tuple[str, object]] = callback if items is None else items()  # type: ignore[assignment]
    return given


def _decode(text: str, response_mode: str) -> Parameters:
    part = "fragment" if response_mode == "fragment" else "query"
    if len(text) <= _LONGEST:
        try:
            if _ADDRESS.match(text):
                text = HiddenStr(getattr(urlsplit(text), part))
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST)
            return tuple((name, HiddenStr(value)) for name, value in pairs)
        except ValueError:
            pass
    raise VerificationError("the callback is no answer, or longer than any server's")
