"""Sign-ins that nobody uses, kept alive by one process of a fleet, spread over time."""

import asyncio
import itertools

import pytest

import aritma_auth as aa
from aritma_auth.events import ReauthenticationRequired, RefreshRecovered
from aritma_auth.provider import keep_alive
from support.clock import FakeClock
from support.fakes import FakeClient, settle
from support.internals import providers_of
from support.rig import DOWN, SPENT

pytestmark = pytest.mark.usefixtures("no_leftovers")

DAY = 86_400.0
IDLE = 10 * DAY


class Server(FakeClient):
    """Rotates refresh tokens, notes when, and forgets a sign-in that nobody has used for IDLE."""

    def __init__(self, clock):
        super().__init__(clock)
        self.refreshed = []
        self.died = []

    async def fetch_token(self, grant, *, timeout=None):
        token = await super().fetch_token(grant)
        name, _, number = grant.refresh_token.text.partition("/")
        last = max((at for who, at in self.refreshed if who == name), default=None)
        if last is not None and self.clock.time() - last > IDLE:
            self.died.append(name)
        self.refreshed.append((name, self.clock.time()))
        return aa.Token(
            token.access_token,
            expires_at=token.expires_at,
            issued_at=token.issued_at,
            refresh_token=f"{name}/{int(number or 0) + 1}",
        )

    def times_of(self, name):
        return [at for who, at in self.refreshed if who == name]


class Fleet:
    """Processes with a pool each, over one store or none."""

    def __init__(self, clock, processes=1, store=None, **settings):
        self.clock = clock
        self.events = []
        self.server = Server(clock)
        self.store = store
        self.pools = [self.make_pool(**settings) for _ in range(processes)]

    def make_pool(self, **settings):
        return aa.TokenProviderPool(
            lambda name: aa.TokenProvider(
                self.server,
                aa.SignedInGrant(name),
                store=self.store,
                clock=self.clock,
                on_event=self.events.append,
            ),
            **settings,
        )

    async def sign_in(self, *names, pool=0):
        for name in names:
            token = aa.Token(
                f"first-{name}", refresh_token=f"{name}/0", expires_at=self.clock.time() + 3600
            )
            await self.pools[pool].provider(name).set_token(token)

    async def keep_alive(self, keys, until, **settings):
        """Let every process keep the keys alive until so many seconds have gone by."""
        end = self.clock.time() + until
        over = asyncio.Event()

        async def sleep(seconds):
            # A visit ends at the time when it began.
            await settle()
            # The processes take turns, and time goes on once for all of them.
            self.clock.advance(seconds / len(self.pools))
            if self.clock.time() >= end:
                over.set()
                await asyncio.Event().wait()
            await settle()

        until_then = FakeClock()
        until_then.sleep = sleep
        tasks = [
            asyncio.create_task(
                pool.keep_alive(keys, **({"idle": IDLE, "clock": until_then} | settings))
            )
            for pool in self.pools
        ]
        await over.wait()
        for task in tasks:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    def happened(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    async def aclose(self):
        for pool in self.pools:
            await pool.aclose()


async def test_sign_ins_that_nobody_uses_stay_alive(clock):
    """Each is refreshed well before the server forgets it, and not much more often."""
    fleet = Fleet(clock)
    names = [f"user-{number}" for number in range(5)]
    await fleet.sign_in(*names)
    await fleet.keep_alive(names, 100 * DAY)
    await fleet.aclose()

    assert fleet.server.died == []
    for name in names:
        times = fleet.server.times_of(name)
        assert 11 <= len(times) <= 20
        pauses = [after - before for before, after in itertools.pairwise(times)]
        assert min(pauses) >= IDLE / 2
        assert max(pauses) <= IDLE * 0.9


async def test_a_sign_in_that_is_used_is_left_alone(clock):
    """Who calls an API refreshes anyway."""
    fleet = Fleet(clock)
    began = clock.time()
    await fleet.sign_in("busy", "idle")
    for _ in range(30):
        await fleet.pools[0].get_token("busy")
        used = len(fleet.server.times_of("busy"))
        await fleet.keep_alive(["busy", "idle"], DAY)
        assert len(fleet.server.times_of("busy")) == used
    await fleet.aclose()

    assert fleet.server.died == []
    elapsed = clock.time() - began
    assert len(fleet.server.times_of("idle")) <= elapsed / (IDLE / 2)


async def test_one_process_of_a_fleet_refreshes(clock):
    """The others see the young token in the store."""
    fleet = Fleet(clock, processes=3, store=aa.MemoryTokenStore())
    names = [f"user-{number}" for number in range(4)]
    await fleet.sign_in(*names)
    await fleet.keep_alive(names, 50 * DAY)
    await fleet.aclose()

    assert fleet.server.died == []
    for name in names:
        times = fleet.server.times_of(name)
        assert 6 <= len(times) <= 10
        assert all(after - before >= IDLE / 2 for before, after in itertools.pairwise(times))


async def test_a_process_that_starts_refreshes_only_what_is_old(clock):
    """A fleet that is restarted does not refresh every sign-in at once."""
    store = aa.MemoryTokenStore()
    fleet = Fleet(clock, store=store)
    await fleet.sign_in("young", "old")
    clock.advance(4 * DAY)
    await fleet.sign_in("young")
    clock.advance(2 * DAY)
    fleet.pools = [fleet.make_pool()]
    await fleet.keep_alive(["young", "old"], 2 * DAY)
    await fleet.aclose()

    assert [name for name, _ in fleet.server.refreshed] == ["old"]


async def test_the_refreshes_are_spread(clock):
    """A thousand sign-ins of one moment are not refreshed in one moment."""
    fleet = Fleet(clock)
    names = [f"user-{number}" for number in range(200)]
    await fleet.sign_in(*names)
    clock.advance(IDLE / 2)
    await fleet.keep_alive(names, DAY * 2)
    await fleet.aclose()
    times = sorted(at for _, at in fleet.server.refreshed)
    hours = {int(at // 3600) for at in times}

    assert len(times) == 200
    assert len(hours) >= 20


async def test_so_many_are_visited_at_a_time(clock):
    """A slow server gets no more requests at once than was said."""
    fleet = Fleet(clock)
    names = [f"user-{number}" for number in range(20)]
    await fleet.sign_in(*names)
    clock.advance(IDLE / 2)
    held = [fleet.server.hold() for _ in range(3)]
    task = asyncio.create_task(
        fleet.pools[0].keep_alive(names, idle=IDLE, concurrency=3, clock=FakeClock())
    )
    for _ in range(50):
        await settle()
    in_flight = fleet.server.in_flight
    task.cancel()
    for answer in held:
        answer.set_result(None)
    await asyncio.gather(task, return_exceptions=True)
    await fleet.aclose()

    assert in_flight == fleet.server.peak == 3


async def test_it_ends_when_it_is_cancelled(clock):
    """The cancellation is the caller's own, and no task is left."""
    fleet = Fleet(clock)
    await fleet.sign_in("alice")
    (ended,) = await fleet.keep_alive(["alice"], DAY)
    await fleet.aclose()

    assert isinstance(ended, asyncio.CancelledError)


@pytest.mark.parametrize("keys", [["alice"], []], ids=["with keys", "without"])
async def test_it_ends_with_its_pool(clock, keys):
    """Closing waits for it, and it returns."""
    fleet = Fleet(clock)
    await fleet.sign_in("alice")
    task = asyncio.create_task(fleet.pools[0].keep_alive(keys, idle=IDLE))
    await settle()
    await fleet.aclose()

    assert task.done()
    assert task.result() is None


async def test_a_list_that_hangs_does_not_keep_the_pool_open(clock):
    """A database that does not respond is waited for no longer than the pool is open."""

    async def keys():
        await asyncio.Event().wait()

    fleet = Fleet(clock)
    task = asyncio.create_task(fleet.pools[0].keep_alive(keys, idle=IDLE))
    await settle()
    await fleet.aclose()

    assert task.result() is None


async def test_a_pool_that_is_closed_on_another_loop_ends_it(clock):
    """Its loop learns of it, though nobody there waits."""
    fleet = Fleet(clock)
    task = asyncio.create_task(fleet.pools[0].keep_alive([], idle=IDLE))
    await settle()
    await asyncio.to_thread(lambda: asyncio.run(fleet.aclose()))
    async with asyncio.timeout(60):
        await task

    assert task.result() is None


async def test_who_must_sign_in_again_is_told_once(clock):
    """However many rounds follow, and no other sign-in is affected."""
    fleet = Fleet(clock)
    await fleet.sign_in("gone", "alice")
    clock.advance(IDLE / 2)
    fleet.server.answers = [SPENT]
    await fleet.keep_alive(["gone"], 2 * DAY)
    await fleet.keep_alive(["gone", "alice"], 20 * DAY)
    await fleet.aclose()

    assert [event.key for event in fleet.happened(ReauthenticationRequired)] == ["gone"]
    assert fleet.server.times_of("gone") == []
    assert len(fleet.server.times_of("alice")) >= 2


async def test_an_outage_is_survived_and_its_end_told_once(clock):
    """A server that is away for a day costs no sign-in."""
    fleet = Fleet(clock)
    await fleet.sign_in("alice")
    clock.advance(IDLE / 2)
    fleet.server.answers = [DOWN] * 2
    await fleet.keep_alive(["alice"], 5 * DAY)
    await fleet.aclose()

    assert fleet.server.died == []
    assert len(fleet.happened(RefreshRecovered)) == 1


@pytest.mark.parametrize("kind", ["cancelled", "hanging"])
async def test_a_list_that_does_not_come_costs_one_round(clock, caplog, monkeypatch, kind):
    """Work that a caller's function awaits may be cancelled or hang: the keeper goes on."""
    monkeypatch.setattr(keep_alive, "_LIST_WITHIN", 0.01)
    fleet = Fleet(clock)
    await fleet.sign_in("alice")
    rounds = itertools.count()

    async def keys():
        if next(rounds):
            return ["alice"]
        query = asyncio.ensure_future(asyncio.Event().wait())
        if kind == "cancelled":
            query.cancel()
        return await query

    await asyncio.wait_for(fleet.keep_alive(keys, 9 * DAY), 30)
    await fleet.aclose()

    assert {name for name, _ in fleet.server.refreshed} == {"alice"}
    problem = {"cancelled": "CancelledError", "hanging": "TimeoutError"}[kind]
    assert f"could not list its keys: {problem}" in caplog.text


async def test_keys_may_be_listed_anew(clock, caplog):
    """Who signs in later is found, and a list that fails once costs one round."""
    fleet = Fleet(clock)
    await fleet.sign_in("alice")
    names = ["alice"]
    failures = [OSError("canary")]

    async def keys():
        if failures:
            raise failures.pop()
        return names

    await fleet.keep_alive(keys, 9 * DAY)
    await fleet.sign_in("bob")
    names.append("bob")
    await fleet.keep_alive(keys, 9 * DAY)
    await fleet.aclose()

    assert {name for name, _ in fleet.server.refreshed} == {"alice", "bob"}
    assert "could not list its keys: OSError" in caplog.text
    assert "canary" not in caplog.text


async def test_a_key_whose_provider_cannot_be_made_harms_no_other(clock, caplog):
    """It is logged by its class, and the next key is visited."""
    fleet = Fleet(clock)
    await fleet.sign_in("alice")

    inner = fleet.pools[0]

    def make(name):
        if name == "bad":
            raise OSError("canary")
        return inner.provider(name)

    fleet.pools = [aa.TokenProviderPool(make)]
    await fleet.keep_alive(["bad", "alice"], 9 * DAY)
    await fleet.aclose()

    assert fleet.server.times_of("alice")
    assert (
        "could not visit a key: the pool's factory raised OSError, test_keep_alive.py:"
        in caplog.text
    )
    assert "canary" not in caplog.text


async def test_a_provider_of_ones_own_that_fails_harms_no_other(clock, caplog):
    """It is logged by the class of what it raised, and the next key is visited."""

    class Odd(aa.TokenProvider):
        async def refresh_if_idle(self, seconds):
            raise OSError("canary")

    fleet = Fleet(clock)
    await fleet.sign_in("alice")
    inner = fleet.pools[0]
    odd = Odd(fleet.server, aa.ClientCredentialsGrant(), clock=clock)
    fleet.pools = [
        aa.TokenProviderPool(lambda name: odd if name == "bad" else inner.provider(name))
    ]
    await fleet.keep_alive(["bad", "alice"], 9 * DAY)
    await fleet.aclose()

    assert fleet.server.times_of("alice")
    assert "could not visit a key: OSError" in caplog.text
    assert "canary" not in caplog.text


async def test_keys_that_cannot_be_listed_cost_their_round(clock, caplog):
    """An iterable of somebody's own may raise like a function."""

    class Keys:
        def __iter__(self):
            raise OSError("canary")

    fleet = Fleet(clock)
    await fleet.keep_alive(Keys(), 2 * DAY)
    await fleet.aclose()

    assert "could not list its keys: the keys raised OSError, test_keep_alive.py:" in caplog.text
    assert "canary" not in caplog.text


async def test_what_is_no_sign_in_is_left_alone(clock):
    """A key without a token has nothing to keep, and a service's token can be had again."""
    fleet = Fleet(clock, store=aa.MemoryTokenStore())
    service = aa.TokenProvider(fleet.server, aa.ClientCredentialsGrant(), clock=clock)
    await service.set_token(aa.Token("t", issued_at=1, expires_at=clock.time() + 3600))
    inner = fleet.pools[0]
    fleet.pools = [
        aa.TokenProviderPool(lambda name: service if name == "service" else inner.provider(name))
    ]
    await fleet.keep_alive(["service", "nobody"], 20 * DAY)
    await fleet.aclose()

    assert fleet.server.requests == 0
    assert fleet.happened(ReauthenticationRequired) == []


async def test_a_look_does_not_count_as_use(clock):
    """A provider that is kept alive makes room like any other that nobody asks for."""
    fleet = Fleet(clock, store=aa.MemoryTokenStore(), max_size=2)
    await fleet.sign_in("idle", "busy")
    pool = fleet.pools[0]
    pool.provider("busy")
    await fleet.keep_alive(["idle"], DAY)
    await fleet.sign_in("third")
    held = set(providers_of(pool))
    await fleet.aclose()

    assert held == {"busy", "third"}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"keys": "alice"}, "keys must be a collection of keys, or an async function"),
        ({"keys": 1}, "keys must be a collection"),
        ({"idle": 0}, "idle must be"),
        ({"idle": "10"}, "idle must be"),
        ({"concurrency": 0}, "concurrency must be a whole number, 1 or more, not 0"),
        ({"concurrency": True}, "concurrency must be a whole number"),
    ],
    ids=["a text", "a number", "no time", "a time in words", "none at a time", "True at a time"],
)
async def test_a_wrong_argument_is_named(clock, arguments, problem):
    """The error comes at once, and not in a later round."""
    pool = Fleet(clock).pools[0]
    with pytest.raises(aa.ConfigurationError, match=problem):
        await pool.keep_alive(**({"keys": ["alice"], "idle": IDLE} | arguments))
    await pool.aclose()
    with pytest.raises(aa.ProviderClosedError):
        await pool.keep_alive(["alice"], idle=IDLE)


async def test_a_provider_says_whether_it_was_refreshed(clock):
    """One sign-in can be kept alive without a pool."""
    fleet = Fleet(clock)
    await fleet.sign_in("alice")
    provider = fleet.pools[0].provider("alice")
    young = await provider.refresh_if_idle(DAY)
    clock.advance(DAY)
    old = await provider.refresh_if_idle(DAY)
    again = await provider.refresh_if_idle(DAY)
    with pytest.raises(aa.ConfigurationError, match="seconds must be"):
        await provider.refresh_if_idle("a day")
    await fleet.aclose()
    with pytest.raises(aa.ProviderClosedError):
        await provider.refresh_if_idle(DAY)

    assert (young, old, again) == (False, True, False)


async def test_a_token_that_outlives_the_idle_time_is_refreshed_too(clock):
    """The access token of a month says nothing of the refresh token's ten days."""
    fleet = Fleet(clock)
    fleet.server.lifetime = 30 * DAY
    provider = fleet.pools[0].provider("alice")
    await provider.set_token(
        aa.Token("first", refresh_token="alice/0", expires_at=clock.time() + 20 * DAY)
    )
    clock.advance(6 * DAY)
    is_refreshed = await provider.refresh_if_idle(5 * DAY)
    await fleet.aclose()

    assert is_refreshed
