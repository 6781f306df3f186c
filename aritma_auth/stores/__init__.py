"""
Where tokens are kept beyond a provider's own memory: for other processes, and for the next start.

Four stores implement one contract, `TokenStore`. A store of your own needs `Record`, `Entry` and
`Lease`, and may use `dump_record`, `parse_record` and `EncryptionKeys` for the bytes that it keeps
(docs/how-to/write-a-store.md). Importing this package loads no optional dependency.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from aritma_auth.stores.contract import Entry, Lease, Record, SharedBackoff, TokenStore

if TYPE_CHECKING:
    from aritma_auth.stores.encryption import EncryptionKeys
    from aritma_auth.stores.file import FileTokenStore
    from aritma_auth.stores.keyring import KeyringTokenStore
    from aritma_auth.stores.memory import MemoryTokenStore
    from aritma_auth.stores.records import RecordError, dump_record, parse_record
    from aritma_auth.stores.redis import RedisTokenStore
    from aritma_auth.stores.signing_key import load_signing_key

__all__ = [
    "EncryptionKeys",
    "Entry",
    "FileTokenStore",
    "KeyringTokenStore",
    "Lease",
    "MemoryTokenStore",
    "Record",
    "RecordError",
    "RedisTokenStore",
    "SharedBackoff",
    "TokenStore",
    "dump_record",
    "load_signing_key",
    "parse_record",
]

_HOMES = {
    "EncryptionKeys": "encryption",
    "FileTokenStore": "file",
    "KeyringTokenStore": "keyring",
    "MemoryTokenStore": "memory",
    "RecordError": "records",
    "RedisTokenStore": "redis",
    "dump_record": "records",
    "load_signing_key": "signing_key",
    "parse_record": "records",
}


def __getattr__(name: str) -> object:
    # A provider without a store must not pay for importing four of them.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
