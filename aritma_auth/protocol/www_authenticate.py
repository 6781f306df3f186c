"""
``WWW-Authenticate``: the challenges of a response, by the full grammar.

One field may hold several challenges, and each challenge several parameters, all separated by
commas; whether a word begins a challenge or a parameter shows only when "=" follows:

::

    Basic realm="a, b", Bearer error="insufficient_scope", scope="x y", Negotiate oWOBoAMK==
    └──── challenge ──┘ └──────────────── challenge ─────────────────┘ └─ with token68 ───┘

The reader goes from element to element with anchored patterns that cannot backtrack over each
other, so a hostile field costs time linear in its length. What follows a break of the grammar in a
field is ignored: guessing there would let one field forge another's challenge.

Spec: RFC 9110 §11.6.1; RFC 6750 §3; RFC 9470 §3.
"""

import re
from collections.abc import Iterable

import attrs

from aritma_auth.errors import OAuthError, StepUpRequiredError, oauth_error, printable
from aritma_auth.protocol.echoes import hide_echoes, hide_tokens, is_echo
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.parameters import is_scope_token, is_word, parse_texts
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.values import Value

_MAX_LENGTH = 16384
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_COMMAS = re.compile(r"[ \t]*(?:,[ \t]*)*")
_LAST = r"(?=[ \t]*(?:,|\Z))"
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+|{_LAST})")
_TOKEN68 = re.compile(rf"[A-Za-z0-9\-._~+/]+=*{_LAST}")
_PARAMETER = re.compile(
    rf'({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)"){_LAST}', re.DOTALL
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

_STEP_UP_SCHEMES = frozenset({"bearer", "dpop"})
_STEP_UP_MESSAGES = {
    "insufficient_scope": (
        "the API requires a token of {}: ask for it in the grant, or let the end-user sign in with "
        "step_up=error"
    ),
    "insufficient_user_authentication": (
        "the API requires a stronger or more recent sign-in: sign in with step_up=error"
    ),
}


@attrs.frozen(eq=False, repr=False)
class Challenge(Value):
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


@hides_arguments
def parse_challenges(fields: str | Iterable[str], *, sent: Iterable[str] = ()) -> list[Challenge]:
    """
    Parse the challenges of a response.

    Args:
        fields: The values of its ``WWW-Authenticate`` fields, or the only one.

        sent: Secrets of the request, which the challenges' parameters must not repeat. What looks
            like an access token is masked without being named.

    Returns:
        The challenges in their order; what follows a break of the grammar in a field is left out.

    Raises:
        ConfigurationError: An argument is of the wrong kind.

    Spec: RFC 9110 §11.6.1.
    """
    fields, secrets = parse_texts(fields, "fields"), parse_texts(sent, "sent")
    # Field by field: a break of the grammar in one must not hide the next.
    challenges = [
        challenge for text in fields if len(text) <= _MAX_LENGTH for challenge in _parse_field(text)
    ]
    for challenge in challenges:
        for name, value in challenge.parameters.items():
            challenge.parameters[name] = hide_echoes(hide_tokens(value), secrets)
    return challenges


def _parse_field(text: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    at = _end(_COMMAS, text, 0)
    while at < len(text):
        end = _parse_element(text, at, challenges)
        at = _end(_COMMAS, text, end)
        if at == end:
            # A comma must stand here: the grammar ends.
            break
    return challenges


def _parse_element(text: str, at: int, challenges: list[Challenge]) -> int:
    parameter = _PARAMETER.match(text, at)
    if parameter is not None:
        # "name =" belongs to the challenge before it; anything else begins a new one.
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


def find_step_up(fields: Iterable[str], *, sent: Iterable[str] = ()) -> StepUpRequiredError | None:
    """
    Find the challenge by which an API asks for more than the token proves.

    Args:
        fields: The values of the response's ``WWW-Authenticate`` fields.

        sent: Secrets of the request, such as the token, which the error must not repeat.

    Returns:
        The error to raise, or None if no challenge asks for more.

    Spec: RFC 6750 §3.1 (insufficient_scope); RFC 9470 §3.
    """
    for challenge in parse_challenges(fields):
        message = _STEP_UP_MESSAGES.get(challenge.parameters.get("error", ""))
        if challenge.scheme in _STEP_UP_SCHEMES and message is not None:
            return _step_up(challenge, message, sent)
    return None


def _step_up(challenge: Challenge, message: str, sent: Iterable[str]) -> StepUpRequiredError:
    description = challenge.parameters.get("error_description")
    max_age = challenge.parameters.get("max_age", "")
    is_number = max_age.isascii() and max_age.isdigit() and len(max_age) < 12
    # A value that no request can carry is left out, and so is one that repeats a secret.
    words = challenge.parameters.get("acr_values", "").split()
    scope = challenge.parameters.get("scope", "").split()
    secrets = tuple(sent)
    wanted = tuple(word for word in scope if is_scope_token(word) and not is_echo(word, secrets))
    message = message.format(
        f"the scope {printable(' '.join(wanted), 100)!r}" if wanted else "wider scope"
    )
    return StepUpRequiredError(
        f"{message}: {printable(hide_echoes(description, secrets))}" if description else message,
        acr_values=tuple(word for word in words if is_word(word) and not is_echo(word, secrets)),
        max_age=int(max_age) if is_number else None,
        scope=wanted or None,
    )


def find_refusal(response: HttpResponse) -> OAuthError | None:
    """
    Find the error of a response that refuses a token, which servers say in a header alone.

    Args:
        response: The response.

    Spec: RFC 6750 §3.1.
    """
    # In a frame of its own, so that the error's traceback shows none of the header.
    if response.status not in {401, 403}:
        return None
    for challenge in parse_challenges([response.headers.get("www-authenticate", "")]):
        error = challenge.parameters.get("error")
        if error:
            description = challenge.parameters.get("error_description")
            return oauth_error(
                hide_echoes(error, response.sent),
                hide_echoes(description, response.sent) if description else None,
                status=response.status,
            )
    return None
