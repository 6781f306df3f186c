"""``WWW-Authenticate``: what an API wants, read by the full grammar."""

import re
from collections.abc import Iterable

import attrs

from aritma_auth.errors import StepUpRequiredError, printable
from aritma_auth.protocol.parameters import Scope, is_scope_token, is_word, parse_scope, parse_words

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


_MESSAGES = {
    "insufficient_scope": "the API wants a token of wider scope: ask for it",
    "insufficient_user_authentication": "the API wants a stronger or fresher sign-in: ask for it",
}


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
        message = _MESSAGES.get(challenge.parameters.get("error", ""))
        if challenge.scheme in {"bearer", "dpop"} and message is not None:
            return _step_up(challenge, message)
    return None


def _step_up(challenge: Challenge, message: str) -> StepUpRequiredError:
    said = challenge.parameters.get("error_description")
    max_age = challenge.parameters.get("max_age", "")
    is_number = max_age.isascii() and max_age.isdigit() and len(max_age) < 12
    # What no request can carry is not asked for.
    words = challenge.parameters.get("acr_values", "").split()
    scope = challenge.parameters.get("scope", "").split()
    return StepUpRequiredError(
        f"{message}: {printable(said)}" if said else message,
        acr_values=tuple(filter(is_word, words)),
        max_age=int(max_age) if is_number else None,
        scope=tuple(filter(is_scope_token, scope)) or None,
    )


@attrs.frozen
class Wish:
    """
    What a sign-in is to bring.

    Attributes:
        scope: Scope to ask for, or None.

        acr_values: How the person should sign in, the most wanted first.

        max_age: Seconds since the last sign-in that will do, or None.
    """

    scope: Scope | None
    acr_values: tuple[str, ...]
    max_age: int | None


def add_step_up(
    scope: str | Iterable[str] | None,
    acr_values: str | Iterable[str],
    max_age: int | None,
    step_up: StepUpRequiredError | None,
) -> Wish:
    """
    Add what an API asks for to what a sign-in would ask for anyway.

    Args:
        scope: Scope that the application needs.

        acr_values: What the application asks for, such as a tenant.

        max_age: What the application tolerates.

        step_up: What the API raised, or None.

    Returns:
        Both scopes, both lists with the API's first, and the smaller age.

    Spec: RFC 9470 §4; RFC 6750 §3.1.
    """
    wanted, words = parse_scope(scope), parse_words(acr_values)
    if step_up is None:
        return Wish(wanted, words, max_age)
    ages = [age for age in (max_age, step_up.max_age) if age is not None]
    return Wish(
        parse_scope((*(wanted or ()), *(step_up.scope or ()))) or wanted,
        parse_words((*step_up.acr_values, *words)),
        min(ages, default=None),
    )
