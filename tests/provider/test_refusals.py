"""What a server refuses: for good or for now, the credential, the refresh token or the request."""

import asyncio

import pytest
from aiohttp import web

import aritma_auth as aa
from support.fakes import settle
from support.loopback import serving
from support.rig import DOWN, GRANT, REFUSED, SPENT, Rig, presented, rotated
from support.signing import sign

pytestmark = pytest.mark.usefixtures("no_leftovers")

EMPTY = aa.InvalidResponseError("empty", status=400, problems=("the body is empty",))
PAGE = aa.InvalidResponseError("page", status=400, problems=("the body is not JSON",))


@pytest.mark.parametrize(
    "refusal",
    [
        REFUSED,
        aa.OAuthError("unauthorized_client", status=400),
        aa.OAuthError("invalid_scope", status=400),
        aa.ConfigurationError("unset"),
    ],
    ids=["invalid_client", "unauthorized_client", "invalid_scope", "a setting"],
)
async def test_a_refusal_is_raised_at_once(clock, refusal):
    """Within the pause neither the secret nor the store is looked at, whatever the load."""
    store = aa.MemoryTokenStore()
    loads, load = [], store.load

    async def count(key):
        loads.append(key)
        return await load(key)

    store.load = count
    rig = Rig(clock, store=store)
    rig.client.answers = [refusal] * 100
    with pytest.raises(type(refusal)):
        await rig.get()
    before = rig.client.secret.loads, len(loads)
    for _ in range(9):
        clock.advance(0.1)
        results = await asyncio.gather(*(rig.get() for _ in range(50)), return_exceptions=True)
        assert {type(result) for result in results} == {type(refusal)}

    assert (rig.client.secret.loads, len(loads)) == before
    assert rig.client.requests == 1


async def test_a_long_refusal_is_looked_at_once_a_second(clock):
    """However many callers come, one of them looks for a changed credential."""
    rig = Rig(clock)
    rig.client.answers = [REFUSED] * 100
    for _ in range(5):
        with pytest.raises(aa.InvalidClientError) as caught:
            await rig.get()
        if caught.value.retry_after < 16:
            clock.advance(caught.value.retry_after)
    before = rig.client.secret.loads
    for _ in range(100):
        clock.advance(0.1)
        await asyncio.gather(*(rig.get() for _ in range(10)), return_exceptions=True)

    assert 9 <= rig.client.secret.loads - before <= 11
    assert rig.client.requests == 5


async def test_a_look_that_hangs_delays_no_other_caller(clock):
    """While one caller looks for a changed credential, the others get the refusal at once."""
    rig = Rig(clock)
    rig.client.answers = [REFUSED] * 2
    for _ in range(2):
        with pytest.raises(aa.InvalidClientError):
            await rig.get()
        clock.advance(1)
    rig.client.secret.load = asyncio.Event().wait
    looking = asyncio.ensure_future(rig.get())
    await settle()
    for _ in range(5):
        clock.advance(0.1)
        with pytest.raises(aa.InvalidClientError):
            await asyncio.wait_for(rig.get(), 20)
    looking.cancel()
    await rig.provider.aclose()


async def test_a_newer_failure_is_not_overwritten_by_a_look(clock):
    """A sign-in that comes while a caller looks for a changed credential counts."""
    rig = Rig(clock)
    rig.client.answers = [REFUSED] * 2
    for _ in range(2):
        with pytest.raises(aa.InvalidClientError):
            await rig.get()
        clock.advance(1)
    load, gate = rig.client.secret.load, asyncio.Event()

    async def load_late():
        await gate.wait()
        return await load()

    rig.client.secret.load = load_late
    caller = asyncio.ensure_future(rig.get())
    await settle()
    await rig.provider.set_token(rotated(rig))
    gate.set()

    assert await caller == "token-1"
    assert rig.provider.status().failures == 0


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(SPENT, id="invalid_grant"),
        pytest.param(EMPTY, id="400 with an empty body"),
        pytest.param(aa.OAuthError("invalid_request", status=400), id="invalid_request"),
        pytest.param(aa.OAuthError("unauthorized_client", status=403), id="403"),
        pytest.param(aa.OAuthError("access_denied", status=400), id="access_denied"),
        pytest.param(aa.OAuthError("Invalid refresh token", status=400), id="a sentence"),
        pytest.param(aa.OAuthError("inactive_user", status=400), id="a code of the server's own"),
        pytest.param(aa.OAuthError("interaction_required", status=403), id="OpenID's 403"),
    ],
)
@pytest.mark.parametrize("grant", [aa.SignedInGrant("alice"), aa.RefreshTokenGrant("first")])
async def test_a_dead_refresh_token_asks_for_the_end_user(clock, grant, refusal):
    """Whatever a server calls it, only a new sign-in helps."""
    rig = Rig(clock, grant=grant)
    rig.client.answers = [refusal] * 9
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    clock.advance(3600)
    for _ in range(3):
        with pytest.raises(aa.ReauthenticationRequiredError, match="sign in again"):
            await rig.get()
        clock.advance(10)

    assert presented(rig) == ["second"]


@pytest.mark.parametrize(
    "refusal",
    [SPENT, EMPTY, aa.OAuthError("invalid_request", status=400)],
    ids=["invalid_grant", "400 with an empty body", "invalid_request"],
)
async def test_a_refresh_token_that_was_dead_from_the_start_is_the_same_error(clock, refusal):
    """First use or later: one fact has one type, and says what the server said."""
    rig = Rig(clock, grant=aa.RefreshTokenGrant("first"))
    rig.client.answers = [refusal]
    with pytest.raises(aa.ReauthenticationRequiredError, match="refused the RefreshTokenGrant"):
        await rig.get()
    clock.advance(10)
    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()

    assert presented(rig) == ["first"]


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(PAGE, id="a page of something in between"),
        pytest.param(aa.InvalidResponseError("page", status=403), id="a firewall's 403"),
        pytest.param(aa.OAuthError("waf_blocked", status=403), id="a firewall's own code"),
        pytest.param(aa.OAuthError("country_not_allowed", status=403), id="a gateway's own code"),
        pytest.param(aa.InvalidResponseError("page", status=404), id="an ingress without backend"),
        pytest.param(aa.InvalidClientError("invalid_client", status=401), id="the client's fault"),
        pytest.param(aa.OAuthError("invalid_scope", status=400), id="a scope"),
        pytest.param(aa.OAuthError("invalid_request", status=503), id="an outage"),
    ],
)
async def test_a_sign_in_ends_by_the_servers_word_alone(clock, refusal):
    """A refusal that is about something else keeps the refresh token."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"))
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    clock.advance(3600)
    rig.client.answers = [refusal] * 3
    with pytest.raises(type(refusal)):
        await rig.get()
    rig.client.answers = []
    clock.advance(2)
    await rig.get()

    assert set(presented(rig)) == {"second"}


async def test_a_dead_refresh_token_of_a_service_is_not_presented_at_every_retry(clock):
    """Its own grant is; the refresh token was refused for good."""
    rig = Rig(clock)
    rig.client.answers = [rotated(rig, refresh_token="rt"), SPENT, *[DOWN] * 5]
    await rig.get()
    clock.advance(3600)
    for _ in range(3):
        with pytest.raises(aa.TransportError) as caught:
            await rig.get()
        clock.advance(caught.value.retry_after + 0.01)

    assert presented(rig) == ["rt"]


async def test_a_living_token_survives_a_dead_refresh_token(clock):
    """It is served to its end, and the refresh token is presented once."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"))
    rig.client.answers = [SPENT] * 9
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    for _ in range(9):
        clock.advance(390)
        assert await rig.get() == "token-1"
        await settle()

    assert presented(rig) == ["second"]


@pytest.mark.parametrize(
    "page",
    [
        aa.InvalidResponseError("no backend", status=404),
        aa.InvalidResponseError("firewall", status=403),
        aa.InvalidResponseError("moved", status=302),
        REFUSED,
    ],
    ids=["404", "403", "302", "a permanent refusal"],
)
async def test_a_pause_ends_with_the_token(clock, page):
    """What had healed 5 s before the token's end refuses no caller after it."""
    rig = Rig(clock)
    rig.draw = 0.999
    await rig.get()
    rig.client.answers = [page] * 100
    for _ in range(178):
        clock.advance(20)
        await rig.get()
        await settle()
    rig.client.answers = []
    clock.advance(40.1)

    assert await rig.get() == "token-2"


@pytest.mark.parametrize("seconds", [0.2, 1, 3])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_short_retry_after_does_not_abolish_the_backoff(clock, status, seconds):
    """Five minutes of "come back in a second" cost no more requests than five of silence."""
    counts = []
    busy = aa.InvalidResponseError("busy", status=status, retry_after=seconds)
    for error in (DOWN, busy):
        rig = Rig(clock)
        rig.draw = 0.5
        rig.client.answers = [error] * 1000
        for _ in range(60):
            with pytest.raises(type(error)):
                await rig.get()
            clock.advance(5)
        counts.append(rig.client.requests)

    assert counts[1] <= counts[0] + 1


async def test_after_a_failure_one_request_probes(clock):
    """The first refresh makes up to three attempts, each later one makes one."""
    rig = Rig(clock)
    rig.client.answers = [aa.TransportError("busy", retry_after=1)] * 9
    counts = []
    for _ in range(3):
        with pytest.raises(aa.TransportError) as caught:
            await rig.get()
        clock.advance(caught.value.retry_after)
        counts.append(rig.client.requests)

    assert counts == [3, 4, 5]


@pytest.mark.parametrize(
    "problems",
    [("token_type is of a kind that must not be used",), ("access_token is empty",)],
    ids=["token type", "no token"],
)
async def test_a_complete_response_that_cannot_be_used_is_not_requested_again(clock, problems):
    """It would come again: one request a refresh, and a growing pause between them."""
    rig = Rig(clock)
    rig.client.answers = [aa.InvalidResponseError("x", status=200, problems=problems)] * 9
    with pytest.raises(aa.InvalidResponseError):
        await rig.get()

    assert rig.client.requests == 1


@pytest.mark.parametrize("token_type", ["mac", "N_A", "PoP", "", 5])
async def test_a_token_of_an_unusable_type_is_requested_once(clock, token_type):
    """The server would issue the same kind again."""
    requests = []

    async def respond(request):
        requests.append(await request.text())
        return web.json_response(
            {"access_token": "t", "token_type": token_type, "expires_in": 3600}
        )

    async with serving(respond) as url:
        client = aa.OAuthClient("id", "secret", environment=aa.Environment.at(url))
        async with aa.TokenProvider(client, GRANT, clock=clock, on_event=None) as provider:
            with pytest.raises(aa.InvalidResponseError, match="token_type"):
                await provider.get_token()

    assert len(requests) == 1


@pytest.mark.parametrize("lifetime", [3600, 600, None])
async def test_a_server_that_returns_the_rejected_token_is_asked_again_soon(clock, lifetime):
    """The token is not fresh for its whole lifetime, since an API has rejected it."""
    rig = Rig(clock, lifetime)
    same = rotated(rig)
    rig.client.answers = [same, same, same]
    await rig.get()
    rig.provider.report_rejected(await rig.provider.get_token())
    await rig.get()
    clock.advance(29)
    await rig.get()
    requests_before = rig.client.requests
    clock.advance(2)
    await rig.get()
    await settle()

    assert requests_before == 2
    assert rig.client.requests == 3


async def test_a_refused_credential_of_another_process_is_looked_at_too(clock):
    """A failure from the store is looked at like a failure of this process."""
    store = aa.MemoryTokenStore()
    one, other = (Rig(clock, store=store) for _ in range(2))
    one.client.answers = [REFUSED] * 5
    for rig in (one, other):
        with pytest.raises(aa.InvalidClientError):
            await rig.get()
    other.client.secret.value = "two"
    clock.advance(1)

    assert await other.get() == "token-1"


OF_ALICE = {"iss": "i", "sub": "alice", "aud": "c", "auth_time": 9}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (sign(OF_ALICE | {"sub": "bob"}), "sub must not change"),
        (sign(OF_ALICE | {"iss": "other"}), "iss must not change"),
        (sign(OF_ALICE | {"auth_time": 10}), "auth_time must not change"),
        (sign({}), "iss must not change"),
        ("no-jwt", "is no JWT"),
    ],
    ids=["sub", "iss", "auth_time", "no claims", "no JWT"],
)
@pytest.mark.parametrize("is_stored", [False, True])
async def test_a_failed_check_of_the_id_token_keeps_the_new_refresh_token(
    clock, wrong, said, is_stored
):
    """The old one is spent: the new one is presented next, and no token is handed out."""
    store = aa.MemoryTokenStore() if is_stored else None
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    right = sign(OF_ALICE)
    await rig.provider.set_token(rotated(rig, refresh_token="first", id_token=right))
    clock.advance(3600)
    rig.client.answers = [
        rotated(rig, refresh_token="second", id_token=wrong),
        rotated(rig, refresh_token="third", id_token=right),
    ]
    with pytest.raises(aa.IdTokenError, match=said):
        await rig.get()
    nothing = rig.provider.peek()
    clock.advance(2)
    await rig.get()

    assert nothing is None
    assert presented(rig) == ["first", "second"]
