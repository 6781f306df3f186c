"""
Consents of Banking v4: how long one lasts, how it is refreshed, and whose fault a refusal is. Pure.

Aritma's pages say that a consent typically lasts 90 days, at most 3 months, "6 in the near future";
EU law allows 180 days since July 2023. Its end is therefore read from the API and never computed.
"""

from collections.abc import Iterable, Mapping
from enum import Enum

import attrs

from aritma_auth.banking.api_request import ApiRequest, fill_path, leave_out_missing, require_method
from aritma_auth.banking.headers import ApiContext, build_api_headers
from aritma_auth.banking.kinds import require_headers, text
from aritma_auth.banking.problems import ApiProblem, first_text, is_status, parse_time, read_members
from aritma_auth.errors import (
    InvalidResponseError,
    require_instance,
    require_seconds,
)
from aritma_auth.protocol.parameters import OPTIONAL_TIME, parse_texts, require_text
from aritma_auth.protocol.www_authenticate import parse_challenges
from aritma_auth.runtime.values import Value

DAY = 24 * 3600.0
ENDED = ("expired", "revoked", "failure")
"""Statuses of a consent that has ended."""

_IDS = ("consentId", "id")
_ENDS = ("expires", "expiresAt", "validUntil")

CONSENT_CODES = ("CONSENT_EXPIRED", "CONSENT_INVALID", "CONSENT_UNKNOWN")
"""Codes of problems that mean the consent; those of the Berlin Group, so a guess at Aritma."""


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Consent(Value):
    """
    What is known of a consent.

    Attributes:
        consent_id: Its identifier.

        status: Its status in the letters of the API: compare it with `has_status`.

        expires_at: Its end in POSIX seconds, or None if it has none or none that can be read.
    """

    consent_id: str = attrs.field(validator=require_text)
    status: str = attrs.field(validator=text)
    expires_at: float | None = attrs.field(default=None, validator=OPTIONAL_TIME)

    def has_status(self, *expected: str) -> bool:
        """
        Compare the status without regard to case: Aritma's pages write Created and created.

        Args:
            expected: Statuses, such as ``authorized``.
        """
        return is_status(self.status, *expected)

    def is_usable(self, *, now: float) -> bool:
        """
        Tell whether calls may use it: it is authorized, and has not ended.

        Args:
            now: POSIX seconds.
        """
        return self.has_status("authorized") and not self.has_ended(now=now)

    def has_ended(self, *, now: float) -> bool:
        """
        Tell whether it has ended, by its status or by its time.

        Args:
            now: POSIX seconds.
        """
        require_seconds("now", now)
        return self.has_status(*ENDED) or (self.expires_at is not None and self.expires_at <= now)

    def days_left(self, *, now: float) -> int | None:
        """
        Count the whole days that are left: 0 on the last one, -1 once it has ended.

        Args:
            now: POSIX seconds.

        Returns:
            The days, or None if it does not end.
        """
        return -1 if self.has_ended(now=now) else days_until(self.expires_at, now=now)


def days_until(end: float | None, *, now: float) -> int | None:
    """
    Count the whole days until a time: 0 on the last one, -1 once it has passed.

    Args:
        end: POSIX seconds, or None.

        now: POSIX seconds.
    """
    if end is None:
        return None
    return int((end - now) // DAY) if end > now else -1


def parse_consent(members: Mapping[str, object]) -> Consent:
    """
    Parse a consent of the API: the response of its creation, or of a GET.

    Args:
        members: The JSON object.

    Raises:
        ConfigurationError: It is nothing that JSON is parsed to.

        InvalidResponseError: It has no identifier or no status.

    Source: Banking v4's OpenAPI, consents.
    """
    given = read_members(members)
    consent_id = first_text(given, _IDS)
    status = first_text(given, ("status", "consentStatus"))
    if consent_id is None or status is None:
        raise InvalidResponseError(
            "a consent must have an identifier and a status",
            status=200,
            problems=("consentId and status must be texts",),
        )
    return Consent(
        consent_id=consent_id,
        status=status,
        expires_at=parse_time(first_text(given, _ENDS)),
    )


def build_consent_refresh_request(
    consent_id: str,
    *,
    success_url: str | None = None,
    error_url: str | None = None,
    state: str | None = None,
    context: ApiContext | None = None,
    method: str = "PUT",
    path: str = "consents/{consent_id}/refresh",
) -> ApiRequest:
    """
    Build the request that refreshes a consent; the response has a ``redirectUrl`` for the end-user.

    Refresh it before it ends: the end-user then confirms it again, and it keeps its identifier.

    Args:
        consent_id: The consent.

        success_url: Where the end-user comes back to.

        error_url: Where the end-user comes back to after an error.

        state: Comes back with the end-user.

        context: The subscription of the call.

        method: The method; a guess, since the pages that are public do not show it.

        path: The place; a guess, as the method.

    Raises:
        ConfigurationError: An argument is of the wrong kind.

    Source: Banking v4's OpenAPI, refreshConsent.
    """
    require_instance("consent_id", "a consent's id", consent_id, str)
    for name, value in (("success_url", success_url), ("error_url", error_url), ("state", state)):
        if value is not None:
            require_instance(name, "a text or None", value, str)
    require_method("method", method)
    redirects = leave_out_missing({"success": success_url, "error": error_url})
    return ApiRequest(
        method=method,
        path=fill_path("path", path, consent_id=consent_id),
        headers=build_api_headers(context=context),
        json=leave_out_missing({"redirectSettings": redirects or None, "state": state}),
    )


class Refusal(Enum):
    """Why an API refused a call, and so who must act."""

    TOKEN = "token"
    """The token: the provider refreshes it, or the end-user signs in."""

    CONSENT = "consent"
    """The consent: the end-user refreshes it, or gives another. Another token does not help."""

    PERMISSION = "permission"
    """Neither: an administrator must permit it, such as by a policy in IAM."""

    OTHER = "other"
    """Something else than a refusal."""


def explain_refusal(
    problem: ApiProblem,
    headers: Mapping[str, str],
    *,
    now: float,
    consent: Consent | None = None,
    codes: Iterable[str] = CONSENT_CODES,
) -> Refusal:
    """
    Explain a refusal: a consent that ended looks like a token that ended, and needs the end-user.

    The middleware has refreshed the token and tried again before a 401 reaches you.

    Args:
        problem: What `parse_problem` made of the response.

        headers: The response's header fields.

        now: POSIX seconds.

        consent: The consent that the call named, if it is known.

        codes: Codes of problems that mean the consent.

    Raises:
        ConfigurationError: An argument is of the wrong kind.
    """
    require_instance("problem", "an ApiProblem, such as parse_problem gives", problem, ApiProblem)
    require_headers(headers)
    require_seconds("now", now)
    if consent is not None:
        require_instance("consent", "a Consent or None", consent, Consent)
    meant = parse_texts(codes, "codes")
    if problem.status not in {400, 401, 403}:
        return Refusal.OTHER
    if is_status(problem.type.rpartition("/")[2], *meant) or any(
        is_status(code, *meant) for code in _codes(problem)
    ):
        return Refusal.CONSENT
    if problem.status == 400:
        return Refusal.OTHER
    fields = [value for name, value in headers.items() if name.lower() == "www-authenticate"]
    errors = {challenge.parameters.get("error") for challenge in parse_challenges(fields)}
    if "invalid_token" in errors:
        return Refusal.TOKEN
    if consent is not None and not consent.is_usable(now=now):
        return Refusal.CONSENT
    return Refusal.TOKEN if problem.status == 401 else Refusal.PERMISSION


def _codes(problem: ApiProblem) -> list[object]:
    messages = problem.extra.get("tppMessages")
    found: list[object] = [problem.extra.get("code"), problem.title]
    found += [
        message.get("code")
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, dict)
    ]
    return found
