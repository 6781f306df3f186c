"""Sign-ins and sign-outs of providers that share a store."""

import asyncio

import pytest

import aritma_auth as aa
from aritma_auth.events import (
    StoreFailed,
)
from aritma_auth.protocol.tokens import Token
from aritma_auth.stores import Record, SharedBackoff
from support.fakes import settle
from support.rig import SPENT, Rig, presented, rotated
from support.sharing import entry_of, key_for, key_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

REFRESH = aa.RefreshTokenGrant("first")


async def test_a_sign_in_that_has_ended_is_learnt_once_by_the_fleet(clock, store):
    """One process alone presents a refresh token that has ended, and the others learn of it."""
    grant = aa.SignedInGrant("alice")
    rigs = [Rig(clock, grant=grant, store=store) for _ in range(3)]
    await rigs[0].provider.set_token(rotated(rigs[0], refresh_token="dead"))
    clock.advance(3600)
    for rig in rigs:
        rig.client.answers = [SPENT]
        with pytest.raises(aa.ReauthenticationRequiredError):
            await rig.get()

    assert [presented(rig) for rig in rigs] == [["dead"], [], []]
    assert entry_of(store).token.refresh_token is None


async def test_a_new_sign_in_ends_it_for_all(clock, store):
    """A new sign-in ends the refusal for all processes, and its token is adopted."""
    grant = aa.SignedInGrant("alice")
    one, other = (Rig(clock, grant=grant, store=store) for _ in range(2))
    for rig in (one, other):
        with pytest.raises(aa.ReauthenticationRequiredError):
            await rig.get()
    await one.provider.set_token(rotated(one, refresh_token="new"))
    clock.advance(1)

    assert await other.get() == await one.get() == "token-1"


async def test_a_sign_in_during_a_refresh_wins(clock, store):
    """A sign-in that is stored during a refresh outranks what that refresh brings."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    signed_in = rotated(rig, refresh_token="new")
    await store.save(key_of(store), Record(signed_in, 7), replaces=entry_of(store).generation)
    answer.set_result(rotated(rig, refresh_token="old"))
    await caller
    clock.advance(3600)
    await rig.get()

    assert presented(rig) == ["first", "second", "new"]


async def test_a_sign_in_is_used_although_the_store_is_away(clock, store):
    """A sign-in is used while the store is away, and its successor is stored later."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    first = await rig.get()
    store.failing = set()
    clock.advance(3600)
    await rig.get()

    assert first == "token-1"
    assert presented(rig) == ["second"]
    assert entry_of(store).token.access_token == "token-2"


async def test_a_sign_in_that_others_always_overtake_is_told(clock, store):
    """A sign-in that others always overtake is reported, and used."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    store.failing = {"conflict"}
    await rig.provider.set_token(rotated(rig, refresh_token="second"))

    assert StoreFailed("save", "other writers were faster") in rig.happened(StoreFailed)
    assert await rig.get() == "token-1"


async def test_an_older_sign_in_in_the_store_is_not_adopted(clock, store):
    """An older sign-in in the store is not adopted by a process that knows a newer one."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="old"))
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="new"))
    store.failing = set()
    clock.advance(10)
    rig.provider.report_rejected(await rig.provider.get_token())
    await rig.get()

    assert presented(rig) == ["new"]
    assert entry_of(store).record.serial > 1_700_000_001


async def test_the_end_of_an_older_sign_in_does_not_stop_a_newer_one(clock, store):
    """The end of an older sign-in does not stop a newer one."""
    grant = aa.SignedInGrant("alice")
    rig = Rig(clock, grant=grant, store=store)
    ended = Record(
        None, 1, None, SharedBackoff(aa.ReauthenticationRequiredError("ended"), 1, 300.0, "one")
    )
    await store.save(key_for(rig), ended, replaces=0)
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="new"))
    store.failing = set()
    clock.advance(3600)
    await rig.get()

    assert presented(rig) == ["new"]


async def test_a_sign_in_that_was_not_kept_beats_the_refresh_it_met(clock, store):
    """A sign-in that was not stored outranks the refresh that it met."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="old"))
    clock.advance(3600)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="new"))
    store.failing = set()
    clock.advance(3)
    answer.set_result(rotated(rig, refresh_token="of the old one"))
    await caller
    clock.advance(3600)
    await rig.get()

    assert presented(rig) == ["old", "new"]


async def test_two_sign_ins_of_one_second_are_told_apart(clock, store):
    """Two sign-ins of one second are told apart by their serials."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="old"))
    rig.provider.report_rejected(await rig.provider.get_token())
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="new"))
    store.failing = set()
    clock.advance(3)
    answer.set_result(rotated(rig, refresh_token="of the old one"))
    await caller
    clock.advance(3600)
    await rig.get()

    assert presented(rig) == ["old", "new"]


async def test_without_a_newer_one_the_end_user_must_sign_in(clock, store):
    """A sign-in that has ended is presented no more, and the end-user must sign in again."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second"), SPENT]
    await rig.get()
    clock.advance(3600)
    for _ in range(2):
        with pytest.raises(aa.ReauthenticationRequiredError):
            await rig.get()

    assert presented(rig) == ["first", "second"]


async def test_a_new_sign_in_in_the_store_opens_the_gate(clock, store):
    """A new sign-in in the store ends the refusal of the old one."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second"), SPENT]
    await rig.get()
    clock.advance(3600)
    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()
    key = key_of(store)
    fresh = Token("signed-in", issued_at=clock.time(), expires_at=clock.time() + 3600)
    await store.save(key, Record(fresh, 9), replaces=entry_of(store).generation)
    clock.advance(1)

    assert await rig.get() == "signed-in"


async def test_a_token_put_in_place_is_stored(clock, store):
    """A sign-in survives a restart."""
    rig = Rig(clock, store=store)
    await rig.provider.set_token(
        Token("mine", issued_at=clock.time(), expires_at=clock.time() + 3600)
    )

    assert await Rig(clock, store=store).get() == "mine"
