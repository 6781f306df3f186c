"""What is adopted from a store that providers share, and what is not."""

import asyncio

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.events import (
    TokenAdopted,
)
from aritma_auth.stores import Record
from support.fakes import settle
from support.rig import DOWN, Rig
from support.sharing import entry_of, key_for

pytestmark = pytest.mark.usefixtures("no_leftovers")

REFRESH = aa.RefreshTokenGrant("first")


async def test_a_stored_token_that_ended_meanwhile_is_not_served(clock, store):
    """A stored token that ended while the server took its time to fail is not served."""
    await Rig(clock, store=store).get()
    clock.advance(3590)
    rig = Rig(clock, store=store)
    answer = rig.client.hold()
    rig.client.answers += [DOWN] * 2
    caller = asyncio.create_task(rig.get())
    await settle()
    clock.advance(30)
    answer.set_exception(DOWN.copy())

    with pytest.raises(aa.TransportError, match="down"):
        await caller


async def test_a_token_of_the_future_is_not_taken_for_new(clock, store):
    """A stored token of the future may have ended: the clock was set back since."""
    rig = Rig(clock, store=store)
    ahead = aa.Token("ahead", issued_at=clock.time() + 86400, expires_at=clock.time() + 90000)
    await store.save(key_for(rig), Record(ahead, 1), replaces=0)

    assert await rig.get() == "token-1"


async def test_a_token_without_a_time_is_shared_with_one(clock, store):
    """A token that a program made without a time counts from the moment it was set."""
    one, other = (Rig(clock, grant=aa.SignedInGrant("alice"), store=store) for _ in range(2))
    await one.provider.set_token(aa.Token("made", expires_at=clock.time() + 3600))

    assert await other.get() == "made"
    assert entry_of(store).token.issued_at == clock.time()


async def test_a_token_that_was_all_there_was_is_not_served_after_it_was_refused(clock, store):
    """A rejected token is not served although the store has no other and the server is down."""
    await Rig(clock, store=store).get()
    clock.advance(3000)
    rig = Rig(clock, store=store)
    rig.client.answers = [DOWN] * 9
    rig.provider.report_rejected(await rig.provider.get_token())
    with pytest.raises(aa.TransportError):
        await rig.get()


@pytest.mark.parametrize("lifetime", [60, 100, 1800])
async def test_a_refused_token_is_not_taken_back_from_a_store_that_was_away(clock, store, lifetime):
    """A rejected token is not adopted although it is fresher than the one in hand."""
    rig = Rig(clock, store=store)
    token = await rig.provider.get_token()
    store.failing = {"load"}
    rig.provider.report_rejected(token)
    rig.client.lifetime = lifetime
    await rig.get()
    store.failing = set()
    clock.advance(lifetime)

    assert await rig.get() == "token-3"


async def test_a_providers_own_clock_ends_its_own_token(clock, store):
    """A provider's own clock ends its own token, whatever the store's clock says."""
    rig = Rig(clock, store=store)
    await rig.get()
    load = store.load

    async def load_as_new(key):
        entry = await load(key)
        return entry and attrs.evolve(entry, token_age=0.0)

    store.load = load_as_new
    clock.advance(3600)

    assert await rig.get() == "token-2"
    clock.advance(3600)
    rig.client.answers = [DOWN] * 9
    with pytest.raises(aa.TransportError):
        await rig.get()


async def test_a_second_provider_adopts_the_stored_token(clock, store):
    """Another provider, or the next start of the service, adopts the stored token and sends no request."""
    first, second = Rig(clock, store=store), Rig(clock, store=store)
    token = await first.get()
    clock.advance(100)

    assert await second.get() == token
    assert second.client.requests == 0
    assert second.provider.status().expires_in == pytest.approx(3500)
    assert len(second.happened(TokenAdopted)) == 1


async def test_another_identity_does_not(clock, store):
    """A provider with another scope has an entry of its own."""
    first = Rig(clock, store=store)
    second = Rig(clock, store=store, grant=aa.ClientCredentialsGrant(scope="api"))
    await first.get()
    await second.get()

    assert second.client.requests == 1


async def test_a_stored_token_near_its_end_is_refreshed(clock, store):
    """Callers wait for another in the blocking window alone."""
    await Rig(clock, store=store).get()
    clock.advance(3550)
    second = Rig(clock, store=store)
    await second.get()

    assert second.client.requests == 1


async def test_a_stored_token_in_its_background_window_is_adopted(clock, store):
    """A process that starts then serves it at once, and refreshes it in the background."""
    token = await Rig(clock, store=store).get()
    clock.advance(3500)
    second = Rig(clock, store=store)
    first_call = await second.get(), second.client.requests
    second_call = await second.get()
    await settle()

    assert first_call == (token, 0)
    assert second_call == token
    assert second.client.requests == 1


async def test_a_stored_token_survives_a_restart_without_a_server(clock, store):
    """A stored token that still lives is served while the server is down."""
    token = await Rig(clock, store=store).get()
    clock.advance(3000)
    second = Rig(clock, store=store)
    second.client.answers = [DOWN] * 20

    assert await second.get() == token
    clock.advance(600)
    with pytest.raises(aa.TransportError):
        await second.get()


async def test_a_rejected_token_is_not_adopted(clock, store):
    """A token that an API rejected is not adopted from the store either."""
    rig = Rig(clock, store=store)
    rig.provider.report_rejected(await rig.provider.get_token())

    assert await rig.get() == "token-2"
    assert (await Rig(clock, store=store).get()) == "token-2"


async def test_a_rejected_token_is_not_served_from_the_store_when_the_server_is_down(clock, store):
    """A provider raises rather than serve a token that an API has rejected."""
    rig = Rig(clock, store=store)
    rig.provider.report_rejected(await rig.provider.get_token())
    rig.client.answers = [DOWN] * 3

    with pytest.raises(aa.TransportError):
        await rig.get()
