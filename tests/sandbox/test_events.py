"""The sandbox's Events API: subscriptions, handshakes, retries and dead letters."""

import json

import aiohttp
import pytest
from aiohttp import web

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox import Subscription
from aritma_auth.secret import Secret
from support.loopback import serving
from support.sandbox_wire import post

pytestmark = pytest.mark.usefixtures("no_leftovers")

SERVICE = {"client_id": "sandbox-service", "client_secret": "sandbox-secret"}


class Endpoint:
    """A receiver that does as it is told, and keeps what came."""

    def __init__(self):
        self.requests = []
        self.statuses = []
        self.opens = True

    async def respond(self, request):
        self.requests.append((request.method, request.headers, await request.read()))
        url = request.headers.get("WebHook-Request-Callback")
        if url is not None and self.opens:
            async with aiohttp.ClientSession() as http, http.get(url) as response:
                return web.Response(status=response.status)
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
def endpoint():
    return Endpoint()


@pytest.fixture
async def url(endpoint):
    async with serving(endpoint.respond) as url:
        yield f"{url}/events"


@pytest.fixture
async def api(sandbox):
    """Call the Events API with the service's token."""
    form = {**SERVICE, "grant_type": "client_credentials"}
    token = (await post(sandbox, "/connect/token", form))[1]["access_token"]
    async with aiohttp.ClientSession(
        sandbox.banking_url, headers={"Authorization": f"Bearer {token}"}
    ) as http:
        yield http


def wanted(url, **changes):
    return {
        "name": "payments",
        "events": ["banking.payment.status.updated"],
        "delivery": {"url": url, "authorizationHeader": "Bearer chosen"},
        "deadletterEnabled": True,
        **changes,
    }


@pytest.mark.parametrize(("opens", "status"), [(True, "active"), (False, "awaitingValidation")])
async def test_a_subscription_begins_with_a_handshake(sandbox, endpoint, api, url, opens, status):
    """A receiver that does not open the validation URL gets no events."""
    endpoint.opens = opens
    async with api.post(
        "api/subscriptions", json=wanted(url), headers={"TenantId": "acme"}
    ) as response:
        created = await response.json()
    delivered = await sandbox.events.publish("banking.payment.status.updated", {"paymentId": "1"})

    assert (response.status, created["status"]) == (201, status)
    assert len(delivered) == opens
    assert endpoint.requests[0][0] == "OPTIONS"
    assert endpoint.requests[0][1]["Authorization"] == "Bearer chosen"
    if opens:
        event = json.loads(endpoint.requests[1][2])
        assert (event["source"], event["tid"]) == (created["id"], "acme")
        assert await sandbox.events.publish("banking.other", {}) == []


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b"{}", b'{"delivery": 5}', b'{"events": [], "delivery": {"url": "a"}}']
)
async def test_what_describes_no_subscription_is_a_problem(api, body):
    """Each broken body is a problem and not a crash."""
    headers = {"Content-Type": "application/json"}
    async with api.post("api/subscriptions", data=body, headers=headers) as response:
        assert response.status == 400


async def test_only_a_known_code_validates(api):
    """Nobody activates a subscription by guessing."""
    async with api.get("api/subscriptions/validations/unknown") as response:
        assert response.status == 404


async def test_what_cannot_be_delivered_is_kept(sandbox, endpoint, api, url):
    """Each attempt is counted; the letters come page by page, and one by one."""
    subscription = Subscription(url=url, authorization="a", max_attempts=2)
    await sandbox.events.subscribe(subscription)
    events = [sandbox.events.envelope(subscription) for _ in range(3)]
    endpoint.statuses = [503] * 2
    delivery = await sandbox.events.deliver(subscription, events, mode="batch")

    async with api.get("api/failed-events", params={"pageSize": 2}) as response:
        page = await response.json()
    async with api.get("api/failed-events", params={"cursor": 2, "pageSize": 2}) as response:
        last = await response.json()
    async with api.get(f"api/failed-events/{events[1]['id']}") as response:
        letter = await response.json()
    async with api.get("api/failed-events/unknown") as response:
        assert response.status == 404

    assert delivery.statuses == (503, 503)
    assert len(page["failedEvents"]) == 2
    assert page["_links"]["next"]["href"] == "/api/failed-events?cursor=2"
    assert len(last["failedEvents"]) == 1
    assert last["_links"] == {}
    assert (letter["deliveryAttempts"], letter["lastHttpStatusCode"]) == (2, 503)
    assert letter["event"] == events[1]


async def test_an_authorization_may_be_a_secret(sandbox, endpoint, url):
    """The receiver's own Secret is the subscription's too, loaded for each request."""
    values = iter(["one", "two", "three"])
    secret = Secret.from_callable(lambda: next(values))
    subscription = Subscription(url=url, authorization=secret)
    await sandbox.events.subscribe(subscription)
    await sandbox.events.deliver(subscription, [sandbox.events.envelope(subscription)])
    other = Secret("wrong")
    event = sandbox.events.envelope(subscription)
    await sandbox.events.deliver(subscription, [event], authorization=other)

    given = [headers["Authorization"] for _, headers, _ in endpoint.requests]
    assert given == ["one", "two", "wrong"]


async def test_what_is_no_subscription_is_named(sandbox):
    """A newcomer's first try has the wrong kind of argument, and is told which."""
    with pytest.raises(ConfigurationError, match="subscription must be a Subscription"):
        await sandbox.events.subscribe("http://127.0.0.1:1/events")
    with pytest.raises(ConfigurationError, match="authorization must be a text or a Secret"):
        Subscription(url="http://127.0.0.1:1/events", authorization=None)


async def test_dead_letters_may_be_off(sandbox, endpoint, url):
    """A subscription without dead letters loses what cannot be delivered."""
    subscription = Subscription(url=url, authorization="a", dead_letters=False)
    endpoint.statuses = [500] * 3
    await sandbox.events.deliver(subscription, [sandbox.events.envelope(subscription)])

    assert sandbox.events.dead_letters == []


async def test_a_receiver_that_is_away_is_no_response(sandbox):
    """A connection that is refused counts as an attempt without status."""
    subscription = Subscription(url="http://127.0.0.1:1/events", authorization="a")

    assert not await sandbox.events.subscribe(subscription)
    delivery = await sandbox.events.deliver(subscription, [sandbox.events.envelope(subscription)])
    assert delivery.statuses == (None,) * 3


async def test_a_mode_is_known(sandbox):
    """A form that the sandbox does not know is refused by name."""
    subscription = Subscription(url="http://127.0.0.1:1/events", authorization="a")
    with pytest.raises(ConfigurationError, match="mode must be one of"):
        await sandbox.events.deliver(subscription, [{"id": "1"}], mode="avro")
