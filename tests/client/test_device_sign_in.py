"""Tests of the device flow (RFC 8628): the client polls as slowly as the server requires."""

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox
from support.journeys import client_of

pytestmark = pytest.mark.usefixtures("no_leftovers")


class Waiting:
    """A waiting device: its sleep moves the sandbox's clock, and runs what happens meanwhile."""

    def __init__(self, sandbox, client):
        self.sandbox = sandbox
        self.client = client
        self.slept = []
        self.happenings = {}
        # The client waits on the sandbox's clock.
        sandbox.clock.sleep = self.sleep

    async def start(self, scope="openid profile bankservice"):
        self.authorization = await self.client.begin_device_sign_in(scope)
        return self.authorization

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.sandbox.clock.advance(seconds)
        self.happenings.get(len(self.slept), lambda: None)()

    async def complete(self):
        return await self.client.complete_device_sign_in(self.authorization)

    def approve(self, username="alice"):
        self.sandbox.approve_device(self.authorization.user_code, username)


@pytest.fixture
async def sandbox():
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def waiting(sandbox):
    return Waiting(sandbox, client_of(sandbox, "sandbox-cli"))


async def test_an_end_user_signs_in_with_a_user_code(sandbox, waiting):
    """The device shows the code, polls every five seconds, and gets verified claims."""
    shown = await waiting.start()
    waiting.happenings[3] = waiting.approve
    done = await waiting.complete()

    assert shown.verification_uri == f"{sandbox.identity_url}/device"
    assert shown.user_code in shown.verification_uri_complete
    assert done.subject == "user-alice"
    assert done.claims["sub"] == "user-alice"
    assert waiting.slept == [5, 5, 5]
    assert [r.error for r in sandbox.token_requests] == ["authorization_pending"] * 2 + [None]


async def test_an_oauth_device_needs_no_id_token(sandbox, waiting):
    """Without openid the device gets a token without claims, and no key is fetched."""
    sandbox.faults.fail_next(500, where="jwks", times=9)
    await waiting.start("bankservice")
    waiting.approve()
    done = await waiting.complete()

    assert (done.has_subject, done.token.id_token) == (False, None)
    assert done.token.scope == ("bankservice",)


async def test_a_device_that_asked_for_openid_needs_an_id_token(sandbox, waiting):
    """A response without an ID token is refused, although it has an access token."""
    await waiting.start("openid bankservice")
    waiting.approve()
    sandbox.overrides.token_response = {"id_token": None}
    with pytest.raises(aa.IdTokenError, match="no ID token came"):
        await waiting.complete()


async def test_slow_down_holds_for_good(sandbox, waiting):
    """Each slow_down adds five seconds to the interval for good (RFC 8628 §3.5)."""
    await waiting.start()
    for times in (1, 2):
        waiting.happenings[times] = lambda: sandbox.faults.respond_next(
            b'{"error":"slow_down"}', status=400
        )
    waiting.happenings[5] = waiting.approve
    await waiting.complete()

    assert waiting.slept == [5, 10, 15, 15, 15]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda sandbox: sandbox.faults.drop_next(), id="dropped"),
        pytest.param(lambda sandbox: sandbox.faults.fail_next(503), id="503"),
        pytest.param(
            lambda sandbox: sandbox.faults.respond_next(b'{"error":"server_error"}', status=500),
            id="server_error",
        ),
    ],
)
async def test_a_failed_poll_doubles_the_interval_until_one_succeeds(sandbox, waiting, fault):
    """Each failed poll doubles the interval, and the next response restores it."""
    await waiting.start()
    for times in (1, 2):
        waiting.happenings[times] = lambda: fault(sandbox)
    waiting.happenings[5] = waiting.approve
    await waiting.complete()

    assert waiting.slept == [5, 10, 20, 5, 5]


async def test_the_servers_retry_after_is_obeyed(sandbox, waiting):
    """The next poll waits for as long as Retry-After says."""
    await waiting.start()
    waiting.happenings[1] = lambda: sandbox.faults.fail_next(429, retry_after=42)
    waiting.happenings[2] = waiting.approve
    await waiting.complete()

    assert waiting.slept == [5, 42]


@pytest.mark.parametrize(("lifetime", "retry_after"), [(600, 3600), (600, 596), (30, 60)])
async def test_no_pause_goes_beyond_the_codes_life(sandbox, waiting, lifetime, retry_after):
    """A Retry-After that ends after the code is told at once, and not after it."""
    sandbox.clock.freeze()
    authorization = await waiting.start()
    waiting.authorization = attrs.evolve(authorization, expires_at=sandbox.clock.time() + lifetime)
    waiting.happenings[1] = lambda: sandbox.faults.fail_next(429, retry_after=retry_after)
    with pytest.raises(aa.ExpiredTokenError, match="the server could not be asked"):
        await waiting.complete()

    assert waiting.slept == [5]


async def test_the_end_user_may_deny_the_device(waiting):
    """Polling ends when the end-user denies the request."""
    await waiting.start()
    waiting.happenings[2] = lambda: waiting.approve(None)
    with pytest.raises(aa.AccessDeniedError):
        await waiting.complete()

    assert len(waiting.slept) == 2


async def test_a_code_runs_out_at_the_server(sandbox, waiting):
    """The server's expired_token ends polling, since its clock may be ahead of ours."""
    await waiting.start()
    waiting.happenings[1] = lambda: sandbox.faults.respond_next(
        b'{"error":"expired_token"}', status=400
    )
    with pytest.raises(aa.ExpiredTokenError):
        await waiting.complete()

    assert len(waiting.slept) == 1


async def test_polling_ends_with_the_codes_lifetime(sandbox, waiting):
    """Polling ends when the code has expired by our clock, whatever the server responds."""
    sandbox.clock.freeze()
    await waiting.start()
    sandbox.faults.respond_next(b'{"error":"authorization_pending"}', status=400, times=1000)
    with pytest.raises(aa.ExpiredTokenError, match="did not decide in time"):
        await waiting.complete()

    assert waiting.slept == [5] * 60


@pytest.mark.parametrize("back_after", [20, 170, 280])
async def test_an_outage_that_ends_before_the_code_loses_no_sign_in(sandbox, waiting, back_after):
    """The pauses after failed polls grow, but never beyond half of the code's life that is left."""
    sandbox.clock.freeze()
    await waiting.start()

    def go_on():
        if sum(waiting.slept) > back_after:
            waiting.approve()
        else:
            sandbox.faults.fail_next(503)

    waiting.happenings = dict.fromkeys(range(1, 100), go_on)
    sign_in = await waiting.complete()

    assert sign_in.token.access_token
    assert sum(waiting.slept) < 300
    assert len(waiting.slept) < 15


async def test_a_server_that_never_responds_before_the_end_is_named(sandbox, waiting):
    """It is not known what the end-user has decided, and the error does not say that it is."""
    sandbox.clock.freeze()
    await waiting.start()
    sandbox.faults.fail_next(503, times=1000)
    with pytest.raises(aa.ExpiredTokenError, match="the server could not be asked"):
        await waiting.complete()

    assert 280 < sum(waiting.slept) <= 300


async def test_an_expired_code_is_not_polled_for(sandbox, waiting):
    """A device that slept past the code's lifetime sends no request."""
    await waiting.start()
    sandbox.clock.advance(300)
    with pytest.raises(aa.ExpiredTokenError):
        await waiting.complete()

    assert (waiting.slept, sandbox.token_requests) == ([], [])


async def test_an_interval_of_the_servers_is_kept(sandbox, waiting):
    """The server's longer interval replaces the default of five seconds."""
    authorization = await waiting.start()
    waiting.authorization = attrs.evolve(authorization, interval=30.0)
    waiting.happenings[2] = waiting.approve
    await waiting.complete()

    assert waiting.slept == [30, 30]


@pytest.mark.parametrize(
    ("changes", "claim"),
    [({"nonce": "n"}, "nonce"), ({"aud": "other"}, "aud"), ({"iss": "https://x.example"}, "iss")],
)
async def test_the_id_token_is_checked(sandbox, waiting, changes, claim):
    """An ID token with another audience or issuer, or with an unexpected nonce, is refused."""
    await waiting.start()
    waiting.approve()
    sandbox.overrides.id_token = changes
    with pytest.raises(aa.IdTokenError) as caught:
        await waiting.complete()

    assert caught.value.claim == claim


async def test_keys_are_fetched_before_the_end_user_is_asked(sandbox, waiting):
    """Without the keys the ID token could not be verified, so the flow does not begin."""
    sandbox.faults.fail_next(500, where="jwks")
    with pytest.raises(aa.InvalidResponseError):
        await waiting.start()


async def test_a_client_without_the_grant_is_refused(sandbox):
    """The server refuses the client with unauthorized_client."""
    with pytest.raises(aa.OAuthError) as caught:
        await client_of(sandbox, "sandbox-service").begin_device_sign_in("bankservice")

    assert caught.value.error == "unauthorized_client"


async def test_without_a_scope_the_server_chooses(sandbox, waiting):
    """No scope is sent, and the server grants every API scope of the client."""
    await waiting.start(None)
    waiting.approve()
    done = await waiting.complete()

    assert done.token.scope == ("bankservice", "api")


async def test_nothing_secret_is_shown(sandbox, waiting):
    """The repr shows neither the device code nor the user code."""
    authorization = await waiting.start()

    assert authorization.user_code not in repr(authorization)
    assert authorization.grant.device_code.text not in repr(authorization)
