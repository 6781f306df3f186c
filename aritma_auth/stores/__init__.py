"""
Where tokens are kept beyond a provider's own memory: for other processes, and for the next start.

Four stores implement one contract, `TokenStore`. A store of your own needs `Record`, `Entry` and
`Lease`, and may use `dump_record`, `parse_record` and `EncryptionKeys` for the bytes that it keeps
(docs/how-to/write-a-store.md). A name is loaded when it is first used: a provider without a store
must not pay for four of them.
"""

from typing import TYPE_CHECKING

from aritma_auth.runtime.lazy_names import lazy_names

_HOMES = {
    "contract": ("Entry", "Lease", "PairedOperations", "Record", "SharedBackoff", "TokenStore"),
    "encryption": ("EncryptionKeys",),
    "file": ("FileTokenStore",),
    "keyring": ("KeyringTokenStore",),
    "memory": ("MemoryTokenStore",),
    "records": ("RecordError", "dump_record", "parse_record"),
    "redis": ("RedisTokenStore",),
    "signing_key": ("load_signing_key",),
}

if TYPE_CHECKING:
    from aritma_auth.stores.contract import Entry as Entry
    from aritma_auth.stores.contract import Lease as Lease
    from aritma_auth.stores.contract import PairedOperations as PairedOperations
    from aritma_auth.stores.contract import Record as Record
    from aritma_auth.stores.contract import SharedBackoff as SharedBackoff
    from aritma_auth.stores.contract import TokenStore as TokenStore
    from aritma_auth.stores.encryption import EncryptionKeys as EncryptionKeys
    from aritma_auth.stores.file import FileTokenStore as FileTokenStore
    from aritma_auth.stores.keyring import KeyringTokenStore as KeyringTokenStore
    from aritma_auth.stores.memory import MemoryTokenStore as MemoryTokenStore
    from aritma_auth.stores.records import RecordError as RecordError
    from aritma_auth.stores.records import dump_record as dump_record
    from aritma_auth.stores.records import parse_record as parse_record
    from aritma_auth.stores.redis import RedisTokenStore as RedisTokenStore
    from aritma_auth.stores.signing_key import load_signing_key as load_signing_key
else:
    # A type checker that sees __getattr__ takes any misspelled name for a public one.
    __all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)
