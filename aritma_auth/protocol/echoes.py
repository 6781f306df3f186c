"""
What a server repeats of our secrets, taken out of its text before anyone sees it.

Servers quote what they refuse: the whole form, the header, the code. The quotation need not have
our spelling, since it may come from a form, a JSON log line or an HTML page. So the text is
searched as it came, decoded once and decoded twice, each decoded character remembering where it
stood; each time for the secret itself and for its base64, which depends on what stands before it:

::

    text      id%3AaG9%2Bc2U   →  decoded   id:aG9+c2U   →  found at 3..10  →  masked  id%3A***
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import unescape
from urllib.parse import quote, quote_plus, unquote_plus

from aritma_auth.protocol.redaction import HiddenStr

MASK = "***"

_MIN_SECRET = 4
_SHOWN = 256
_MAX_SEARCHED = 4096
_DECODINGS = 2
# One unit of an encoded text: percent (URL, form), backslash (JSON), ampersand (HTML), or itself.
_UNIT = re.compile(
    r"%(?P<percent>[0-9A-Fa-f]{2})"
    r"|\\u(?P<high>[dD][89abAB][0-9A-Fa-f]{2})\\u(?P<low>[dD][c-fC-F][0-9A-Fa-f]{2})"
    r"|\\u(?P<unicode>[0-9A-Fa-f]{4})"
    r"|\\x(?P<byte>[0-9A-Fa-f]{2})"
    r"|\\(?P<escaped>[\"'\\/])"
    r"|(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)"
    r"|.",
    re.DOTALL,
)
# A form writes a space as "+"; base64url writes "-_" for "+/".
_SPACE = str.maketrans(" ", "+")
_URL_SAFE = str.maketrans("-_", "+/")

_Units = list[tuple[str, int, int]]


def hide_echoes(text: str, secrets: Iterable[str]) -> str:
    """
    Mask each secret in a server's text, in whatever spelling it stands there.

    Args:
        text: What the server says; only its beginning is kept, as only that is shown.

        secrets: What must not be shown. The shortest, of fewer than four characters, could be any
            word and stay.
    """
    hidden = [secret for secret in secrets if len(secret) >= _MIN_SECRET]
    if not hidden:
        return text
    # The longest spelling of a byte has six characters; a secret cut here is cut from the message.
    text = text[: _SHOWN + 6 * max(len(_to_latin1(secret)) for secret in hidden)]
    units: _Units = [(char, at, at + 1) for at, char in enumerate(_to_latin1(text))]
    found: list[tuple[int, int]] = []
    for decodings in range(_DECODINGS + 1):
        units = _decode(units) if decodings else units
        found.extend(_find(units, hidden))
    return _mask(_to_latin1(text), found).encode("latin-1").decode(errors="replace")


def is_echo(text: str, secrets: Iterable[str]) -> bool:
    """Tell whether a server's text repeats a secret; a very long one is taken to do so."""
    known = tuple(secrets)
    text = text.replace(MASK, "")
    return len(text) > _MAX_SEARCHED or any(
        MASK in hide_echoes(text[at:], known) for at in range(0, len(text), _SHOWN)
    )


def mask_hidden(text: str) -> str:
    """Give a text for a ``repr``: the mask if it is hidden."""
    return MASK if isinstance(text, HiddenStr) else text


def _to_latin1(text: str) -> str:
    # One character a byte of its UTF-8, since percent-encoding spells bytes.
    return text.encode(errors="surrogatepass").decode("latin-1")


def _decode(units: _Units) -> _Units:
    decoded: _Units = []
    for match in _UNIT.finditer("".join(char for char, _, _ in units)):
        start, end = units[match.start()][1], units[match.end() - 1][2]
        decoded.extend((char, start, end) for char in _character(match))
    return decoded


def _character(match: re.Match[str]) -> str:
    kind, value = match.lastgroup, match[match.lastgroup or 0]
    if kind in {"percent", "byte"}:
        return chr(int(value, 16))
    if kind == "unicode":
        return _to_latin1(chr(int(value, 16)))
    if kind == "low":
        return _to_latin1(
            chr(0x10000 + ((int(match["high"], 16) & 0x3FF) << 10) + (int(value, 16) & 0x3FF))
        )
    return _to_latin1(unescape(value)) if kind == "entity" else value


def _find(units: _Units, secrets: list[str]) -> Iterator[tuple[int, int]]:
    plain = "".join(char for char, _, _ in units).translate(_SPACE)
    base64 = plain.translate(_URL_SAFE)
    for secret in secrets:
        yield from _occurrences(plain, _to_latin1(secret).translate(_SPACE), units)
        # In a Basic header the form-encoded secret stands behind the client's id.
        # Without the encoding, a server that decodes it nevertheless repeats another text.
        for spelling in {
            secret,
            quote_plus(secret),
            quote(secret, safe=""),
            unquote_plus(secret),
        }:
            for part in _base64_parts(spelling.encode(errors="surrogatepass")):
                yield from _occurrences(base64, part, units)


def _occurrences(text: str, wanted: str, units: _Units) -> Iterator[tuple[int, int]]:
    at = text.find(wanted)
    while at >= 0:
        yield units[at][1], units[at + len(wanted) - 1][2]
        at = text.find(wanted, at + 1)


def _base64_parts(secret: bytes) -> Iterator[str]:
    """Give the characters that the secret alone decides, for each offset within three bytes."""
    for offset in range(3):
        encoded = b64encode(bytes(offset) + secret).decode()
        yield encoded[-(-8 * offset // 6) : 8 * (offset + len(secret)) // 6]


def _mask(text: str, found: list[tuple[int, int]]) -> str:
    shown, at = [], 0
    for start, end in sorted(found):
        if start >= at:
            shown.append(text[at:start] + MASK)
        at = max(at, end)
    return "".join(shown) + text[at:]
