"""
Help for the tests of services: a token without a server, a clock, and what a request carried.

`FakeClient` stands for an `OAuthClient`; the provider above it is the real one, with its refreshes,
its middleware and its failures. Nothing here needs an extra. The fixtures of
`aritma_auth.pytest_plugin` run the same against a local server.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import TYPE_CHECKING, Protocol

from aritma_auth.caller_code import require_clock
from aritma_auth.environment import Environment
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    require_count,
    require_instance,
    require_seconds,
)
from aritma_auth.protocol.client_auth import ClientSecretPost
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["FakeClient", "ManualClock", "assert_signed", "assert_unsigned"]


class ManualClock(Clock):
    """
    A `aritma_auth.Clock` that stands still until a test moves it; a sleep moves it too.

    Args:
        now: POSIX seconds at which it begins.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        require_seconds("now", now)
        self.counts_suspend = True
        self._now = now

    def time(self) -> float:
        """Return POSIX seconds."""
        return self._now

    def monotonic(self) -> float:
        """Return the same seconds: they never go back."""
        return self._now

    def advance(self, seconds: float) -> None:
        """
        Move the clock: tokens age, and backoffs end.

        Args:
            seconds: By how much, 0 or more.
        """
        require_seconds("seconds", seconds)
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """
        Move the clock by so many seconds, and let others run.

        Args:
            seconds: Duration on this clock.
        """
        require_seconds("seconds", seconds)
        self._now += seconds
        await asyncio.sleep(0)


class FakeClient:
    """
    A client whose tokens come from no server, for a real `aritma_auth.TokenProvider` in a test.

    Tokens are ``test-token-1``, ``test-token-2`` and so on. It is a `aritma_auth.TokenSource`.

    Attributes:
        requests: The grants that were presented, in their order.

        revoked: The tokens that were revoked.

    Args:
        api_origins: URLs of the APIs that the tokens may be sent to, such as that of a test server.

        lifetime: Seconds that each token lives.

        environment: The authorization server that the tokens seem to come from.

        clock: Give the provider the same.

    Raises:
        ConfigurationError: An argument is of the wrong kind.
    """

    client_id = "test-client"
    clock_skew = 0.0

    @hides_arguments
    def __init__(
        self,
        api_origins: Iterable[str] = (),
        *,
        lifetime: float = 3600.0,
        environment: Environment | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        require_seconds("lifetime", lifetime, above_zero=True)
        clock = require_clock(clock)
        if environment is None:
            environment = Environment.at("https://identity.test", api_origins=api_origins)
        require_instance("environment", "an Environment or None", environment, Environment)
        self.environment = environment
        self.client_auth = ClientSecretPost(Secret("test-secret"))
        self.requests: list[Grant] = []
        self.revoked: list[Token] = []
        self._lifetime = lifetime
        self._clock = clock
        self._next: deque[Token | AritmaAuthError] = deque()
        self._issued = 0

    def issue_next(self, token: Token) -> None:
        """
        Respond to the next token request with a token of the test's own.

        Args:
            token: The token.
        """
        require_instance("token", "a Token", token, Token)
        self._next.append(token)

    def fail_next(self, error: AritmaAuthError, *, times: int = 1) -> None:
        """
        Let the next token requests fail.

        Args:
            error: What they raise, such as ``TransportError("down")``.

            times: How many of them.
        """
        require_instance("error", "an error of aritma_auth", error, AritmaAuthError)
        require_count("times", times, least=1)
        self._next.extend(repeat(error, times))

    async def fetch_token(self, grant: Grant, *, timeout: float | None = None) -> Token:  # noqa: ARG002 - TokenSource
        """
        Respond to one token request.

        Args:
            grant: What the provider presents; it is remembered in ``requests``.

            timeout: Is not used: the response comes at once.

        Raises:
            AritmaAuthError: The failure that the test has ordered.
        """
        require_instance("grant", "a grant, such as ClientCredentialsGrant(scope)", grant, Grant)
        self.requests.append(grant)
        await asyncio.sleep(0)
        ordered = self._next.popleft() if self._next else self._make_token(grant)
        if isinstance(ordered, AritmaAuthError):
            # A copy: each caller's error has a traceback of its own.
            raise ordered.copy()
        return ordered

    def _make_token(self, grant: Grant) -> Token:
        self._issued += 1
        now = self._clock.time()
        return Token(
            f"test-token-{self._issued}",
            expires_at=now + self._lifetime,
            scope=grant.scope,
            issued_at=now,
        )

    async def revoke(self, token: Token) -> None:
        """
        Remember a token as revoked, as `TokenProvider.sign_out` demands.

        Args:
            token: The token.
        """
        self.revoked.append(token)


class HasHeaders(Protocol):
    """A request as a server gets it, such as ``aiohttp.web.Request``; or anything with headers."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers."""
        ...


def assert_signed(request: "HasHeaders | web.BaseRequest", token: Token | None = None) -> None:
    """
    Assert that a request carries an access token, as a server sees it.

    The middleware removes the header when the response has come, so look at the request that the
    test server got, and not at ``response.request_info``.

    Args:
        request: The request.

        token: The token that it should carry; None accepts any.

    Raises:
        AssertionError: It carries none, or another. The message shows no token.

    Spec: RFC 6750 §2.1; RFC 9449 §7.1.
    """
    sent = _authorization_of(request)
    if sent is None:
        raise AssertionError(
            "the request carries no Authorization header: put the middleware into the session that "
            "sends it, and name the origin of the test server in its origins"
        )
    scheme, _, value = sent.partition(" ")
    if scheme.lower() not in {"bearer", "dpop"} or not value:
        raise AssertionError(
            f"the request must carry an access token; its Authorization header has the scheme "
            f"{scheme!r} and {len(value)} characters"
        )
    if token is not None and sent != token.authorization:
        found = Token(value).fingerprint
        raise AssertionError(
            f"the request must carry the token {token.fingerprint}, not {scheme} {found}"
        )


def assert_unsigned(request: "HasHeaders | web.BaseRequest") -> None:
    """
    Assert that a request carries no ``Authorization`` header, as a server sees it.

    Args:
        request: The request.

    Raises:
        AssertionError: It carries one. The message shows no token.
    """
    sent = _authorization_of(request)
    if sent is not None:
        raise AssertionError(
            f"the request carries an Authorization header with the scheme {sent.split(' ')[0]!r}, "
            "although no token may go to its origin"
        )


def _authorization_of(request: "HasHeaders | web.BaseRequest") -> str | None:
    headers = getattr(request, "headers", None)
    if not isinstance(headers, Mapping):
        raise ConfigurationError(
            f"request must have headers, such as an aiohttp.web.Request, and is of type "
            f"{type(request).__name__}"
        )
    # A plain dictionary knows no upper and lower case.
    found = [value for name, value in headers.items() if name.lower() == "authorization"]
    return found[0] if found else None
