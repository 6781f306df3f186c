"""
The error tree, sorted by who must act.

::

    AritmaAuthError                      never raised itself
    ├── ConfigurationError               yours to fix; raised before anything is sent
    │   └── EndpointMissingError         the server does not offer what was asked for
    ├── TransportError                   no response came; may be retried
    ├── InvalidResponseError             the server broke the specification
    ├── OAuthError                       the server said no
    │   ├── InvalidClientError           client id or credential refused
    │   ├── InvalidGrantError            code or refresh token spent, expired or revoked
    │   ├── AccessDeniedError            the end-user or the server's policy said no
    │   ├── AuthorizationPendingError    ┐
    │   ├── SlowDownError                ├ device polling
    │   └── ExpiredTokenError            ┘
    ├── VerificationError                a check of ours failed: treat as hostile, never retry
    │   ├── StateMismatchError
    │   ├── IssuerMismatchError
    │   └── IdTokenError
    ├── ReauthenticationRequiredError    no usable token, and none without the end-user
    ├── StepUpRequiredError              the API wants a stronger sign-in
    ├── StoreError                       the token store cannot be used now
    ├── TokenTimeoutError                your own wait ended; the shared refresh goes on
    └── ProviderClosedError              the provider was closed

Every error tells a program two things: ``is_permanent`` (the same request fails again until
something is changed) and ``retry_after`` (seconds to wait, when known). Only short strings and
numbers are stored: no request, no response, no client, no secret.
"""

import sys
import unicodedata
from collections.abc import Mapping
from typing import ClassVar, Self, TypeVar

__all__ = [
    "AccessDeniedError",
    "AritmaAuthError",
    "AuthorizationPendingError",
    "ConfigurationError",
    "EndpointMissingError",
    "ExpiredTokenError",
    "IdTokenError",
    "InvalidClientError",
    "InvalidGrantError",
    "InvalidResponseError",
    "IssuerMismatchError",
    "OAuthError",
    "ProviderClosedError",
    "ReauthenticationRequiredError",
    "SlowDownError",
    "StateMismatchError",
    "StepUpRequiredError",
    "StoreError",
    "TokenTimeoutError",
    "TransportError",
    "VerificationError",
]

_TEXT_LIMIT = 200


def printable(text: str, limit: int = _TEXT_LIMIT) -> str:
    """
    Make another party's text safe to show: one line, no control or bidi characters, cut short.

    Args:
        text: What a server, a browser or a store sent.

        limit: Characters kept at most.

    Returns:
        The text with every control, format, surrogate and line-separator character replaced.
    """
    kept = text[: limit + 1]
    shown = "".join(
        "�" if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else char
        for char in kept
    )
    return shown if len(kept) <= limit else shown[:limit] + "…"


class AritmaAuthError(Exception):
    """
    The parent of every error of this package; never raised itself.

    Attributes:
        is_permanent: The same request fails again until something is changed.

        retry_after: Seconds after which a retry makes sense, or None if unknown. Where this package
            keeps the pause itself, it is over after a sleep of just so long, on any event loop.
    """

    is_permanent: bool = True
    retry_after: float | None = None

    def copy(self) -> Self:
        """Return an equal error without traceback, so that each of many callers raises its own."""
        return _rebuild(type(self), self.args, self.__dict__)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


E = TypeVar("E", bound=AritmaAuthError)


def _rebuild(kind: type[E], args: tuple[object, ...], attributes: Mapping[str, object]) -> E:
    twin = kind.__new__(kind, *args)
    twin.__dict__.update(attributes)
    return twin


_EARLY = 0.02
"""A timer fires up to so many seconds early: 2 ms on uvloop, 16 ms by the clock of Windows."""


def copy_with_retry_after(error: E, seconds: float) -> E:
    """
    Return an equal error that tells its caller for how long to wait.

    Args:
        error: What went wrong.

        seconds: What is left of the pause. More is told, since a caller who sleeps for just as long
            must not be early.
    """
    told = error.copy()
    told.retry_after = seconds + _EARLY if seconds > 0 else 0.0
    return told


class ConfigurationError(AritmaAuthError):
    """Something in the caller's setup is wrong; nothing was sent."""


class EndpointMissingError(ConfigurationError):
    """The server's metadata has no endpoint for this: the server does not offer it."""


def type_name(given: object) -> str:
    """
    Return the name of a value's type as its caller knows it: a text that we have hidden is a str.

    Args:
        given: What was given.
    """
    names = (kind.__name__ for kind in type(given).__mro__)
    return next(name for name in names if not name.startswith("Hidden"))


def wrong_kind(name: str, required: str, given: object) -> ConfigurationError:
    """
    Make the error for an argument of the wrong kind; it names the given type, never the value.

    Args:
        name: The argument.

        required: What it must be.

        given: What was given.
    """
    found = "None" if given is None else f"of type {type_name(given)}"
    return ConfigurationError(f"{name} must be {required}; it is {found}")


def require_instance(
    name: str, required: str, given: object, kind: type | tuple[type, ...]
) -> None:
    """
    Require an argument to be of a class.

    Args:
        name: The argument.

        required: What it must be, in words.

        given: What was given.

        kind: The class, or several.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(given, kind):
        raise wrong_kind(name, required, given)


def require_seconds(name: str, given: object, *, above_zero: bool = False) -> None:
    """
    Require an argument to be a finite number of seconds, 0 or more.

    Args:
        name: The argument.

        given: What was given.

        above_zero: 0 is refused too.

    Raises:
        ConfigurationError: It is not.
    """
    required = f"a number of seconds, {'more than 0' if above_zero else '0 or more'}"
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise wrong_kind(name, required, given)
    # Compared, not converted: an int may be larger than any float; and nan compares to nothing.
    if not 0 <= given <= sys.float_info.max or (above_zero and given == 0):
        raise ConfigurationError(f"{name} must be {required}, not {given!r:.40}")


def require_count(name: str, given: object, *, least: int = 0, most: int | None = None) -> None:
    """
    Require a whole number.

    Args:
        name: The argument.

        given: What was given.

        least: The smallest that is possible.

        most: The largest that is possible, or None.

    Raises:
        ConfigurationError: It is none, too small or too large.
    """
    required = f"a whole number, {least} {'or more' if most is None else f'to {most}'}"
    # True is an int, and a mistake.
    if type(given) is not int:
        raise wrong_kind(name, required, given)
    if given < least or (most is not None and given > most):
        # Python refuses to write an int of thousands of digits.
        shown = f", not {given}" if abs(given) < 1 << 64 else ""
        raise ConfigurationError(f"{name} must be {required}{shown}")


def require_flag(name: str, given: object) -> None:
    """
    Require an argument to be True or False: a text such as ``"false"`` would count as true.

    Args:
        name: The argument.

        given: What was given.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(given, bool):
        raise wrong_kind(name, "True or False", given)


def require_function(
    name: str, required: str, given: object, arguments: int, *, is_awaited: bool | None = None
) -> None:
    """
    Require an argument to be a function that can be called as it will be.

    Args:
        name: The argument.

        required: What it must be, in words.

        given: What was given.

        arguments: How many it will get, by position.

        is_awaited: Whether what it returns is awaited; None if either will do.

    Raises:
        ConfigurationError: It is none, or one of another kind.
    """
    if not callable(given):
        raise wrong_kind(name, required, given)
    from aritma_auth.runtime.callables import find_misfit  # few clients have functions

    misfit = find_misfit(given, arguments, is_awaited=is_awaited)
    if misfit is not None:
        raise ConfigurationError(f"{name} must be {required}: {misfit}")


class TransportError(AritmaAuthError):
    """
    No response came; the same request may be sent again later.

    Attributes:
        may_have_arrived: The server may have acted on the request although no response came.
    """

    is_permanent = False

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        may_have_arrived: bool = True,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.may_have_arrived = may_have_arrived


class InvalidResponseError(AritmaAuthError):
    """
    The response breaks the specification; the server's owner, or a proxy's, must act.

    Attributes:
        status: HTTP status of the response.

        problems: What was wrong, member by member, never a value.
    """

    # Never permanent: a 4xx without an OAuth body may come from a proxy in between.
    is_permanent = False

    def __init__(
        self,
        message: str,
        *,
        status: int,
        problems: tuple[str, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problems = problems
        self.retry_after = retry_after


class OAuthError(AritmaAuthError):
    """
    The server said no.

    Attributes:
        error: The error code, as in RFC 6749 §5.2 or an extension of it.

        description: The server's explanation, made printable, or None.

        uri: The page that the server names for this error, or None.

        status: HTTP status of the response, or None if it came through the browser.

    Spec: RFC 6749 §4.1.2.1 and §5.2.
    """

    _TRANSIENT: ClassVar[frozenset[str]] = frozenset(
        {
            "authorization_pending",
            "server_error",
            "slow_down",
            "temporarily_unavailable",
            "use_dpop_nonce",
        }
    )

    def __init__(
        self,
        error: str,
        description: str | None = None,
        *,
        uri: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        advice: str | None = None,
    ) -> None:
        self.error = printable(error)
        self.description = None if description is None else printable(description)
        self.uri = None if uri is None else printable(uri)
        self.status = status
        self.retry_after = retry_after
        transient_status = status is not None and (status >= 500 or status == 429)
        self.is_permanent = error not in self._TRANSIENT and not transient_status
        said = self.error if self.description is None else f"{self.error}: {self.description}"
        advice = advice or _ADVICE.get(self.error)
        super().__init__(said if advice is None else f"{said} ({advice})")


class InvalidClientError(OAuthError):
    """The client id or its secret was refused (RFC 6749 §5.2, ``invalid_client``)."""


class InvalidGrantError(OAuthError):
    """The code, refresh token or password was refused (RFC 6749 §5.2, ``invalid_grant``)."""


class AccessDeniedError(OAuthError):
    """The end-user or the server's policy said no (RFC 6749 §4.1.2.1, ``access_denied``)."""


class AuthorizationPendingError(OAuthError):
    """The end-user has not finished yet: poll again (RFC 8628 §3.5)."""


class SlowDownError(OAuthError):
    """Poll five seconds slower from now on (RFC 8628 §3.5)."""


class ExpiredTokenError(OAuthError):
    """The device code ran out: start again (RFC 8628 §3.5)."""


class VerificationError(AritmaAuthError):
    """A check failed: treat the response as hostile and never retry."""


class StateMismatchError(VerificationError):
    """The callback does not belong to this sign-in (RFC 6749 §10.12)."""


class IssuerMismatchError(VerificationError):
    """The response comes from another authorization server (RFC 9207 §2.4, RFC 8414 §3.3)."""


class IdTokenError(VerificationError):
    """
    The ID token failed a check.

    Attributes:
        claim: Name of the claim or header member that failed, or None.

    Spec: OpenID Connect Core 1.0 §3.1.3.7.
    """

    def __init__(self, message: str, *, claim: str | None = None) -> None:
        super().__init__(message)
        self.claim = claim


class ReauthenticationRequiredError(AritmaAuthError):
    """No usable token is left, and only the end-user can get another: begin a new sign-in."""


class StepUpRequiredError(AritmaAuthError):
    """
    The API wants more than the token proves.

    Attributes:
        acr_values: Authentication classes to ask for, in the API's order.

        max_age: Seconds since the sign-in that the API tolerates, or None.

        scope: Scope to ask for, or None.

    Spec: RFC 9470 §3, RFC 6750 §3.1.
    """

    def __init__(
        self,
        message: str,
        *,
        acr_values: tuple[str, ...] = (),
        max_age: int | None = None,
        scope: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(message)
        self.acr_values = acr_values
        self.max_age = max_age
        self.scope = scope


class StoreError(AritmaAuthError):
    """
    A token store cannot be used now; whether it has done what was asked is unknown.

    Raised by the stores' own methods. A provider reports it as an event, and goes on without the
    store where that does no harm.
    """

    is_permanent = False


class TokenTimeoutError(AritmaAuthError, TimeoutError):
    """The caller's own ``timeout`` ran out; the shared refresh goes on."""

    is_permanent = False


class ProviderClosedError(AritmaAuthError):
    """The provider was closed: create a new one."""


_BY_CODE: Mapping[str, type[OAuthError]] = {
    "access_denied": AccessDeniedError,
    "authorization_pending": AuthorizationPendingError,
    "expired_token": ExpiredTokenError,
    "invalid_client": InvalidClientError,
    "invalid_grant": InvalidGrantError,
    "slow_down": SlowDownError,
}

_ADVICE: Mapping[str, str] = {
    "expired_token": "the end-user did not decide in time: begin again",
    "invalid_client": "check the client id and its secret; both belong to one environment",
    "invalid_grant": "the code, refresh token or password is spent, expired or wrong",
    "invalid_scope": "ask for scopes that the server has granted to this client",
    "invalid_target": "the server must know the resource, and grant it to this client",
    "server_error": "the server failed: try again later",
    "temporarily_unavailable": "the server is overloaded or in maintenance: try again later",
    "unauthorized_client": "ask the server's owner to allow this grant for the client",
    "unsupported_grant_type": "ask the server's owner to allow this grant for the client",
}


def oauth_error(
    error: str,
    description: str | None = None,
    *,
    uri: str | None = None,
    status: int | None = None,
    retry_after: float | None = None,
    advice: str | None = None,
) -> OAuthError:
    """
    Make the error of a code: its own class where a program would branch, else OAuthError.

    Args:
        error: The ``error`` member.

        description: The ``error_description`` member.

        uri: The ``error_uri`` member.

        status: HTTP status.

        retry_after: Seconds that the server asked to wait.

        advice: What to do; by default the code's usual advice.
    """
    kind = _BY_CODE.get(error, OAuthError)
    return kind(error, description, uri=uri, status=status, retry_after=retry_after, advice=advice)
