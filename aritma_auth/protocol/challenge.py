"""``WWW-Authenticate``: what an API wants, read by the full grammar."""

import re
from collections.abc import Iterable

import attrs

_LONGEST = 16384
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_COMMAS = re.compile(r"[ \t]*(?:,[ \t]*)*")
_LAST = r"(?=[ \t]*(?:,|\Z))"
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+|{_LAST})")
_TOKEN68 = re.compile(rf"[A-Za-z0-9\-._~+/]+=*{_LAST}")
_PARAMETER = re.compile(
    rf'({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)"){_LAST}', re.DOTALL
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@attrs.frozen
class Challenge:
    """
    One challenge.

    Attributes:
        scheme: In lower case, such as ``bearer``.

        token68: The bare credential that some schemes have instead of parameters, or None.

        parameters: Values by lower-case name; of a repeated name the first.

    Spec: RFC 9110 §11.3, §11.6.1.
    """

    scheme: str
    token68: str | None = None
    parameters: dict[str, str] = attrs.field(factory=dict)


def parse_challenges(fields: Iterable[str]) -> list[Challenge]:
    """
    Read the challenges of an answer.

    Args:
        fields: The values of its ``WWW-Authenticate`` fields.

    Returns:
        The challenges in their order; what follows a break of the grammar in a field is left out.

    Spec: RFC 9110 §11.6.1.
    """
    # Field by field: what breaks the grammar in one must not hide the next.
    return [challenge for text in fields if len(text) <= _LONGEST for challenge in _read(text)]


def _read(text: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    at = _end(_COMMAS, text, 0)
    while at < len(text):
        end = _read_element(text, at, challenges)
        at = _end(_COMMAS, text, end)
        if at == end:
            # No comma where one must be: the grammar ends here.
            break
    return challenges


def _read_element(text: str, at: int, challenges: list[Challenge]) -> int:
    parameter = _PARAMETER.match(text, at)
    if parameter is not None:
        # "name =" belongs to the challenge before; anything else begins a new one.
        if not challenges or challenges[-1].token68 is not None:
            return at
        return _add(challenges[-1], parameter)
    scheme = _SCHEME.match(text, at)
    if scheme is None:
        return at
    at = scheme.end()
    token68, first = _TOKEN68.match(text, at), _PARAMETER.match(text, at)
    challenges.append(Challenge(scheme[1].lower(), None if token68 is None else token68[0]))
    if token68 is not None:
        return token68.end()
    return at if first is None else _add(challenges[-1], first)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _add(challenge: Challenge, found: re.Match[str]) -> int:
    name, plain, quoted = found.groups()
    value = plain if quoted is None else _ESCAPE.sub(r"\1", quoted)
    challenge.parameters.setdefault(name.lower(), value)
    return found.end()
