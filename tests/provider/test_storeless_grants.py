"""Grants that take part in no store: their tokens stay in the process, whatever store is given."""

import pytest

import aritma_auth as aa
from aritma_auth.events import StoreFailed
from support.rig import SPENT, Rig
from support.stores import FailingStore

PASSWORD = aa.CustomGrant("password", {"username": "alice", "password": "right"})


def password_grant(password):
    with pytest.warns(DeprecationWarning):
        return aa.PasswordGrant("alice", password)


@pytest.mark.parametrize("end_user", [None, ""], ids=repr)
async def test_unnamed_end_users_never_share_a_token(clock, end_user):
    """A sign-in without openid has no subject: another worker must not serve the latest one."""
    store = aa.MemoryTokenStore()
    grant = aa.SignedInGrant(end_user)
    alice, bob, second_worker = (Rig(clock, grant=grant, store=store) for _ in range(3))
    for rig, name in ((alice, "alice"), (bob, "bob")):
        token = rig.client.make_token(refresh_token=f"refresh-{name}")
        await rig.provider.set_token(token)

    with pytest.raises(aa.ReauthenticationRequiredError):
        await second_worker.get()
    assert (await alice.provider.get_token()).refresh_token == "refresh-alice"
    assert (await bob.provider.get_token()).refresh_token == "refresh-bob"
    assert "0 tokens" in repr(store)


async def test_an_unnamed_sign_in_is_reported_at_construction(clock):
    """The event says what to give, so that nobody relies on a store that is not used."""
    rig = Rig(clock, grant=aa.SignedInGrant(), store=aa.MemoryTokenStore())

    (event,) = rig.happened(StoreFailed)
    assert event.operation == "identify"
    assert "no end_user" in event.error
    assert Rig(clock, grant=aa.SignedInGrant("alice"), store=aa.MemoryTokenStore()).events == []
    assert Rig(clock, grant=aa.SignedInGrant()).events == []


async def test_a_custom_grant_with_a_password_is_reported_by_its_own_name(clock):
    """A grant that cannot be presented again does need a store, so its absence is reported."""
    rig = Rig(clock, grant=PASSWORD, store=aa.MemoryTokenStore())

    (event,) = rig.happened(StoreFailed)
    assert event.operation == "identify"
    assert "this CustomGrant cannot say whose" in event.error


@pytest.mark.parametrize("store", ["/tmp/x", aa.MemoryTokenStore], ids=repr)
def test_a_pool_refuses_what_is_no_store_at_once(store):
    """The error comes when the pool is made, not with the first tenant."""
    with pytest.raises(aa.ConfigurationError, match=r"^store must be a TokenStore"):
        aa.TokenProviderPool.for_tenants("client", "secret", store=store)


async def test_unnamed_end_users_are_signed_out_alone(clock):
    """forget() of one unnamed end-user leaves every other one signed in."""
    store = aa.MemoryTokenStore()
    one, other = (Rig(clock, grant=aa.SignedInGrant(), store=store) for _ in range(2))
    for rig in (one, other):
        await rig.provider.set_token(rig.client.make_token(refresh_token="r"))
    await one.provider.forget()

    assert await other.get()


async def test_a_wrong_password_reaches_the_server(clock):
    """A token that the right password has brought says nothing of a wrong one."""
    store = aa.MemoryTokenStore()
    right, wrong = (
        Rig(clock, grant=password_grant(password), store=store) for password in ("right", "WRONG")
    )
    wrong.client.answers = [SPENT]
    await right.get()

    with pytest.raises(aa.InvalidGrantError):
        await wrong.get()
    assert wrong.client.requests == 1


@pytest.mark.parametrize("is_custom", [False, True])
async def test_each_provider_of_a_password_asks_the_server(clock, is_custom):
    """Every one of them, also after a restart, and in whichever class the grant comes."""
    store = aa.MemoryTokenStore()
    grants = [PASSWORD if is_custom else password_grant("right") for _ in range(2)]
    rigs = [Rig(clock, grant=grant, store=store) for grant in grants]
    for rig in rigs:
        await rig.get()

    assert [rig.client.requests for rig in rigs] == [1, 1]
    assert "0 tokens" in repr(store)


async def test_a_password_is_presented_instead_of_its_refresh_token(clock):
    """A store that is away does not matter to a grant that takes part in none."""
    store = FailingStore()
    rig = Rig(clock, grant=password_grant("secret"), store=store)
    rig.client.answers = [rig.client.make_token(refresh_token="second")]
    store.failing = {"load"}
    await rig.get()
    clock.advance(3600)
    await rig.get()

    assert rig.client.requests == 2
    assert rig.happened(StoreFailed) == []


@pytest.mark.parametrize(
    ("store", "given"),
    [
        ("/tmp/x", "str"),
        (b"/tmp/x", "bytes"),
        ({}, "dict"),
        (aa.MemoryTokenStore, "type"),
        (0, "int"),
    ],
    ids=repr,
)
def test_what_is_no_store_is_refused_at_construction(clock, store, given):
    """The error names the argument, what it must be and the type that was given."""
    with pytest.raises(aa.ConfigurationError, match=rf"^store must be a TokenStore.*type {given}$"):
        Rig(clock, store=store)


async def test_a_provider_whose_grant_is_nobodys_has_no_identity(clock):
    """What cannot be told apart is not shared: it has no key either."""
    nobodys = Rig(clock, grant=aa.SignedInGrant("")).provider
    alices = Rig(clock, grant=aa.SignedInGrant("alice")).provider

    assert nobodys.identity() is None
    assert alices.identity() == Rig(clock, grant=aa.SignedInGrant("alice")).provider.identity()
