"""
What a server repeats of our secrets, taken out of its text before it is shown.

Servers quote what they refuse: the whole form, the header, the code. The quotation need not have
our spelling, since it may come from a form, a JSON log line or an HTML page, or from one inside
another, and may have been folded, wrapped or cut. So the text is decoded until nothing changes,
each decoded character remembering where it stood. Each form is searched as it is, and again with
only its letters and digits, in lower case: for the secret, its hex, its base64 and base32, which
depend on what stands before it, and the numbers of its bytes. Eight characters in a row suffice, or
six of a short secret:

::

    text      id%253AaG9%252B c2U   →  decoded  id:aG9+ c2U   →  letters and digits  idag9c2u
    masked    id%253A***            ←           found at 3..11
"""

import json
import re
import sys
from base64 import b32encode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

from aritma_auth.protocol.redaction import MASK

_TOKENS = re.compile(
    r"eyJ[\w-]{5,}(?:\.[\w-]*){1,4}"
    r"|ZXlK[\w+/-]{20,}=*"
    r"|\b((?:Bearer|DPoP)[ +:]+)(?=[^\s\d]*\d)[\w.~+/-]{16,}=*",
    re.ASCII | re.IGNORECASE,
)
_MIN_SECRET = 4
_PIECE = 8
_LONG = 12
_PIECE_OF_SHORT = 6
_MAX_SEARCHED = 1024
_MAX_ROUNDS = 6
# A form writes a space as "+".
_SPACE = bytes.maketrans(b" ", b"+")
_LOWER = bytes(range(256)).lower()
_SIGNS = bytes(code for code in range(256) if not (code < 128 and chr(code).isalnum()))
# Not compiled here: few texts hold an escape, and re keeps what it has compiled.
_ESCAPES = (
    r"\\u(?P<high>[dD][89abAB][0-9A-Fa-f]{2})\\u(?P<low>[dD][c-fC-F][0-9A-Fa-f]{2})"
    r"|[%\\]u(?P<unit>[0-9A-Fa-f]{4})"
    r"|\\U(?P<code>[0-9A-Fa-f]{8})"
    r"|\\u\{(?P<point>[0-9A-Fa-f]{1,6})\}"
    r"|(?:[%=]|\\[xX])(?P<byte>[0-9A-Fa-f]{2})"
    r"|0[xX](?P<octet>[0-9A-Fa-f]{2})[, ]{0,2}"
    r"|\\(?P<octal>[0-3][0-7]{2})"
    r"|\\(?P<char>[^\w\s])"
    r"|(?P<entity>&(?:#[0-9]{1,7};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z]{2,8};))"
    # What stands between two characters: a line's end, a tag, the colour of a terminal.
    r"|(?P<nothing>\\[nrtbf]|<[!/?A-Za-z][^<>]{0,80}>|\x1b\[[0-9;]*[A-Za-z])"
)
_ESCAPE_MARK = re.compile(r"[%\\=&<\x1b]|0[xX]")

# One character for each byte of the text's UTF-8, with the place in the text that it came from.
_Units = list[tuple[str, int, int]]

# The pieces of a secret that show it, by their length.
_Known = Mapping[int, set[bytes]]


def hide_echoes(text: str, secrets: Iterable[str]) -> str:
    """
    Mask each secret in a server's text, in whatever spelling it stands there.

    Args:
        text: What the server says; only its first 1,024 bytes are kept, as less is shown.

        secrets: What must not be shown. The shortest, of fewer than four characters, could be any
            word and stay.
    """
    hidden = [secret for secret in secrets if len(secret) >= _MIN_SECRET]
    if not hidden:
        return text
    whole = _to_bytes(text[:_MAX_SEARCHED])[:_MAX_SEARCHED]
    return _mask(whole, _find_echoes(whole, hidden)).encode("latin-1").decode(errors="replace")


def hide_tokens(text: str) -> str:
    """
    Mask what looks like an access token, where it is not known which one was sent.

    Args:
        text: What an API says: JSON Web Tokens, also in base64, and what stands after ``Bearer`` or
            ``DPoP`` and has a digit.
    """
    return _TOKENS.sub(lambda found: (found[1] or "") + MASK, text)


def is_echo(text: str, secrets: Iterable[str]) -> bool:
    """Tell whether a server's text repeats a secret; a very long one is taken to do so."""
    hidden = [secret for secret in secrets if len(secret) >= _MIN_SECRET]
    return len(text) > _MAX_SEARCHED or bool(hidden and _find_echoes(_to_bytes(text), hidden))


def _find_echoes(text: str, secrets: Iterable[str]) -> list[tuple[int, int]]:
    units: _Units = [(char, at, at + 1) for at, char in enumerate(text)]
    literal, plain = _spell(secrets)
    found: list[tuple[int, int]] = []
    for form in _decode_in_rounds(units):
        if form is None:
            # No server encodes a text so often: nothing of it is shown.
            return [(0, len(text))]
        found += _find(form, literal)
        found += _find(_reduce(form), plain)
    return found


def _to_bytes(text: str) -> str:
    # Percent-encoding spells bytes: Latin-1 gives each byte a character.
    return text.encode(errors="surrogatepass").decode("latin-1")


def _decode_in_rounds(units: _Units) -> Iterator[_Units | None]:
    """Yield the text as it is, decoded once, twice …, and None if that does not end."""
    yield units
    for _ in range(_MAX_ROUNDS):
        text = "".join(char for char, _, _ in units)
        # Compiling what decodes costs more than a whole token response, which seldom needs it.
        matches = list(re.finditer(_ESCAPES, text)) if _ESCAPE_MARK.search(text) else []
        if not matches:
            return
        units = _decode(units, matches)
        yield units
    yield None


def _decode(units: _Units, matches: Iterable[re.Match[str]]) -> _Units:
    decoded: _Units = []
    at = 0
    for match in matches:
        start, end = units[match.start()][1], units[match.end() - 1][2]
        decoded += units[at : match.start()]
        decoded += ((char, start, end) for char in _decode_escape(match))
        at = match.end()
    return decoded + units[at:]


def _decode_escape(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    escape = match[kind]
    if kind in {"char", "nothing"}:
        return escape if kind == "char" else ""
    if kind == "entity":
        # Imported here: its table of names is large, and few servers write HTML.
        from html import unescape

        return _to_bytes(unescape(escape))
    if kind in {"byte", "octet", "octal"}:
        return chr(int(escape, 8 if kind == "octal" else 16))
    code = int(escape, 16)
    if kind == "low":
        code = 0x10000 + ((int(match["high"], 16) & 0x3FF) << 10) + (code & 0x3FF)
    return _to_bytes(chr(code)) if code <= sys.maxunicode else ""


def _reduce(units: _Units) -> _Units:
    """Keep what no fold, space or sign can part: letters and digits, in lower case."""
    return [
        (char.lower(), start, end)
        for char, start, end in units
        if char.isascii() and char.isalnum()
    ]


def _find(units: _Units, known: _Known) -> Iterator[tuple[int, int]]:
    text = "".join(char for char, _, _ in units).encode("latin-1").translate(_SPACE)
    for size, pieces in known.items():
        for at in range(len(text) - size + 1):
            if text[at : at + size] in pieces:
                yield units[at][1], units[at + size - 1][2]


def _spell(secrets: Iterable[str]) -> tuple[_Known, _Known]:
    """Return what shows a secret, as it is and reduced, by the length that a piece must have."""
    literal: dict[int, set[bytes]] = {}
    reduced: dict[int, set[bytes]] = {}
    for secret in secrets:
        for raw in _spellings(secret):
            piece = _piece(raw)
            _add(literal, piece, raw.translate(_SPACE))
            word = raw.translate(_LOWER, _SIGNS)
            if len(word) >= _MIN_SECRET:
                _add(reduced, _piece(word), word)
            for encoded in _encodings(raw):
                word = encoded.translate(_LOWER, _SIGNS)
                _add(reduced, max(_MIN_SECRET, len(word) * piece // len(raw)), word)
    return literal, reduced


def _add(known: dict[int, set[bytes]], size: int, spelling: bytes) -> None:
    pieces = known.setdefault(size, set())
    pieces.update(spelling[at : at + size] for at in range(len(spelling) - size + 1))


def _piece(text: bytes) -> int:
    """Return how many characters in a row show too much."""
    return min(len(text), _PIECE if len(text) >= _LONG else _PIECE_OF_SHORT)


def _spellings(secret: str) -> set[bytes]:
    """Return what encoders of whole texts are given, such as a Basic header's or a JSON body's."""
    raw = secret.encode(errors="surrogatepass")
    forms = _decode_in_rounds([(char, 0, 0) for char in _to_bytes(secret)])
    decoded = {"".join(char for char, _, _ in form) for form in forms if form is not None}
    escaped = {json.dumps(secret)[1:-1], quote_plus(raw), quote(raw, safe="")}
    return {text.encode("latin-1") for text in decoded | escaped}


def _encodings(raw: bytes) -> Iterator[bytes]:
    yield raw.hex().encode()
    yield "".join(map(str, raw)).encode()
    yield from _aligned(raw, b32encode, 5, 5)
    for once in _aligned(raw, b64encode, 3, 6):
        yield once
        # A header in base64 is logged as JSON, which is a part of a token in base64.
        yield from _aligned(once, b64encode, 3, 6)


def _aligned(
    raw: bytes, encode: Callable[[bytes], bytes], alignments: int, bits: int
) -> Iterator[bytes]:
    """Yield the characters that these bytes alone decide, for each number of bytes before them."""
    for offset in range(alignments):
        encoded = encode(bytes(offset) + raw)
        yield encoded[-(-8 * offset // bits) : 8 * (offset + len(raw)) // bits]


def _mask(text: str, found: Iterable[tuple[int, int]]) -> str:
    shown, at = [], 0
    for start, end in sorted(found):
        if start >= at:
            shown.append(text[at:start] + MASK)
        at = max(at, end)
    return "".join(shown) + text[at:]
