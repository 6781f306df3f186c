"""Step-up: what an API asks for beyond the token, and the sign-in that brings it."""

from collections.abc import Iterable

import attrs

from aritma_auth.errors import StepUpRequiredError, printable
from aritma_auth.protocol.challenge import Challenge, parse_challenges
from aritma_auth.protocol.scopes import Scope, is_scope_token, make_scope
from aritma_auth.protocol.words import is_word, make_words

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
    wanted, words = make_scope(scope), make_words(acr_values)
    if step_up is None:
        return Wish(wanted, words, max_age)
    ages = [age for age in (max_age, step_up.max_age) if age is not None]
    return Wish(
        make_scope((*(wanted or ()), *(step_up.scope or ()))) or wanted,
        make_words((*step_up.acr_values, *words)),
        min(ages, default=None),
    )
