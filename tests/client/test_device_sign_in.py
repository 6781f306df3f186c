"""People sign in on another device; the one that waits asks as slowly as it is told."""

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox
from support.journeys import client_of

pytestmark = pytest.mark.usefixtures("no_leftovers")


class Waiting:
    """A device that waits: sleeping moves the sandbox's clock, and things may happen meanwhile."""

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


async def test_a_person_signs_in_on_another_device(sandbox, waiting):
    """What to show, five seconds between two questions, and verified claims at the end."""
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
    """A token alone: no claims, and no key is fetched."""
    sandbox.faults.fail_next(500, where="jwks", times=9)
    await waiting.start("bankservice")
    waiting.approve()
    done = await waiting.complete()

    assert (done.subject, done.token.id_token) == (None, None)
    assert done.token.scope == ("bankservice",)


async def test_a_device_that_asked_who_it_is_must_be_told(sandbox, waiting):
    """Without an ID token nobody has signed in, whatever else came."""
    await waiting.start("openid bankservice")
    waiting.approve()
    sandbox.overrides.token_response = {"id_token": None}
    with pytest.raises(aa.IdTokenError, match="no ID token came"):
        await waiting.complete()


async def test_slow_down_holds_for_good(sandbox, waiting):
    """Five seconds more each time, and never fewer again (RFC 8628 §3.5)."""
    await waiting.start()
    for times in (1, 2):
        waiting.happenings[times] = lambda: sandbox.faults.respond_next(
            b'{"error":"slow_down"}', status=400
        )
    waiting.happenings[5] = waiting.approve
    await waiting.complete()

    assert waiting.slept == [5, 10, 15, 15, 15]


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(lambda sandbox: sandbox.faults.drop_next(), id="dropped"),
        pytest.param(lambda sandbox: sandbox.faults.fail_next(503), id="503"),
        pytest.param(
            lambda sandbox: sandbox.faults.respond_next(b'{"error":"server_error"}', status=500),
            id="server_error",
        ),
    ],
)
async def test_trouble_on_the_way_doubles_the_pause_until_it_is_over(sandbox, waiting, trouble):
    """Twice, twice again, and then the old rhythm."""
    await waiting.start()
    for times in (1, 2):
        waiting.happenings[times] = lambda: trouble(sandbox)
    waiting.happenings[5] = waiting.approve
    await waiting.complete()

    assert waiting.slept == [5, 10, 20, 5, 5]


async def test_the_servers_retry_after_is_obeyed(sandbox, waiting):
    """A busy gateway knows how long it will be."""
    await waiting.start()
    waiting.happenings[1] = lambda: sandbox.faults.fail_next(429, retry_after=42)
    waiting.happenings[2] = waiting.approve
    await waiting.complete()

    assert waiting.slept == [5, 42]


async def test_a_person_may_say_no(waiting):
    """Then nobody asks again."""
    await waiting.start()
    waiting.happenings[2] = lambda: waiting.approve(None)
    with pytest.raises(aa.AccessDeniedError):
        await waiting.complete()

    assert len(waiting.slept) == 2


async def test_a_code_runs_out_at_the_server(sandbox, waiting):
    """Whose clock may be ahead of ours."""
    await waiting.start()
    waiting.happenings[1] = lambda: sandbox.faults.respond_next(
        b'{"error":"expired_token"}', status=400
    )
    with pytest.raises(aa.ExpiredTokenError):
        await waiting.complete()

    assert len(waiting.slept) == 1


async def test_nobody_asks_for_ever(sandbox, waiting):
    """When the code's time is over by our clock too, asking ends, whatever the server says."""
    sandbox.clock.freeze()
    await waiting.start()
    sandbox.faults.respond_next(b'{"error":"authorization_pending"}', status=400, times=1000)
    with pytest.raises(aa.ExpiredTokenError, match="nobody signed in"):
        await waiting.complete()

    assert waiting.slept == [5] * 60


async def test_a_code_that_is_over_is_not_asked_for(sandbox, waiting):
    """The device was asleep."""
    await waiting.start()
    sandbox.clock.advance(300)
    with pytest.raises(aa.ExpiredTokenError):
        await waiting.complete()

    assert (waiting.slept, sandbox.token_requests) == ([], [])


async def test_an_interval_of_the_servers_is_kept(sandbox, waiting):
    """Longer than the default."""
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
    """A nonce that nobody sent is as wrong as another audience."""
    await waiting.start()
    waiting.approve()
    sandbox.overrides.id_token = changes
    with pytest.raises(aa.IdTokenError) as caught:
        await waiting.complete()

    assert caught.value.claim == claim


async def test_keys_are_there_before_the_person_is_troubled(sandbox, waiting):
    """Without them nothing could be checked in the end."""
    sandbox.faults.fail_next(500, where="jwks")
    with pytest.raises(aa.InvalidResponseError):
        await waiting.start()


async def test_a_client_without_the_grant_is_refused(sandbox):
    """By name."""
    with pytest.raises(aa.OAuthError) as caught:
        await client_of(sandbox, "sandbox-service").begin_device_sign_in("bankservice")

    assert caught.value.error == "unauthorized_client"


async def test_without_a_scope_the_server_chooses(sandbox, waiting):
    """None sends none: every API scope of the client."""
    await waiting.start(None)
    waiting.approve()
    done = await waiting.complete()

    assert done.token.scope == ("bankservice", "api")


async def test_nothing_secret_is_shown(sandbox, waiting):
    """Neither the device code nor the code that the person types."""
    authorization = await waiting.start()

    assert authorization.user_code not in repr(authorization)
    assert authorization.grant.device_code.text not in repr(authorization)
