"""
What a server repeats of our secrets, taken out of its text before it is shown.

Servers quote what they refuse: the whole form, the header, the code. The quotation need not have
our spelling, since it may come from a form, a JSON log line or an HTML page, or from one inside
another. So the text is searched as it came, and decoded by one or two of these, each decoded
character remembering where it stood; each time for the secret, its hex and its base64, which
depends on what stands before it. Servers also show the beginning or the end of what they refuse, so
that twelve characters in a row are enough:

::

    text      id%3AaG9%2Bc2U   →  decoded   id:aG9+c2U   →  found at 3..10  →  masked  id%3A***
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote_plus

from aritma_auth.protocol.redaction import MASK

_TOKENS = re.compile(
    r"eyJ[\w-]{5,}(?:\.[\w-]*){1,4}"
    r"|ZXlK[\w+/-]{20,}=*"
    r"|\b((?:Bearer|DPoP)[ +:]+)(?=[^\s\d]*\d)[\w.~+/-]{16,}=*",
    re.ASCII | re.IGNORECASE,
)
_MIN_SECRET = 4
_SHOWN = 256
_MAX_SEARCHED = 4096
_MAX_SPELLING = 8
_PIECE = 12
# A form writes a space as "+"; base64url writes "-_" for "+/".
_SPACE = str.maketrans(" ", "+")
_URL_SAFE = str.maketrans("-_", "+/")

# One character for each byte of the text's UTF-8, with the place in the text that it came from.
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
    # Beyond this length a secret that begins in the part that is shown has ended.
    limit = _SHOWN + _MAX_SPELLING * max(len(_to_bytes(secret)) for secret in hidden)
    whole = _to_bytes(text[:limit])
    units: _Units = [(char, at, at + 1) for at, char in enumerate(whole)]
    pieces = _pieces(hidden)
    found = [span for form in _decodings(units) for span in _find(form, pieces)]
    return _mask(whole, found).encode("latin-1").decode(errors="replace")


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
    known = tuple(secrets)
    text = text.replace(MASK, "")
    return len(text) > _MAX_SEARCHED or any(
        MASK in hide_echoes(text[at:], known) for at in range(0, len(text), _SHOWN)
    )


def _to_bytes(text: str) -> str:
    # Percent-encoding spells bytes: Latin-1 gives each byte a character.
    return text.encode(errors="surrogatepass").decode("latin-1")


def _decodings(units: _Units) -> Iterator[_Units]:
    yield units
    for outer in _DECODERS:
        once = _decode(units, *outer)
        if once != units:
            yield once
            yield from (_decode(once, *inner) for inner in _DECODERS)


def _decode(
    units: _Units, pattern: re.Pattern[str], decode: Callable[[re.Match[str]], str]
) -> _Units:
    decoded: _Units = []
    at = 0
    for match in pattern.finditer("".join(char for char, _, _ in units)):
        start, end = units[match.start()][1], units[match.end() - 1][2]
        decoded += units[at : match.start()]
        decoded += ((char, start, end) for char in decode(match))
        at = match.end()
    return decoded + units[at:]


def _from_percent(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))


def _from_backslash(match: re.Match[str]) -> str:
    high, low, unit, byte, char = match.groups()
    if high is not None:
        code = 0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF)
        return _to_bytes(chr(code))
    if unit is not None:
        return _to_bytes(chr(int(unit, 16)))
    return char if byte is None else chr(int(byte, 16))


def _from_entity(match: re.Match[str]) -> str:
    # Imported here: its table of names is large, and few servers write HTML.
    from html import unescape

    return _to_bytes(unescape(match[0]))


_DECODERS = (
    (re.compile(r"%([0-9A-Fa-f]{2})"), _from_percent),
    (
        re.compile(
            r"\\u([dD][89abAB][0-9A-Fa-f]{2})\\u([dD][c-fC-F][0-9A-Fa-f]{2})"
            r"|\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})|\\([\"'\\/])"
        ),
        _from_backslash,
    ),
    (re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});"), _from_entity),
)


def _find(units: _Units, pieces: Mapping[int, set[str]]) -> Iterator[tuple[int, int]]:
    plain = "".join(char for char, _, _ in units).translate(_SPACE)
    for text in {plain, plain.translate(_URL_SAFE)}:
        for size, known in pieces.items():
            for at in range(len(text) - size + 1):
                if text[at : at + size] in known:
                    yield units[at][1], units[at + size - 1][2]


def _pieces(secrets: Iterable[str]) -> Mapping[int, set[str]]:
    """Return, by its length, each piece of text that shows a secret."""
    pieces: dict[int, set[str]] = {}
    for secret in secrets:
        # In a Basic header the secret stands behind the client's id, form-encoded or not.
        encoded = [part for spelling in _spellings(secret) for part in _base64_parts(spelling)]
        raw = secret.encode(errors="surrogatepass")
        for text in (_to_bytes(secret).translate(_SPACE), raw.hex(), raw.hex().upper(), *encoded):
            size = min(len(text), _PIECE)
            known = pieces.setdefault(size, set())
            known.update(text[at : at + size] for at in range(len(text) - size + 1))
    return pieces


def _spellings(secret: str) -> set[bytes]:
    raw = secret.encode(errors="surrogatepass")
    decoded = unquote_plus(secret).encode(errors="surrogatepass")
    # In JSON that is encoded as a whole, such as a token's claims, the secret is escaped.
    escaped = json.dumps(secret)[1:-1].encode()
    return {raw, decoded, escaped, quote_plus(raw).encode(), quote(raw, safe="").encode()}


def _base64_parts(secret: bytes) -> Iterator[str]:
    """Return the characters that the secret alone decides, for each offset within three bytes."""
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
