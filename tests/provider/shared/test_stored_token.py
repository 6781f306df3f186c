"""Stores, and a provider that keeps its tokens in one."""

import asyncio

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.events import StoreFailed, TokenAdopted
from aritma_auth.protocol.tokens import Token
from aritma_auth.stores import Record
from support.fakes import settle
from support.rig import DOWN, REFUSED, SPENT, Rig, presented, rotated
from support.stores import FailingStore

pytestmark = pytest.mark.usefixtures("no_leftovers")

REFRESH = aa.RefreshTokenGrant("first")


@pytest.fixture
def store():
    return FailingStore()


async def test_a_second_provider_adopts_the_stored_token(clock, store):
    """Another provider, or the next start of the service, asks nobody."""
    first, second = Rig(clock, store=store), Rig(clock, store=store)
    token = await first.get()
    clock.advance(100)

    assert await second.get() == token
    assert second.client.requests == 0
    assert second.provider.status().expires_in == pytest.approx(3500)
    assert len(second.happened(TokenAdopted)) == 1


async def test_another_identity_does_not(clock, store):
    """Scope is part of the key."""
    first = Rig(clock, store=store)
    second = Rig(clock, store=store, grant=aa.ClientCredentialsGrant(scope="api"))
    await first.get()
    await second.get()

    assert second.client.requests == 1


async def test_a_stored_token_near_its_end_is_refreshed(clock, store):
    """Only a fresh one is adopted."""
    await Rig(clock, store=store).get()
    clock.advance(3000)
    second = Rig(clock, store=store)
    await second.get()

    assert second.client.requests == 1


async def test_a_stored_token_survives_a_restart_without_a_server(clock, store):
    """What lives in the store is better than nothing."""
    token = await Rig(clock, store=store).get()
    clock.advance(3000)
    second = Rig(clock, store=store)
    second.client.answers = [DOWN] * 20

    assert await second.get() == token
    clock.advance(600)
    with pytest.raises(aa.TransportError):
        await second.get()


async def test_a_rejected_token_is_not_adopted(clock, store):
    """The store's copy was refused too."""
    rig = Rig(clock, store=store)
    rig.provider.report_rejected(await rig.provider.get_token())

    assert await rig.get() == "token-2"
    assert (await Rig(clock, store=store).get()) == "token-2"


async def test_a_rejected_token_is_not_served_from_the_store_when_the_server_is_down(clock, store):
    """Better none than one that an API has refused."""
    rig = Rig(clock, store=store)
    rig.provider.report_rejected(await rig.provider.get_token())
    rig.client.answers = [DOWN] * 3

    with pytest.raises(aa.TransportError):
        await rig.get()


async def test_the_newest_refresh_token_is_in_the_store_before_it_is_served(clock, store):
    """Whoever gets the token could crash at once."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()

    (entry,) = store._entries.values()
    assert entry.token.refresh_token == "second"


@pytest.mark.parametrize("steps", range(12))
async def test_cancelling_callers_anywhere_keeps_the_newest_refresh_token(clock, store, steps):
    """The newest is in the store, and the spent one is never presented again."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    caller = asyncio.create_task(rig.get())
    for _ in range(steps):
        await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait((caller,))
    await rig.get()
    clock.advance(3600)
    restarted = Rig(clock, grant=REFRESH, store=store)
    await restarted.get()

    assert presented(rig) == ["first"]
    assert presented(restarted) == ["second"]


async def test_when_the_write_fails_the_token_is_served_and_the_failure_is_loud(
    clock, store, canary
):
    """The next refresh still presents the newest refresh token, from memory."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    store.failing = {"keep"}
    rig.client.answers = [rotated(rig, refresh_token="third")]
    rig.client.answers[0] = attrs.evolve(
        rig.client.answers[0], issued_at=clock.time(), expires_at=clock.time() + 3600
    )
    served = await rig.provider.get_token()
    clock.advance(3600)
    store.failing = set()
    await rig.get()

    assert served.refresh_token == "third"
    assert set(rig.happened(StoreFailed)) == {StoreFailed("save", "OSError")}
    assert presented(rig) == ["first", "second", "third"]


async def test_a_successor_is_kept_as_soon_as_the_store_is_back(clock, store):
    """The others wait for it as long as this one tries, before they present its predecessor."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    store.failing = {"keep"}
    slept = clock.sleep

    async def sleep(seconds):
        await slept(seconds)
        if clock.wall >= 1_700_003_608:
            store.failing = set()

    clock.sleep = sleep
    rig.client.answers = [rotated(rig, refresh_token="third")]
    await rig.get()

    assert next(iter(store._entries.values())).token.refresh_token == "third"
    assert set(clock.slept) == {2.0}


async def test_a_writer_that_always_loses_is_told(clock, store):
    """Its token is served all the same."""
    store.failing = {"conflict"}
    rig = Rig(clock, store=store)

    assert await rig.get() == "token-1"
    assert rig.happened(StoreFailed) == [StoreFailed("save", "other writers were faster")]


async def test_a_store_that_cannot_be_read_costs_nobody_a_token(clock, store):
    """The server is asked instead."""
    store.failing = {"load"}
    rig = Rig(clock, store=store)

    assert await rig.get() == "token-1"
    assert StoreFailed("load", "OSError") in rig.happened(StoreFailed)


async def test_a_refresh_token_that_another_process_rotated_is_found_in_the_store(clock, store):
    """On invalid_grant the store is read once more before giving up."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    (key,) = store._entries
    newer = Token("t", refresh_token="sibling", issued_at=clock.time() - 1, expires_at=clock.time())
    await store.save(key, Record(newer, 2), replaces=store._entries[key].generation)
    answer.set_exception(SPENT.copy())
    await caller

    assert presented(rig) == ["first", "second", "sibling"]


async def test_without_a_newer_one_the_person_must_sign_in(clock, store):
    """SingleUse, and the server is not asked again."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second"), SPENT]
    await rig.get()
    clock.advance(3600)
    for _ in range(2):
        with pytest.raises(aa.ReauthenticationRequiredError):
            await rig.get()

    assert presented(rig) == ["first", "second"]


async def test_a_new_sign_in_in_the_store_opens_the_gate(clock, store):
    """Another process signed in again: its entry changes, and the refusal is forgotten."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second"), SPENT]
    await rig.get()
    clock.advance(3600)
    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()
    (key,) = store._entries
    fresh = Token("signed-in", issued_at=clock.time(), expires_at=clock.time() + 3600)
    await store.save(key, Record(fresh, 9), replaces=store._entries[key].generation)
    clock.advance(1)

    assert await rig.get() == "signed-in"


async def test_a_refused_client_stays_refused_with_a_store(clock, store):
    """Nothing has changed in it."""
    rig = Rig(clock, store=store)
    rig.client.answers = [REFUSED] * 5
    for _ in range(3):
        with pytest.raises(aa.InvalidClientError):
            await rig.get()

    assert rig.client.requests == 1


async def test_a_token_put_in_place_is_stored(clock, store):
    """What a sign-in brought survives a restart."""
    rig = Rig(clock, store=store)
    await rig.provider.set_token(
        Token("mine", issued_at=clock.time(), expires_at=clock.time() + 3600)
    )

    assert await Rig(clock, store=store).get() == "mine"


async def test_closing_waits_for_the_store(clock, store):
    """A token that is being written is not cut off."""
    rig = Rig(clock, grant=REFRESH, store=store)
    writing = asyncio.Event()
    go_on = asyncio.Event()
    save = store.save

    async def slow_save(key, record, **kwargs):
        if record.token is not None:
            writing.set()
            await go_on.wait()
        return await save(key, record, **kwargs)

    store.save = slow_save
    caller = asyncio.create_task(rig.get())
    await writing.wait()
    closing = asyncio.create_task(rig.provider.aclose())
    await settle()
    is_waiting = not closing.done()
    go_on.set()
    await closing

    assert is_waiting
    assert await caller == "token-1"
    assert len(store._entries) == 1
