"""
A machine drives a provider through arbitrary interleavings and checks the invariants at each step.

The rules are what can happen: callers come and go, the server responds or does not, time passes, an
API rejects a token, the secret changes. Everything runs on a fake clock; nothing sleeps.
"""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import aritma_auth as aa
from aritma_auth.protocol.redaction import SecretText
from aritma_auth.protocol.tokens import Token
from support.clock import FakeClock
from support.fakes import FakeClient
from support.internals import cache_of

LIFETIMES = [2, 25, 300, 3600]
STEPS = [0.1, 1, 5, 30, 200]


class WaitingClock(FakeClock):
    """A clock whose sleepers wake when the test moves it."""

    def __init__(self):
        super().__init__()
        self.sleepers = []

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.mono + seconds, woken))
        await woken

    def advance(self, seconds):
        super().advance(seconds)
        due = [woken for at, woken in self.sleepers if at <= self.mono]
        self.sleepers = [(at, woken) for at, woken in self.sleepers if at > self.mono]
        for woken in due:
            if not woken.done():
                woken.set_result(None)


class WatchedClient(FakeClient):
    """A client whose every request waits for the machine, and checks that it may be sent."""

    def __init__(self, clock, grant):
        super().__init__(clock)
        self.grant = grant
        self.waiting = None
        self.provider = None
        self.tokens = {}
        self.rejected = set()
        self.presented = []
        self.answered = set()

    async def fetch_token(self, grant, *, timeout=None):
        assert self.waiting is None, "two requests in flight"
        self.check_gate()
        if isinstance(grant, aa.RefreshTokenGrant):
            handle = grant.refresh_token.text
            assert handle not in self.answered, "a spent refresh token was presented again"
            self.presented.append(handle)
        self.waiting = asyncio.get_running_loop().create_future()
        try:
            answer = await self.waiting
        finally:
            self.waiting = None
        if isinstance(answer, BaseException):
            if isinstance(answer, aa.InvalidGrantError) and isinstance(grant, aa.RefreshTokenGrant):
                self.answered.add(grant.refresh_token.text)
            raise answer
        if isinstance(grant, aa.RefreshTokenGrant):
            self.answered.add(grant.refresh_token.text)
        return answer

    def check_gate(self):
        failure = cache_of(self.provider).failure
        if failure is None or self.clock.mono >= failure.not_before:
            return
        fingerprint = SecretText(self.secret.value).fingerprint
        changed = failure.refused != f"0 {fingerprint}"
        assert failure.error.is_permanent, "a request before its gate"
        assert changed, "a request before its gate, with the refused credential"

    def issue(self, lifetime, refreshable):
        self.made += 1
        now = self.clock.time()
        token = Token(
            f"token-{self.made}",
            expires_at=now + lifetime,
            issued_at=now,
            refresh_token=f"refresh-{self.made}" if refreshable else None,
        )
        self.tokens[token.access_token] = self.clock.mono + lifetime
        return token

    def is_good(self, token):
        alive = self.clock.mono < self.tokens[token.access_token]
        return alive and token.access_token not in self.rejected


class Provider(RuleBasedStateMachine):
    """The machine drives one provider for client credentials."""

    grant = aa.ClientCredentialsGrant(scope="bankservice")
    refreshable = False

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = WaitingClock()
        self.client = WatchedClient(self.clock, self.grant)
        self.draws = 0.5
        self.provider = aa.TokenProvider(
            self.client,
            self.grant,
            clock=self.clock,
            draw=lambda: self.draws,
            on_event=None,
        )
        self.client.provider = self.provider
        self.callers = []
        self.seen = []
        self.requests_allowed = 0

    def settle(self):
        async def turns():
            for _ in range(15):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    async def call(self, min_ttl):
        try:
            token = await self.provider.get_token(min_ttl)
        except aa.AritmaAuthError:
            held = cache_of(self.provider).current
            alive = held.token is not None and held.is_alive(self.clock.mono)
            assert not alive, "a failure while a live token was in hand"
            return None
        assert self.client.is_good(token), "an expired or rejected token was handed out"
        self.seen.append(token)
        return token

    @rule(min_ttl=st.sampled_from([0, 0, 0, 10, 1000]), count=st.integers(1, 5))
    def callers_come(self, min_ttl, count):
        freshness = self.provider.status().freshness
        came = [self.loop.create_task(self.call(min_ttl)) for _ in range(count)]
        self.callers += came
        self.settle()
        if min_ttl == 0 and freshness in {"fresh", "stale"}:
            assert all(task.done() for task in came), f"somebody waited in {freshness}"

    @rule(data=st.data())
    def a_caller_is_cancelled(self, data):
        waiting = [task for task in self.callers if not task.done()]
        if waiting:
            data.draw(st.sampled_from(waiting)).cancel()
            self.settle()

    @initialize(lifetime=st.sampled_from(LIFETIMES), warm=st.booleans())
    def a_first_token(self, lifetime, warm):
        if warm:
            self.callers_come(0, 1)
            self.the_server_answers(lifetime)

    @precondition(lambda self: self.client.waiting is not None)
    @rule(lifetime=st.sampled_from(LIFETIMES))
    def the_server_answers(self, lifetime):
        self.client.waiting.set_result(self.client.issue(lifetime, self.refreshable))
        self.settle()

    @precondition(lambda self: self.client.waiting is not None)
    @rule(
        error=st.sampled_from(
            [
                aa.TransportError("lost"),
                aa.TransportError("unsent", may_have_arrived=False),
                aa.TransportError("busy", retry_after=20),
                aa.InvalidResponseError("gateway", status=502),
                aa.InvalidClientError("invalid_client", status=400),
                aa.OAuthError("invalid_scope", status=400),
                aa.InvalidGrantError("invalid_grant", status=400),
            ]
        )
    )
    def the_server_fails(self, error):
        self.client.waiting.set_result(error)
        self.settle()

    @rule(seconds=st.sampled_from(STEPS))
    def time_passes(self, seconds):
        self.clock.advance(seconds)
        self.settle()

    @precondition(lambda self: cache_of(self.provider).current.is_usable)
    @rule()
    def time_passes_to_the_next_mark(self):
        life = cache_of(self.provider).current
        marks = (life.refresh_at, life.must_refresh_at, life.expires_at)
        self.clock.advance(
            max(0.0, min((m for m in marks if m > self.clock.mono), default=0) - self.clock.mono)
        )
        self.settle()

    @rule(seconds=st.sampled_from([-86400, -60, 60, 86400]))
    def the_wall_clock_steps(self, seconds):
        self.clock.wall += seconds

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def an_api_refuses_a_token(self, data):
        token = data.draw(st.sampled_from(self.seen))
        if self.provider.report_rejected(token):
            self.client.rejected.add(token.access_token)
        self.settle()

    @rule(draw=st.sampled_from([0.0, 0.5, 0.999]))
    def chance_changes(self, draw):
        self.draws = draw

    @rule()
    def the_secret_changes(self):
        self.client.secret.value += "!"

    @invariant()
    def gates_are_never_far(self):
        failure = cache_of(self.provider).failure
        if failure is not None:
            assert failure.not_before - self.clock.mono <= 3600 * 1.1

    @invariant()
    def no_caller_broke_an_invariant(self):
        for task in self.callers:
            if task.done() and not task.cancelled():
                task.result()
        self.callers = [task for task in self.callers if not task.done()]

    def teardown(self):
        closing = self.loop.create_task(self.provider.aclose())
        for _ in range(10):
            self.settle()
            if self.client.waiting is not None:
                self.client.waiting.set_result(self.client.issue(60, self.refreshable))
        ended = closing.done() and all(task.done() for task in self.callers)
        left = asyncio.all_tasks(self.loop)
        self.no_caller_broke_an_invariant()
        self.loop.close()
        assert ended, "closing did not end"
        assert not left, "a task was left"


class SignedInProvider(Provider):
    """The machine drives one provider for a refresh token that can be used once."""

    grant = aa.RefreshTokenGrant("refresh-0")
    refreshable = True


TestProvider = Provider.TestCase
TestProvider.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestSignedInProvider = SignedInProvider.TestCase
TestSignedInProvider.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


async def test_an_outage_costs_few_requests_whatever_the_load(clock):
    """In an hour of outage with ten callers a second the backoff sets the pace, not the load."""
    client = FakeClient(clock)
    client.answers = [aa.TransportError("down") for _ in range(100_000)]
    provider = aa.TokenProvider(
        client, aa.ClientCredentialsGrant(), clock=clock, draw=lambda: 0.5, on_event=None
    )
    for _ in range(3600):
        for _ in range(10):
            with pytest.raises(aa.TransportError):
                await provider.get_token()
        clock.advance(1)

    assert client.requests < 100
    assert client.peak == 1
