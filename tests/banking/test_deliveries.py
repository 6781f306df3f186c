"""What was handled is remembered: one contract for every log of deliveries, and its limits."""

import asyncio
import contextlib
import itertools
from secrets import token_hex

import hypothesis
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.banking.deliveries import delivery_key
from aritma_auth.banking.dispatcher import EventDispatcher
from support.clock import FakeClock
from support.internals import claims_of
from support.valkey import shared_server

Claim = banking.Claim


@contextlib.asynccontextmanager
async def memory():
    """Open the log of one process."""
    yield banking.MemoryDeliveryLog()


@contextlib.asynccontextmanager
async def valkey():
    """Open a log in a real server, with a prefix of its own."""
    # A busy machine is no defect.
    async with banking.RedisDeliveryLog(
        shared_server().url, prefix=token_hex(4), timeout=30
    ) as log:
        yield log


@pytest.fixture(params=[memory, valkey], ids=lambda opened: opened.__name__)
async def log(request):
    async with request.param() as log:
        yield log


async def test_a_claim_is_granted_once(log):
    """Another owner must wait; the same one may claim again, since a response may be lost."""
    assert isinstance(log, banking.DeliveryLog)
    assert await log.claim("k", "one", seconds=60) is Claim.GRANTED
    assert await log.claim("k", "two", seconds=60) is Claim.BUSY
    assert await log.claim("k", "one", seconds=60) is Claim.GRANTED
    assert await log.claim("other", "two", seconds=60) is Claim.GRANTED


async def test_what_was_handled_is_not_handled_again(log):
    """Once it is finished, no request gets it, whichever had claimed it."""
    await log.claim("k", "one", seconds=60)
    await log.finish("k", seconds=60)

    assert await log.claim("k", "one", seconds=60) is Claim.HANDLED
    await log.release("k", "one")
    assert await log.claim("k", "two", seconds=60) is Claim.HANDLED


async def test_a_released_claim_is_free(log):
    """A handler that failed gives its claim back; another owner's claim stays."""
    await log.claim("k", "one", seconds=60)
    await log.release("k", "two")
    assert await log.claim("k", "two", seconds=60) is Claim.BUSY

    await log.release("k", "one")
    assert await log.claim("k", "two", seconds=60) is Claim.GRANTED


async def test_claims_and_memories_run_out(log):
    """A claim of a process that died runs out, and so does the memory of what was handled."""
    await log.claim("k", "one", seconds=0.001)
    await log.finish("done", seconds=0.001)
    await asyncio.sleep(0.01)

    assert await log.claim("k", "two", seconds=60) is Claim.GRANTED
    assert await log.claim("done", "two", seconds=60) is Claim.GRANTED


async def test_a_late_finish_counts(log):
    """A request that has handled an event says so, although its claim ran out and another has one."""
    await log.claim("k", "one", seconds=0.001)
    await asyncio.sleep(0.01)
    await log.claim("k", "two", seconds=60)
    await log.finish("k", seconds=60)

    assert await log.claim("k", "three", seconds=60) is Claim.HANDLED


async def test_of_many_at_once_one_is_granted(log):
    """Requests that come at the same time do not share a claim."""
    owners = [str(number) for number in range(20)]

    claims = await asyncio.gather(*(log.claim("k", owner, seconds=60) for owner in owners))

    assert claims.count(Claim.GRANTED) == 1
    assert claims.count(Claim.BUSY) == 19


async def test_the_memory_is_bounded():
    """The oldest memories go first, claims that ran out with them."""
    clock = FakeClock()
    log = banking.MemoryDeliveryLog(2, clock=clock)
    await log.claim("abandoned", "one", seconds=5)
    for key in "abc":
        await log.claim(key, "one", seconds=5)
        await log.finish(key, seconds=60)

    assert repr(log) == "<MemoryDeliveryLog of 2>"
    assert await log.claim("a", "two", seconds=5) is Claim.GRANTED
    assert await log.claim("b", "two", seconds=5) is Claim.HANDLED
    clock.advance(100)
    await log.finish("d", seconds=60)
    assert repr(log) == "<MemoryDeliveryLog of 1>"
    clock.advance(-100)
    assert await log.claim("abandoned", "two", seconds=5) is Claim.GRANTED


async def test_claims_that_run_out_are_forgotten_although_nothing_is_ever_handled():
    """Handlers that never end in time leave no more than the claims that still hold."""
    clock = FakeClock()
    log = banking.MemoryDeliveryLog(clock=clock)
    for number in range(100):
        await log.claim(f"event {number}", "one", seconds=5)
        clock.advance(1)

    assert len(claims_of(log)) == 5


async def test_a_memory_that_ends_at_once_is_none():
    """A retention of nothing leaves nothing behind."""
    log = banking.MemoryDeliveryLog(clock=FakeClock())
    await log.finish("a", seconds=0)

    assert repr(log) == "<MemoryDeliveryLog of 0>"


def test_the_key_keeps_its_parts_apart():
    """Two events never share a key, however their source, id and handler are cut."""

    def event(source, event_id):
        return banking.CloudEvent(id=event_id, source=source, type="t")

    keys = {
        delivery_key(event(source, event_id), handler)
        for source, event_id, handler in itertools.product(
            ["a", "a,", 'a"'], ["b", ",b", '"b'], ["h", "ha"]
        )
    }

    assert len(keys) == 18
    assert all(len(key) == 64 for key in keys)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"max_size": 0}, "max_size must be a whole number, 1 or more, not 0"),
        ({"max_size": "1"}, "max_size must be a whole number"),
        ({"clock": 5}, "clock must be a Clock"),
    ],
)
def test_the_memorys_arguments_are_checked(arguments, problem):
    """Each argument of the wrong kind is named."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        banking.MemoryDeliveryLog(**arguments)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"server": "http://127.0.0.1"}, "server must be a URL"),
        (
            {"password": b"plain"},
            "password must be a Secret, its text or None; it is of type bytes",
        ),
        ({"prefix": "a b"}, "prefix must be a short word"),
        ({"prefix": ""}, "prefix must be a short word"),
        ({"prefix": 5}, "prefix must be a short word"),
        ({"timeout": 0}, "timeout must be a number of seconds"),
    ],
)
def test_redis_arguments_are_checked(arguments, problem):
    """Each argument of the wrong kind is named."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        banking.RedisDeliveryLog(**({"server": "redis://127.0.0.1:1"} | arguments))


async def test_a_server_that_is_away_is_a_store_error():
    """No exception of redis-py leaves the package."""
    async with banking.RedisDeliveryLog("redis://127.0.0.1:1/0") as log:
        with pytest.raises(aa.StoreError, match="failed to claim a delivery"):
            await log.claim("k", "one", seconds=1)
    assert repr(log) == "<RedisDeliveryLog 'aa-events' at 127.0.0.1:1/0>"


async def test_an_odd_response_is_busy():
    """What no script of ours returns grants nothing."""

    class Client:
        async def execute_command(self, *args, **options):
            return b"OK"

    log = banking.RedisDeliveryLog(Client())

    assert await log.claim("k", "one", seconds=1) is Claim.BUSY


# Once per handler, whatever crashes, is slow or comes at the same time


class CrashError(BaseException):
    """The process ends here."""


class Journal:
    """What the handlers of one event have done: begun and completed, in order."""

    def __init__(self):
        self.completed = 0
        self.running = 0

    async def handle(self, outcome):
        self.running += 1
        assert self.running == 1, "two handle it at the same time"
        try:
            await asyncio.sleep(0)
            if outcome == "fails":
                raise RuntimeError
            if outcome == "crashes before":
                raise CrashError
            self.completed += 1
        finally:
            self.running -= 1


class CrashingLog:
    """A log whose process may die before or after an operation."""

    def __init__(self, log, crash):
        self.log = log
        self.crash = crash

    async def _do(self, name, operation):
        if self.crash == f"before {name}":
            operation.close()
            raise CrashError
        outcome = await operation
        if self.crash == f"after {name}":
            raise CrashError
        return outcome

    async def claim(self, key, owner, *, seconds):
        return await self._do("claim", self.log.claim(key, owner, seconds=seconds))

    async def finish(self, key, *, seconds):
        return await self._do("finish", self.log.finish(key, seconds=seconds))

    async def release(self, key, owner):
        return await self._do("release", self.log.release(key, owner))


CRASHES = [
    f"{when} {what}" for when in ("before", "after") for what in ("claim", "finish", "release")
]
EVENT = banking.CloudEvent(id="1", source="s", type="t")


async def deliver(log, clock, journal, outcome, crash):
    """Deliver the event to one process, which may die; tell whether the sender may stop."""
    dispatcher = EventDispatcher(
        CrashingLog(log, crash), timeout=5, retention=1000, clock=clock, tell=lambda _event: None
    )

    @dispatcher.on(banking.CloudEvent, "handler")
    async def handler(event):
        await journal.handle(outcome)

    try:
        return await dispatcher.handle_all([EVENT], clock.monotonic() + 5)
    except CrashError:
        return False


class Redelivery(stateful.RuleBasedStateMachine):
    """A sender that delivers until it is told to stop, to processes that die anywhere."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.log = banking.MemoryDeliveryLog(clock=self.clock)
        self.journal = Journal()
        self.crashes_after_the_work = 0

    @stateful.rule(
        outcome=st.sampled_from(["works", "fails", "crashes before"]),
        crash=st.sampled_from([*CRASHES, None, None]),
    )
    def one_delivery(self, outcome, crash):
        before = self.journal.completed
        accepted = self.loop.run_until_complete(
            deliver(self.log, self.clock, self.journal, outcome, crash)
        )
        if accepted:
            assert self.journal.completed > 0, "accepted, and lost"
        if crash == "before finish" and self.journal.completed > before:
            self.crashes_after_the_work += 1

    @stateful.rule(outcomes=st.lists(st.sampled_from(["works", "fails"]), min_size=2, max_size=5))
    def several_at_once(self, outcomes):
        async def all_of_them():
            return await asyncio.gather(
                *(
                    deliver(self.log, self.clock, self.journal, outcome, None)
                    for outcome in outcomes
                )
            )

        if any(self.loop.run_until_complete(all_of_them())):
            assert self.journal.completed > 0

    @stateful.rule(seconds=st.sampled_from([1, 20]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @stateful.invariant()
    def once_but_for_crashes_in_between(self):
        assert self.journal.completed <= 1 + self.crashes_after_the_work

    def teardown(self):
        # The sender comes again until it is told to stop: nothing is stuck.
        self.clock.advance(20)
        last = deliver(self.log, self.clock, self.journal, "works", None)
        assert self.loop.run_until_complete(last)
        assert self.journal.completed >= 1
        self.loop.close()


Redelivery.TestCase.settings = hypothesis.settings(max_examples=60, stateful_step_count=20)
TestRedelivery = Redelivery.TestCase


@hypothesis.settings(max_examples=15, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(
    deliveries=st.lists(
        st.tuples(
            st.sampled_from(["works", "fails", "crashes before"]),
            st.sampled_from([*CRASHES, None, None]),
        ),
        min_size=1,
        max_size=6,
    ),
    copies=st.integers(1, 4),
)
async def test_redis_keeps_it_to_once_too(deliveries, copies):
    """On a real server, processes that die and requests that overlap repeat no work."""
    async with valkey() as log:
        # Claims of dead processes run out at once: the sender would wait for that.
        quick = ShortClaims(log)
        journal, clock, crashed = Journal(), FakeClock(), 0
        for outcome, crash in deliveries:
            before = journal.completed
            await deliver(quick, clock, journal, outcome, crash)
            crashed += crash == "before finish" and journal.completed > before
            await asyncio.sleep(0.003)
        accepted = await asyncio.gather(
            *(deliver(log, clock, journal, "works", None) for _ in range(copies))
        )

        assert any(accepted)
        assert 1 <= journal.completed <= 1 + crashed


class ShortClaims:
    """A log whose claims run out after two milliseconds."""

    def __init__(self, log):
        self.log = log

    async def claim(self, key, owner, *, seconds):
        return await self.log.claim(key, owner, seconds=0.002)

    async def finish(self, key, *, seconds):
        await self.log.finish(key, seconds=seconds)

    async def release(self, key, owner):
        await self.log.release(key, owner)
