"""Entries that a process cannot read: they may hold anything, so it replaces none of them."""

import pytest

import aritma_auth as aa
from aritma_auth.events import StoreFailed
from support.rig import DOWN, Rig, presented, rotated
from support.stores import KEYS

pytestmark = pytest.mark.usefixtures("no_leftovers")

ALICE = aa.SignedInGrant("alice")
ANOTHER = aa.EncryptionKeys.generate()


def damage(path, how):
    """Change the only entry in a folder."""
    (entry,) = path.glob("*.token")
    entry.write_bytes(how(entry.read_bytes()))


def contents(path):
    """Return the bytes of the only entry."""
    (entry,) = path.glob("*.token")
    return entry.read_bytes()


@pytest.fixture
async def worker(clock, tmp_path):
    """Give a worker that keeps alice's sign-in in files."""
    rig = Rig(clock, grant=ALICE, store=aa.FileTokenStore(tmp_path, keys=KEYS))
    await rig.provider.set_token(rotated(rig, refresh_token="good"))
    clock.advance(3600)
    return rig


@pytest.mark.parametrize("keys", [ANOTHER, None], ids=["another key", "no key"])
async def test_a_worker_with_a_wrong_key_leaves_the_entry_alone(clock, tmp_path, worker, keys):
    """It fails as in an outage, with an event, and the others go on with the refresh token."""
    before = contents(tmp_path)
    wrong = Rig(clock, grant=ALICE, store=aa.FileTokenStore(tmp_path, keys=keys))
    with pytest.raises(aa.TransportError, match="cannot read") as caught:
        await wrong.get()

    assert caught.value.retry_after == pytest.approx(2, abs=0.05)
    assert wrong.happened(StoreFailed)[0].operation == "read"
    assert contents(tmp_path) == before
    await worker.get()
    assert presented(worker) == ["good"]
    assert presented(wrong) == []


@pytest.mark.parametrize(
    "how",
    [
        lambda body: body[: len(body) // 2],
        lambda body: body.replace(b"aritma-auth 1", b"aritma-auth 9"),
        lambda _body: b"",
    ],
    ids=["truncated", "newer version", "empty"],
)
async def test_a_damaged_entry_is_an_outage(clock, tmp_path, worker, how):
    """Nobody is told to sign in again, and nothing is written over it."""
    damage(tmp_path, how)
    before = contents(tmp_path)
    fresh = Rig(clock, grant=ALICE, store=aa.FileTokenStore(tmp_path, keys=KEYS))
    for rig in (worker, fresh):
        with pytest.raises(aa.TransportError, match="cannot read"):
            await rig.get()

    assert contents(tmp_path) == before
    assert presented(worker) == presented(fresh) == []


async def test_a_living_token_is_served_while_the_entry_cannot_be_read(clock, tmp_path):
    """The outage concerns only those who have none."""
    rig = Rig(clock, grant=ALICE, store=aa.FileTokenStore(tmp_path, keys=KEYS))
    await rig.provider.set_token(rotated(rig, refresh_token="good"))
    damage(tmp_path, lambda body: body[:-1])
    clock.advance(3500)

    assert await rig.get() == "token-1"


async def test_a_failure_is_not_written_over_what_cannot_be_read(clock, tmp_path):
    """A service whose server is down with a wrong key leaves the others their token."""
    good = Rig(clock, store=aa.FileTokenStore(tmp_path, keys=KEYS))
    token = await good.get()
    before = contents(tmp_path)
    wrong = Rig(clock, store=aa.FileTokenStore(tmp_path, keys=ANOTHER))
    wrong.client.answers = [DOWN] * 9
    with pytest.raises(aa.TransportError, match="down"):
        await wrong.get()

    assert contents(tmp_path) == before
    assert await Rig(clock, store=aa.FileTokenStore(tmp_path, keys=KEYS)).get() == token


async def test_a_sign_in_replaces_what_cannot_be_read(clock, tmp_path, worker):
    """A sign-in made here is newer than whatever is there, and a sign-out waits until it is read."""
    damage(tmp_path, lambda body: body[:-1])
    await worker.provider.set_token(rotated(worker, refresh_token="new"))
    clock.advance(3600)
    fresh = Rig(clock, grant=ALICE, store=aa.FileTokenStore(tmp_path, keys=KEYS))
    await fresh.get()
    good = contents(tmp_path)
    damage(tmp_path, lambda body: body[:-1])
    with pytest.raises(aa.StoreError, match="forget it again"):
        await fresh.provider.forget()
    with pytest.raises(aa.TransportError, match="cannot read"):
        await fresh.get()
    is_kept = contents(tmp_path) == good[:-1]
    damage(tmp_path, lambda _body: good)
    clock.advance(10)
    with pytest.raises(aa.ReauthenticationRequiredError):
        await fresh.get()

    assert is_kept
    assert presented(fresh) == ["new"]


async def test_a_successor_is_kept_in_memory_while_the_entry_cannot_be_read(
    clock, tmp_path, worker, monkeypatch
):
    """A worker with a wrong key has stored a sign-in meanwhile: it may be the newer one."""
    answer = worker.client.hold()
    wrong = Rig(clock, grant=ALICE, store=aa.FileTokenStore(tmp_path, keys=ANOTHER))

    async def respond():
        await wrong.provider.set_token(rotated(wrong, refresh_token="of the other"))
        answer.set_result(rotated(worker, refresh_token="successor"))

    save = aa.FileTokenStore.save

    with monkeypatch.context() as patch:

        async def save_first(*args, **kwargs):
            written = await save(*args, **kwargs)
            patch.undo()
            await respond()
            return written

        patch.setattr(aa.FileTokenStore, "save", save_first)
        token = await worker.provider.get_token()

    assert token.refresh_token == "successor"
    assert not await worker.provider.aclose()
    clock.advance(10)
    await wrong.get()
    assert presented(wrong) == []
