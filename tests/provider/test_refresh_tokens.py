"""Refresh tokens and other things that can be spent only once."""

import asyncio

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.events import RefreshTokenAtRisk
from aritma_auth.protocol.grants import Grant
from support.clock import FakeClock
from support.fakes import settle
from support.internals import flight_of
from support.rig import DOWN, LOST, SPENT, UNSENT, Rig, presented, rotated

pytestmark = pytest.mark.usefixtures("no_leftovers")


@attrs.frozen
class OneTimeGrant(Grant):
    """A grant that can be presented once, like an authorization code."""

    grant_type = "code"
    is_reusable = False

    def own_parameters(self):
        return (("code", "x"),)


@pytest.fixture
async def rig(clock):
    rig = Rig(clock, grant=aa.RefreshTokenGrant("first"))
    yield rig
    await rig.provider.aclose()


async def test_the_newest_refresh_token_is_presented(rig):
    """Each refresh uses what the last one brought."""
    rig.client.answers = [rotated(rig, refresh_token=f"next-{number}") for number in range(3)]
    for _ in range(3):
        await rig.get()
        rig.clock.advance(3600)

    assert presented(rig) == ["first", "next-0", "next-1"]


@pytest.mark.parametrize(
    ("resource", "named"), [((), ()), (("urn:a",), ("urn:a",)), (("urn:a", "urn:b"), ())]
)
async def test_a_refresh_names_one_api_or_none(clock, resource, named):
    """The exchange of the code did the same: of several, IdentityServer takes none."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice", resource=resource))
    rig.client.answers = [rotated(rig)]
    await rig.provider.set_token(aa.Token("old", refresh_token="first", expires_at=clock.time()))
    await rig.get()
    await rig.provider.aclose()

    assert [grant.resource for grant in rig.client.grants] == [named]


async def test_a_response_without_a_refresh_token_keeps_the_old_one(rig):
    """A response without scope or ID token keeps these too."""
    rig.client.answers = [
        rotated(rig, refresh_token="second", scope=("a",), id_token="id"),
        rotated(rig),
    ]
    await rig.get()
    rig.clock.advance(3600)
    rig.client.answers[0] = attrs.evolve(rig.client.answers[0], expires_at=rig.clock.time() + 3600)
    token = await rig.provider.get_token()

    assert token.refresh_token == "second"
    assert token.id_token == "id"
    assert token.scope == ("a",)


async def test_a_first_response_without_refresh_token_keeps_the_grants(rig):
    """A server that does not rotate may leave it out."""
    token = await rig.provider.get_token()

    assert token.refresh_token == "first"


async def test_a_refresh_names_the_api_again(clock):
    """The grant's resource is part of each refresh request."""
    rig = Rig(clock, grant=aa.SignedInGrant(resource="https://bank.example/"))
    await rig.provider.set_token(rotated(rig, refresh_token="first"))
    rig.clock.advance(3600)
    await rig.get()
    await rig.provider.aclose()

    assert [grant.resource for grant in rig.client.grants] == [("https://bank.example/",)]


@pytest.mark.parametrize(
    ("grant", "scope", "extra"),
    [
        pytest.param(
            aa.SignedInGrant("alice", scope="a b", extra={"tenant": "t1"}),
            ("a", "b"),
            (("tenant", "t1"),),
            id="a sign-in",
        ),
        pytest.param(
            aa.RefreshTokenGrant("zero", scope="a", extra={"tenant": "t1"}),
            ("a",),
            (("tenant", "t1"),),
            id="a refresh token",
        ),
        pytest.param(
            aa.ClientCredentialsGrant("a b", extra={"acr_values": "tenant:acme"}),
            None,
            (("acr_values", "tenant:acme"),),
            id="a service: the scope is as granted",
        ),
        pytest.param(aa.SignedInGrant("alice"), None, (), id="nothing"),
    ],
)
async def test_a_refresh_sends_what_the_grant_was_given(clock, grant, scope, extra):
    """Scope, resource and further parameters of the grant are part of each refresh request."""
    rig = Rig(clock, grant=grant)
    rig.client.answers = [rotated(rig, refresh_token=f"next-{number}") for number in range(2)]
    await rig.provider.set_token(aa.Token("old", refresh_token="first", expires_at=clock.time()))
    for _ in range(2):
        await rig.get()
        clock.advance(3600)
    await rig.provider.aclose()

    assert [(grant.scope, grant.extra) for grant in rig.client.grants] == [(scope, extra)] * 2
    assert presented(rig) == ["first", "next-0"]


DETAILS = (aa.AuthorizationDetail("payment"),)


@pytest.mark.parametrize(
    ("grant", "sent"),
    [
        (aa.SignedInGrant("alice", authorization_details=DETAILS), ["payment"]),
        (aa.RefreshTokenGrant("zero", authorization_details=DETAILS), ["payment"]),
        (aa.ClientCredentialsGrant("a", authorization_details=DETAILS), []),
    ],
    ids=["a sign-in", "a refresh token", "a service: as granted"],
)
async def test_a_refresh_asks_for_no_more_than_the_grant(clock, grant, sent):
    """Authorization details narrow each token, not the first alone (RFC 9396 §6)."""
    rig = Rig(clock, grant=grant)
    rig.client.answers = [rotated(rig, refresh_token=f"next-{number}") for number in range(2)]
    await rig.provider.set_token(aa.Token("old", refresh_token="first", expires_at=clock.time()))
    for _ in range(2):
        await rig.get()
        clock.advance(3600)
    await rig.provider.aclose()

    asked = [[each.type for each in grant.authorization_details] for grant in rig.client.grants]
    assert asked == [sent] * 2


async def test_a_spent_refresh_token_asks_for_the_end_user(rig):
    """Nothing else can help, and no further request is sent."""
    rig.client.answers = [rotated(rig, refresh_token="second"), SPENT]
    await rig.get()
    rig.clock.advance(3600)
    for _ in range(3):
        with pytest.raises(aa.ReauthenticationRequiredError, match="sign in again"):
            await rig.get()

    assert presented(rig) == ["first", "second"]


async def test_a_spent_refresh_token_falls_back_to_a_reusable_grant(clock):
    """A machine's own grant gets the next token."""
    rig = Rig(clock)
    rig.client.answers = [rotated(rig, refresh_token="rt"), SPENT]
    await rig.get()
    clock.advance(3600)

    assert await rig.get() == "token-2"
    assert [type(grant).__name__ for grant in rig.client.grants] == [
        "ClientCredentialsGrant",
        "RefreshTokenGrant",
        "ClientCredentialsGrant",
    ]


async def test_a_refresh_whose_response_was_lost_is_not_repeated_in_the_flight(rig):
    """The server may have rotated: the next attempt waits for the backoff."""
    rig.client.answers = [LOST]
    rig.draw = 0.5
    with pytest.raises(aa.TransportError) as caught:
        await rig.get()
    requests_in_the_flight = rig.client.requests
    rig.clock.advance(caught.value.retry_after)

    assert requests_in_the_flight == 1
    assert await rig.get() == "token-1"


async def lose(clock, losses, seconds, **settings):
    """Let the responses to the first exchanges be lost after some seconds; give the provider."""
    rig = Rig(clock, grant=aa.RefreshTokenGrant("first"), **settings)
    times, fetch = [], rig.client.fetch_token

    async def fetch_token(grant, *, timeout=None):
        times.append(clock.monotonic())
        if len(times) <= losses:
            clock.advance(seconds)
            rig.client.answers = [LOST]
        return await fetch(grant)

    rig.client.fetch_token, rig.times = fetch_token, times
    return rig


@pytest.mark.parametrize("is_patient", [True, False])
@pytest.mark.parametrize("seconds", [0, 4])
async def test_a_refresh_whose_response_was_lost_is_repeated_within_the_servers_grace(
    clock, seconds, is_patient
):
    """As soon as the first request must be over, whether callers wait for it or not."""
    rig = await lose(clock, 1, seconds, refresh_tokens=aa.RefreshTokenUsage(grace=30))
    if not is_patient:
        now = clock.time()
        held = aa.Token("held", refresh_token="first", issued_at=now, expires_at=now + 3600)
        await rig.provider.set_token(held)
        clock.advance(3500)
    while rig.client.requests < 2:
        await rig.get()
        await settle()
    first, second = rig.times

    assert second - first == 10
    assert presented(rig) == ["first", "first"]
    assert len(rig.happened(RefreshTokenAtRisk)) == 1
    await rig.provider.aclose()


@pytest.mark.parametrize(("grace", "requests"), [(0, 1), (11, 2), (25, 3), (60, 3)])
async def test_a_refresh_whose_response_was_lost_is_repeated_no_later_than_the_grace(
    clock, grace, requests
):
    """Nor later than the refresh may last."""
    rig = await lose(clock, 9, 0, refresh_tokens=aa.RefreshTokenUsage(grace=grace))
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert rig.times == [1000.0 + 10 * number for number in range(requests)]
    await rig.provider.aclose()


async def test_a_lost_response_to_a_reusable_token_is_repeated_at_once(clock):
    """Like that to any other request: nothing can have been spent."""
    rig = await lose(clock, 2, 1, refresh_tokens=aa.RefreshTokenUsage(reusable=True))
    await rig.get()

    assert rig.times == [1000.0, 1001.0, 1002.0]
    assert rig.happened(RefreshTokenAtRisk) == []
    await rig.provider.aclose()


async def test_a_grace_is_for_refresh_tokens_alone(clock):
    """A code whose response was lost is never sent again (RFC 6749 §4.1.2)."""
    rig = Rig(clock, grant=OneTimeGrant(), refresh_tokens=aa.RefreshTokenUsage(grace=60))
    rig.client.answers = [LOST]
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert rig.client.requests == 1
    await rig.provider.aclose()


@pytest.mark.parametrize(
    ("error", "requests"),
    [
        pytest.param(UNSENT, 3, id="never sent"),
        pytest.param(aa.InvalidResponseError("x", status=503), 3, id="503"),
        pytest.param(aa.OAuthError("temporarily_unavailable", status=503), 3, id="busy"),
        pytest.param(aa.InvalidResponseError("x", status=500), 1, id="500"),
        pytest.param(aa.OAuthError("server_error", status=500), 1, id="server_error"),
        pytest.param(aa.InvalidResponseError("x", status=200), 1, id="broken 200"),
    ],
)
async def test_only_what_was_surely_not_done_is_repeated(rig, error, requests):
    """An ambiguous response to a one-time operation ends the flight."""
    rig.client.answers = [error] * 3
    with pytest.raises(type(error)):
        await rig.get()

    assert rig.client.requests == requests


async def test_an_error_of_no_request_is_not_ambiguous(rig):
    """A setting that is wrong spends nothing."""
    rig.client.answers = [aa.ConfigurationError("unset")]
    with pytest.raises(aa.ConfigurationError):
        await rig.get()
    rig.client.secret.value = "two"
    rig.clock.advance(1)

    assert await rig.get() == "token-1"


async def test_a_one_time_grant_is_presented_once(clock):
    """After its token has ended only the end-user can help."""
    rig = Rig(clock, grant=OneTimeGrant())
    await rig.get()
    clock.advance(3600)

    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()
    assert rig.client.requests == 1


@pytest.mark.parametrize(
    ("answer", "error"), [(LOST, aa.TransportError), (SPENT, aa.ReauthenticationRequiredError)]
)
async def test_a_one_time_grant_whose_response_is_lost_is_never_sent_again(clock, answer, error):
    """A code is redeemed at most once."""
    rig = Rig(clock, grant=OneTimeGrant())
    rig.client.answers = [answer]
    with pytest.raises(error):
        await rig.get()
    clock.advance(1000)

    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()
    assert rig.client.requests == 1


async def test_a_one_time_grant_that_was_never_sent_is_sent_later(clock):
    """A connection that failed spends nothing."""
    rig = Rig(clock, grant=OneTimeGrant())
    rig.client.answers = [UNSENT] * 2

    assert await rig.get() == "token-1"


async def test_an_invalidated_token_keeps_its_refresh_token(rig):
    """An API's 401 ends the access token alone."""
    rig.client.answers = [rotated(rig, refresh_token="second")]
    rig.provider.report_rejected(await rig.provider.get_token())
    await rig.get()

    assert presented(rig) == ["first", "second"]


async def test_closing_waits_for_a_refresh_token_on_its_way(rig):
    """Its successor is not lost by closing."""
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.provider.get_token())
    await settle()
    closing = asyncio.create_task(rig.provider.aclose())
    await settle()
    is_waiting = not closing.done()
    answer.set_result(rotated(rig, refresh_token="second"))
    await closing

    assert is_waiting
    assert (await caller).refresh_token == "second"


@pytest.mark.parametrize("slept", [0.0, 3601.0])
async def test_a_waiter_of_a_closing_provider_is_served_by_the_wall_clock(slept):
    """A token that has ended while the machine slept is not served, although it was on its way."""
    clock = FakeClock(counts_suspend=False)
    rig = Rig(clock, grant=aa.RefreshTokenGrant("first"))
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    flight = flight_of(rig.provider)
    closing = asyncio.create_task(rig.provider.aclose())
    await settle()

    def sleep(_):
        clock.wall += slept

    # The flight's own callback runs before the waiter wakes.
    flight.task.work.add_done_callback(sleep)
    answer.set_result(rotated(rig, refresh_token="second"))
    await closing

    if slept:
        with pytest.raises(aa.ProviderClosedError):
            await caller
    else:
        assert (await caller) == "token-1"


async def test_closing_between_attempts_does_not_wait(rig):
    """Nothing is on its way while the flight pauses."""
    rig.client.answers = [UNSENT] * 3
    paused = asyncio.Event()

    async def sleep(seconds):
        paused.set()
        await asyncio.Event().wait()

    rig.clock.sleep = sleep
    caller = asyncio.create_task(rig.get())
    await paused.wait()
    await rig.provider.aclose()

    with pytest.raises(aa.ProviderClosedError):
        await caller


@pytest.mark.parametrize("steps", range(10))
async def test_cancelling_callers_anywhere_loses_no_refresh_token(rig, steps):
    """However far the flight has come, each refresh token is presented once."""
    rig.client.answers = [rotated(rig, refresh_token="second")]
    caller = asyncio.create_task(rig.get())
    for _ in range(steps):
        await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait((caller,))
    await rig.get()
    rig.clock.advance(3600)
    await rig.get()

    assert presented(rig) == ["first", "second"]


async def test_an_outage_keeps_the_refresh_token(rig):
    """Only the server's refusal ends it."""
    rig.client.answers = [rotated(rig, refresh_token="second"), DOWN, DOWN]
    await rig.get()
    for _ in range(2):
        rig.clock.advance(3600)
        with pytest.raises(aa.TransportError):
            await rig.get()
    rig.clock.advance(3600)
    await rig.get()

    assert presented(rig) == ["first", "second", "second", "second"]


@pytest.mark.parametrize(
    ("policy", "sharing", "grace", "message"),
    [
        ({}, {}, 10, r"grace must be 0, or longer than 10 s .*redemption_timeout \(10 s\)"),
        ({}, {"redemption_timeout": 20}, 15, "grace must be 0, or longer than 20 s"),
        ({"refresh_timeout": 11}, {}, 30, "refresh_timeout must be longer than 11.5 s"),
        ({"refresh_timeout": 5}, {}, 30, "since refresh_tokens has a grace; it is 5"),
    ],
)
def test_a_grace_that_could_never_be_used_is_refused(policy, sharing, grace, message):
    """The lost refresh would be repeated when the grace, or the refresh, is over."""
    with pytest.raises(aa.ConfigurationError, match=message):
        aa.TokenProvider(
            aa.OAuthClient("id", "secret"),
            aa.RefreshTokenGrant("first"),
            policy=aa.RefreshPolicy(**policy),
            sharing=aa.SharingPolicy(**sharing),
            refresh_tokens=aa.RefreshTokenUsage(grace=grace),
        )


@pytest.mark.parametrize("has_store", [False, True])
@pytest.mark.parametrize("refresh_timeout", [2, 3, 5, 12])
async def test_a_short_refresh_time_out_never_gets_stuck_after_a_lost_response(
    clock, refresh_timeout, has_store
):
    """No refresh lasts longer than it may, none is cut off at once, and soon one has the token."""
    store = aa.MemoryTokenStore(clock=clock) if has_store else None
    policy = aa.RefreshPolicy(refresh_timeout=refresh_timeout)
    rig = await lose(clock, 1, 0, policy=policy, store=store)
    took, limits, began_first, send = [], [], clock.monotonic(), rig.client.fetch_token

    async def fetch_token(grant, *, timeout=None):
        limits.append(began + refresh_timeout - clock.monotonic())
        return await send(grant, timeout=timeout)

    rig.client.fetch_token = fetch_token
    for _ in range(10):
        began = clock.monotonic()
        try:
            await rig.get()
        except aa.TransportError as error:
            clock.advance(max(0.5, error.retry_after))
        took.append(clock.monotonic() - began)
        if rig.provider.peek() is not None:
            break

    assert rig.provider.peek() is not None
    assert max(took) <= refresh_timeout + 1
    assert presented(rig) == ["first", "first"]
    first, second = rig.times
    assert second - first >= min(10, refresh_timeout)
    assert clock.monotonic() - began_first < 20
    assert min(limits) >= min(10, refresh_timeout) * 0.15
    await rig.provider.aclose()
