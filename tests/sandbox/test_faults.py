"""A provider meets, over real sockets, the faults of a token endpoint."""

import asyncio
import json
import ssl
import subprocess
import sys
import time

import aiohttp
import pytest
import trustme

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant(scope="bankservice")
GOOD = {"access_token": "a", "token_type": "Bearer", "expires_in": 60}


def provider_of(sandbox, clock, grant=GRANT, client=None, timeout=5.0, **settings):
    client = client or sandbox.client
    return aa.TokenProvider(
        aa.OAuthClient(
            client.client_id,
            client.client_secret,
            environment=sandbox.environment,
            timeout=timeout,
        ),
        grant,
        clock=clock,
        policy=aa.RefreshPolicy(max_attempts=1),
        draw=lambda: 0.0,
        on_event=None,
        **settings,
    )


def field(**members):
    return json.dumps(GOOD | members).encode()


FAULTS = [
    ("503", lambda s: s.faults.fail_next(503), aa.InvalidResponseError),
    ("503, seconds", lambda s: s.faults.fail_next(503, retry_after=5), aa.InvalidResponseError),
    (
        "429, a date",
        lambda s: s.faults.fail_next(429, retry_after="Tue, 24 Nov 2099 12:00:00 GMT"),
        aa.InvalidResponseError,
    ),
    ("500 page", lambda s: s.faults.fail_next(500), aa.InvalidResponseError),
    ("404 page", lambda s: s.faults.fail_next(404), aa.InvalidResponseError),
    ("empty body", lambda s: s.faults.respond_next(b""), aa.InvalidResponseError),
    ("empty 400", lambda s: s.faults.respond_next(b"", status=400), aa.InvalidResponseError),
    ("empty 401", lambda s: s.faults.respond_next(b"", status=401), aa.InvalidClientError),
    ("not JSON", lambda s: s.faults.respond_next(b"{oops"), aa.InvalidResponseError),
    (
        "bad token_type",
        lambda s: s.faults.respond_next(field(token_type="mac")),
        aa.InvalidResponseError,
    ),
    (
        "bad expires_in",
        lambda s: s.faults.respond_next(field(expires_in="soon")),
        aa.InvalidResponseError,
    ),
    ("truncated", lambda s: s.faults.truncate_next(), aa.TransportError),
    ("endless", lambda s: s.faults.flood_next(), aa.InvalidResponseError),
    ("dripping", lambda s: s.faults.drip_next(), aa.TransportError),
    ("gzip bomb", lambda s: s.faults.bomb_next(), aa.InvalidResponseError),
    ("dropped", lambda s: s.faults.drop_next(), aa.TransportError),
    ("answer lost", lambda s: s.faults.lose_response_next(), aa.TransportError),
    ("too late", lambda s: s.faults.delay_next(2), aa.TransportError),
    (
        "redirected",
        lambda s: s.faults.redirect_next("https://evil.example"),
        aa.InvalidResponseError,
    ),
    (
        "busy",
        lambda s: s.faults.respond_next(b'{"error":"temporarily_unavailable"}', status=503),
        aa.OAuthError,
    ),
]


def for_each_fault():
    """Give each fault with its error, and the time-out that it needs: a short one if it hangs."""
    slow = {"dripping", "too late"}
    return pytest.mark.parametrize(
        ("fault", "error", "timeout"),
        [pytest.param(f, e, 1.0 if name in slow else 30.0, id=name) for name, f, e in FAULTS],
    )


@for_each_fault()
async def test_each_fault_is_a_typed_error_and_the_next_try_heals(
    aritma_sandbox, clock, fault, error, timeout
):
    """
    Without a token the caller gets a typed error, and after the backoff one request brings a token.
    """
    async with provider_of(aritma_sandbox, clock, timeout=timeout) as tokens:
        fault(aritma_sandbox)
        with pytest.raises(error) as caught:
            await tokens.get_token()
        clock.advance(caught.value.retry_after)
        token = await tokens.get_token()

    assert token.scope == ("bankservice",)
    assert aritma_sandbox.peak_token_requests == 1


@for_each_fault()
async def test_no_fault_reaches_a_caller_while_a_token_lives(
    aritma_sandbox, clock, fault, error, timeout
):
    """With a token in any state before its end, every fault leaves the callers served."""
    async with provider_of(aritma_sandbox, clock, timeout=timeout) as tokens:
        first = await tokens.get_token()
        clock.advance(3590)
        fault(aritma_sandbox)
        served = await tokens.get_token()

    assert served is first


async def test_a_hanging_server_stalls_nobody_while_a_token_lives(aritma_sandbox, clock):
    """A hundred callers are served while the refresh hangs."""
    async with provider_of(aritma_sandbox, clock) as tokens:
        await tokens.get_token()
        clock.advance(2701)
        gate = aritma_sandbox.faults.hold()
        started = time.monotonic()
        await asyncio.gather(*(tokens.get_token() for _ in range(100)))
        took = time.monotonic() - started
        await gate.until(1)
        gate.release()

    # The refresh hangs for as long as the test lets it.
    assert took < 4
    assert gate.arrived == 1


async def test_keys_that_roll_over_disturb_nobody(aritma_sandbox, clock):
    """After a key roll-over old and new tokens are valid, and both keys are published."""
    async with provider_of(aritma_sandbox, clock) as tokens:
        old = await tokens.get_token()
        aritma_sandbox.issuer.roll_keys()
        clock.advance(3600)
        new = await tokens.get_token()
    client = aa.OAuthClient("anybody", environment=aritma_sandbox.environment)
    keys = await client.fetch_keys()

    assert len(keys) == 2
    assert not isinstance(aritma_sandbox.issuer.validate(old.access_token), str)
    assert not isinstance(aritma_sandbox.issuer.validate(new.access_token), str)


async def test_five_hundred_calls_survive_a_revocation_with_one_refresh(aritma_sandbox):
    """Sandbox, provider, middleware and session together make one refresh of five hundred 401s."""
    me = aritma_sandbox.client
    async with (
        aa.TokenProvider.client_credentials(
            me.client_id, me.client_secret, environment=aritma_sandbox.environment
        ) as tokens,
        aiohttp.ClientSession(
            aritma_sandbox.banking_url, middlewares=[tokens.middleware()]
        ) as bank,
    ):

        async def call():
            async with bank.get("api/accounts") as response:
                return response.status

        await call()
        aritma_sandbox.faults.revoke_all()
        statuses = await asyncio.gather(*(call() for _ in range(500)))

    assert statuses == [200] * 500
    assert len(aritma_sandbox.token_requests) == 2


async def test_closing_in_mid_request_leaves_nothing(aritma_sandbox, clock):
    """Closing leaves no task, socket or warning, and the waiting callers get an error."""
    tokens = provider_of(aritma_sandbox, clock)
    gate = aritma_sandbox.faults.hold()
    callers = [asyncio.create_task(tokens.get_token()) for _ in range(10)]
    await gate.until(1)
    await tokens.aclose()
    heard = await asyncio.gather(*callers, return_exceptions=True)

    assert {type(error) for error in heard} == {aa.ProviderClosedError}


async def refresh_token_of(sandbox):
    form = {
        "grant_type": "password",
        "username": "alice",
        "password": "alice-password",
        "client_id": "sandbox-app",
        "client_secret": "app-secret",
        "scope": "api offline_access",
    }
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{sandbox.identity_url}/connect/token", data=form) as response:
            return (await response.json())["refresh_token"]


async def signed_in(sandbox, clock, **settings):
    grant = aa.RefreshTokenGrant(await refresh_token_of(sandbox))
    return provider_of(sandbox, clock, grant, sandbox.clients["sandbox-app"], **settings)


async def test_rotation_goes_on_for_as_long_as_it_is_asked(aritma_sandbox, clock):
    """Twenty rotations present no refresh token twice."""
    async with await signed_in(aritma_sandbox, clock) as tokens:
        seen = set()
        for _ in range(20):
            seen.add((await tokens.get_token()).refresh_token)
            clock.advance(3600)

    assert len(seen) == 20
    assert aritma_sandbox.refresh_tokens.reuse_events == 0


async def test_a_refresh_token_survives_a_request_that_never_arrived(aritma_sandbox, clock):
    """A refresh token whose request was not processed is presented again after the backoff."""
    async with await signed_in(aritma_sandbox, clock) as tokens:
        aritma_sandbox.faults.drop_next()
        with pytest.raises(aa.TransportError) as caught:
            await tokens.get_token()
        clock.advance(caught.value.retry_after)
        await tokens.get_token()

    assert aritma_sandbox.refresh_tokens.reuse_events == 0


async def test_a_refresh_token_whose_response_was_lost_is_tried_once_more(aritma_sandbox, clock):
    """A server without grace refuses the repetition: the end-user must sign in, and nothing is repeated."""
    async with await signed_in(aritma_sandbox, clock) as tokens:
        aritma_sandbox.faults.lose_response_next()
        with pytest.raises(aa.TransportError) as caught:
            await tokens.get_token()
        clock.advance(caught.value.retry_after)
        for _ in range(3):
            with pytest.raises((aa.InvalidGrantError, aa.ReauthenticationRequiredError)):
                await tokens.get_token()

    assert aritma_sandbox.refresh_tokens.reuse_events == 1


async def test_cancelled_callers_cause_no_reuse(aritma_sandbox, clock):
    """A caller may be cancelled at any moment of a real request without a reuse."""
    async with await signed_in(aritma_sandbox, clock) as tokens:
        for step in range(25):
            caller = asyncio.create_task(tokens.get_token())
            for _ in range(step):
                await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait((caller,))
            await tokens.get_token()
            clock.advance(3600)

    assert aritma_sandbox.refresh_tokens.reuse_events == 0


async def test_a_skewed_server_clock_is_told(aritma_sandbox, clock):
    """A skew of more than 30 s either way is an event."""
    events = []
    aritma_sandbox.clock.advance(-120)
    tokens = aa.TokenProvider(
        aa.OAuthClient(
            aritma_sandbox.client.client_id,
            aritma_sandbox.client.client_secret,
            environment=aritma_sandbox.environment,
        ),
        GRANT,
        on_event=events.append,
    )
    await tokens.get_token()

    (skew,) = [event.skew for event in events if type(event).__name__ == "ClockSkewed"]
    assert skew == pytest.approx(-120, abs=3)


async def test_an_untrusted_certificate_is_refused_and_a_trusted_one_served(clock):
    """A sandbox on https is reached with its own authority only."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with Sandbox(ssl_context=server) as sandbox:
        async with provider_of(sandbox, clock) as tokens:
            with pytest.raises(aa.TransportError, match="TLS"):
                await tokens.get_token()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
            client = aa.OAuthClient(
                sandbox.client.client_id,
                sandbox.client.client_secret,
                environment=sandbox.environment,
                session=session,
            )
            token = await client.fetch_token(GRANT)

    assert token.scope == ("bankservice",)


LEAVING = """
import asyncio, socket, threading
import aritma_auth as aa

server = socket.create_server(("127.0.0.1", 0))
environment = aa.Environment.at(f"http://127.0.0.1:{server.getsockname()[1]}")
tokens = aa.TokenProvider(
    aa.OAuthClient("id", "secret", environment=environment), aa.ClientCredentialsGrant()
)


async def main():
    waiting = [asyncio.create_task(tokens.get_token()) for _ in range(3)]
    await asyncio.sleep(0.1)


%s
"""


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param("asyncio.run(main())", id="the loop ends"),
        pytest.param(
            "threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()\n"
            "import time; time.sleep(0.05)",
            id="a daemon thread is cut off",
        ),
    ],
)
def test_leaving_the_interpreter_in_mid_flight_says_nothing(ending):
    """The interpreter ends without a stray error, 'never retrieved' or 'was destroyed'."""
    ran = subprocess.run(
        [sys.executable, "-c", LEAVING % ending],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
