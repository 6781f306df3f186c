"""Servers, disks and keyrings that repeat secrets in their errors: nothing of it shows."""

import asyncio
import base64
import contextlib
import errno
import json
import os
import secrets
import string
from urllib.parse import quote, quote_plus

import pytest

import aritma_auth as aa
from aritma_auth.stores import Record
from support.clock import FakeClock
from support.keyrings import DictKeyring
from support.rig import Rig
from support.stores import KEY, KEYS, fresh_token

pytestmark = pytest.mark.usefixtures("no_leftovers")

SPELLINGS = {
    "raw": str,
    "in capitals": str,
    "form-encoded": quote_plus,
    "percent-encoded": lambda text: quote(text, safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "as JSON": json.dumps,
    "in a header": lambda text: f"Authorization: Bearer {text}",
}
REPLIES = {
    "as the code": "-{}",
    "after a code": "-ERR unknown command {}",
    "after a code of a kind": "-WRONGPASS invalid password {}",
    "after an unknown code": "-ODD {}",
    "as a status": "+{}",
    "as an integer": ":{}",
    "of an unknown type": "?{}",
}


class Echo:
    """A secret in one spelling, which may show nowhere."""

    def __init__(self, spelling, canary):
        # A code of Redis is one word in capitals: so may a password be.
        letters = "".join(secrets.choice(string.ascii_uppercase) for _ in range(20))
        self.secret = letters if spelling == "in capitals" else f"{canary.text} +/=&ü"
        self.text = SPELLINGS[spelling](self.secret)
        self.canary = canary

    def assert_hidden(self, *things):
        for text in {self.text, self.secret}:
            hidden = type(self.canary)()
            hidden.text = text
            hidden.assert_hidden(*things)


@pytest.fixture(params=SPELLINGS)
def echo(request, canary):
    return Echo(request.param, canary)


@contextlib.asynccontextmanager
async def repeating(reply):
    """Serve a Redis that replies the same to every command."""

    async def serve(reader, writer):
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                writer.write(reply.encode() + b"\r\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("reply", REPLIES)
async def test_what_a_redis_server_repeats_shows_nowhere(echo, reply, caplog):
    """Neither in an error, nor in its traceback with locals, nor in an event or the log."""
    async with repeating(REPLIES[reply].format(echo.text)) as port:
        store = aa.RedisTokenStore(
            f"redis://user@127.0.0.1:{port}", keys=KEYS, password=aa.Secret("x"), timeout=1
        )
        async with store:
            rig = Rig(FakeClock(), store=store)
            await rig.get()
            token = fresh_token(echo.secret, refresh_token=echo.secret)
            for operation in (
                lambda: store.load(KEY),
                lambda: store.save(KEY, Record(token), replaces=0),
                lambda: store.acquire(KEY, seconds=1),
            ):
                with pytest.raises(aa.StoreError) as caught:
                    await operation()
                echo.assert_hidden(caught.value)
                assert caught.value.__cause__ is None
            await rig.provider.aclose()

    echo.assert_hidden(*rig.events, store)
    assert rig.events
    assert echo.text not in caplog.text


async def test_what_a_keyring_repeats_shows_nowhere(echo, tmp_path, caplog):
    """Backends quote what they could not keep."""

    class Repeating(DictKeyring):
        def set_password(self, service, username, password):
            raise RuntimeError(f"cannot keep {password} {echo.text}")

    store = aa.KeyringTokenStore(keyring=Repeating(), lock_folder=tmp_path)
    rig = Rig(FakeClock(), store=store)
    await rig.get()
    with pytest.raises(aa.StoreError, match="RuntimeError") as caught:
        await store.save(KEY, Record(aa.Token(echo.secret)), replaces=0)

    echo.assert_hidden(caught.value, *rig.events)
    assert rig.events
    assert echo.text not in caplog.text
    await rig.provider.aclose()


async def test_a_full_disk_shows_no_token(echo, tmp_path, monkeypatch, caplog):
    """The error names the folder and the system's reason."""
    store = aa.FileTokenStore(tmp_path / "tokens")
    write = os.write

    def full(file, body):
        if b"aritma-auth" in bytes(body):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, body)

    monkeypatch.setattr(os, "write", full)
    token = aa.Token(echo.secret, refresh_token=echo.secret, extra={"a": echo.secret})
    with pytest.raises(aa.StoreError, match="No space left") as caught:
        await store.save(KEY, Record(token), replaces=0)

    echo.assert_hidden(caught.value)
    assert echo.text not in caplog.text


async def test_an_entry_that_holds_a_secret_in_the_wrong_place_does_not_show(echo, tmp_path):
    """A problem says what is wrong with an entry, and quotes nothing of it."""
    store = aa.FileTokenStore(tmp_path)
    await store.save(KEY, Record(), replaces=0)
    (path,) = tmp_path.glob("*.token")
    for body in (
        echo.text,
        f"aritma-auth 1 plain 1 0 {echo.text}",
        f'{{"version": "{echo.text}"}}',
    ):
        path.write_text(body)
        entry = await store.load(KEY)
        assert entry.problem is not None
        echo.assert_hidden(entry)
