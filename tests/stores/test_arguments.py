"""Wrong arguments of stores: refused at construction, by name, with what each must be."""

import os
import pwd
import traceback
from pathlib import Path

import platformdirs
import pytest
import redis.asyncio

import aritma_auth as aa
from aritma_auth.stores import Record
from support.keyrings import DictKeyring
from support.wrong_kinds import refuse_all

KEY = b"k" * 32
KEYS = aa.EncryptionKeys({"1": KEY})


def file_store(path=None, **settings):
    return lambda: aa.FileTokenStore(path, **settings)


def redis_store(server="redis://localhost", **settings):
    return lambda: aa.RedisTokenStore(server, **{"keys": KEYS} | settings)


def keyring_store(**settings):
    return lambda: aa.KeyringTokenStore(**{"keyring": DictKeyring()} | settings)


WRONG = {
    "a number as path": (file_store(42), r"^path must be the path of a folder.*type int$"),
    "bytes as path": (file_store(b"/tmp"), r"^path must be .*type bytes$"),
    "an empty path": (file_store(""), r"^path must be the path of a folder: it is empty$"),
    "a path of half a character": (
        file_store("a\ud800"),
        r"^path must be the path of a folder: no file can be named so",
    ),
    "a path with NUL": (
        file_store("a\0b"),
        r"^path must be the path of a folder: no file can be named so",
    ),
    "a key alone": (file_store("/tmp/x", keys=KEY), r"^keys must be EncryptionKeys.*type bytes$"),
    "a key as text": (file_store("/tmp/x", keys="secret"), r"^keys must be .*type str$"),
    "keys in a dict": (file_store("/tmp/x", keys={"1": KEY}), r"^keys must be .*type dict$"),
    "no clock": (file_store("/tmp/x", clock=print), r"^clock must be a Clock.*type"),
    "no keys for Redis": (redis_store(keys=None), r"^keys must be .*token_urlsafe.*is None$"),
    "a key for Redis": (redis_store(keys="secret"), r"^keys must be .*type str$"),
    "a number as server": (redis_store(42), r"^server must be a rediss:// URL.*type int$"),
    "a class as server": (redis_store(redis.asyncio.Redis), r"^server must be .*type \w+$"),
    "bytes as URL": (redis_store(b"redis://localhost"), r"^server must be .*type bytes$"),
    "no URL": (redis_store("/run/redis.sock"), r"^server must be a URL .* begins with neither"),
    "no host": (redis_store("redis://"), r"^server must be a URL .*; it names no host"),
    "no database": (
        redis_store("redis://[::1]/x"),
        r"^server must be .* its database is no number",
    ),
    "a time-out in words": (redis_store(timeout="1"), r"^timeout must be .*type str$"),
    "no time at all": (redis_store(timeout=0), r"^timeout must be .*more than 0, not 0$"),
    "a retention in words": (redis_store(retention="1 day"), r"^retention must be .*type str$"),
    "an endless lifetime": (
        redis_store(default_lifetime=float("inf")),
        r"^default_lifetime must be a number of seconds, more than 0, not inf$",
    ),
    "no prefix": (redis_store(prefix=None), r"^prefix must be a short word.*is None$"),
    "a prefix in braces": (redis_store(prefix="{a}"), r"^prefix must be .*, not '\{a\}'$"),
    "a number as password": (redis_store(password=1234), r"^password must be a Secret.*type int$"),
    "no clock for Redis": (redis_store(clock=12.5), r"^clock must be a Clock.*type float$"),
    "no clock in memory": (lambda: aa.MemoryTokenStore(clock=0), r"^clock must be .*type int$"),
    "no service": (keyring_store(service=None), r"^service must be a name.*is None$"),
    "an empty service": (keyring_store(service=""), r"^service must be a name.*not ''$"),
    "no keyring": (keyring_store(keyring=object()), r"^keyring must be a backend.*type object$"),
    "a keyring's class": (keyring_store(keyring=DictKeyring), r"^keyring must be .*type type$"),
    "a number as folder": (keyring_store(lock_folder=1), r"^lock_folder must be .*type int$"),
    "keys in a list": (lambda: aa.EncryptionKeys([KEY]), r"^keys must be keys by name.*type list$"),
    "a key without a name": (lambda: aa.EncryptionKeys(KEY), r"^keys must be .*type bytes$"),
    "a number as key": (lambda: aa.EncryptionKeys({"1": 42}), r"^encryption key '1' must be 32"),
    "no key": (lambda: aa.EncryptionKeys({"1": None}), r"^encryption key '1' must be 32 random"),
    "a number as name": (
        lambda: aa.EncryptionKeys({1: KEY}),
        r"^the name of an encryption key must",
    ),
    "no keys at all": (lambda: aa.EncryptionKeys({}), r"^keys must hold at least one"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_is_refused_by_name(name):
    """The error names the argument, what it must be, and the type or harmless value given."""
    make, words = WRONG[name]
    with pytest.raises(aa.ConfigurationError, match=words) as caught:
        make()
    # An error reporter shows the half-made store among the locals.
    traceback.TracebackException.from_exception(caught.value, capture_locals=True)


OPERATIONS = {
    "load": {"key": ("k", str)},
    "save": {
        "key": ("k", str),
        "record": (Record(), Record),
        "replaces": (0, int),
        "fence": (0, int),
    },
    "acquire": {"key": ("k", str), "seconds": (1.0, (int, float))},
    "watch": {"key": ("k", str), "generation": (1, int)},
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", ["memory", "file", "redis"])
async def test_a_wrong_argument_of_an_operation_is_refused_by_name(kind, operation, tmp_path):
    """A test of a caller's own learns what it has mixed up, and not from inside of the store."""
    store = {
        "memory": aa.MemoryTokenStore,
        "file": file_store(tmp_path),
        "redis": redis_store("redis://127.0.0.1:1"),
    }[kind]()

    await refuse_all(getattr(store, operation), OPERATIONS[operation], tries_right=False)


STORES = {
    "memory": aa.MemoryTokenStore,
    "file": file_store("/nonexistent/aritma"),
    "redis": redis_store("redis://127.0.0.1:1"),
}


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("key", ["a\ud800", "\udfff", "\ude00\ud83d"], ids=ascii)
async def test_the_name_of_an_entry_can_be_encoded(kind, key):
    """Half a character can be no part of a file's name or of a key in Redis."""
    store = STORES[kind]()
    for work in (
        store.load(key),
        store.save(key, Record(), replaces=0),
        store.acquire(key, seconds=1),
        store.watch(key, generation=0),
    ):
        with pytest.raises(aa.ConfigurationError, match="lone surrogate"):
            await work


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
async def test_a_lease_is_for_some_time(kind, seconds):
    """One that has ended as it begins would keep nobody out, and one without end everybody."""
    with pytest.raises(aa.ConfigurationError, match=r"^seconds must be .*more than 0"):
        await STORES[kind]().acquire("k", seconds=seconds)


@pytest.mark.parametrize(
    "name", ["server", "URL", "text", "bytes", "password", "keys", "file keys", "key"]
)
def test_a_refused_argument_is_not_shown(name, canary):
    """A secret in the wrong place shows neither in the error nor in its traceback."""
    make = {
        "server": redis_store(canary.text),
        "URL": redis_store(f"redis://:{canary.text}%0A@localhost"),
        "text": redis_store(password=f"{canary.text}\n"),
        "bytes": redis_store(f"redis://:{canary.text}@localhost".encode()),
        "file keys": file_store(keys=canary.text.encode()),
        "password": redis_store(password=canary.text.encode()),
        "keys": redis_store(keys=canary.text),
        "key": lambda: aa.EncryptionKeys({"1": canary.text}),
    }[name]
    with pytest.raises(aa.ConfigurationError) as caught:
        make()

    canary.assert_hidden(caught.value)


def test_a_password_in_clear_becomes_a_secret(canary):
    """A RedisTokenStore takes the text of a password, as a client takes that of a secret."""
    store = aa.RedisTokenStore("redis://localhost", keys=KEYS, password=canary.text)

    canary.assert_hidden(store)


@pytest.fixture
def homeless(monkeypatch):
    """Make this user one without HOME and without an entry in the user database."""

    def unknown(uid):
        raise KeyError(uid)

    for name in ("HOME", "XDG_STATE_HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.parametrize(
    ("make", "argument"),
    [(file_store(), "path"), (keyring_store(), "lock_folder")],
    ids=["file", "keyring"],
)
def test_a_user_without_a_home_directory_must_name_a_folder(homeless, make, argument):
    """The error is ours and says what to give; a container often runs as such a user."""
    with pytest.raises(
        aa.ConfigurationError, match=rf"^{argument} must be given.*no home directory"
    ):
        make()


@pytest.mark.parametrize("variable", ["HOME", "XDG_STATE_HOME"])
def test_a_relative_home_is_no_home(homeless, monkeypatch, variable):
    """Tokens must not end up in whatever folder the program happens to run in."""
    monkeypatch.setenv(variable, "somewhere")

    with pytest.raises(aa.ConfigurationError, match="no home directory"):
        aa.FileTokenStore()


def test_a_home_that_was_not_expanded_is_no_home(monkeypatch):
    """Some versions of platformdirs return the tilde as it is."""
    monkeypatch.setattr(
        platformdirs, "user_state_path", lambda name, **settings: Path("~/.local/state") / name
    )

    with pytest.raises(aa.ConfigurationError, match="no home directory"):
        aa.FileTokenStore()


def test_a_user_without_a_home_directory_may_name_a_folder(homeless, tmp_path):
    """A given folder needs no home directory."""
    assert str(tmp_path) in repr(aa.FileTokenStore(tmp_path))
    assert str(tmp_path) in repr(aa.FileTokenStore(Path(os.fspath(tmp_path))))
