"""What a health check reads: statuses as values and as JSON, and readiness."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

import aritma_auth as aa
from support.clock import FakeClock
from support.fakes import FakeClient
from support.rig import DOWN, GRANT, REFUSED, Rig

pytestmark = pytest.mark.usefixtures("no_leftovers")

PAGE = Path(__file__).parents[2] / "docs/reference/status.md"
SCHEMAS = {
    schema["title"]: schema
    for schema in map(
        json.loads, re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    )
}


def as_json(status):
    """Give a status as a monitoring system reads it, if it follows the documented schema."""
    read = json.loads(json.dumps(status.as_dict()))
    jsonschema.validate(read, SCHEMAS[type(status).__name__])
    return read


@pytest.fixture
def rig(clock):
    return Rig(clock, policy=aa.RefreshPolicy(max_attempts=1))


async def test_a_status_follows_its_schema_in_every_state(rig):
    """Empty, fresh, failing with a token and failing without one are described by one schema."""
    states = [as_json(rig.provider.status())]
    await rig.get()
    states.append(as_json(rig.provider.status()))
    rig.draw = 0.9
    rig.client.answers = [DOWN, DOWN, REFUSED]
    rig.clock.advance(3590)
    await rig.get()
    rig.clock.advance(8)
    states.append(as_json(rig.provider.status()))
    rig.clock.advance(10)
    with pytest.raises(aa.TransportError):
        await rig.get()
    states.append(as_json(rig.provider.status()))

    assert [state["freshness"] for state in states] == ["none", "fresh", "expiring", "expired"]
    assert [state["has_token"] for state in states] == [False, True, True, False]
    assert [state["failures"] for state in states] == [0, 0, 1, 2]
    assert [state["failing_for"] for state in states] == [None, None, 8.0, 18.0]
    assert states[3]["last_error_type"] == "TransportError"
    assert states[1]["scope"] is None
    assert {state["issuer"] for state in states} == {"https://idp.example"}


async def test_a_granted_scope_is_listed(rig):
    """A scope is an array in JSON."""
    await rig.provider.set_token(aa.Token("x", scope=("a", "b")))

    assert as_json(rig.provider.status())["scope"] == ["a", "b"]


def pool_of(clock, **clients):
    return aa.TokenProviderPool(
        lambda key: aa.TokenProvider(clients[key], GRANT, clock=clock, on_event=None)
    )


async def test_a_pools_status_names_what_fails(clock):
    """The tenants without a token come first, then those that fail for longest; the others are counted."""
    clients = {name: FakeClient(clock) for name in ("acme", "bolt", "crux", "dune")}
    pool = pool_of(clock, **clients)
    for name in ("acme", "dune", "bolt"):
        await pool.get_token(name)
    clients["bolt"].answers = [REFUSED] * 9
    clients["crux"].answers = [REFUSED] * 9
    clients["dune"].answers = [REFUSED] * 9
    clock.advance(3580)
    await pool.get_token("bolt")
    clock.advance(1)
    await pool.get_token("dune")
    with pytest.raises(aa.InvalidClientError):
        await pool.get_token("crux")
    status = pool.status()
    read = as_json(status)
    for failure in read["failures"]:
        jsonschema.validate(failure, SCHEMAS["ProviderStatus"])

    assert [failure["key"] for failure in read["failures"]] == ["crux", "bolt", "dune"]
    assert (read["size"], read["failing"], read["without_token"]) == (4, 3, 1)
    assert set(pool.keys()) == set(clients)


async def test_a_pools_status_describes_a_hundred_failures_at_most(clock):
    """A health check stays small if every tenant fails."""
    client = FakeClient(clock)
    client.answers = [REFUSED] * 150
    pool = aa.TokenProviderPool(
        lambda _key: aa.TokenProvider(client, GRANT, clock=clock, on_event=None)
    )
    for key in range(150):
        with pytest.raises(aa.InvalidClientError):
            await pool.get_token(key)
    read = as_json(pool.status())

    assert (read["failing"], len(read["failures"])) == (150, 100)


async def test_a_provider_is_ready_if_a_token_is_there_or_can_be_had(rig):
    """The first probe asks for the token, and the next ones find it."""
    assert await rig.provider.is_ready()
    assert await rig.provider.is_ready()
    assert rig.client.requests == 1


async def test_probes_of_a_failing_provider_send_no_requests_of_their_own(rig):
    """While the backoff lasts a probe is told at once; afterwards the provider is ready again."""
    rig.draw = 0.9
    rig.client.answers = [DOWN]
    probes = [await rig.provider.is_ready() for _ in range(10)]
    rig.clock.advance(60)

    assert probes == [False] * 10
    assert rig.client.requests == 1
    assert await rig.provider.is_ready()


async def test_a_probe_waits_no_longer_than_it_says(rig):
    """A server that does not respond makes a probe fail in time; the refresh goes on."""
    answer = rig.client.hold()
    is_ready = await rig.provider.is_ready(timeout=0.01)
    answer.set_result(None)
    await rig.get()

    assert not is_ready
    assert rig.client.requests == 1


async def test_a_closed_provider_is_not_ready():
    """A probe during shutdown takes the service out of the rotation."""
    provider = aa.TokenProvider(FakeClient(FakeClock()), GRANT)
    await provider.aclose()

    assert not await provider.is_ready()
