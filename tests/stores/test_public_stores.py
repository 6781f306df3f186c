"""The public surface of ``aritma_auth.stores``, and what importing it costs."""

import subprocess
import sys

import pytest

import aritma_auth as aa
from aritma_auth import stores

HEAVY = ["redis", "cryptography", "filelock", "platformdirs", "keyring", "joserfc"]


def test_the_names_are_sorted_and_loadable():
    """Each name leads to something of the package, and dir() lists them."""
    assert stores.__all__ == sorted(stores.__all__)
    assert dir(stores) == stores.__all__
    for name in stores.__all__:
        assert getattr(stores, name).__module__.startswith("aritma_auth.stores.")


def test_what_a_stores_author_needs_is_there():
    """The contract, the four stores, and the reading and writing of records."""
    assert set(stores.__all__) >= {
        *("TokenStore", "Record", "Entry", "Lease", "SharedBackoff"),
        *("MemoryTokenStore", "FileTokenStore", "KeyringTokenStore", "RedisTokenStore"),
        *("EncryptionKeys", "dump_record", "parse_record", "RecordError"),
    }
    assert aa.Record is stores.Record
    assert issubclass(stores.RecordError, aa.StoreError)


def test_an_unknown_name_is_an_attribute_error():
    """The error names the module and the name."""
    with pytest.raises(AttributeError, match=r"aritma_auth\.stores.*no attribute 'nonsense'"):
        _ = stores.nonsense


@pytest.mark.parametrize(
    "code",
    [
        "import aritma_auth.stores",
        "from aritma_auth.stores import MemoryTokenStore; MemoryTokenStore()",
        "from aritma_auth.stores import RedisTokenStore, FileTokenStore, KeyringTokenStore",
        "from aritma_auth.stores import EncryptionKeys, dump_record, parse_record",
    ],
    ids=["the package", "a store in memory", "the other stores", "records"],
)
def test_importing_stores_loads_no_optional_dependency(code):
    """A service without a store pays for none, and one with a store for that alone."""
    check = f"{code}\nimport sys\nloaded = [name for name in {HEAVY} if name in sys.modules]"
    subprocess.run([sys.executable, "-c", f"{check}\nassert not loaded, loaded"], check=True)


def test_importing_the_package_of_stores_loads_no_store():
    """Not even the contract is loaded before one of its names is used."""
    code = (
        "import sys, aritma_auth.stores\n"
        "loaded = {name for name in sys.modules if name.startswith('aritma_auth.stores.')}\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
