"""``WWW-Authenticate``: what an API wants, read by the full grammar."""

import re
from collections.abc import Iterable

import attrs

from aritma_auth.errors import StepUpRequiredError, printable

_LONGEST = 16384
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SPACE = re.compile(r"[ \t]*")
_COMMAS = re.compile(r"[ \t]*(?:,[ \t]*)*")
_SCHEME = re.compile(_TOKEN)
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))")
_PARAMETER = re.compile(
    rf'({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")(?=[ \t]*(?:,|$))', re.DOTALL
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
        The challenges in their order; what follows a break of the grammar is left out.

    Spec: RFC 9110 §11.6.1.
    """
    text = ", ".join(fields)
    return [] if len(text) > _LONGEST else _read(text)


def _read(text: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    at = _end(_COMMAS, text, 0)
    while at < len(text):
        # "name =" belongs to the challenge before; anything else begins a new one.
        parameter = _PARAMETER.match(text, at)
        if parameter is not None and challenges:
            _add(challenges[-1], parameter)
            at = parameter.end()
        else:
            scheme = _SCHEME.match(text, at)
            if scheme is None:
                break
            at = _end(_SPACE, text, scheme.end())
            has_space = at > scheme.end()
            token68 = _TOKEN68.match(text, at) if has_space else None
            if not has_space and at < len(text) and text[at] != ",":
                break
            challenges.append(Challenge(scheme[0].lower(), token68[0] if token68 else None))
            if token68 is not None:
                at = token68.end()
            elif has_space and (first := _PARAMETER.match(text, at)) is not None:
                _add(challenges[-1], first)
                at = first.end()
        separator = _end(_COMMAS, text, at)
        if at < separator or separator == len(text):
            at = separator
            continue
        break
    return challenges


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _add(challenge: Challenge, found: re.Match[str]) -> None:
    name, plain, quoted = found.groups()
    value = plain if quoted is None else _ESCAPE.sub(r"\1", quoted)
    challenge.parameters.setdefault(name.lower(), value)


def find_step_up(fields: Iterable[str]) -> StepUpRequiredError | None:
    """
    Tell whether an API asks for more than the token proves, and what to ask for.

    Args:
        fields: The values of the answer's ``WWW-Authenticate`` fields.

    Returns:
        The error to raise, or None if no challenge says so.

    Spec: RFC 6750 §3.1 (insufficient_scope); RFC 9470 §3.
    """
    for challenge in parse_challenges(fields):
        error = challenge.parameters.get("error")
        if challenge.scheme not in {"bearer", "dpop"} or error not in _STEP_UPS:
            continue
        scope = challenge.parameters.get("scope", "").split()
        acr_values = challenge.parameters.get("acr_values", "").split()
        max_age = challenge.parameters.get("max_age", "")
        is_number = max_age.isascii() and max_age.isdigit() and len(max_age) < 12
        said = challenge.parameters.get("error_description")
        return StepUpRequiredError(
            _STEP_UPS[error] + (f": {printable(said)}" if said else ""),
            acr_values=tuple(map(printable, acr_values)),
            max_age=int(max_age) if is_number else None,
            scope=tuple(map(printable, scope)) or None,
        )
    return None


_STEP_UPS = {
    "insufficient_scope": "the API wants a token of wider scope: ask for it",
    "insufficient_user_authentication": "the API wants a stronger or fresher sign-in: ask for it",
}
