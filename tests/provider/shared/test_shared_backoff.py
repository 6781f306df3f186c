"""Failures that all who share a store learn of, and how long nobody asks again."""

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.events import (
    RefreshFailed,
)
from aritma_auth.stores import Record, SharedBackoff
from support.fakes import settle
from support.rig import DOWN, REFUSED, UNSENT, Rig
from support.sharing import entry_of, key_for, key_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

REFRESH = aa.RefreshTokenGrant("first")


async def test_an_outage_is_met_once_by_the_fleet(clock, store):
    """The other processes learn of an outage and send no request until it may be over."""
    rigs = [Rig(clock, store=store) for _ in range(5)]
    for rig in rigs:
        rig.client.answers = [DOWN] * 9
    for rig in rigs:
        with pytest.raises(aa.TransportError) as caught:
            await rig.get()
        assert caught.value.retry_after is not None

    assert [rig.client.requests for rig in rigs] == [3, 0, 0, 0, 0]


async def test_the_shared_pause_grows_and_ends(clock, store):
    """The shared pause grows with each failure in a row, up to its cap."""
    pauses = []
    for _ in range(9):
        rig = Rig(clock, store=store)
        rig.client.answers = [DOWN] * 9
        with pytest.raises(aa.TransportError):
            await rig.get()
        gate = entry_of(store).record.backoff
        pauses.append(gate.seconds)
        await store.save(
            key_of(store),
            Record(backoff=attrs.evolve(gate, seconds=0.0)),
            replaces=entry_of(store).generation,
        )

    assert pauses == pytest.approx([1.4, 1.8, 1.8, 1.8, 3.6, 7.2, 14.4, 28.8, 30])


async def test_a_process_that_finds_the_pause_of_the_others_begins_none_of_its_own(clock, store):
    """It asks as soon as the shared pause is over, and counts the failures of all."""
    rig = Rig(clock, store=store)
    gate = SharedBackoff(DOWN, count=7, seconds=5.0)
    await store.save(key_for(rig), Record(backoff=gate), replaces=0)
    with pytest.raises(aa.TransportError) as caught:
        await rig.get()
    entry = entry_of(store)
    await store.save(
        key_of(store), Record(backoff=attrs.evolve(gate, seconds=0.0)), replaces=entry.generation
    )
    clock.advance(caught.value.retry_after)

    assert caught.value.retry_after <= 5.1
    assert rig.provider.status().failures == 7
    assert await rig.get() == "token-1"


async def test_what_the_server_asks_for_holds_for_all(clock, store):
    """A server's Retry-After holds for all processes and is not cut short."""
    rig = Rig(clock, store=store)
    rig.client.answers = [aa.TransportError("busy", retry_after=120)] * 9
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert entry_of(store).record.backoff.seconds >= 120


async def test_a_success_forgets_the_failure(clock, store):
    """A success removes the shared backoff for all processes."""
    rig = Rig(clock, store=store)
    rig.client.answers = [DOWN] * 3
    with pytest.raises(aa.TransportError):
        await rig.get()
    entry = entry_of(store)
    await store.save(
        key_of(store),
        Record(backoff=attrs.evolve(entry.record.backoff, seconds=0.0)),
        replaces=entry.generation,
    )
    clock.advance(60)
    await rig.get()

    assert entry_of(store).record.backoff is None


async def test_a_refused_secret_stops_only_those_who_have_it(clock, store):
    """A process with the rotated secret sends its request at once."""
    old, same, new = (Rig(clock, store=store) for _ in range(3))
    new.client.secret.value = "two"
    for rig in (old, same):
        rig.client.answers = [REFUSED] * 3
        with pytest.raises(aa.InvalidClientError):
            await rig.get()

    assert await new.get() == "token-1"
    assert (old.client.requests, same.client.requests) == (1, 0)
    clock.advance(1)
    assert await old.get() == "token-1"


async def test_a_local_failure_is_not_shared(clock, store):
    """A secret that is missing here says nothing about the other processes."""
    rig, other = Rig(clock, store=store), Rig(clock, store=store)
    rig.client.answers = [aa.ConfigurationError("set the secret")]
    with pytest.raises(aa.ConfigurationError):
        await rig.get()

    assert await other.get() == "token-1"


async def test_a_shared_failure_leaves_living_tokens_in_use(clock, store):
    """A token that lives is served during a shared failure, also by a process that has just started."""
    first = Rig(clock, store=store)
    token = await first.get()
    clock.advance(3000)
    first.client.answers = [DOWN] * 9
    served = await first.get()
    await settle()
    second = Rig(clock, store=store)

    assert served == await second.get() == token
    assert second.client.requests == 0


async def test_failures_are_told_by_each(clock, store):
    """Each process reports the outage, so that each health check shows it."""
    rigs = [Rig(clock, store=store) for _ in range(2)]
    for rig in rigs:
        rig.client.answers = [DOWN] * 9
        with pytest.raises(aa.TransportError):
            await rig.get()

    assert [len(rig.happened(RefreshFailed)) for rig in rigs] == [1, 1]


async def test_a_refusal_without_a_store_is_remembered_too(clock, store):
    """A refusal is remembered although the store is away."""
    rig = Rig(clock, store=store)
    store.failing = {"load"}
    rig.client.answers = [REFUSED] * 3
    for _ in range(3):
        with pytest.raises(aa.InvalidClientError):
            await rig.get()

    assert rig.client.requests == 1


async def test_a_claim_keeps_count_of_the_failures(clock, store):
    """The shared pause grows although a refresh token was claimed in between."""
    rig = Rig(clock, grant=REFRESH, store=store)
    await store.save(key_for(rig), Record(backoff=SharedBackoff(DOWN, 3, 0.0)), replaces=0)
    rig.client.answers = [UNSENT] * 3
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert entry_of(store).record.backoff.count == 4


async def test_a_refused_secret_is_not_tried_again_because_its_store_went_away(clock, store):
    """A refused secret is not tried again because the store went away."""
    await Rig(clock, store=store).get()
    clock.advance(3600)
    rig = Rig(clock, store=store)
    rig.client.answers = [REFUSED] * 3
    with pytest.raises(aa.InvalidClientError):
        await rig.get()
    store.failing = {"load"}
    with pytest.raises(aa.InvalidClientError):
        await rig.get()

    assert rig.client.requests == 1


async def test_the_shared_pause_ends_with_the_token(clock, store):
    """The shared pause ends with the token, since the server may be back by then."""
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3598)
    rig.client.answers = [DOWN] * 9
    await rig.get()
    await settle()
    entry = entry_of(store)
    failing = attrs.evolve(entry.record.backoff, seconds=0.0, count=20)
    await store.save(
        key_of(store), attrs.evolve(entry.record, backoff=failing), replaces=entry.generation
    )
    clock.advance(1)
    other = Rig(clock, store=store)
    other.client.answers = [DOWN] * 9
    await other.get()

    assert entry_of(store).record.backoff.seconds <= 1


async def test_a_token_without_an_end_sets_no_end_to_the_pause(clock, store):
    """A token without an end sets no end to the pause."""
    rig = Rig(clock, store=store, lifetime=None)
    await rig.get()
    clock.advance(240)
    rig.client.answers = [DOWN] * 9
    await rig.get()
    await settle()

    assert entry_of(store).record.backoff.seconds > 0


async def test_a_refused_client_stays_refused_with_a_store(clock, store):
    """A refused client stays refused while neither secret nor entry changes."""
    rig = Rig(clock, store=store)
    rig.client.answers = [REFUSED] * 5
    for _ in range(3):
        with pytest.raises(aa.InvalidClientError):
            await rig.get()

    assert rig.client.requests == 1
