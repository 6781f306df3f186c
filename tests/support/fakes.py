"""A client without a server, which a provider's tests control."""

import asyncio
import time

from aritma_auth.environment import Environment
from aritma_auth.errors import AritmaAuthError
from aritma_auth.protocol.client_auth import ClientSecretPost
from aritma_auth.protocol.redaction import SecretText
from aritma_auth.protocol.tokens import Token

ENVIRONMENT = Environment.at("https://idp.example", api_origins=["https://api.example"])


class FakeSecret:
    """A secret that a test changes: a text, or an error that loading it raises."""

    def __init__(self, value="one"):
        self.value = value
        self.loads = 0

    async def load(self):
        self.loads += 1
        if isinstance(self.value, BaseException):
            raise self.value
        return SecretText(self.value)


class FakeClient:
    """
    Responds to token requests from a list: a token, an error, or a future that a test resolves.

    Without anything listed it makes tokens numbered from 1, of `lifetime` seconds.
    """

    client_id = "fake"
    environment = ENVIRONMENT
    clock_skew = 0.0

    def __init__(self, clock, lifetime=3600):
        self.clock = clock
        self.lifetime = lifetime
        self.answers = []
        self.grants = []
        self.in_flight = 0
        self.peak = 0
        self.secret = FakeSecret()
        self.client_auth = ClientSecretPost(self.secret)
        self.made = 0

    @property
    def requests(self):
        return len(self.grants)

    def make_token(self, **fields):
        self.made += 1
        now = self.clock.time()
        expires_at = None if self.lifetime is None else now + self.lifetime
        return Token(
            f"token-{self.made}", **({"expires_at": expires_at, "issued_at": now} | fields)
        )

    def hold(self):
        """Let the next request wait until the future is resolved."""
        future = asyncio.get_running_loop().create_future()
        self.answers.append(future)
        return future

    async def fetch_token(self, grant, *, timeout=None):
        self.grants.append(grant)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            answer = self.answers.pop(0) if self.answers else None
            if isinstance(answer, asyncio.Future):
                answer = await answer
            if isinstance(answer, AritmaAuthError):
                # The tests' errors are shared: a traceback on them would keep everything alive.
                raise answer.copy()
            if isinstance(answer, BaseException):
                raise answer
            return answer or self.make_token()
        finally:
            self.in_flight -= 1


async def settle():
    """Let every task that can go on go on."""
    for _ in range(40):
        await asyncio.sleep(0)


async def until(holds, within=30.0):
    """Wait for what a thread, another process or a timer brings, however busy the machine is."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.01)
