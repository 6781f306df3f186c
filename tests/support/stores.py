"""Stores that a test steers, what it keeps in them, and a look into their memory."""

import contextlib
import time

import aritma_auth as aa
from aritma_auth.stores import Record
from support.internals import memory_of

KEY, OTHER_KEY = "0" * 32, "1" * 32
OLD = Record(aa.Token("old", refresh_token="old-refresh"), 1)
NEW = Record(aa.Token("new", refresh_token="new-refresh"), 2)
KEYS = aa.EncryptionKeys.generate()


OPERATIONS = {
    "load": lambda store, lease: store.load(KEY),
    "save": lambda store, lease: store.save(KEY, Record(fresh_token()), replaces=0),
    "acquire": lambda store, lease: store.acquire(KEY, seconds=9),
    "keep": lambda store, lease: lease.keep(),
    "release": lambda store, lease: lease.release(),
}
"""What can be done with a store and a lease of it."""


def fresh_token(text="one", *, age=0.0, lifetime=3600.0, **others):
    """Return a token that was issued some seconds ago by the machine's clock."""
    now = time.time() - age
    return aa.Token(text, issued_at=now, expires_at=now + lifetime, **others)


def full_token(now, *, extra):
    """Return a token that has everything a token can have, issued now for an hour."""
    return aa.Token(
        "access",
        "Bearer",
        expires_at=now + 3600,
        scope=("a", "b"),
        refresh_token="refresh",
        id_token="id",
        issued_at=now,
        extra=extra,
    )


def kept_in(store):
    """Return what a MemoryTokenStore keeps: entry by key."""
    return dict(memory_of(store).entries)


def put_in(store, key, entry):
    """Let a MemoryTokenStore keep an entry as another program would have written it."""
    memory_of(store).entries[key] = entry


def lose_memory(store):
    """Let a MemoryTokenStore forget everything, leases included, as a server that restarts empty."""
    memory = memory_of(store)
    for kept in (memory.entries, memory.writes, memory.leases):
        kept.clear()


class FailingStore(aa.MemoryTokenStore):
    """A store that fails at the operations a test names in ``failing``."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.failing = set()

    async def load(self, key):
        if "load" in self.failing:
            raise OSError("secret detail")
        return await super().load(key)

    async def save(self, key, record, *, replaces, fence=0):
        if "save" in self.failing or ("keep" in self.failing and record.redeeming_since is None):
            raise OSError("secret detail")
        if "conflict" in self.failing:
            return False
        return await super().save(key, record, replaces=replaces, fence=fence)

    async def acquire(self, key, *, seconds):
        if "lease" in self.failing:
            raise OSError("secret detail")
        return await super().acquire(key, seconds=seconds)


async def within_some_attempts(operation):
    """
    Return an operation's result once the store is back.

    A busy machine may need longer than the short time-out of a store whose server is to hang.
    """
    for _ in range(20):
        with contextlib.suppress(aa.StoreError):
            return await operation()
    return await operation()
