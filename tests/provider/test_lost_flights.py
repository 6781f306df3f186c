"""What was given up while its event loop stood still asks the server nothing if the loop goes on."""

import asyncio

import pytest

import aritma_auth as aa
from aritma_auth.protocol.successors import tell_departure
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.stores import MemoryTokenStore
from support.clock import FakeClock
from support.fakes import FakeClient, settle

SERVICE = aa.ClientCredentialsGrant(scope="bankservice")
SIGNED_IN = aa.SignedInGrant("alice")


class HeldClock(FakeClock):
    """A clock whose sleeps end when the test says so."""

    def __init__(self):
        super().__init__()
        self.gate = asyncio.Event()

    async def sleep(self, seconds):
        await self.gate.wait()


class RevokingClient(FakeClient):
    """A client whose revocations wait until the test lets them go on."""

    def __init__(self, clock):
        super().__init__(clock)
        self.gate = asyncio.Event()
        self.revoked = []

    async def revoke(self, token):
        self.revoked.append(token)
        await self.gate.wait()


def run_some(loop):
    """Let a loop run whatever can run now."""
    loop.run_until_complete(settle())


def stop_with(loop, gate):
    """Open a gate and stop the loop in the same turn: what waits for it is ready, and has not run."""
    loop.call_soon(gate.set)
    loop.call_soon(loop.stop)
    loop.run_forever()


@pytest.fixture
def loop():
    """Give a loop of a synchronous program, which runs now and then."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_a_request_is_not_repeated_after_the_provider_was_closed_elsewhere(loop):
    """The pause before it was over when the loop stopped, so it is the first to go on."""
    clock = HeldClock()
    client = FakeClient(clock)
    client.answers = [aa.TransportError("away", may_have_arrived=False)]
    provider = aa.TokenProvider(client, SERVICE, clock=clock, on_event=None)
    caller = loop.create_task(provider.get_token())
    run_some(loop)
    assert client.requests == 1

    stop_with(loop, clock.gate)
    asyncio.run(provider.aclose())
    with pytest.raises(aa.ProviderClosedError):
        loop.run_until_complete(caller)

    assert client.requests == 1


def test_a_failure_that_came_too_late_is_nobodys(loop):
    """The flight was given up: its failure is neither cached nor told, also inside the exchange."""
    client, told = FakeClient(FakeClock()), []
    gate = asyncio.Event()

    async def fail(grant, *, timeout=None):
        await gate.wait()
        raise aa.TransportError("away")

    client.fetch_token, fetch_token = fail, client.fetch_token
    provider = aa.TokenProvider(
        client,
        SIGNED_IN,
        sharing=aa.SharingPolicy(redemption_timeout=1.0),
        clock=client.clock,
        on_event=told.append,
    )
    loop.run_until_complete(provider.set_token(client.make_token(refresh_token="one")))
    client.clock.advance(4000)
    caller = loop.create_task(provider.get_token())
    run_some(loop)
    client.fetch_token = fetch_token
    assert asyncio.run(provider.get_token()).access_token == "token-2"

    stop_with(loop, gate)

    assert loop.run_until_complete(caller).access_token == "token-2"
    run_some(loop)
    assert not [event for event in told if isinstance(event, aa.events.RefreshFailed)]


def test_a_sign_out_on_a_loop_that_stands_still_ends_by_an_error(loop):
    """Another sign-out has gone on without it; the first one's end says that, once its loop runs."""
    client = RevokingClient(FakeClock())
    provider = aa.TokenProvider(client, SIGNED_IN, clock=client.clock, on_event=None)
    loop.run_until_complete(provider.set_token(client.make_token(refresh_token="one")))
    first = loop.create_task(provider.sign_out())
    run_some(loop)
    assert len(client.revoked) == 1

    async def sign_out_again():
        client.gate = asyncio.Event()
        client.gate.set()
        await provider.sign_out()

    asyncio.run(sign_out_again())

    with pytest.raises(aa.TransportError, match="the event loop of this sign-out stood still"):
        loop.run_until_complete(first)
    assert len(client.revoked) == 2
    loop.run_until_complete(provider.aclose())


async def test_closing_ends_the_sign_out_that_has_begun_and_no_other():
    """The store forgets too; those that waited would revoke what is there, after `aclose`."""
    client = RevokingClient(FakeClock())
    store = MemoryTokenStore(clock=client.clock)
    provider = aa.TokenProvider(client, SIGNED_IN, store=store, clock=client.clock, on_event=None)
    await provider.set_token(client.make_token(refresh_token="one"))
    first, *others = (asyncio.ensure_future(provider.sign_out()) for _ in range(4))
    await settle()
    closing = asyncio.ensure_future(provider.aclose())
    await settle()
    client.gate.set()
    await closing
    refused = await asyncio.gather(*others, return_exceptions=True)

    assert await first is True
    assert len(client.revoked) == 1
    assert {type(error) for error in refused} == {aa.ProviderClosedError}
    other = aa.TokenProvider(client, SIGNED_IN, store=store, clock=client.clock, on_event=None)
    with pytest.raises(aa.ReauthenticationRequiredError):
        await other.get_token()
    await other.aclose()


async def test_sign_outs_at_once_are_made_one_after_the_other():
    """Each has a sign-in of its own to revoke; none of them is taken for one that was given up."""
    client, setting = RevokingClient(FakeClock()), []

    def sign_in_again(event):
        if isinstance(event, aa.events.TokenForgotten) and len(setting) < 2:
            token = client.make_token(refresh_token="next")
            setting.append(asyncio.ensure_future(provider.set_token(token)))

    provider = aa.TokenProvider(client, SIGNED_IN, clock=client.clock, on_event=sign_in_again)
    await provider.set_token(client.make_token(refresh_token="first"))
    signing_out = [asyncio.ensure_future(provider.sign_out()) for _ in range(3)]
    for number in range(1, 4):
        await settle()
        assert len(client.revoked) == number
        gate, client.gate = client.gate, asyncio.Event()
        gate.set()

    assert await asyncio.gather(*signing_out) == [True] * 3
    await provider.aclose()


def test_a_sign_out_that_goes_on_after_the_end_writes_nothing(loop):
    """Its provider was closed on another loop, so it ends by an error before it forgets."""
    client = RevokingClient(FakeClock())
    store = MemoryTokenStore(clock=client.clock)
    provider = aa.TokenProvider(client, SIGNED_IN, store=store, clock=client.clock, on_event=None)
    loop.run_until_complete(provider.set_token(client.make_token(refresh_token="one")))
    caller = loop.create_task(provider.sign_out())
    run_some(loop)
    assert len(client.revoked) == 1

    asyncio.run(provider.aclose())
    store.save = None
    with pytest.raises(aa.TransportError, match="the event loop of this sign-out stood still"):
        loop.run_until_complete(caller)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (None, "was not revoked within 0.05 s"),
        (KeyError("detail"), "the client's revoke raised KeyError"),
        (asyncio.CancelledError(), "the client's revoke raised"),
        (aa.TransportError("away"), "away"),
    ],
)
async def test_a_client_that_revokes_wrongly_forgets_all_the_same(fault, problem):
    """Whatever a client of a user's own raises, and also if it never returns."""
    client = RevokingClient(FakeClock())

    async def revoke(token):
        if fault is None:
            await client.gate.wait()
        raise fault

    client.revoke = revoke
    policy = aa.RefreshPolicy(refresh_timeout=0.05)
    provider = aa.TokenProvider(client, SIGNED_IN, policy=policy, clock=client.clock, on_event=None)
    await provider.set_token(client.make_token(refresh_token="one"))
    with pytest.raises(aa.AritmaAuthError, match=problem):
        await provider.sign_out()

    assert provider.peek() is None
    await provider.aclose()


def test_a_write_that_is_due_after_the_end_is_not_made(loop):
    """The loop that was to make it stood still; another one made the last attempt, and closed."""
    client, saves = FakeClient(SYSTEM_CLOCK), []
    store = MemoryTokenStore()

    async def fail(key, record, **numbers):
        saves.append(record)
        raise aa.StoreError("away")

    store.save = fail
    sharing = aa.SharingPolicy(store_retry_interval=0.05)
    provider = aa.TokenProvider(client, SIGNED_IN, store=store, sharing=sharing, on_event=None)
    loop.run_until_complete(provider.set_token(client.make_token(refresh_token="one")))

    async def go_on_elsewhere():
        await provider.set_token(client.make_token(refresh_token="two"))
        await provider.aclose()

    asyncio.run(go_on_elsewhere())
    before = len(saves)
    loop.run_until_complete(asyncio.sleep(0.2))

    assert len(saves) == before


@pytest.mark.parametrize("late", [0.0, 4.0, 9.0])
async def test_an_unanswered_exchange_counts_from_when_its_request_left(late):
    """A vault, or a process that stood still, may have taken long before that."""
    client = FakeClient(FakeClock())
    provider = aa.TokenProvider(client, SIGNED_IN, clock=client.clock, on_event=None)
    await provider.set_token(client.make_token(refresh_token="one"))
    client.clock.advance(4000)
    left, fetch_token = [], client.fetch_token

    async def fetch_slowly(grant, *, timeout=None):
        client.clock.advance(0 if left else late)
        left.append(client.clock.monotonic())
        tell_departure()
        return await fetch_token(grant)

    client.fetch_token = fetch_slowly
    client.answers = [aa.TransportError("lost")]
    with pytest.raises(aa.TransportError):
        await provider.get_token()
    client.clock.advance(2)
    await provider.get_token()

    assert left[1] - left[0] >= aa.SharingPolicy().redemption_timeout
    await provider.aclose()


@pytest.mark.parametrize("grant", [SERVICE, aa.RefreshTokenGrant("one")])
async def test_a_flight_that_stood_still_for_its_whole_time_presents_nothing(grant):
    """It was frozen between its decision and the request, which would be cut off at once."""
    client = FakeClient(FakeClock())

    def freeze(event):
        if isinstance(event, aa.events.FlightStarted):
            asyncio.get_running_loop().call_soon(client.clock.advance, 31)

    provider = aa.TokenProvider(client, grant, clock=client.clock, on_event=freeze)
    with pytest.raises(aa.TransportError) as caught:
        await provider.get_token()

    assert not caught.value.may_have_arrived
    assert client.requests == 0
    await provider.aclose()
