"""Whatever hangs, raises CancelledError or is cancelled: callers and closing end in bounded time."""

import asyncio
import contextlib
import time
from types import SimpleNamespace

import pytest
from yarl import URL

import aritma_auth as aa
from aritma_auth.runtime.lock import fork_safe_lock
from aritma_auth.runtime.single_flight import SingleFlight
from support.clock import LoopClock
from support.fakes import FakeClient, settle
from support.internals import flight_of
from support.loops import run_leaping
from support.rig import GRANT, Rig, rotated

pytestmark = pytest.mark.usefixtures("no_leftovers")

QUICK = aa.RefreshPolicy(refresh_timeout=0.1, max_attempts=1)


async def hang():
    """Wait for ever, as for a vault that never responds."""
    await asyncio.Event().wait()


async def hang_on():
    """Wait for a while whatever is cancelled."""
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue
    return "late"


async def await_a_cancelled_task():
    """Raise CancelledError although the caller was not cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(10))
    task.cancel()
    await task


def provider_of(source, **settings):
    """Make a provider whose client's secret comes from a callable."""
    environment = aa.Environment.at("http://127.0.0.1:1")
    client = aa.OAuthClient("id", aa.Secret.from_callable(source), environment=environment)
    settings = {"policy": QUICK, "on_event": None} | settings
    return aa.TokenProvider(client, GRANT, **settings)


@pytest.mark.parametrize("source", [hang, hang_on])
async def test_a_secret_that_hangs_ends_the_refresh_and_not_the_provider(source, monkeypatch):
    """The refresh has a time-out of its own, also if the callable swallows its cancellation."""
    monkeypatch.setattr("aritma_auth.runtime.tasks._GRACE", 0.1)
    provider = provider_of(source)
    started = time.monotonic()
    with pytest.raises(aa.TransportError, match=r"no token within refresh_timeout \(0.1 s\)"):
        await provider.get_token()
    await provider.aclose()
    await asyncio.sleep(0.5)

    assert time.monotonic() - started < 20


def test_a_provider_recovers_when_a_hung_secret_comes_back():
    """The next refresh loads the secret anew."""
    answers = [hang, hang]

    async def source():
        if answers:
            await answers.pop()()
        raise KeyError("back")

    async def job():
        provider = provider_of(source, clock=LoopClock())
        for _ in range(2):
            with pytest.raises(aa.TransportError) as caught:
                await provider.get_token()
            await asyncio.sleep(caught.value.retry_after)
        with pytest.raises(aa.ConfigurationError, match="KeyError"):
            await provider.get_token()
        await provider.aclose()

    run_leaping(job())
    assert answers == []


async def test_closing_cuts_off_a_secret_that_hangs():
    """Nothing was sent yet, so nothing is waited for."""
    provider = provider_of(hang, policy=aa.RefreshPolicy(refresh_timeout=60))
    caller = asyncio.ensure_future(provider.get_token())
    await settle()
    started = time.monotonic()
    await provider.aclose()

    with pytest.raises(aa.ProviderClosedError):
        await caller
    assert time.monotonic() - started < 20


async def test_a_one_time_grant_whose_client_hangs_ends_too(clock):
    """A refresh token that is being exchanged is waited for until the refresh's time-out."""
    rig = Rig(clock, grant=aa.RefreshTokenGrant("first"), policy=QUICK)
    rig.client.hold()
    caller = asyncio.ensure_future(rig.get())
    await settle()
    await rig.provider.aclose()

    with pytest.raises(aa.AritmaAuthError):
        await caller


async def test_a_callable_that_raises_cancelled_error_is_a_failure_like_any_other():
    """Callers get an error and a backoff, and no loop of lost flights."""
    loads = []

    async def source():
        loads.append(1)
        await await_a_cancelled_task()

    provider = provider_of(source, policy=aa.RefreshPolicy(max_attempts=1))
    for _ in range(3):
        with pytest.raises(aa.ConfigurationError, match="CancelledError"):
            await provider.get_token(timeout=30)
    await provider.aclose()

    assert len(loads) <= 3


async def test_a_client_that_raises_cancelled_error_is_a_failure_like_any_other(clock):
    """The same for a TokenSource of the caller's own, in the background and in the foreground."""
    rig = Rig(clock)
    rig.client.answers = [None, asyncio.CancelledError(), asyncio.CancelledError()]
    await rig.get()
    clock.advance(2800)
    await rig.get()
    await settle()
    failures = rig.provider.status().failures
    clock.advance(800)

    with pytest.raises(aa.ConfigurationError, match="raised CancelledError"):
        await rig.get()
    assert failures == 1


async def test_flights_that_are_always_lost_end_after_some_rounds(clock):
    """A caller does not spin if each of its flights is cut off from outside."""
    rig = Rig(clock)

    async def cut_off(grant, *, timeout=None):
        rig.client.grants.append(grant)
        flight_of(rig.provider).task.work.cancel()
        await hang()

    rig.client.fetch_token = cut_off
    with pytest.raises(aa.TransportError, match="10 refreshes in a row were cut off"):
        await rig.get()

    assert rig.client.requests == 10


@pytest.mark.parametrize("timeout", [9, 20, 60])
def test_a_callers_timeout_counts_over_all_of_its_flights(clock, timeout):
    """It does not start anew with each lost flight."""
    rig = Rig(clock)

    async def cut_off_late(grant, *, timeout=None):
        await asyncio.sleep(8)
        flight_of(rig.provider).task.work.cancel()
        await hang()

    async def job():
        started = asyncio.get_running_loop().time()
        with pytest.raises(aa.TokenTimeoutError):
            await rig.get(timeout=timeout)
        waited = asyncio.get_running_loop().time() - started
        await rig.provider.aclose()
        return waited

    rig.client.fetch_token = cut_off_late

    assert run_leaping(job()) == pytest.approx(timeout, abs=0.01)


@pytest.mark.parametrize("end", ["aclose", "forget"])
async def test_a_flight_that_is_cancelled_before_its_first_step_ends(clock, end):
    """Its task is never entered, so its end is seen by a callback."""
    rig = Rig(clock)
    caller = asyncio.ensure_future(rig.get())
    ending = asyncio.ensure_future(getattr(rig.provider, end)())
    await asyncio.wait((caller, ending), timeout=20)
    is_refreshing = rig.provider.status().is_refreshing
    heard = caller.exception() if end == "aclose" else caller.result()
    await rig.provider.aclose()

    assert ending.done()
    assert not is_refreshing
    assert heard == "token-1" if end == "forget" else isinstance(heard, aa.ProviderClosedError)


async def test_work_that_is_cancelled_before_its_first_step_is_lost():
    """The same holds for any single flight: its waiters are woken at once."""
    single = SingleFlight(lambda _flight: hang(), fork_safe_lock())
    flight = single.launch()
    waiting = asyncio.ensure_future(single.join(flight))
    flight.task.work.cancel()

    assert await asyncio.wait_for(waiting, 20) is None
    assert single.current is None


@pytest.mark.parametrize(("limit", "took"), [(30, 14), (12, 5), (100, 98)])
async def test_the_last_attempt_ends_with_the_refresh(clock, limit, took):
    """An attempt that starts late has only the rest of refresh_timeout."""
    rig = Rig(clock, policy=aa.RefreshPolicy(refresh_timeout=limit, max_attempts=2))
    rig.draw = 0.999
    left = []

    async def fetch(grant, *, timeout=None):
        clock.advance(took)
        raise aa.TransportError("slow", may_have_arrived=False)

    async def watch(seconds, coroutine, **settings):
        left.append(seconds)
        return await coroutine

    rig.client.fetch_token = fetch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aritma_auth.provider.token_request.run_within", watch)
        with pytest.raises(aa.TransportError):
            await rig.get()

    assert left == [limit, pytest.approx(limit - took - 1, abs=0.01)]


@pytest.mark.parametrize("keys", [(), ("a",), ("a", "b", "c")], ids=["provider", "pool", "three"])
@pytest.mark.parametrize("cuts", [1, 3])
async def test_closing_can_be_repeated(clock, keys, cuts):
    """A call that was cut short goes on where it was, of a provider and of a pool of some."""
    client = FakeClient(clock)
    grant = aa.RefreshTokenGrant("first")
    provider = aa.TokenProvider(client, grant, clock=clock)
    pool = aa.TokenProviderPool(lambda key: aa.TokenProvider(client, grant, clock=clock))
    closing = pool if keys else provider
    providers = [pool.provider(key) for key in keys] or [provider]
    answers = [client.hold() for _ in providers]
    callers = [asyncio.ensure_future(each.get_token()) for each in providers]
    await settle()
    for _ in range(cuts):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(closing.aclose(), 0.02)
    again = asyncio.ensure_future(closing.aclose())
    await settle()
    is_waiting = not again.done()
    for answer in answers:
        answer.set_result(client.make_token(refresh_token="second"))
    await again
    await closing.aclose()

    assert is_waiting
    assert client.in_flight == 0
    assert {(await caller).refresh_token for caller in callers} == {"second"}


@pytest.mark.parametrize("turns", [1, 2, 5, 40])
async def test_set_token_is_written_although_its_caller_is_cancelled(clock, turns):
    """Once called it is written: the store has the sign-in, and the next process finds it."""
    store = aa.MemoryTokenStore()
    gate = asyncio.Event()
    save = store.save

    async def save_late(*args, **kwargs):
        await gate.wait()
        return await save(*args, **kwargs)

    store.save = save_late
    grant = aa.SignedInGrant("alice")
    one, other = (Rig(clock, grant=grant, store=store) for _ in range(2))
    caller = asyncio.ensure_future(one.provider.set_token(rotated(one, refresh_token="new")))
    for _ in range(turns):
        await asyncio.sleep(0)
    caller.cancel()
    await settle()
    gate.set()
    await settle()

    assert caller.cancelled()
    assert await other.get() == "token-1"


def test_set_token_is_written_although_its_loop_ends(clock):
    """asyncio.run waits for the store, as it waits for a token request."""
    store = aa.MemoryTokenStore()
    save = store.save

    async def save_late(*args, **kwargs):
        await asyncio.sleep(0.05)
        return await save(*args, **kwargs)

    store.save = save_late
    grant = aa.SignedInGrant("alice")
    one, other = (Rig(clock, grant=grant, store=store) for _ in range(2))

    async def job():
        signing_in = one.provider.set_token(rotated(one, refresh_token="new"))
        await asyncio.wait((asyncio.ensure_future(signing_in),), timeout=0.01)

    asyncio.run(job())

    assert asyncio.run(other.get()) == "token-1"


async def hang_through(*_arguments, **_settings):
    """Wait for some minutes, whatever is cancelled."""
    loop = asyncio.get_running_loop()
    until = loop.time() + 300
    while loop.time() < until:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(until - loop.time())


class Patient:
    """A lease that the store grants, and whose keeping or return hangs."""

    fence = 1

    def __init__(self, what, behave):
        self.keep = self.release = self.succeed
        setattr(self, what, behave)

    async def succeed(self):
        return True


def break_store(rig, store, what, behave):
    """Let one method of a store, or of its leases, hang."""
    if what in {"keep", "release"}:

        async def acquire(_key, *, seconds):
            return Patient(what, behave)

        store.acquire = acquire
    elif what == "watch":

        async def hold(_key, *, seconds):
            return None

        store.acquire, store.watch = hold, behave
    else:
        setattr(store, what, behave)


def break_client(rig, _store, what, behave):
    """Let a method of the client hang, or its secret once it was refused."""
    if what == "secret":
        rig.client.answers = [aa.InvalidClientError("invalid_client")] * 99
        rig.client.secret.load = behave
    else:
        setattr(rig.client, what, behave)


BREAKABLE = {
    **dict.fromkeys(("load", "save", "acquire", "keep", "release", "watch"), break_store),
    **dict.fromkeys(("fetch_token", "revoke", "secret", "on_token"), break_client),
}


def callback_of(what, behave):
    """Make the callback for tokens that hangs, or none."""

    async def keep(_token):
        await behave()

    return keep if what == "on_token" else None


async def sign_with_middleware(provider):
    """Send a request through the provider's middleware."""
    url = "http://127.0.0.1/"
    request = SimpleNamespace(url=URL(url), headers={}, proxy=None)
    await provider.middleware([url])(request, respond)


async def respond(_request):
    raise LookupError


def token_of(rig, seconds):
    return rotated(rig, refresh_token="r", expires_at=rig.clock.time() + seconds)


METHODS = {
    "get_token": lambda rig: rig.provider.get_token(),
    "set_token": lambda rig: rig.provider.set_token(token_of(rig, 1000)),
    "get_token, min_ttl": lambda rig: rig.provider.get_token(min_ttl=2000),
    "refresh_if_idle": lambda rig: rig.provider.refresh_if_idle(0),
    "is_ready": lambda rig: rig.provider.is_ready(),
    "set_token, ended": lambda rig: rig.provider.set_token(token_of(rig, -1000)),
    "a signed request": lambda rig: sign_with_middleware(rig.provider),
    "forget": lambda rig: rig.provider.forget(),
    "set_token, again": lambda rig: rig.provider.set_token(token_of(rig, -1000)),
    "sign_out": lambda rig: rig.provider.sign_out(),
    "get_token, signed out": lambda rig: rig.provider.get_token(),
}
LONGEST = 30 + 10 + 15
"""Seconds: the refresh's time-out, the callback's, and some of the store's."""


@pytest.mark.parametrize("behave", [hang, hang_through], ids=["hangs", "hangs through"])
@pytest.mark.parametrize("what", BREAKABLE)
@pytest.mark.parametrize("grant", [GRANT, aa.SignedInGrant("alice"), aa.RefreshTokenGrant("r")])
def test_every_coroutine_of_a_provider_ends_whatever_hangs(grant, what, behave):
    """One after another, on a provider for which one thing hangs all the time; and it is closed."""

    async def job():
        clock, store, loop = LoopClock(), aa.MemoryTokenStore(), asyncio.get_running_loop()
        rig = Rig(clock, grant=grant, store=store, on_token=callback_of(what, behave))
        BREAKABLE[what](rig, store, what, behave)
        took = {}

        async def measure(name, coroutine):
            began = loop.time()
            with contextlib.suppress(aa.AritmaAuthError, LookupError):
                await coroutine
            took[name] = loop.time() - began

        for name, method in METHODS.items():
            await measure(name, method(rig))
        callers = [asyncio.ensure_future(rig.provider.get_token()) for _ in range(3)]
        await asyncio.sleep(0.01)
        await measure("aclose", rig.provider.aclose())
        await measure("callers", asyncio.wait(callers))
        [caller.exception() for caller in callers]
        return {name: seconds for name, seconds in took.items() if seconds > LONGEST}

    assert run_leaping(job()) == {}


@pytest.mark.parametrize("what", BREAKABLE)
@pytest.mark.parametrize("grant", [GRANT, aa.RefreshTokenGrant("r")])
def test_a_provider_recovers_by_itself_when_what_hung_is_back(grant, what):
    """A caller that comes again when it may gets a token, and nothing needs to be made anew."""

    async def job():
        clock, gate = LoopClock(), asyncio.Event()
        store = aa.MemoryTokenStore(clock=clock)
        works = {name: getattr(store, name) for name in ("load", "save", "acquire", "watch")}

        async def behave(*_arguments, **_settings):
            await gate.wait()

        rig = Rig(clock, grant=grant, store=store, on_token=callback_of(what, behave))
        works |= {"fetch_token": rig.client.fetch_token, "secret": rig.client.secret.load}
        BREAKABLE[what](rig, store, what, behave)
        for _ in range(3):
            with contextlib.suppress(aa.AritmaAuthError):
                await rig.provider.get_token()
            await asyncio.sleep(1)
        gate.set()
        for name in works:
            owner = rig.client if name == "fetch_token" else store
            if name != "secret":
                setattr(owner, name, works[name])
        rig.client.answers, rig.client.secret.load = [], works["secret"]
        rig.client.secret.value = "two"
        for _ in range(10):
            try:
                return (await rig.provider.get_token()).access_token
            except aa.AritmaAuthError as error:
                await asyncio.sleep(max(error.retry_after or 0, 1))
        return ""

    assert run_leaping(job()).startswith("token-")


@pytest.mark.parametrize("has_store", [False, True])
async def test_a_listener_that_looks_at_a_cancelled_future_cuts_nothing_off(clock, has_store):
    """Its CancelledError is not the refresh's, nor that of a caller who forgets or closes."""
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    provider = aa.TokenProvider(
        FakeClient(clock, 60),
        GRANT,
        clock=clock,
        on_event=lambda _event: cancelled.result(),
        store=aa.MemoryTokenStore(clock=clock) if has_store else None,
    )

    assert (await provider.get_token()).access_token == "token-1"
    assert await provider.forget() is None
    assert (await provider.get_token()).access_token == "token-2"
    assert await provider.aclose() is None


async def test_a_subject_that_cannot_be_looked_at_is_no_error_of_its_own(clock):
    """The refusal is told, whatever the source of the grant's subject raises meanwhile."""

    class Source:
        """A source of subject tokens that breaks when it is looked at."""

        async def get_token(self, min_ttl=0.0, timeout=None):
            return aa.Token("subject")

        def report_rejected(self, token):
            return False

        def peek(self):
            raise LookupError

        def identity(self):
            return "alice"

    rig = Rig(clock, grant=aa.TokenExchangeGrant(Source()))
    rig.client.answers = [aa.InvalidClientError("invalid_client")]
    with pytest.raises(aa.InvalidClientError):
        await rig.get()
    await rig.provider.aclose()


@pytest.mark.parametrize("has_store", [False, True])
@pytest.mark.parametrize("grant", [GRANT, aa.RefreshTokenGrant("first")])
@pytest.mark.parametrize("given", [None, {"access_token": "secret"}, "secret"])
async def test_a_client_that_returns_no_token_is_told_what_it_must_return(
    clock, grant, given, has_store
):
    """The error names the type, never the value; and a client that returns one is used."""
    store = aa.MemoryTokenStore(clock=clock) if has_store else None
    rig = Rig(clock, grant=grant, store=store)
    fetch = rig.client.fetch_token

    async def fetch_something(grant, *, timeout=None):
        return given

    rig.client.fetch_token = fetch_something
    with pytest.raises(aa.ConfigurationError, match="fetch_token returns must be a Token") as told:
        await rig.get()
    rig.client.fetch_token = fetch
    clock.advance(600)

    assert "secret" not in str(told.value)
    assert await rig.get() == "token-1"
    await rig.provider.aclose()
