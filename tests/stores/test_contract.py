"""What every store promises."""

import asyncio
import time

import pytest

import aritma_auth as aa
from aritma_auth.stores import Record, SharedBackoff
from support.stores import KEY, OTHER_KEY, full_token

pytestmark = pytest.mark.usefixtures("no_leftovers")

NOW = time.time()
FULL = full_token(NOW, extra={"tid": "acme", "list": [1, None, {"a": True}]})
ERRORS = [
    aa.TransportError("down", may_have_arrived=False),
    aa.InvalidResponseError("broken", status=502, problems=("the body is empty",)),
    aa.InvalidClientError("invalid_client", "who?", status=400),
    aa.OAuthError("odd", uri="https://idp.example/odd", status=400),
    aa.ReauthenticationRequiredError("sign in"),
]


def record(text="one", serial=1):
    return Record(aa.Token(text, issued_at=NOW, expires_at=NOW + 3600), serial)


async def test_an_empty_store_has_nothing(store):
    """A store without an entry returns None."""
    assert await store.load(KEY) is None


async def test_what_is_saved_is_loaded_by_all(store, other):
    """Every part of a token and its serial is loaded by another store, under its own key alone."""
    assert await store.save(KEY, Record(FULL, 7), replaces=0)
    entry = await other.load(KEY)

    assert entry.generation == 1
    assert entry.token == FULL
    assert entry.token.extra["tid"] == "acme"
    assert (entry.record.serial, entry.record.redeeming_since, entry.record.backoff) == (
        7,
        None,
        None,
    )
    assert entry.problem is None
    assert await store.load(OTHER_KEY) is None


async def test_a_token_without_an_end_is_kept(store, other):
    """A token without a lifetime is kept: its provider decides how long it is used."""
    await store.save(KEY, Record(aa.Token("endless", issued_at=NOW)), replaces=0)

    assert (await other.load(KEY)).token.expires_at is None


async def test_a_mark_is_kept_with_the_token(store, other):
    """The next process learns that the refresh token may be spent."""
    await store.save(KEY, Record(FULL, 1, redeeming_since=NOW), replaces=0)

    assert (await other.load(KEY)).record.redeeming_since == NOW
    assert (await other.load(KEY)).token == FULL


async def test_a_mark_is_kept_without_a_token(store, other):
    """The first exchange of a code or a refresh token leaves a mark too."""
    await store.save(KEY, Record(redeeming_since=NOW), replaces=0)
    entry = await other.load(KEY)

    assert entry.token is None
    assert entry.record.redeeming_since == NOW


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_a_failure_is_shared(store, other, error):
    """The kind, the words and the remaining seconds of a failure are shared, until a success."""
    await store.save(KEY, Record(backoff=SharedBackoff(error, 3, 20.0, "cred")), replaces=0)
    backoff = (await other.load(KEY)).record.backoff

    assert type(backoff.error) is type(error)
    assert str(backoff.error) == str(error)
    assert backoff.error.is_permanent == error.is_permanent
    assert getattr(backoff.error, "status", None) == getattr(error, "status", None)
    assert getattr(backoff.error, "problems", None) == getattr(error, "problems", None)
    assert getattr(backoff.error, "error", None) == getattr(error, "error", None)
    assert (backoff.count, backoff.credential) == (3, "cred")
    assert 10 < backoff.seconds <= 20
    await other.save(KEY, record(), replaces=1)
    assert (await store.load(KEY)).record.backoff is None


async def test_a_backoff_that_has_ended_keeps_its_count(store, other):
    """The next failure in a row pauses longer."""
    await store.save(KEY, Record(backoff=SharedBackoff(ERRORS[0], 3, 0.0)), replaces=0)
    backoff = (await other.load(KEY)).record.backoff

    assert backoff.seconds <= 0
    assert backoff.count == 3


@pytest.mark.parametrize("seconds", [0.05, 0.1, 20.0])
async def test_a_shared_backoff_runs_out_by_itself(store, other, seconds):
    """A later load tells the seconds that are left then, and nobody is kept waiting for ever."""
    await store.save(KEY, Record(backoff=SharedBackoff(ERRORS[0], 2, seconds)), replaces=0)
    await asyncio.sleep(0.12)
    backoff = (await other.load(KEY)).record.backoff

    assert (backoff.seconds <= 0) is (seconds <= 0.1)
    assert backoff.seconds < seconds
    assert backoff.count == 2


async def test_a_slow_writer_overwrites_nothing(store, other):
    """A write compares the generation before it swaps the record."""
    await store.save(KEY, record("one"), replaces=0)

    assert not await other.save(KEY, record("two"), replaces=0)
    assert not await other.save(KEY, record("two"), replaces=2)
    assert await other.save(KEY, record("two"), replaces=1)
    assert not await store.save(KEY, record("three"), replaces=1)
    entry = await store.load(KEY)
    assert (entry.token.access_token, entry.generation) == ("two", 2)


async def test_of_many_writers_at_once_one_wins(store, other):
    """One writer wins, however many write at once and however they interleave."""
    won = await asyncio.gather(
        *(
            (store if number % 2 else other).save(KEY, record(str(number)), replaces=0)
            for number in range(20)
        )
    )

    assert won.count(True) == 1
    assert (await store.load(KEY)).token.access_token == str(won.index(True))


async def test_a_lease_is_held_by_one(store, other):
    """A lease excludes others until it is released; releasing it twice is no error."""
    lease = await store.acquire(KEY, seconds=30)
    while_held = await other.acquire(KEY, seconds=30)
    elsewhere = await other.acquire(OTHER_KEY, seconds=30)
    is_kept = await lease.keep()
    await lease.release()
    await lease.release()
    next_one = await other.acquire(KEY, seconds=30)

    assert while_held is None
    assert elsewhere is not None
    assert is_kept
    assert next_one.fence > lease.fence > 0
    await next_one.release()
    await elsewhere.release()


async def test_of_many_requests_for_a_lease_one_is_granted(store, other):
    """One request for a lease is granted, however they interleave."""
    asked = await asyncio.gather(
        *((store if n % 2 else other).acquire(KEY, seconds=30) for n in range(20))
    )
    granted = [lease for lease in asked if lease is not None]

    assert len(granted) == 1
    await granted[0].release()


async def test_a_released_lease_does_not_end_the_next(store, other):
    """Releasing a lease again leaves the lease of the next holder alone."""
    first = await store.acquire(KEY, seconds=30)
    await first.release()
    second = await other.acquire(KEY, seconds=30)
    await first.release()

    assert not await first.keep()
    assert await store.acquire(KEY, seconds=30) is None
    await second.release()


async def test_a_write_under_an_older_lease_comes_too_late(store, other):
    """A write under an older lease is refused once a newer lease has written, and not before."""
    old = await store.acquire(KEY, seconds=30)
    await old.release()
    new = await other.acquire(KEY, seconds=30)

    assert await store.save(KEY, record("response"), replaces=0, fence=old.fence)
    assert await other.save(KEY, record("newer"), replaces=1, fence=new.fence)
    assert not await store.save(KEY, record("late"), replaces=2, fence=old.fence)
    assert await store.save(KEY, record("sign-in"), replaces=2)
    assert not await store.save(KEY, record("late"), replaces=3, fence=old.fence)
    await new.release()


async def test_a_change_ends_the_watch(store, other):
    """A store that can watch wakes the waiter at the next write."""
    if not store.can_watch:
        return
    await store.save(KEY, record("one"), replaces=0)
    await asyncio.wait_for(other.watch(KEY, generation=0), 30)
    watching = asyncio.create_task(other.watch(KEY, generation=1))
    await asyncio.sleep(0.01)
    was_waiting = not watching.done()
    await store.save(KEY, record("two"), replaces=1)
    await asyncio.wait_for(watching, 30)

    assert was_waiting


async def test_a_store_shows_no_secret(store, canary):
    """Neither a store nor its entries and leases show a secret."""
    token = aa.Token(canary.text, refresh_token=canary.text, id_token=canary.text)
    await store.save(KEY, Record(token), replaces=0)
    lease = await store.acquire(KEY, seconds=30)

    canary.assert_hidden(store, await store.load(KEY), lease)
    await lease.release()
