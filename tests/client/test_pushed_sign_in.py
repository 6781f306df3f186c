"""Sign-ins whose authorization request is pushed to the server first (RFC 9126)."""

from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox
from support.journeys import REDIRECT_URI, begin, client_of, sign_in, visit

pytestmark = pytest.mark.usefixtures("no_leftovers")


def discovering(sandbox, **settings):
    """Make a client that reads the server's metadata."""
    environment = aa.Environment.at(sandbox.identity_url, discover=True)
    return client_of(sandbox, environment=environment, **settings)


def query_of(request):
    return dict(parse_qsl(urlsplit(request.url).query))


async def test_a_server_that_demands_it_gets_the_request_first(sandbox):
    """Metadata that demands pushed requests are obeyed without a word of the application."""
    sandbox.faults.require_pushed_requests()
    client = discovering(sandbox)
    request, callback = await begin(client, "openid offline_access bankservice")
    done = await client.complete_sign_in(request, callback)

    assert query_of(request).keys() == {"client_id", "request_uri"}
    assert request.request_uri_expires_at > sandbox.clock.time()
    assert done.subject == "user-alice"
    assert done.token.refresh_token
    assert sandbox.requests_at("par") == 1


@pytest.mark.parametrize("is_exported", [True, False])
async def test_the_demand_is_known_from_stored_metadata(sandbox, is_exported):
    """An environment that was exported, and an issuer's name alone, both obey the demand."""
    sandbox.faults.require_pushed_requests()
    environment = sandbox.identity_url
    if is_exported:
        discovered = await aa.Environment.discover(sandbox.identity_url)
        environment = aa.Environment.from_json(discovered.to_json())
    client = client_of(sandbox, environment=environment)

    assert query_of(await client.begin_sign_in(REDIRECT_URI)).keys() == {"client_id", "request_uri"}


@pytest.mark.parametrize("client_id", ["sandbox-web", "sandbox-cli"])
async def test_an_application_may_ask_for_it(sandbox, client_id):
    """A request is pushed for a confidential and for a public client if the argument says so."""
    done = await sign_in(client_of(sandbox, client_id), push=True)

    assert done.subject == "user-alice"
    assert sandbox.requests_at("par") == 1


async def test_several_resources_arrive_one_by_one(sandbox):
    """A repeated parameter is repeated in the pushed form."""
    named = ["urn:aritma:banking", "urn:aritma:bankservice"]
    request, callback = await begin(
        client_of(sandbox), "openid api bankservice", resource=named, push=True
    )

    assert await client_of(sandbox).complete_sign_in(request, callback)


@pytest.mark.parametrize("push", [None, False])
async def test_nothing_is_pushed_unasked(sandbox, push):
    """A server that merely offers the endpoint gets the whole request by the browser."""
    request = await discovering(sandbox).begin_sign_in(REDIRECT_URI, push=push)

    assert "state" in query_of(request)
    assert request.request_uri_expires_at is None
    assert sandbox.requests_at("par") == 0


async def test_what_the_server_demands_is_not_refused(sandbox):
    """An application cannot switch off what the server demands, and learns it before a sign-in."""
    sandbox.faults.require_pushed_requests()
    with pytest.raises(aa.ConfigurationError, match="push must not be False: the server requires"):
        await discovering(sandbox).begin_sign_in(REDIRECT_URI, push=False)


@pytest.mark.parametrize("push", ["yes", 1, 0, []])
async def test_an_argument_of_the_wrong_kind_is_named(sandbox, push):
    """Only a truth value says whether to push."""
    with pytest.raises(aa.ConfigurationError, match="push must be True, False or None"):
        await client_of(sandbox).begin_sign_in(REDIRECT_URI, push=push)


@pytest.mark.parametrize("fault", ["fail", "lose", "drop"])
async def test_a_server_that_is_away_for_a_moment_is_asked_again(sandbox, fault):
    """A 503, a lost response and a broken connection cost the end-user half a second."""
    sandbox.clock.freeze()
    before = sandbox.clock.time()
    {
        "fail": lambda: sandbox.faults.fail_next(503, where="par"),
        "lose": lambda: sandbox.faults.lose_response_next(where="par"),
        "drop": lambda: sandbox.faults.drop_next(where="par"),
    }[fault]()
    done = await sign_in(client_of(sandbox, clock=Hurrying(sandbox.clock)), push=True)

    assert done.subject == "user-alice"
    assert sandbox.clock.time() - before == pytest.approx(0.5)
    assert sandbox.requests_at("par") == 2


class Hurrying(aa.Clock):
    """A clock whose sleeps move the sandbox's clock and end at once."""

    counts_suspend = False

    def __init__(self, clock):
        self._clock = clock

    def time(self):
        return self._clock.time()

    def monotonic(self):
        return self._clock.monotonic()

    async def sleep(self, seconds):
        self._clock.advance(seconds)


async def test_a_server_that_stays_away_is_given_up(sandbox):
    """After the third attempt the server's error is the caller's, with its status."""
    sandbox.clock.freeze()
    sandbox.faults.fail_next(503, times=9, where="par")
    client = client_of(sandbox, clock=Hurrying(sandbox.clock))
    with pytest.raises(aa.InvalidResponseError) as told:
        await client.begin_sign_in(REDIRECT_URI, push=True)

    assert told.value.status == 503
    assert sandbox.requests_at("par") == 3


async def test_a_refused_request_never_reaches_an_end_user(sandbox):
    """The server refuses an invalid request to the client, and no page shows it."""
    with pytest.raises(aa.OAuthError) as told:
        await client_of(sandbox).begin_sign_in("http://127.0.0.1/elsewhere", push=True)

    assert (told.value.error, told.value.status) == ("invalid_request", 400)
    assert sandbox.requests_at("par") == 1


async def test_a_refused_client_is_told_what_to_check(sandbox):
    """A wrong secret is an InvalidClientError with the advice of every other endpoint."""
    client = aa.OAuthClient("sandbox-web", "wrong", environment=sandbox.environment)
    with pytest.raises(aa.InvalidClientError, match="check the client id"):
        await client.begin_sign_in(REDIRECT_URI, push=True)


async def test_a_server_without_the_endpoint_is_named():
    """A server that has no such endpoint is a matter of the configuration."""
    async with Sandbox(server_version="is4") as sandbox:
        with pytest.raises(aa.ConfigurationError, match="must have pushed_authorization_request"):
            await discovering(sandbox).begin_sign_in(REDIRECT_URI, push=True)


@pytest.mark.parametrize("fault", ["spent", "expired"])
async def test_a_reference_is_good_once_and_in_time(sandbox, fault):
    """The server shows a page of its own for a reference that is spent or has expired."""
    request = await client_of(sandbox).begin_sign_in(REDIRECT_URI, push=True)
    if fault == "spent":
        await visit(request)
    else:
        sandbox.faults.expire_pushed_requests()
    async with aiohttp.ClientSession() as http, http.get(request.url) as response:
        page = await response.text()

    assert response.status == 400
    assert "invalid_request_uri" in page
