"""Entries that one process cannot read: an outage there, and never a reason to overwrite them."""

import contextlib

import pytest

import aritma_auth as aa
from aritma_auth.events import StoreFailed
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.stores.key import token_key
from support.disk import entry_file
from support.rig import Rig, presented

pytestmark = pytest.mark.usefixtures("no_leftovers")

ONE, OTHER = aa.EncryptionKeys({"1": b"1" * 32}), aa.EncryptionKeys({"1": b"2" * 32})
RENAMED = aa.EncryptionKeys({"2": b"1" * 32})
ALICE = aa.SignedInGrant("alice")
PATIENT = aa.SharingPolicy(store_timeout=30)
"""A busy disk is no outage: the events would tell of another failure."""
KEYS = {
    "another key": (ONE, OTHER),
    "a key of another name": (ONE, RENAMED),
    "no key": (ONE, None),
    "a key where there was none": (None, ONE),
}


@contextlib.asynccontextmanager
async def signed_in(clock, folder, keys):
    """Give a worker whose end-user has signed in."""
    rig = Rig(
        clock, grant=ALICE, sharing=PATIENT, store=aa.FileTokenStore(folder, keys=keys, clock=clock)
    )
    await rig.provider.set_token(rig.client.make_token(refresh_token="first"))
    yield rig
    await rig.provider.aclose()


def file_of(rig, folder):
    return entry_file(folder, token_key(rig.client, rig.grant))


@pytest.mark.parametrize("kind", KEYS)
async def test_a_worker_with_the_wrong_key_ends_no_sign_in(clock, folder, kind):
    """It raises a transient error that names the keys, and leaves the entry as it is."""
    right, wrong = KEYS[kind]
    async with signed_in(clock, folder, right) as good:
        before = file_of(good, folder).read_bytes()
        bad = Rig(
            clock,
            grant=ALICE,
            sharing=PATIENT,
            store=aa.FileTokenStore(folder, keys=wrong, clock=clock),
        )
        for _ in range(3):
            with pytest.raises(aa.TransportError, match="encryption keys") as caught:
                await bad.get()
            clock.advance(400)

        assert not caught.value.is_permanent
        assert file_of(good, folder).read_bytes() == before
        assert {event.operation for event in bad.happened(StoreFailed)} == {"read"}
        clock.advance(3600)
        await good.get()
        assert presented(good) == ["first"]
        await bad.provider.aclose()


DAMAGE = {
    "truncated": lambda body: body[:-10],
    "empty": lambda body: b"",
    "of a newer version": lambda body: body.replace(b"aritma-auth 1", b"aritma-auth 2"),
    "of another program": lambda body: b'{"access_token": "a"}',
    "with a changed byte": lambda body: body[:-3] + bytes([body[-3] ^ 1]) + body[-2:],
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("keys", [None, ONE], ids=["plain", "encrypted"])
async def test_a_damaged_entry_is_an_outage_until_the_next_sign_in(clock, folder, kind, keys):
    """Nobody says "sign in again" because of it, and a new sign-in replaces it."""
    async with signed_in(clock, folder, keys) as first:
        path = file_of(first, folder)
    body = DAMAGE[kind](path.read_bytes())
    path.write_bytes(body)
    rig = Rig(
        clock, grant=ALICE, sharing=PATIENT, store=aa.FileTokenStore(folder, keys=keys, clock=clock)
    )
    with pytest.raises(aa.TransportError):
        await rig.get()
    assert path.read_bytes() == body

    await rig.provider.set_token(rig.client.make_token(refresh_token="second"))
    later = Rig(
        clock, grant=ALICE, sharing=PATIENT, store=aa.FileTokenStore(folder, keys=keys, clock=clock)
    )
    assert await later.get() == await rig.get()
    for each in (rig, later):
        await each.provider.aclose()


async def test_a_worker_with_the_wrong_key_serves_a_service_all_the_same(clock, folder):
    """client_credentials can be presented again: the worker gets a token of its own."""
    rigs = [
        Rig(clock, store=aa.FileTokenStore(folder, keys=keys, clock=clock)) for keys in (ONE, OTHER)
    ]
    for _ in range(3):
        for rig in rigs:
            assert (await rig.get()).startswith("token-")
        clock.advance(3600)
    for rig in rigs:
        await rig.provider.aclose()


@pytest.mark.parametrize("wrong", [OTHER, RENAMED], ids=["another key", "another name"])
async def test_a_worker_with_the_wrong_key_ends_no_sign_in_in_redis(open_store, server, wrong):
    """The entry in Redis is the same before and after."""
    async with open_store(server, keys=ONE) as right, open_store(server, keys=wrong) as left:
        good = Rig(SYSTEM_CLOCK, grant=ALICE, store=right)
        await good.provider.set_token(good.client.make_token(refresh_token="first"))
        key = token_key(good.client, ALICE)
        before = await right.load(key)
        bad = Rig(SYSTEM_CLOCK, grant=ALICE, store=left)
        with pytest.raises(aa.TransportError, match="encryption keys"):
            await bad.get()
        after, seen = await right.load(key), await left.load(key)

        assert (after.record, after.generation) == (before.record, before.generation)
        assert seen.problem is not None
        assert seen.token is None
        for rig in (good, bad):
            await rig.provider.aclose()
