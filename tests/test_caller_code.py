"""Whatever a caller's own code raises: an error of the package, or an interrupt that passes."""

import asyncio
import contextlib
import time
from types import SimpleNamespace

import pytest
from yarl import URL

import aritma_auth as aa
from aritma_auth.caller_code import require_clock
from aritma_auth.events import TokenForgotten
from aritma_auth.events.listeners import notify
from aritma_auth.runtime.clock import SystemClock
from support.clock import LoopClock
from support.fakes import FakeClient
from support.internals import memory_of
from support.loops import run_leaping
from support.rig import GRANT, Rig

pytestmark = pytest.mark.usefixtures("no_leftovers")

ENVIRONMENT = aa.Environment.at(
    "https://idp.example", endpoints={"token_endpoint": "https://idp.example/t"}
)
QUICK = aa.RefreshPolicy(
    refresh_timeout=5, max_attempts=2, backoff_base=0.001, permanent_error_backoff_base=0.001
)


class OwnError(BaseException):
    """An exception of somebody's own, such as the Failed and Skipped of pytest."""


KINDS = {
    "GeneratorExit": GeneratorExit,
    "OwnError": OwnError,
    "CancelledError": asyncio.CancelledError,
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
    "RecursionError": RecursionError,
    "MemoryError": MemoryError,
    "KeyError": lambda: KeyError("canary"),
    "ExceptionGroup": lambda: ExceptionGroup("canary", [ValueError()]),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("canary", [OwnError()]),
}
INTERRUPTS = {"KeyboardInterrupt": KeyboardInterrupt, "SystemExit": SystemExit}


class Fault:
    """Raises once it is armed, as a plain function or as an async one."""

    def __init__(self):
        self.kind = None
        self.raised = 0

    def check(self):
        if self.kind is not None:
            self.raised += 1
            raise self.kind()

    def plain(self, *_arguments, **_keywords):
        self.check()
        return "secret"

    async def awaited(self, *_arguments, **_keywords):
        self.check()
        return "secret"

    async def signed(self, _octets):
        self.check()
        return bytes(64)


class FaultyClock:
    """A clock with one function that fails."""

    counts_suspend = True

    def __init__(self, fault, name):
        self.fault, self.name = fault, name

    def _check(self, name):
        if name == self.name:
            self.fault.check()

    def monotonic(self):
        self._check("monotonic")
        return time.monotonic()

    def time(self):
        self._check("time")
        return time.time()

    async def sleep(self, seconds):
        self._check("sleep")
        await asyncio.sleep(seconds)


class FaultyStore(aa.MemoryTokenStore):
    """A store with one method, or one of its leases, that fails."""

    can_watch = False

    def __init__(self, fault, name, clock=aa.SYSTEM_CLOCK):
        super().__init__(clock=clock)
        self.fault, self.name = fault, name

    def check(self, name):
        if name == self.name:
            self.fault.check()

    async def load(self, key):
        self.check("load")
        return await super().load(key)

    async def save(self, key, record, *, replaces, fence=0):
        self.check("save")
        return await super().save(key, record, replaces=replaces, fence=fence)

    async def acquire(self, key, *, seconds):
        self.check("acquire")
        lease = await super().acquire(key, seconds=seconds)
        return None if lease is None else FaultyLease(lease, self)


class FaultyLease:
    """A lease of such a store."""

    def __init__(self, lease, store):
        self.lease, self.store, self.fence = lease, store, lease.fence

    async def keep(self):
        return await self.lease.keep()

    async def release(self):
        self.store.check("release")
        await self.lease.release()


class FaultyClient(FakeClient):
    """A client of somebody's own, whose fetch_token fails before or after it has returned."""

    def __init__(self, fault, *, is_plain):
        super().__init__(aa.SYSTEM_CLOCK)
        self.fault, self.is_plain = fault, is_plain

    def fetch_token(self, grant, *, timeout=None):
        if self.is_plain:
            self.fault.check()
        return self._fetch(grant)

    async def _fetch(self, grant):
        self.fault.check()
        return await super().fetch_token(grant)


def provider_of(client=None, **settings):
    """Make a provider whose client works unless one is given."""
    return aa.TokenProvider(
        FakeClient(aa.SYSTEM_CLOCK) if client is None else client,
        GRANT,
        **{"policy": QUICK, "on_event": None} | settings,
    )


def client_of(auth):
    return aa.OAuthClient("id", auth, environment=ENVIRONMENT)


CREDENTIALS = {
    "a plain secret": lambda fault: aa.Secret.from_callable(fault.plain),
    "an async secret": lambda fault: aa.Secret.from_callable(fault.awaited),
    "an assertion": lambda fault: aa.ClientAssertion(aa.Secret.from_callable(fault.awaited)),
    "a signer": lambda fault: aa.PrivateKeyJwt(aa.RemoteSigner("ES256", fault.signed)),
}
"""What fails before anything is sent."""
TOKENS = {
    "a client": lambda fault: provider_of(FaultyClient(fault, is_plain=False)),
    "a client's plain part": lambda fault: provider_of(FaultyClient(fault, is_plain=True)),
    "clock.monotonic": lambda fault: provider_of(clock=FaultyClock(fault, "monotonic")),
    "clock.time": lambda fault: provider_of(clock=FaultyClock(fault, "time")),
}
"""Without these there is no token."""
HELPERS = {
    "on_event": lambda fault: provider_of(on_event=fault.plain),
    "on_token": lambda fault: provider_of(on_token=fault.awaited),
    **{
        f"store.{name}": lambda fault, name=name: provider_of(store=FaultyStore(fault, name))
        for name in ("load", "save", "acquire", "release")
    },
}
"""Without these there is one."""


async def get_and_wait(provider):
    """Get a token or a failure, and let go on what goes on afterwards."""
    with contextlib.suppress(aa.AritmaAuthError):
        await provider.get_token()
    await asyncio.sleep(0.01)


async def outcome_of(provider):
    """Return the error of a call, or None; the provider is closed whatever happens."""
    try:
        await asyncio.wait_for(provider.get_token(), 5)
    except aa.AritmaAuthError as error:
        return error
    finally:
        await provider.aclose()
    return None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_that_fails_is_an_error_that_names_it(name, kind):
    """It is one of the package's, for a caller of the client as for one of a provider."""
    fault = Fault()
    fault.kind = KINDS[kind]

    async def use_client():
        async with client_of(CREDENTIALS[name](fault)) as client:
            with pytest.raises(aa.AritmaAuthError) as caught:
                await client.fetch_token(GRANT)
        return caught.value

    async def use_provider():
        async with client_of(CREDENTIALS[name](fault)) as client:
            return await outcome_of(provider_of(client))

    # A coroutine that raises StopIteration raises RuntimeError (PEP 479).
    shown = {"StopIteration": ("StopIteration", "RuntimeError")}.get(kind, (kind,))
    for error in (asyncio.run(use_client()), asyncio.run(use_provider())):
        assert any(text in str(error) for text in shown)
        assert "canary" not in str(error)
        assert isinstance(error, aa.TransportError if name == "a signer" else aa.ConfigurationError)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TOKENS)
def test_what_a_token_needs_fails_by_an_error_of_the_package(name, kind):
    """It names the class of what was raised, and is none of Python's."""
    fault = Fault()

    async def use():
        provider = TOKENS[name](fault)
        fault.kind = KINDS[kind]
        try:
            with pytest.raises(aa.ConfigurationError) as caught:
                await asyncio.wait_for(provider.get_token(), 5)
        finally:
            fault.kind = None
            await provider.aclose()
        return caught.value

    error = asyncio.run(use())

    assert ("RuntimeError" if kind == "StopIteration" and "client" in name else kind) in str(error)
    assert "canary" not in str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HELPERS)
def test_what_a_token_does_not_need_costs_nobody_the_token(name, kind, caplog):
    """A listener, a callback or a store that raises anything is reported, and the token served."""
    fault = Fault()
    fault.kind = KINDS[kind]

    assert asyncio.run(outcome_of(HELPERS[name](fault))) is None
    assert fault.raised
    assert "canary" not in caplog.text


@pytest.mark.parametrize("kind", INTERRUPTS)
@pytest.mark.parametrize("name", [*CREDENTIALS, *TOKENS, *HELPERS])
def test_an_interrupt_reaches_whoever_runs_the_loop(http_mock, name, kind):
    """It passes as it is, once, and the next call on the same loop gets its token."""
    http_mock.post(
        "https://idp.example/t",
        payload={"access_token": "t", "token_type": "Bearer", "expires_in": 3600},
        repeat=True,
    )
    fault = Fault()

    async def make():
        if name in CREDENTIALS:
            return provider_of(client_of(CREDENTIALS[name](fault)))
        return (TOKENS | HELPERS)[name](fault)

    with asyncio.Runner() as runner:
        provider = runner.run(make())
        fault.kind = INTERRUPTS[kind]
        with pytest.raises(INTERRUPTS[kind]):
            runner.run(get_and_wait(provider))
        fault.kind = None
        assert runner.run(asyncio.wait_for(provider.get_token(), 5)).access_token
        assert fault.raised == 1
        runner.run(provider.aclose())


@pytest.mark.parametrize("kind", INTERRUPTS)
@pytest.mark.parametrize("name", ["save", "release", "on_event"])
def test_an_interrupt_loses_no_successor_of_a_refresh_token(clock, name, kind):
    """What the server has issued is in the store at last, and nothing spent is presented again."""
    fault = Fault()
    store = FaultyStore(fault, name, clock)

    def listen(_event):
        if name == "on_event":
            fault.check()

    client = FakeClient(clock)
    client.answers = [
        client.make_token(refresh_token=text, issued_at=0, expires_at=None)
        for text in ("second", "third", "fourth", "fifth")
    ]
    provider = aa.TokenProvider(
        client, aa.RefreshTokenGrant("first"), store=store, clock=clock, on_event=listen
    )

    with asyncio.Runner() as runner:
        fault.kind = INTERRUPTS[kind]
        with pytest.raises(INTERRUPTS[kind]):
            runner.run(get_and_wait(provider))
        fault.kind = None
        for _ in range(3):
            clock.advance(4000)
            runner.run(get_and_wait(provider))
        runner.run(provider.aclose())

    presented = [str(grant.refresh_token.text) for grant in client.grants]
    issued = ["first", "second", "third", "fourth", "fifth"]
    assert presented == issued[: len(presented)]
    assert len(presented) >= 2
    (entry,) = memory_of(store).entries.values()
    assert entry.token.refresh_token == issued[len(presented)]


class ToldClock:
    """A clock that tells what a test gives it."""

    counts_suspend = True

    def __init__(self, told=1.0):
        self.told = told

    def monotonic(self):
        return self.told

    def time(self):
        return self.told

    async def sleep(self, seconds):
        await asyncio.sleep(0)


async def never():
    """Stand for a clock whose functions are async by mistake."""


NO_TIMES = {
    "None": None,
    "text": "12",
    "nan": float("nan"),
    "inf": float("inf"),
    "bool": True,
    "complex": 1j,
    "an int that no float holds": 10**400,
}
GIVEN_TO = {
    "TokenProvider": lambda clock: provider_of(clock=clock),
    "OAuthClient": lambda clock: aa.OAuthClient("id", "secret", clock=clock),
    "TokenProvider.client_credentials": lambda clock: aa.TokenProvider.client_credentials(
        "id", "secret", clock=clock
    ),
    "MemoryTokenStore": lambda clock: aa.MemoryTokenStore(clock=clock),
    "PendingSignIns": lambda clock: aa.PendingSignIns(clock=clock),
    "ClientRegistrar": lambda clock: aa.ClientRegistrar(ENVIRONMENT, clock=clock),
}


@pytest.mark.parametrize("told", NO_TIMES)
@pytest.mark.parametrize("name", GIVEN_TO)
def test_a_clock_that_tells_no_time_is_refused_where_it_is_given(name, told):
    """Each of its times is read once; the error names the clock's class and its function."""
    with pytest.raises(aa.ConfigurationError, match=r"monotonic\(\) of the clock ToldClock"):
        GIVEN_TO[name](ToldClock(NO_TIMES[told]))


def test_a_clock_whose_functions_are_async_is_refused():
    """Nothing is left behind that nobody awaits."""
    clock = ToldClock()
    clock.monotonic = never

    with pytest.raises(aa.ConfigurationError, match="finite number of seconds; it is of type coro"):
        provider_of(clock=clock)


@pytest.mark.parametrize("clock", [aa.SYSTEM_CLOCK, SystemClock(), require_clock(ToldClock())])
def test_a_clock_that_is_trusted_stays_as_it_is(clock):
    """The machine's clock costs no frame, and no clock is looked at twice for each reading."""
    assert require_clock(clock) is clock


@pytest.mark.parametrize("told", NO_TIMES)
async def test_a_clock_that_stops_to_tell_the_time_is_an_error_of_each_call(told):
    """Every method that reads it says so, and all work again when it does."""
    clock = ToldClock(1000.0)
    rig = Rig(clock)
    token = await rig.provider.get_token()
    clock.told = NO_TIMES[told]
    calls = [
        rig.provider.get_token,
        lambda: rig.provider.get_token(5),
        lambda: rig.provider.set_token(aa.Token("t")),
        lambda: rig.provider.refresh_if_idle(1),
    ]
    for call in calls:
        with pytest.raises(aa.ConfigurationError, match="of the clock ToldClock"):
            await call()
    for call in (
        rig.provider.peek,
        rig.provider.status,
        lambda: rig.provider.report_rejected(token),
    ):
        with pytest.raises(aa.ConfigurationError, match="of the clock ToldClock"):
            call()
    assert not await rig.provider.is_ready()
    clock.told = 1000.0

    assert await rig.get() == "token-1"
    await rig.provider.aclose()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "GeneratorExit"])
async def test_a_clock_that_cannot_sleep_is_an_error_of_the_package(kind):
    """The pause before another attempt is its; so is the poll for another process's refresh."""
    fault = Fault()
    client = FakeClient(aa.SYSTEM_CLOCK)
    client.answers = [aa.TransportError("down")] * 3
    policy = aa.RefreshPolicy(backoff_base=0.001)
    provider = provider_of(client, clock=FaultyClock(fault, "sleep"), policy=policy)
    fault.kind = KINDS[kind]

    with pytest.raises(aa.ConfigurationError, match=r"sleep\(\) of the clock FaultyClock raised"):
        await provider.get_token()
    fault.kind = None
    await provider.aclose()


async def test_a_clock_whose_sleep_is_no_coroutine_function_is_named():
    """What cannot be awaited is no pause."""
    clock = ToldClock()
    clock.sleep = lambda _seconds: 3

    with pytest.raises(
        aa.ConfigurationError, match=r"what sleep\(\) .* returns must be an awaitable"
    ):
        await require_clock(clock).sleep(1)


@pytest.mark.parametrize(
    "error", [aa.TransportError("x"), aa.TokenTimeoutError("x"), GeneratorExit()]
)
async def test_what_a_pause_may_raise_passes(error):
    """An error of the package is the caller's own word; a coroutine that is closed ends so."""
    clock = ToldClock()

    async def sleep(_seconds):
        raise error

    clock.sleep = sleep
    with pytest.raises(type(error)):
        await require_clock(clock).sleep(1)


async def test_a_pause_that_is_cancelled_ends_as_cancelled():
    """The caller's cancellation is no fault of the clock's."""
    clock = ToldClock()
    clock.sleep = asyncio.sleep
    pause = asyncio.ensure_future(require_clock(clock).sleep(60))
    await asyncio.sleep(0)
    pause.cancel()

    with pytest.raises(asyncio.CancelledError):
        await pause


class HungClock(LoopClock):
    """A clock that goes on, stands still from some moment, or fails; its sleeps hang."""

    stands_at = fails_at = float("inf")

    def monotonic(self):
        now = super().monotonic()
        if now - self.mono >= self.fails_at:
            raise LookupError
        return min(now, self.mono + self.stands_at)

    async def sleep(self, seconds):
        await asyncio.Event().wait()


async def seconds_of(sleep):
    """Return how long a sleep takes on the running loop, at most a thousand seconds."""
    loop = asyncio.get_running_loop()
    began, task = loop.time(), asyncio.ensure_future(sleep)
    await asyncio.wait((task,), timeout=1000)
    task.cancel()
    return loop.time() - began


@pytest.mark.parametrize("seconds", [0, 0.5, 60])
def test_a_sleep_that_hangs_ends_by_its_own_clock(seconds):
    """A second after its end it is over, and raises nothing."""
    clock = require_clock(HungClock())
    took = run_leaping(seconds_of(clock.sleep(seconds)))

    assert took == pytest.approx(seconds + 1)


@pytest.mark.parametrize(("kind", "took"), [("stands_at", 1000), ("fails_at", 6)])
def test_a_sleep_goes_on_as_long_as_its_clock_stands_still(kind, took):
    """A clock that a test has stopped has not reached the sleep's end; one that fails never will."""
    clock = HungClock()
    setattr(clock, kind, 3.0)

    assert run_leaping(seconds_of(require_clock(clock).sleep(5))) == pytest.approx(took)


def answers_nobody(client, _store):
    client.answers = [aa.TransportError("down", may_have_arrived=False)] * 9


def has_no_lease(_client, store):
    async def acquire(_key, *, seconds):
        return None

    store.acquire = acquire


@pytest.mark.parametrize("trouble", [answers_nobody, has_no_lease])
@pytest.mark.parametrize("grant", [GRANT, aa.RefreshTokenGrant("first")])
@pytest.mark.parametrize("has_store", [True, False])
def test_a_refresh_ends_although_its_clocks_sleeps_hang(trouble, grant, has_store):
    """Between its attempts, and while another process has the lease."""
    clock = HungClock()
    client, store = FakeClient(clock), aa.MemoryTokenStore(clock=clock)
    trouble(client, store)

    async def job():
        provider = aa.TokenProvider(
            client, grant, clock=clock, store=store if has_store else None, on_event=None
        )
        with contextlib.suppress(aa.TransportError):
            await provider.get_token()
        await provider.aclose()
        return asyncio.get_running_loop().time()

    assert run_leaping(job()) <= aa.RefreshPolicy().refresh_timeout + 2


@pytest.mark.parametrize("kind", INTERRUPTS)
def test_an_interrupt_of_a_listener_is_raised_at_once_without_a_loop(kind):
    """A plain function that reports, such as report_rejected, is called in no loop."""
    fault = Fault()
    provider = provider_of(on_event=fault.plain)
    fault.kind = INTERRUPTS[kind]

    with pytest.raises(INTERRUPTS[kind]):
        notify(fault.plain, TokenForgotten("abcd", is_revoked=False))
    assert provider.peek() is None


@pytest.mark.parametrize("kind", KINDS)
async def test_the_functions_of_a_pool_and_of_its_middleware_are_named(kind):
    """The factory, the label and the key are a caller's own; their errors name them."""
    fail = Fault()
    fail.kind = KINDS[kind]
    fail = fail.plain

    async def send(_request):
        pytest.fail("nothing is sent")

    origins = ["https://api.example"]
    request = SimpleNamespace(url=URL("https://api.example/accounts"))
    pools = {
        "the pool's factory": aa.TokenProviderPool(fail),
        "the pool's label": aa.TokenProviderPool(lambda _key: provider_of(), label=fail),
    }
    for what, pool in pools.items():
        with pytest.raises(aa.ConfigurationError, match=f"^{what} raised {kind}, test_caller"):
            pool.provider("a")
        await pool.aclose()
    pool = aa.TokenProviderPool(lambda _key: provider_of())
    with pytest.raises(aa.ConfigurationError, match=f"^key of the Keyed.* raised {kind}, test_cal"):
        await pool.middleware(fail, origins)(request, send)
    await pool.aclose()


@pytest.mark.parametrize("kind", INTERRUPTS)
async def test_an_interrupt_of_such_a_function_passes(kind):
    """It is raised where the function was called."""

    def fail(_argument):
        raise INTERRUPTS[kind]

    pool = aa.TokenProviderPool(fail)
    with pytest.raises(INTERRUPTS[kind]):
        pool.provider("a")
    await pool.aclose()
