"""One private key for all who share a store."""

import asyncio

import pytest

import aritma_auth as aa
from aritma_auth.errors import StoreError
from aritma_auth.protocol.tokens import Token
from aritma_auth.stores import Entry, Record, load_signing_key
from aritma_auth.stores.key import token_key
from support.stores import KEY, KEYS


async def test_every_process_gets_the_key_of_the_first(tmp_path):
    """Two stores over one folder, and a third that opens later, load the same private key."""
    stores = [aa.FileTokenStore(tmp_path, keys=KEYS) for _ in range(3)]
    one, two = await asyncio.gather(*(load_signing_key(s, "payments") for s in stores[:2]))
    later = await load_signing_key(stores[2], "payments", algorithm="PS256")

    assert one == two == later
    assert one.to_jwk() == later.to_jwk()
    assert one.algorithm == "ES256"
    assert await load_signing_key(stores[0], "other") != one


async def test_a_process_that_is_overtaken_takes_the_other_key():
    """Compare and swap decides which of two new keys counts."""
    store = aa.MemoryTokenStore()
    faster = await load_signing_key(store, "payments")

    class Late:
        """Finds nothing at its first look."""

        can_watch, acquire, watch = False, store.acquire, store.watch
        looks = 0

        async def load(self, key):
            self.looks += 1
            return None if self.looks == 1 else await store.load(key)

        async def save(self, key, record, *, replaces, fence=0):
            return await store.save(key, record, replaces=replaces, fence=fence)

    assert await load_signing_key(Late(), "payments") == faster


async def test_a_key_that_cannot_be_read_is_not_replaced(tmp_path):
    """Tokens may be bound to it: the error says so, and the entry stays."""
    one = await load_signing_key(aa.FileTokenStore(tmp_path, keys=KEYS), "payments")
    with pytest.raises(StoreError, match="signing key 'payments' cannot be read"):
        await load_signing_key(aa.FileTokenStore(tmp_path), "payments")

    assert await load_signing_key(aa.FileTokenStore(tmp_path, keys=KEYS), "payments") == one


@pytest.mark.parametrize(
    "entry",
    [
        None,
        Entry(Record()),
        Entry(Record(Token("a-token"))),
        Entry(Record(Token("no key", "N_A"))),
    ],
)
async def test_what_is_no_key_is_refused_without_showing_it(entry):
    """An entry of another kind is the store's fault, not a reason to make a new key."""

    class Odd:
        can_watch = False
        looks = 0

        async def load(self, key):
            self.looks += 1
            return None if self.looks == 1 and entry is None else entry

        async def save(self, key, record, *, replaces, fence=0):
            return False

        async def acquire(self, key, *, seconds): ...

        async def watch(self, key, *, generation): ...

    with pytest.raises(StoreError, match="it is no key") as caught:
        await load_signing_key(Odd(), "payments")
    assert caught.value.__context__ is None
    assert KEY not in str(caught.value)


async def fail(*_arguments, **_settings):
    raise KeyError("canary")


async def be_cancelled(*_arguments, **_settings):
    raise asyncio.CancelledError


async def hang(*_arguments, **_settings):
    await asyncio.Event().wait()


@pytest.mark.parametrize("operation", ["load", "save"])
@pytest.mark.parametrize(
    ("behave", "said"),
    [(hang, "within 0.05 s"), (fail, "KeyError"), (be_cancelled, "CancelledError")],
    ids=["hangs", "raises", "is cancelled"],
)
async def test_a_store_that_cannot_be_used_is_a_store_error(monkeypatch, operation, behave, said):
    """A key is needed before anything can be sent: the program is told so in time."""
    monkeypatch.setattr("aritma_auth.stores.signing_key._USED_WITHIN", 0.05)
    store = aa.MemoryTokenStore()
    setattr(store, operation, behave)
    with pytest.raises(
        StoreError, match=f"'payments' cannot be had from the store: .*{said}"
    ) as it:
        await load_signing_key(store, "payments")

    assert "canary" not in str(it.value)


async def test_a_stores_own_error_passes():
    """It says better what is wrong."""
    store = aa.MemoryTokenStore()

    async def load(_key):
        raise aa.StoreError("the disk is full")

    store.load = load
    with pytest.raises(StoreError, match=r"^the disk is full$"):
        await load_signing_key(store, "payments")


async def test_wrong_arguments_are_named():
    """The store must be one, the name a text, and the algorithm known."""
    store = aa.MemoryTokenStore()
    for arguments, says in (
        ((None, "n"), "store must be a TokenStore"),
        ((5, "n"), "store must be a TokenStore"),
        ((store, ""), "name must be a text"),
        ((store, 5), "name must be a text"),
    ):
        with pytest.raises(aa.ConfigurationError, match=says):
            await load_signing_key(*arguments)
    with pytest.raises(aa.ConfigurationError, match="algorithm must be one of"):
        await load_signing_key(store, "n", algorithm="HS256")


def test_tokens_of_two_keys_share_no_entry():
    """The thumbprint is part of a stored token's identity; without a key nothing changes."""
    grant = aa.ClientCredentialsGrant("api")
    keys = [aa.SigningKey.generate() for _ in range(2)]
    clients = [
        aa.OAuthClient("id", "secret", dpop=None if key is None else aa.DPoP(key))
        for key in (None, *keys)
    ]

    assert len({token_key(client, grant) for client in clients}) == 3
    again = aa.OAuthClient("id", "other", dpop=aa.DPoP(aa.SigningKey(keys[0].to_jwk())))
    assert token_key(again, grant) == token_key(clients[1], grant)
