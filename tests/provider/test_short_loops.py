"""One event loop after another over one provider, as with one asyncio.run per job."""

import asyncio
import gc
import logging
import sys
import threading
import time

import pytest

import aritma_auth as aa
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.tasks import silence
from aritma_auth.stores import MemoryTokenStore
from support.clock import FakeClock
from support.fakes import FakeClient, until
from support.loops import run_leaping

SERVICE = aa.ClientCredentialsGrant("bankservice")
SIGNED_IN = aa.SignedInGrant("alice")


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Let jobs stay as long as they must: this machine may be busy."""
    monkeypatch.setattr("aritma_auth.provider.provider._STAY", 30)


class RotatingServer(FakeClient):
    """Takes real time for each request, and accepts each refresh token once."""

    def __init__(self, seconds=0.05, lifetime=3600):
        super().__init__(FakeClock(), lifetime)
        self.seconds = seconds
        self.accepted = {"refresh-0"}
        self.reused = []
        self.times = []

    async def fetch_token(self, grant, *, timeout=None):
        self.grants.append(grant)
        self.times.append(time.monotonic())
        refresh_token = None
        if isinstance(grant, aa.RefreshTokenGrant):
            # The server rotates as the request arrives, whatever becomes of its response.
            if grant.refresh_token.text not in self.accepted:
                self.reused.append(grant.refresh_token.text)
            self.accepted = {refresh_token := f"refresh-{len(self.grants)}"}
        await asyncio.sleep(self.seconds)
        return self.make_token(refresh_token=refresh_token)


def provider_of(client, grant, **settings):
    return aa.TokenProvider(
        client, grant, clock=client.clock, draw=lambda: 0.0, on_event=None, **settings
    )


def signed_in(client, **settings):
    """Make a provider of a sign-in whose token is in its background window."""
    provider = provider_of(client, SIGNED_IN, **settings)
    now = client.clock.time()
    token = Token("old", issued_at=now, expires_at=now + 3600, refresh_token="refresh-0")
    asyncio.run(provider.set_token(token))
    client.clock.advance(3000)
    return provider


def run_jobs(provider, count, seconds=0.0):
    """Run one job a loop; give the tokens."""

    async def job():
        token = await provider.get_token()
        await asyncio.sleep(seconds)
        return token.access_token

    return [asyncio.run(job()) for _ in range(count)]


@pytest.mark.parametrize(("jobs", "seconds"), [(5, 0.0), (2, 0.05), (60, 0.0)])
def test_a_sign_in_outlives_jobs_in_its_background_window(jobs, seconds):
    """The loop's end waits for the exchange that the first job has begun in the background."""
    client = RotatingServer()
    tokens = run_jobs(signed_in(client), jobs, seconds)

    assert client.reused == []
    assert client.requests == 1
    assert tokens[-1] == "token-1"


@pytest.mark.parametrize("jobs", [2, 20, 60])
def test_jobs_of_a_service_make_one_request(jobs):
    """A job on a second loop stays until the refresh has ended, and so spares the next one."""
    client = RotatingServer()
    provider = provider_of(client, SERVICE)
    asyncio.run(provider.get_token())
    client.clock.advance(3000)
    tokens = run_jobs(provider, jobs)

    assert client.requests == 2
    assert set(tokens) == {"token-2"}


def test_a_flight_lost_with_its_loop_is_not_lost_twice():
    """After the first loss the next job stays until the refresh has ended."""
    client = RotatingServer()
    provider = provider_of(client, SERVICE)

    async def first():
        await provider.get_token()
        client.clock.advance(3000)
        client.seconds = 30
        await provider.get_token()

    asyncio.run(first())
    client.seconds = 0.05
    tokens = run_jobs(provider, 5)

    assert client.requests == 3
    assert set(tokens) == {"token-2"}


def test_a_job_stays_no_longer_than_a_second(monkeypatch):
    """A token server that hangs does not stall the jobs of a living token."""
    monkeypatch.setattr("aritma_auth.provider.provider._STAY", 0.05)
    client = RotatingServer()
    provider = provider_of(client, SERVICE)
    asyncio.run(provider.get_token())
    client.clock.advance(3000)
    client.seconds = 30
    started = time.monotonic()
    tokens = run_jobs(provider, 2)

    assert tokens == ["token-1"] * 2
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("ends", ["expired", "rejected"])
@pytest.mark.parametrize("timeout", [None, 30], ids=["patient", "with a timeout"])
def test_a_job_whose_token_ends_while_it_stays_waits_for_the_next_one(monkeypatch, ends, timeout):
    """The end of the stay is not the end of the caller's own time."""
    monkeypatch.setattr("aritma_auth.provider.provider._STAY", 0.05)
    client = RotatingServer(0.2)
    provider = provider_of(client, SERVICE)
    held = asyncio.run(provider.get_token())
    client.clock.advance(3000)

    async def job():
        waiting = asyncio.ensure_future(provider.get_token(timeout=timeout))
        await asyncio.sleep(0)
        if ends == "expired":
            client.clock.advance(600)
        else:
            assert provider.report_rejected(held)
        return await waiting

    assert asyncio.run(job()).access_token == "token-2"
    assert client.requests == 2


def test_a_job_whose_token_ends_while_it_stays_keeps_to_its_own_timeout(monkeypatch):
    """A caller's time-out that is over while its token has ended is an error."""
    monkeypatch.setattr("aritma_auth.provider.provider._STAY", 0.05)
    client = RotatingServer()
    provider = provider_of(client, SERVICE)
    asyncio.run(provider.get_token())
    client.clock.advance(3000)
    client.seconds = 30

    async def job():
        waiting = asyncio.ensure_future(provider.get_token(timeout=0.1))
        await asyncio.sleep(0)
        client.clock.advance(600)
        with pytest.raises(aa.TokenTimeoutError):
            await waiting

    asyncio.run(job())


@pytest.mark.parametrize("turns", [1, 2, 5])
@pytest.mark.parametrize("has_store", [False, True])
def test_the_loop_of_the_sign_in_waits_for_an_exchange_in_its_background(turns, has_store):
    """The only loop so far has not stayed for it, and ends some turns after it began."""
    client = RotatingServer()
    store = MemoryTokenStore(clock=client.clock) if has_store else None
    provider = provider_of(client, SIGNED_IN, store=store)

    async def job():
        now = client.clock.time()
        token = Token("old", issued_at=now, expires_at=now + 3600, refresh_token="refresh-0")
        await provider.set_token(token)
        client.clock.advance(3000)
        await provider.get_token()
        await until(lambda: client.requests)
        for _ in range(turns):
            await asyncio.sleep(0)

    asyncio.run(job())
    tokens = run_jobs(provider, 3)

    assert client.reused == []
    assert client.requests == 1
    assert set(tokens) == {"token-1"}


def test_a_cancelled_job_does_not_cut_off_an_exchange():
    """asyncio.run waits for the response to a one-time refresh token, and its token is kept."""
    client = RotatingServer(0.2)
    provider = signed_in(client)
    client.clock.advance(3600)

    async def job():
        caller = asyncio.ensure_future(provider.get_token())
        await until(lambda: client.requests)
        caller.cancel()
        await asyncio.wait([caller])

    asyncio.run(job())

    assert asyncio.run(provider.get_token()).access_token == "token-1"
    assert client.requests == 1


def stand_still(provider):
    """Begin an exchange on a loop that a synchronous wrapper then leaves alone; give the loop."""
    loop = asyncio.new_event_loop()

    async def call():
        with pytest.raises(aa.TokenTimeoutError):
            await provider.get_token(timeout=0.3)

    loop.run_until_complete(call())
    return loop


@pytest.mark.parametrize("has_store", [False, True])
@pytest.mark.parametrize("timeout", [1.1, 1.5, 9.0])
def test_a_loop_that_stands_still_keeps_its_exchange(timeout, has_store):
    """Another loop does not present the same refresh token before its redemption time is over."""
    client = RotatingServer(0.35)
    provider = signed_in(client, store=MemoryTokenStore(clock=client.clock) if has_store else None)
    client.clock.advance(3600)
    loop = stand_still(provider)

    async def second():
        with pytest.raises(aa.TokenTimeoutError):
            await provider.get_token(timeout=timeout)

    run_leaping(second())
    requests = client.requests
    resumed = threading.Timer(0.05, lambda: loop.run_until_complete(asyncio.sleep(0.2)))
    resumed.start()
    token = asyncio.run(provider.get_token())
    resumed.join()
    loop.close()

    assert requests == 1
    assert token.access_token == "token-1"
    assert client.reused == []


def test_an_exchange_of_a_closed_loop_is_repeated_after_its_redemption_time():
    """Its response can no longer be received: the refresh token is all that is left."""
    client = RotatingServer(5)
    provider = signed_in(client)
    client.clock.advance(3600)
    stand_still(provider).close()
    client.seconds = 0
    asyncio.run(provider.get_token())

    assert client.clock.slept == [10.0]
    assert [grant.refresh_token.text for grant in client.grants] == ["refresh-0"] * 2


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_loop_that_is_closed_in_a_write_leaves_no_error_behind(monkeypatch, caplog):
    """Whichever turn of a sign-in and its refresh is the loop's last, nothing is told afterwards."""
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: ignored.append(told.exc_value))
    client = RotatingServer(seconds=0)

    async def sign_in_and_refresh():
        provider = provider_of(client, SIGNED_IN, store=MemoryTokenStore())
        await provider.set_token(Token("old", expires_at=1.0, refresh_token="refresh-0"))
        await provider.get_token()

    for turns in range(40):
        loop = asyncio.new_event_loop()
        silence(loop.create_task(sign_in_and_refresh()))
        loop.call_soon(stop_after, loop, turns)
        loop.run_forever()
        loop.close()
        gc.collect()

    assert ignored == []
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record for record in told if record.name == "asyncio"] == []


def stop_after(loop, turns):
    """Stop a loop after so many turns."""
    if turns:
        loop.call_soon(stop_after, loop, turns - 1)
    else:
        loop.stop()
