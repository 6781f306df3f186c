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


GONE = {
    "unmounted": lambda folder: folder.rename(folder.with_name("away")),
    "another": lambda folder: (folder.rename(folder.with_name("away")), folder.mkdir(0o700)),
}


@pytest.fixture
async def lost(clock, tmp_path, request):
    """Give a store and a provider of alice's over it, whose folder is lost now."""
    folder = tmp_path / "tokens"
    store = aa.FileTokenStore(folder)
    rig = Rig(clock, grant=ALICE, store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="good"))
    clock.advance(3600)
    GONE[request.param](folder)
    return store, rig


@pytest.mark.parametrize("lost", GONE, indirect=True)
@pytest.mark.parametrize("end_user", ["alice", "bob"])
async def test_a_lost_folder_asks_no_end_user_to_sign_in(clock, tmp_path, lost, end_user):
    """A provider that knows no token of its end-user cannot say that there was none."""
    store, _ = lost
    fresh = Rig(clock, grant=aa.SignedInGrant(end_user), store=store)
    with pytest.raises(aa.TransportError, match="lost all that it had") as caught:
        await fresh.get()

    assert not caught.value.is_permanent
    assert "emptied, removed or replaced" in fresh.happened(StoreFailed)[0].error
    folder = tmp_path / "tokens"
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    folder.with_name("away").rename(folder)
    clock.advance(10)
    if end_user == "alice":
        await fresh.get()
        assert presented(fresh) == ["good"]
    else:
        with pytest.raises(aa.ReauthenticationRequiredError):
            await fresh.get()


@pytest.mark.parametrize("lost", GONE, indirect=True)
async def test_a_token_of_a_lost_folder_is_written_again_by_who_knows_it(clock, lost):
    """Its sign-in goes on, and so does one that is made anew."""
    store, rig = lost
    await rig.get()
    bob = Rig(clock, grant=aa.SignedInGrant("bob"), store=store)
    await bob.provider.set_token(rotated(bob, refresh_token="of bob"))
    clock.advance(3600)
    for grant in (ALICE, bob.grant):
        fresh = Rig(clock, grant=grant, store=store)
        await fresh.get()
        assert len(presented(fresh)) == 1

    assert presented(rig) == ["good"]


@pytest.mark.parametrize("lost", GONE, indirect=True)
async def test_a_service_goes_on_without_a_lost_folder(clock, lost):
    """Its grant may be presented again."""
    store, _ = lost
    first, other = (Rig(clock, store=store) for _ in range(2))

    assert await first.get() == await other.get() == "token-1"
    assert other.client.requests == 0
