"""
A machine drives several providers over one store, as processes do, and checks what holds for all.

The store's way to each process fails, hangs or loses an answer at any step; the store loses its
memory; processes come, go and are killed; the server rotates refresh tokens and notices each that
is presented twice. Time is the event loop's own, and passes only when the machine lets it.
"""

import asyncio
import gc
import heapq
import os
from types import SimpleNamespace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import aritma_auth as aa
from aritma_auth.protocol.tokens import Token
from support.clock import FakeClock
from support.fakes import FakeClient
from support.internals import leaves_its_store_alone, refresher_of
from support.stores import lose_memory

PROCESSES = st.integers(0, 2)
REQUEST_TIMEOUT = 10
BLINK = 3
"""Seconds for which a lease outlives its holder's way to the store, at least."""


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is a clock's; it knows when its next timer is due."""

    def __init__(self, clock):
        self.clock = clock
        self.due = []
        super().__init__()

    def time(self):
        return self.clock.mono

    def call_at(self, when, *args, **kwargs):
        heapq.heappush(self.due, when)
        return super().call_at(when, *args, **kwargs)


class LoopClock(FakeClock):
    """The clock of that loop."""

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


class Way:
    """One process's way to the store that all share."""

    def __init__(self, store):
        self.store = store
        self.fault = None
        self.can_watch = store.can_watch
        self.broken_for = 0.0

    async def _pass(self, work):
        if self.fault == "hang":
            await asyncio.get_running_loop().create_future()
        if self.fault == "refuse":
            raise OSError("refused")
        result = await work
        if self.fault == "lose answers":
            raise OSError("lost")
        return result

    async def load(self, key):
        return await self.through(self.store.load, key)

    async def save(self, key, record, *, replaces, fence=0):
        return await self.through(self.store.save, key, record, replaces=replaces, fence=fence)

    async def acquire(self, key, *, seconds):
        lease = await self.through(self.store.acquire, key, seconds=seconds)
        return lease and Lease(self, lease)

    async def watch(self, key, *, generation):
        await self.through(self.store.watch, key, generation=generation)

    async def through(self, method, *args, **kwargs):
        if self.fault in {"hang", "refuse"}:
            await self._pass(None)
        return await self._pass(method(*args, **kwargs))


class Lease:
    """A lease, over the same way."""

    def __init__(self, way, lease):
        self.way = way
        self.lease = lease
        self.fence = lease.fence

    async def keep(self):
        return await self.way.through(self.lease.keep)

    async def release(self):
        await self.way.through(self.lease.release)


class PolledStore(aa.MemoryTokenStore):
    """A store that does not tell of changes."""

    can_watch = False


class Server:
    """Rotates refresh tokens, and notices each that comes twice."""

    def __init__(self, clock):
        self.clock = clock
        self.made = 0
        self.ends = {}
        self.spent = set()
        self.ended = set()
        self.reused = []
        self.requests = []

    def issue(self, lifetime, *, refreshable):
        self.made += 1
        now = self.clock.time()
        token = Token(
            f"token-{self.made}",
            expires_at=now + lifetime,
            issued_at=now,
            refresh_token=f"refresh-{self.made}" if refreshable else None,
        )
        self.ends[token.access_token] = self.clock.mono + lifetime
        return token

    def answer(self, request, lifetime, *, refreshable):
        handle = request.handle
        if handle in self.spent:
            self.reused.append(handle)
        if handle in self.spent or handle in self.ended:
            request.future.set_result(aa.InvalidGrantError("invalid_grant", status=400))
            return
        if handle is not None:
            self.spent.add(handle)
        request.future.set_result(self.issue(lifetime, refreshable=refreshable))


class ProcessClient(FakeClient):
    """The client of one process, whose requests wait for the test to respond."""

    def __init__(self, clock, server):
        super().__init__(clock)
        self.server = server

    async def fetch_token(self, grant, *, timeout=None):
        handle = grant.refresh_token.text if isinstance(grant, aa.RefreshTokenGrant) else None
        future = asyncio.get_running_loop().create_future()
        request = SimpleNamespace(future=future, handle=handle)
        self.server.requests.append(request)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                answer = await future
        except TimeoutError:
            answer = aa.TransportError("no answer")
        finally:
            self.server.requests.remove(request)
        if isinstance(answer, BaseException):
            raise answer.copy()
        return answer


class Process(SimpleNamespace):
    """A process: its way to the store and its provider."""


class Fleet(RuleBasedStateMachine):
    """Three processes of one service."""

    grant = aa.ClientCredentialsGrant(scope="bankservice")
    store_type = aa.MemoryTokenStore
    store_forgets = False

    def __init__(self):
        super().__init__()
        # A collection ends the tasks of killed processes at a moment that a replay cannot repeat.
        gc.disable()
        self.clock = LoopClock()
        self.loop = SteppedLoop(self.clock)
        self.server = Server(self.clock)
        self.store = self.store_type(clock=self.clock)
        self.draws = 0.5
        self.tasks = []
        self.gone = []
        # What nobody can promise any more: a process was cut off or died while it held a lease.
        self.is_tainted = False
        self.processes = [self.start() for _ in range(3)]

    @property
    def refreshable(self):
        return not self.grant.is_reusable

    def start(self):
        way = Way(self.store)
        provider = aa.TokenProvider(
            ProcessClient(self.clock, self.server),
            self.grant,
            store=way,
            clock=self.clock,
            draw=lambda: self.draws,
            on_event=None,
        )
        return Process(way=way, provider=provider)

    def settle(self):
        async def turns():
            for _ in range(40):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def spawn(self, coroutine):
        task = self.loop.create_task(coroutine)
        self.tasks.append(task)
        self.settle()
        return task

    def let_pass(self, seconds):
        end = self.clock.mono + seconds
        while self.loop.due and self.loop.due[0] <= end:
            self.step_to(heapq.heappop(self.loop.due))
        self.step_to(end)

    def step_to(self, moment):
        passed = max(0.0, moment - self.clock.mono)
        self.clock.advance(passed)
        for process in self.processes:
            is_cut_off = process.way.fault is not None and process.provider.status().is_refreshing
            process.way.broken_for = process.way.broken_for + passed if is_cut_off else 0.0
            self.is_tainted |= process.way.broken_for > BLINK
        self.settle()
        self.no_two_ask_at_once()

    async def call(self, provider):
        try:
            token = await provider.get_token()
        except aa.AritmaAuthError:
            return
        # Two clocks of POSIX seconds differ by the last bit of a float.
        left = self.server.ends[token.access_token] - self.clock.mono
        assert left > -1e-3, "an expired token was served"

    @rule(which=PROCESSES, count=st.integers(1, 2))
    def callers_come(self, which, count):
        for _ in range(count):
            self.spawn(self.call(self.processes[which].provider))

    @rule(data=st.data())
    def a_caller_is_cancelled(self, data):
        waiting = [task for task in self.tasks if not task.done()]
        if waiting:
            data.draw(st.sampled_from(waiting)).cancel()
            self.settle()

    @precondition(lambda self: self.server.requests)
    @rule(lifetime=st.sampled_from([20, 300, 3600]), data=st.data())
    def the_server_answers(self, lifetime, data):
        request = data.draw(st.sampled_from(self.server.requests))
        self.server.answer(request, lifetime, refreshable=self.refreshable)
        self.settle()

    @precondition(lambda self: self.server.requests)
    @rule(
        error=st.sampled_from(
            [
                aa.TransportError("unsent", may_have_arrived=False),
                aa.TransportError("lost on the way"),
                aa.TransportError("busy", retry_after=20, may_have_arrived=False),
                aa.InvalidClientError("invalid_client", status=400),
            ]
        )
    )
    def the_server_fails(self, error):
        self.server.requests[0].future.set_result(error)
        self.settle()

    @rule(which=PROCESSES, fault=st.sampled_from(["hang", "refuse", "lose answers", None, None]))
    def the_way_to_the_store_changes(self, which, fault):
        self.processes[which].way.fault = fault

    @rule()
    def the_way_is_mended(self):
        self.all_is_well()

    def all_is_well(self):
        for process in self.processes:
            process.way.fault = None

    @precondition(lambda self: self.store_forgets)
    @rule()
    def the_store_loses_its_memory(self):
        self.is_tainted = True
        lose_memory(self.store)

    @rule(seconds=st.sampled_from([0.1, 1, BLINK]))
    def a_moment_passes(self, seconds):
        self.let_pass(seconds)

    @rule(seconds=st.sampled_from([11, 60, 1000]), mended=st.sampled_from([True, True, False]))
    def a_while_passes(self, seconds, mended):
        if mended:
            self.all_is_well()
        self.let_pass(seconds)

    @rule(
        early=st.sampled_from([0, 0, 10, 50]),
        callers=st.lists(PROCESSES, min_size=1, max_size=4),
        answers_after=st.sampled_from([None, 0, 0, 0.1, 8]),
    )
    def the_token_comes_to_its_end(self, early, callers, answers_after):
        """Everybody asks for the next one; perhaps the server answers."""
        end = max(self.server.ends.values(), default=self.clock.mono)
        self.let_pass(max(0.0, end - early - self.clock.mono))
        for which in callers:
            self.spawn(self.call(self.processes[which].provider))
        if answers_after is not None:
            self.let_pass(answers_after)
            self.everybody_is_answered()

    @precondition(lambda self: self.server.requests)
    @rule()
    def everybody_is_answered(self):
        for request in list(self.server.requests):
            if not request.future.done():
                self.server.answer(request, 300, refreshable=self.refreshable)
        self.settle()

    @rule(draw=st.sampled_from([0.0, 0.5, 0.999]))
    def chance_changes(self, draw):
        self.draws = draw

    @rule(which=PROCESSES)
    def a_process_ends(self, which):
        leaving = self.processes[which]
        self.spawn(leaving.provider.aclose())
        self.gone.append(leaving)
        self.processes[which] = self.start()

    @rule(which=PROCESSES)
    def a_process_is_killed(self, which):
        killed = self.processes[which]
        refresher = refresher_of(killed.provider)
        flight = refresher and refresher.flights.current
        if flight is not None:
            self.is_tainted |= flight.task.is_uninterruptible
            # Neither does it release what it holds, nor write anything any more.
            killed.way.fault = "refuse"
            flight.task.work.cancel()
        self.spawn(killed.provider.aclose())
        self.processes[which] = self.start()

    @invariant()
    def no_refresh_token_comes_twice(self):
        assert self.is_tainted or not self.server.reused

    @invariant()
    def no_two_ask_at_once(self):
        assert self.is_tainted or self.anybody_is_cut_off() or len(self.server.requests) <= 1

    def anybody_is_cut_off(self):
        # Without its store a service asks by itself, also for a while after.
        return self.grant.is_reusable and any(
            process.way.fault
            or (
                (refresher := refresher_of(process.provider)) is not None
                and leaves_its_store_alone(refresher)
            )
            for process in self.processes + self.gone
        )

    @invariant()
    def no_caller_broke_an_invariant(self):
        for task in self.tasks:
            if task.done() and not task.cancelled():
                task.result()
        self.tasks = [task for task in self.tasks if not task.done()]

    def teardown(self):
        gc.enable()
        try:
            self.all_is_well()
            for process in self.gone:
                process.way.fault = None
            closing = [self.spawn(process.provider.aclose()) for process in self.processes]
            for _ in range(20):
                for request in list(self.server.requests):
                    self.server.answer(request, 60, refreshable=self.refreshable)
                self.let_pass(10)
            ended = all(task.done() for task in [*closing, *self.tasks])
            left = asyncio.all_tasks(self.loop)
            self.no_caller_broke_an_invariant()
            assert ended, "closing did not end"
            assert not left, "a task was left"
        finally:
            self.loop.close()


class SignedInFleet(Fleet):
    """Three processes that share a person's sign-in, which another may replace or end."""

    grant = aa.SignedInGrant("alice")

    def __init__(self):
        super().__init__()
        self.somebody_signs_in(0)

    @rule(which=PROCESSES)
    def somebody_signs_in(self, which):
        token = self.server.issue(300, refreshable=True)
        self.spawn(self.processes[which].provider.set_token(token))

    @rule(which=PROCESSES, next_one=st.sampled_from([None, 0, 1, 2]))
    def somebody_signs_out(self, which, next_one):
        self.spawn(self.forget(self.processes[which].provider))
        if next_one is not None:
            self.somebody_signs_in(next_one)

    async def forget(self, provider):
        try:
            await provider.forget()
        except aa.StoreError:
            return


class PolledFleet(SignedInFleet):
    """The same over a store that does not tell of changes."""

    store_type = PolledStore


class ForgetfulFleet(SignedInFleet):
    """The same over a store that loses its memory now and then: everything ends all the same."""

    store_forgets = True


EXAMPLES = int(os.environ.get("FLEET_EXAMPLES", "30"))
"""Histories of each kind; ``nox -s simulation`` has many more."""

LIMITS = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
TestFleet = Fleet.TestCase
TestFleet.settings = LIMITS
TestSignedInFleet = SignedInFleet.TestCase
TestSignedInFleet.settings = LIMITS
TestPolledFleet = PolledFleet.TestCase
TestPolledFleet.settings = LIMITS
TestForgetfulFleet = ForgetfulFleet.TestCase
TestForgetfulFleet.settings = LIMITS
