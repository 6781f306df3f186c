"""Arguments of a RedisTokenStore: what is refused, and what is shown."""

import subprocess
import sys

import pytest
import redis as redis_py
import redis.asyncio

import aritma_auth as aa
from support.stores import KEYS

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
async def store(server, open_store):
    async with open_store(server) as store:
        yield store


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:6379",
        "redis://",
        "rediss:/0",
        "redis://[::1",
        "redis://localhost:port",
        "http://localhost",
        "unix:///run/redis.sock",
        "redis://localhost/zero",
        "redis://localhost/-1",
        "redis://localhost/²",
        "redis://redis.example",
        "redis://10.0.0.7:6379/0",
        "rediss://localhost?ssl_cert_reqs=none",
        "rediss://localhost?socket_timeout=20",
        "rediss://localhost?db=1",
    ],
)
def test_a_url_that_cannot_be_right_is_refused(url, open_store, canary):
    """The URL is not shown, since it may hold a password."""
    url = url.replace("://", f"://user:{canary.text}@")
    with pytest.raises(aa.ConfigurationError, match=r"rediss://|ssl_ca_certs") as caught:
        open_store(url)
    canary.assert_hidden(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost", "localhost:6379/0"),
        ("redis://127.0.0.2:1234", "127.0.0.2:1234/0"),
        ("redis://[::1]/3", "::1:6379/3"),
        ("rediss://user:password@redis.example:6380/12", "redis.example:6380/12"),
    ],
)
def test_a_store_shows_where_its_server_is(url, shown):
    """The repr shows the server's address and no user."""
    assert repr(aa.RedisTokenStore(url, keys=KEYS)) == f"<RedisTokenStore 'aa' at {shown}>"


def test_plaintext_to_other_machines_must_be_allowed(open_store):
    """A trusted network can be allowed explicitly."""
    assert "redis.example" in repr(open_store("redis://redis.example", allow_plaintext=True))


@pytest.mark.parametrize("prefix", ["", "a b", "{a}", "a}", "a\n"])
def test_a_prefix_that_cannot_be_one_is_refused(prefix):
    """Braces would move the names of all entries into one slot, or of one entry into several."""
    with pytest.raises(aa.ConfigurationError, match="prefix"):
        aa.RedisTokenStore("redis://localhost", keys=KEYS, prefix=prefix)


@pytest.mark.parametrize("keys", [None, b"k" * 32, {"1": b"k" * 32}])
def test_there_is_no_store_without_encryption_keys(keys, canary):
    """The error says how to make a key."""
    with pytest.raises(aa.ConfigurationError, match="token_urlsafe") as caught:
        aa.RedisTokenStore(f"redis://user:{canary.text}@localhost", keys=keys)
    canary.assert_hidden(caught.value)


@pytest.mark.parametrize(
    ("client", "settings", "words"),
    [
        (redis_py.Redis(), {}, "redis.asyncio"),
        (object(), {}, "redis.asyncio"),
        (redis.asyncio.Redis(), {"password": aa.Secret("x")}, "must go with a URL"),
        (redis.asyncio.Redis(), {"allow_plaintext": True}, "must go with a URL"),
    ],
    ids=["sync", "object", "password", "plaintext"],
)
def test_a_client_that_cannot_be_used_is_refused(client, settings, words):
    """A client of the wrong kind is refused, and so are settings that a client already has."""
    with pytest.raises(aa.ConfigurationError, match=words):
        aa.RedisTokenStore(client, keys=KEYS, **settings)


async def test_a_client_that_cannot_subscribe_is_polled():
    """A client of the caller's own kind, which only runs commands, is not watched."""

    class Commands:
        async def execute_command(self, *_command, **_options):
            return None

    assert not aa.RedisTokenStore(Commands(), keys=KEYS).can_watch
    assert aa.RedisTokenStore(redis.asyncio.Redis(), keys=KEYS).can_watch


def test_the_error_names_the_extra(monkeypatch):
    """The error names the extra instead of a foreign module."""
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(aa.ConfigurationError, match=r"aritma-auth\[redis\]"):
        aa.RedisTokenStore("redis://localhost", keys=KEYS)


def test_redis_is_imported_when_a_store_is_made():
    """Importing redis-py takes longer than everything else together."""
    code = "import sys, aritma_auth; aritma_auth.RedisTokenStore; assert 'redis' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
