"""
The parameters that a browser brings back, in whatever form a framework hands them over.

A callback is hidden before anything else happens to it, and only then parsed: every frame that can
raise holds values that show nothing.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from yarl import URL

from aritma_auth.errors import StateMismatchError, VerificationError, wrong_kind
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.redaction import HiddenStr, Members
from aritma_auth.protocol.strict_json import is_whole

_MAX_LENGTH = 1 << 17
_MAX_PARAMETERS = 100
# Stands for a value that is no text: a lone surrogate is refused below.
_NO_TEXT = "\ud800"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[/?#]")
_TOKENS = frozenset({"access_token", "id_token"})
_RESPONSE = _TOKENS | {"code", "error", "response", "state"}


class PairedItems(Protocol):
    """A mapping that may name a parameter twice, such as the ``query`` of an aiohttp request."""

    def items(self) -> Iterable[tuple[str, object]]:
        """Return the pairs, repeated names included."""
        ...


Callback: TypeAlias = (
    str | bytes | URL | Mapping[str, str] | PairedItems | Iterable[tuple[str, str]]
)
"""
A URL, an encoded query or form, a (multi-)mapping, or pairs of name and value.

A mapping whose ``items`` hide repeated names is asked for all of them: by ``multi_items`` in
Starlette and FastAPI, by ``lists`` in Django and Flask.
"""


def parse_callback(callback: Callback, *, response_mode: str) -> Members:
    """
    Parse the parameters of a callback; one that appears twice is refused.

    Args:
        callback: The whole URL, or an encoded query, fragment or form, or the decoded pairs.

        response_mode: ``query``, ``fragment`` or ``form_post``: which part of a URL counts.

    Returns:
        The parameters; empty ones count as absent.

    Raises:
        ConfigurationError: The callback is of none of these kinds.

        StateMismatchError: The response came in another part of the URL than was asked for.

        VerificationError: A parameter appears twice or is no text, the whole is too long, or
            tokens came in a query.

    Spec: RFC 6749 §3.1, §4.1.2, §4.2.2; RFC 9700 §4.3.
    """
    callback = hide_callback(callback)
    pairs = _decode(callback, response_mode) if isinstance(callback, str) else callback
    if not all(is_whole(text) for pair in pairs for text in pair):
        raise VerificationError("the callback holds a value that is no text: treat it as hostile")
    if len({name for name, _ in pairs}) != len(pairs):
        raise VerificationError("the callback names a parameter twice: treat it as hostile")
    return Members({name: value for name, value in pairs if value})


def hide_callback(callback: Callback) -> HiddenStr | Parameters:
    """
    Return a callback in a form that a traceback may show.

    Args:
        callback: The callback, in any of its forms.

    Returns:
        The text or the pairs, hidden.

    Raises:
        ConfigurationError: It is of none of these forms.
    """
    if isinstance(callback, bytes):
        return HiddenStr(callback.decode(errors="replace"))
    if isinstance(callback, str | URL):
        return HiddenStr(str(callback))
    pairs = _hide_pairs(callback)
    if pairs is None:
        problem = wrong_kind("callback", "a URL, an encoded form, a mapping or pairs", callback)
        del callback
        raise problem
    return pairs


def _hide_pairs(callback: object) -> Parameters | None:
    try:
        pairs = _pairs_of(callback)
        if not isinstance(pairs, Iterable):
            return None
        return tuple(
            (HiddenStr(name), HiddenStr(value if isinstance(value, str) else _NO_TEXT))
            for name, value in pairs
        )
    except (TypeError, ValueError):
        return None


def _pairs_of(callback: object) -> object:
    lists = getattr(callback, "lists", None)
    if lists is not None:
        return [(name, value) for name, values in lists() for value in values]
    items = getattr(callback, "multi_items", None) or getattr(callback, "items", None)
    return callback if items is None else items()


def _decode(text: str, response_mode: str) -> Parameters:
    if len(text) <= _MAX_LENGTH:
        try:
            if not _ADDRESS.match(text):
                return _split(text)
            url = urlsplit(text)
            query, fragment = _split(HiddenStr(url.query)), _split(HiddenStr(url.fragment))
        except ValueError:
            pass
        else:
            wanted, other = (fragment, query) if response_mode == "fragment" else (query, fragment)
            _require_place(query, wanted, other, response_mode)
            return wanted
    raise VerificationError(
        "the callback is no authorization response, or longer than any server's"
    )


def _split(text: str) -> Parameters:
    pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    return tuple((HiddenStr(name), HiddenStr(value)) for name, value in pairs)


def _require_place(
    query: Parameters, wanted: Parameters, other: Parameters, response_mode: str
) -> None:
    if not _has(wanted, _RESPONSE) and _has(other, _RESPONSE):
        where = "query" if response_mode == "fragment" else "fragment"
        raise StateMismatchError(
            f"the response must come by response_mode {response_mode}, but it came in the {where}: "
            "register that response_mode at the server, or ask for another one"
        )
    # Servers and proxies log URLs, and browsers send them on as Referer.
    if _has(query, _TOKENS):
        raise VerificationError(
            "tokens must not come in the query of a URL, since it is logged: treat them as leaked, "
            f"and find out why the server does not respond by response_mode {response_mode}"
        )


def _has(parameters: Parameters, names: frozenset[str]) -> bool:
    return any(name in names and value for name, value in parameters)
