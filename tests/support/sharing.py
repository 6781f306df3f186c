"""Providers that share a MemoryTokenStore: its one entry, its lease, and a store that cannot watch."""

from aritma_auth.stores.key import token_key
from support.stores import FailingStore, kept_in


class PollingStore(FailingStore):
    """A store whose engine does not tell of changes."""

    can_watch = False


def key_for(rig):
    """Return the key under which a provider's tokens are kept."""
    return token_key(rig.client, rig.grant)


def entry_of(store):
    """Return the only entry that the store keeps."""
    (entry,) = kept_in(store).values()
    return entry


def key_of(store):
    """Return the only key that the store keeps."""
    (key,) = kept_in(store)
    return key


async def hold_lease(store):
    """Let another process hold the lease of the only key."""
    return await store.acquire(key_of(store), seconds=30)
