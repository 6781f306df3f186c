"""Signing out: what a provider, its pool and the other processes of its store forget."""

import asyncio

import pytest

import aritma_auth as aa
from support.fakes import FakeClient, settle
from support.rig import Rig, presented, rotated
from support.stores import FailingStore, kept_in, lose_memory

pytestmark = pytest.mark.usefixtures("no_leftovers")

ALICE = aa.SignedInGrant("alice")


@pytest.fixture
def store():
    return FailingStore()


def entry_of(store):
    (entry,) = kept_in(store).values()
    return entry


async def test_a_service_gets_another_token(clock):
    """Its grant may be presented as often as one likes."""
    rig = Rig(clock)
    await rig.get()
    await rig.provider.forget()

    assert rig.provider.peek() is None
    assert await rig.get() == "token-2"


@pytest.mark.parametrize("shared", [True, False])
async def test_the_end_user_must_sign_in_again(clock, store, shared):
    """Neither the refresh token nor what the sign-in began with is presented."""
    grant = aa.RefreshTokenGrant("first")
    rig = Rig(clock, grant=grant, store=store if shared else None)
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    await rig.provider.forget()

    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()
    await rig.provider.set_token(rotated(rig, refresh_token="third"))
    assert await rig.get() == "token-2"
    assert presented(rig) == []


async def test_nobody_brings_a_forgotten_token_back(clock, store):
    """A process that still knows the token learns of its end at the next refresh."""
    one, other = (Rig(clock, grant=ALICE, store=store) for _ in range(2))
    await one.provider.set_token(rotated(one, refresh_token="second"))
    await other.get()
    await one.provider.forget()
    clock.advance(3600)
    with pytest.raises(aa.ReauthenticationRequiredError):
        await other.get()

    assert entry_of(store).token is None
    assert presented(other) == []


async def test_the_next_sign_in_counts_for_all(clock, store):
    """Also if the store has forgotten that there was another."""
    one, other, third = (Rig(clock, grant=ALICE, store=store) for _ in range(3))
    for rig in (one, other):
        await rig.provider.set_token(rotated(rig, refresh_token="old"))
    lose_memory(store)
    clock.advance(3600)
    third.client.made = 9
    await third.provider.set_token(rotated(third, refresh_token="new"))

    assert await other.get() == await third.get()
    assert presented(other) == []


@pytest.mark.parametrize("trouble", ["load", "save", "conflict"])
async def test_a_store_that_has_not_forgotten_is_told(clock, store, trouble):
    """The caller gets the error; here the token is forgotten, and is not adopted again."""
    rig = Rig(clock, grant=ALICE, store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    clock.advance(10)
    store.failing = {trouble}
    with pytest.raises(aa.StoreError, match="forget it again"):
        await rig.provider.forget()
    store.failing = set()
    clock.advance(10)

    assert rig.provider.peek() is None
    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()
    await rig.provider.forget()
    assert entry_of(store).token is None


async def test_a_refresh_under_way_is_cut_off(clock):
    """A caller that waits for it gets the token of the next refresh."""
    rig = Rig(clock)
    rig.client.hold()
    waiting = asyncio.create_task(rig.get())
    await settle()
    await rig.provider.forget()

    assert await waiting == "token-1"


async def test_an_exchange_under_way_is_waited_for(clock, store):
    """The successor that the exchange brings is forgotten too."""
    rig = Rig(clock, grant=ALICE, store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    clock.advance(3600)
    answer = rig.client.hold()
    waiting = asyncio.create_task(rig.get())
    await settle()
    leaving = asyncio.create_task(rig.provider.forget())
    await settle()
    is_leaving = not leaving.done()
    answer.set_result(rotated(rig, refresh_token="third"))
    await asyncio.gather(waiting, leaving)

    assert is_leaving
    assert entry_of(store).token is None
    assert rig.provider.peek() is None


async def test_a_closed_provider_forgets_nothing(clock):
    """A closed provider's forget() raises ProviderClosedError."""
    rig = Rig(clock)
    await rig.provider.aclose()

    with pytest.raises(aa.ProviderClosedError):
        await rig.provider.forget()


def pool_of(clock, store):
    return aa.TokenProviderPool(
        lambda person: Rig(clock, grant=aa.SignedInGrant(person), store=store).provider
    )


async def test_a_pool_forgets_a_key_and_its_provider(clock, store):
    """A key that the pool did not hold is forgotten as well."""
    pool = pool_of(clock, store)
    rig = Rig(clock, grant=ALICE, store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    await pool.forget("alice")

    assert len(pool) == 0
    assert entry_of(store).token is None


async def test_a_forgotten_key_never_has_two_providers(clock, store):
    """A reference to the first provider is still alive, so it is found again."""
    pool = pool_of(clock, store)
    held = pool.provider("alice")
    await pool.forget("alice")

    assert pool.provider("alice") is held


async def test_a_pool_keeps_the_provider_that_knows_better_than_its_store(clock, store):
    """A new one would take the token back."""
    pool = pool_of(clock, store)
    held = pool.provider("alice")
    store.failing = {"load"}
    with pytest.raises(aa.StoreError):
        await pool.forget("alice")

    assert len(pool) == 1
    assert pool.provider("alice") is held


async def test_a_pool_that_was_emptied_meanwhile_is_left_alone(clock, store):
    """The pool was closed while a key was being forgotten."""
    pool = pool_of(clock, store)
    load, closing = store.load, []

    async def load_late(key):
        if not closing:
            closing.append(pool.aclose())
            await closing[0]
        return await load(key)

    store.load = load_late
    await pool.forget("alice")

    assert len(pool) == 0


class RevokingClient(FakeClient):
    """A client that can revoke tokens."""

    def __init__(self, clock):
        super().__init__(clock)
        self.revoked = []
        self.failure = None

    async def revoke(self, token):
        if self.failure is not None:
            raise self.failure
        self.revoked.append(token.refresh_token or token.access_token)


def revoking(clock, store=None, grant=ALICE):
    client = RevokingClient(clock)
    return client, aa.TokenProvider(client, grant, store=store, clock=clock, on_event=None)


@pytest.mark.parametrize("shared", [True, False])
async def test_signing_out_revokes_and_forgets(clock, store, shared):
    """The refresh token ends at the server, here and in the store."""
    client, provider = revoking(clock, store if shared else None)
    await provider.set_token(client.make_token(refresh_token="second"))
    assert await provider.sign_out() is True

    assert await provider.sign_out() is False
    assert client.revoked == ["second"]
    with pytest.raises(aa.ReauthenticationRequiredError):
        await provider.get_token()
    assert not shared or entry_of(store).token is None


async def test_signing_out_revokes_what_another_process_has_stored(clock, store):
    """The store's token is newer than this process's, which may have none."""
    rig = Rig(clock, grant=ALICE, store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    client, provider = revoking(clock, store)
    await provider.sign_out()

    assert client.revoked == ["second"]
    assert entry_of(store).token is None


@pytest.mark.parametrize("shared", [True, False])
async def test_signing_out_without_a_token_revokes_nothing(clock, store, shared):
    """There may have been no sign-in."""
    client, provider = revoking(clock, store if shared else None)
    await provider.sign_out()

    assert client.revoked == []


async def test_a_service_revokes_its_access_token(clock):
    """Its grant gets another token afterwards."""
    client, provider = revoking(clock, grant=aa.ClientCredentialsGrant())
    await provider.get_token()
    await provider.sign_out()

    assert client.revoked == ["token-1"]
    assert (await provider.get_token()).access_token == "token-2"


async def test_a_token_that_cannot_be_revoked_is_forgotten_all_the_same(clock, store):
    """The caller gets the error, and the end-user is signed out here."""
    client, provider = revoking(clock, store)
    await provider.set_token(client.make_token(refresh_token="second"))
    client.failure = aa.TransportError("down")
    with pytest.raises(aa.TransportError):
        await provider.sign_out()

    assert provider.peek() is None
    assert entry_of(store).token is None


@pytest.mark.parametrize("shared", [True, False])
async def test_signing_out_where_there_is_no_revocation_ends_well(clock, store, caplog, shared):
    """The token is forgotten here and in the store, and one line says that the server has it yet."""
    client = RevokingClient(clock)
    provider = aa.TokenProvider(client, ALICE, store=store if shared else None, clock=clock)
    await provider.set_token(client.make_token(refresh_token="second"))
    client.failure = aa.EndpointMissingError("the server must have revocation_endpoint")
    caplog.set_level("INFO")
    caplog.clear()

    assert await provider.sign_out() is False
    assert provider.peek() is None
    assert not shared or entry_of(store).token is None
    (record,) = caplog.records
    assert "not revoked: the server offers no revocation [" in record.getMessage()
    assert record.aritma_is_revocable is False


async def test_signing_out_revokes_the_successor_of_an_exchange_under_way(clock):
    """A refresh that is under way brings the token that must be revoked."""
    client, provider = revoking(clock)
    await provider.set_token(client.make_token(refresh_token="second"))
    clock.advance(3600)
    answer = client.hold()
    caller = asyncio.ensure_future(provider.get_token())
    await settle()
    leaving = asyncio.ensure_future(provider.sign_out())
    await settle()
    answer.set_result(client.make_token(refresh_token="third"))
    await asyncio.wait((caller, leaving))

    assert leaving.exception() is None
    assert client.revoked == ["third"]


async def test_a_client_that_cannot_revoke_only_forgets(clock):
    """A TokenSource need not be able to."""
    rig = Rig(clock, grant=ALICE)
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    await rig.provider.sign_out()

    with pytest.raises(aa.ReauthenticationRequiredError):
        await rig.get()


async def test_a_closed_provider_signs_nobody_out(clock):
    """It raises ProviderClosedError, as all of its methods do."""
    _, provider = revoking(clock)
    await provider.aclose()

    with pytest.raises(aa.ProviderClosedError):
        await provider.sign_out()


async def test_signing_out_while_the_store_is_away_revokes_what_is_known(clock, store):
    """The caller gets the StoreError: the store may have the token still."""
    client, provider = revoking(clock, store)
    await provider.set_token(client.make_token(refresh_token="second"))
    store.failing = {"load"}
    with pytest.raises(aa.StoreError):
        await provider.sign_out()

    assert client.revoked == ["second"]
