"""What an operator and a program read of the events."""

import asyncio
import json
import logging
import re
from pathlib import Path

import attrs
import pytest

import aritma_auth as aa
from aritma_auth import events
from support.clock import FakeClock
from support.fakes import FakeClient, settle
from support.rig import DOWN, GRANT, REFUSED, Rig

ABOUT = {
    "issuer": "https://idp.example",
    "client_id": "fake",
    "tenant": "acme",
    "key": "acme",
    "grant": "client_credentials",
    "scope": ("bankservice",),
}
EVENTS = [
    events.FlightStarted(7, has_live_token=True),
    events.FlightStarted(8, has_live_token=False),
    events.FlightEnded(7, "issued", 0.25, 3),
    events.TokenRequestFailed(DOWN, 0.5),
    events.TokenAcquired("1a2b3c4d", 3600.0, 0.25),
    events.TokenRefreshed("1a2b3c4d", 3600.0, 0.25),
    events.TokenAdopted("1a2b3c4d", 3600.0, 60.0, is_first=True),
    events.TokenAdopted("1a2b3c4d", 3600.0, 60.0),
    events.TokenSet("1a2b3c4d", 3600.0, 0.0),
    events.TokenCallbackFailed("1a2b3c4d", "OSError"),
    events.TokenForgotten("1a2b3c4d", is_revoked=True),
    events.TokenForgotten("1a2b3c4d", is_revoked=False, is_revocable=False),
    events.RefreshFailed(REFUSED, 2, 1.5, has_live_token=True),
    events.RefreshFailed(DOWN, 2, 1.5, has_live_token=False),
    events.RefreshFailed(aa.ReauthenticationRequiredError("ended"), 1, 1.0, has_live_token=False),
    events.RefreshRecovered(61.0, 3),
    events.ReauthenticationRequired(aa.ReauthenticationRequiredError("ended"), False),
    events.TokenRejected("1a2b3c4d", refreshes=True),
    events.TokenRejected("1a2b3c4d", refreshes=False),
    events.RequestReplayed("https://api.example", 200),
    events.NonceRequired("https://api.example"),
    events.RequestUnsigned("https://api.example", is_first=True),
    events.RequestUnsigned("https://api.example"),
    events.AuthorizationReplaced("https://api.example"),
    events.StoreUsed("load", 0.001),
    events.StoreFailed("load", "TimeoutError"),
    events.StoreReturned(),
    events.RefreshTokenAtRisk("1a2b3c4d"),
    events.ClockSkewed(-31.0),
    events.DeliveryRefused("Authorization must come once", 401),
    events.DeliveryFailed("book", "banking.payment.status.updated", "KeyError"),
    events.DeliveryRepeated("book", "banking.payment.status.updated"),
    events.SecretExpiring(14, 1e9),
    events.SecretExpiring(-1, 1e9),
    events.ConsentExpiring("c1", "authorized", 14),
    events.ConsentExpiring("c1", "revoked", -1),
]


def named(event):
    return f"{type(event).__name__}-{logging.getLevelName(event.level)}"


def test_every_event_is_in_the_table():
    """A new event gets a row, and with it a text."""
    kinds = {getattr(events, name) for name in events.__all__}
    kinds = {kind for kind in kinds if isinstance(kind, type) and issubclass(kind, events.Event)}

    assert {type(event) for event in EVENTS} == kinds - {events.Event}


@pytest.mark.parametrize("event", EVENTS, ids=named)
def test_the_reference_says_at_which_level_an_event_is_logged(event):
    """The page of events has a row for each, with its level."""
    page = (Path(__file__).parents[1] / "docs/reference/events.md").read_text()
    (row,) = re.findall(rf"^\| `{type(event).__name__}` \| ([^|]*) \|", page, re.MULTILINE)

    assert logging.getLevelName(event.level) in row


@pytest.mark.parametrize("event", EVENTS, ids=named)
def test_a_log_line_says_what_happened_and_whose_token_it_is(event, caplog):
    """It is one line for readers, and its extra fields hold the same for machines."""
    event = attrs.evolve(event, **ABOUT)
    events.log_event(event)
    (record,) = caplog.records
    text = record.getMessage()

    assert record.levelno == event.level
    assert type(event).__name__ not in text
    assert "tenant=acme client=fake issuer=https://idp.example grant=client_credentials" in text
    assert record.aritma_event == type(event).__name__
    assert record.aritma_key == record.aritma_tenant == "acme"
    assert record.aritma_scope == "bankservice"
    assert json.loads(json.dumps(event.as_dict())) == {
        name.removeprefix("aritma_"): value
        for name, value in vars(record).items()
        if name.startswith("aritma_")
    }


def test_an_error_is_told_by_its_class_and_text():
    """A program can sort failures without reading the text."""
    told = events.RefreshFailed(REFUSED, 1, 1.0, has_live_token=False).as_dict()

    assert told["error"] == str(REFUSED)
    assert told["error_type"] == "InvalidClientError"
    assert told["is_permanent"] is True
    assert "issuer" not in told


def test_an_event_of_ones_own_says_its_fields():
    """What a subclass does not put into words is listed."""

    @attrs.frozen(eq=False, repr=False)
    class KeyRotated(events.Event):
        key_id: str
        seen: object = None

    @attrs.frozen(eq=False, repr=False)
    class Restarted(events.Event):
        pass

    rotated = KeyRotated("k1", seen=["a"], issuer="https://idp.example")

    assert str(rotated) == "KeyRotated: key_id=k1, seen=['a'] [issuer=https://idp.example]"
    assert rotated.as_dict()["seen"] == "['a']"
    assert str(Restarted()) == "Restarted"


def test_a_name_cannot_forge_a_log_line():
    """Line breaks of a key or an error do not reach the log."""
    text = str(events.StoreFailed("load", "x\nERROR all is lost", key="a\r\nb"))

    assert len(text.splitlines()) == 1


def test_nothing_is_made_for_a_level_that_is_off(caplog):
    """A service at INFO pays for no text and no fields of DEBUG."""

    class Costly(events.Event):
        def as_dict(self):
            raise AssertionError("made for nobody")

    caplog.set_level(logging.INFO, "aritma_auth")
    events.log_event(events.StoreReturned())
    events.log_event(Costly())

    assert [record.aritma_event for record in caplog.records] == ["StoreReturned"]


def of_tenants(clock, on_event=events.log_event, **clients):
    """Make a pool with a client of its own for each tenant."""

    def make(tenant):
        return aa.TokenProvider(clients[tenant], GRANT, clock=clock, on_event=on_event)

    return aa.TokenProviderPool(make)


async def test_an_operator_sees_in_one_line_which_of_three_tenants_fails(caplog):
    """The only warning names the tenant, the client and the issuer."""
    caplog.set_level(logging.INFO, "aritma_auth")
    clock = FakeClock()
    clients = {name: FakeClient(clock) for name in ("acme", "bolt", "crux")}
    for name, client in clients.items():
        client.environment = client.environment.for_tenant(name)
    clients["bolt"].answers = [REFUSED]
    pool = of_tenants(clock, **clients)
    await pool.get_token("acme")
    with pytest.raises(aa.InvalidClientError):
        await pool.get_token("bolt")
    await pool.get_token("crux")

    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.getMessage() == (
        "refresh failed (1 in a row, next attempt in 1.0 s, calls fail meanwhile): "
        "InvalidClientError: invalid_client (check the client id and its secret; both belong to one "
        "environment) [tenant=bolt client=fake "
        "issuer=https://idp.example/bolt grant=client_credentials scope=bankservice]"
    )


async def test_a_pools_label_hides_a_key(caplog):
    """A session's identifier as a key shows only as the pool's label says."""
    clock = FakeClock()
    pool = aa.TokenProviderPool(
        lambda _key: aa.TokenProvider(FakeClient(clock), GRANT, clock=clock),
        label=lambda key: key[:4],
    )
    await pool.get_token("sess-7f3a9c")

    assert {record.aritma_key for record in caplog.records} == {"sess"}
    assert "7f3a9c" not in caplog.text


@pytest.mark.parametrize("label", ["tenant", None])
def test_what_is_no_label_is_refused_at_once(label):
    """A pool's label must be a function."""
    with pytest.raises(aa.ConfigurationError, match="label must be a function"):
        aa.TokenProviderPool(lambda _key: None, label=label)


def test_a_label_must_return_a_text():
    """A number as a label would fail later, in a log line."""
    pool = aa.TokenProviderPool(
        lambda _key: aa.TokenProvider(FakeClient(FakeClock()), GRANT), label=lambda key: key
    )
    with pytest.raises(aa.ConfigurationError, match="label returns must be a text"):
        pool.provider(7)


async def test_a_day_of_a_healthy_service_is_a_handful_of_lines(caplog):
    """A call a minute for a day, at the level INFO."""
    caplog.set_level(logging.INFO, "aritma_auth")
    clock = FakeClock()
    client = FakeClient(clock)
    provider = aa.TokenProvider(client, GRANT, clock=clock, draw=lambda: 0.5)
    for _ in range(24 * 60):
        await provider.get_token()
        await settle()
        clock.advance(60)

    assert client.requests > 24
    assert [record.aritma_event for record in caplog.records] == ["TokenAcquired"]


async def test_a_flight_tells_its_start_its_end_and_who_waited(clock):
    """Both carry the same number, and the end counts the callers."""
    rig = Rig(clock)
    answer = rig.client.hold()
    callers = [asyncio.create_task(rig.get()) for _ in range(3)]
    await settle()
    clock.advance(2)
    answer.set_result(None)
    await asyncio.gather(*callers)

    (started,), (ended,) = rig.happened(events.FlightStarted), rig.happened(events.FlightEnded)
    assert ended == events.FlightEnded(started.flight, "issued", 2.0, 3)
    assert not started.has_live_token


async def test_a_cancelled_flight_ends_too(clock):
    """Closing the provider ends its flight."""
    rig = Rig(clock)
    rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    await rig.provider.aclose()
    await asyncio.gather(caller, return_exceptions=True)

    assert [ended.outcome for ended in rig.happened(events.FlightEnded)] == ["cancelled"]


async def test_a_recovery_tells_how_long_and_how_often_it_failed(clock):
    """The first failure counts, and the recovery is told once."""
    rig = Rig(clock, policy=aa.RefreshPolicy(max_attempts=1))
    rig.draw = 0.5
    rig.client.answers = [DOWN, DOWN, DOWN]
    for _ in range(3):
        with pytest.raises(aa.TransportError):
            await rig.get()
        clock.advance(60)
    await rig.get()
    clock.advance(3600)
    await rig.get()

    assert rig.happened(events.RefreshRecovered) == [events.RefreshRecovered(180.0, 3)]
    assert len(rig.happened(events.TokenRequestFailed)) == 3


async def test_a_skewed_clock_is_told_once(clock):
    """And again when a clock has been set to another wrong time, or back and away again."""
    rig = Rig(clock)
    for skew in (-31.0, -31.2, -100.0, -1.0, -31.0, -31.0):
        rig.client.clock_skew = skew
        await rig.get()
        clock.advance(3600)

    assert [event.skew for event in rig.happened(events.ClockSkewed)] == [-31.0, -100.0, -31.0]


async def test_a_sign_in_is_demanded_once(clock):
    """Further attempts fail without another event, until there is a token again."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"))
    for _ in range(2):
        for _ in range(3):
            with pytest.raises(aa.ReauthenticationRequiredError):
                await rig.get()
            clock.advance(600)
        await rig.provider.set_token(aa.Token("new", expires_at=clock.time() + 10))
        clock.advance(20)

    kinds = [type(event).__name__ for event in rig.events if event.level > logging.DEBUG]
    assert kinds == ["ReauthenticationRequired", "TokenSet", "RefreshRecovered"] * 2
    assert len(rig.happened(events.RefreshFailed)) > 2


def test_a_provider_labels_an_event_of_ones_own(clock):
    """What the service adds says whose it is too."""
    event = Rig(clock).provider.label_event(events.StoreReturned())

    assert (event.issuer, event.client_id) == ("https://idp.example", "fake")


def test_a_grant_without_a_registered_type_is_named_by_its_class(clock):
    """A CustomGrant's own name may be anything."""
    event = Rig(clock, grant=aa.CustomGrant("urn:x")).provider.label_event(events.StoreReturned())

    assert event.grant == "CustomGrant"
