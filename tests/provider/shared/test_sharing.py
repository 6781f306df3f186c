"""Several providers over one store, as several processes have: who leads, who follows, who waits."""

import asyncio

import attrs
import pytest

import aritma_auth as aa
from aritma_auth.events import RefreshFailed, RefreshTokenAtRisk, StoreFailed, StoreReturned
from aritma_auth.provider.policy import RefreshPolicy, SharingPolicy
from aritma_auth.stores import Entry, Record, SharedBackoff
from aritma_auth.stores.key import token_key
from support.fakes import settle
from support.rig import DOWN, LOST, REFUSED, SPENT, UNSENT, Rig, presented, rotated
from support.stores import FailingStore

pytestmark = pytest.mark.usefixtures("no_leftovers")

REFRESH = aa.RefreshTokenGrant("first")


class PollingStore(FailingStore):
    """A store whose engine does not tell of changes."""

    can_watch = False


@pytest.fixture(params=[FailingStore, PollingStore], ids=["watched", "polled"])
def store(request):
    return request.param()


def key_for(rig):
    """Give the key under which a provider's tokens are kept."""
    return token_key(rig.client, rig.grant)


def entry_of(store):
    (entry,) = store._entries.values()
    return entry


def key_of(store):
    (key,) = store._entries
    return key


async def hold_lease(store):
    """Let somebody else hold the lease of the only key."""
    return await store.acquire(key_of(store), seconds=30)


# One request for all


async def test_a_cold_fleet_makes_one_request(clock, store):
    """The others wait for what the leader gets."""
    rigs = [Rig(clock, store=store) for _ in range(5)]
    answer = rigs[0].client.hold()
    tokens = [asyncio.create_task(rig.get()) for rig in rigs]
    await settle()
    answer.set_result(rigs[0].client.make_token())

    assert len(set(await asyncio.gather(*tokens))) == 1
    assert sum(rig.client.requests for rig in rigs) == 1


async def test_a_stale_token_is_left_to_whoever_refreshes_it(clock, store):
    """Nobody waits: it is served, and looked after a moment later."""
    one, other = Rig(clock, store=store), Rig(clock, store=store)
    token = await one.get()
    await other.get()
    clock.advance(3000)
    lease = await hold_lease(store)
    served = await one.get()
    await settle()
    looked = one.client.requests
    clock.advance(0.4)
    still = one.provider.peek()
    clock.advance(1.2)
    await lease.release()
    await one.get()
    await settle()

    assert served == token
    assert looked == 1
    assert still is not None
    assert one.client.requests == 2


async def test_a_postponed_refresh_never_reaches_beyond_the_hard_window(clock, store):
    """There callers wait for it, whoever is at it."""
    rig = Rig(clock, store=store, lifetime=2)
    await rig.get()
    clock.advance(1.8)
    lease = await hold_lease(store)
    await rig.get()
    await settle()
    clock.advance(0.15)

    assert rig.provider.status().freshness == "expiring"
    await lease.release()


async def test_whoever_needs_a_token_waits_for_the_one_that_refreshes_it(clock, store):
    """Looking more and more rarely, then leading itself once the lease is free."""
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3600)
    lease = await hold_lease(store)
    waiting = asyncio.create_task(rig.get())
    for _ in range(5):
        await settle()
    is_waiting, asked = not waiting.done(), rig.client.requests
    await lease.release()
    await store.save(
        key_of(store),
        Record(backoff=SharedBackoff(DOWN, 1, 0.0)),
        replaces=entry_of(store).generation,
    )

    assert await waiting == "token-2"
    assert (is_waiting, asked) == (True, 1)


async def test_waiting_ends_in_time(clock, store):
    """Whatever the holder of the lease does."""
    rig = Rig(clock, grant=REFRESH, store=store)
    lease = await store.acquire(key_for(rig), seconds=3600)

    with pytest.raises(aa.TransportError, match="another process is refreshing"):
        await rig.get()
    assert rig.client.requests == 0
    await lease.release()


# Failures are shared


async def test_an_outage_is_met_once_by_the_fleet(clock, store):
    """The others hear of it and ask nobody until it may be over."""
    rigs = [Rig(clock, store=store) for _ in range(5)]
    for rig in rigs:
        rig.client.answers = [DOWN] * 9
    for rig in rigs:
        with pytest.raises(aa.TransportError) as caught:
            await rig.get()
        assert caught.value.retry_after is not None

    assert [rig.client.requests for rig in rigs] == [3, 0, 0, 0, 0]


async def test_the_shared_pause_grows_and_ends(clock, store):
    """With each failure in a row, up to what keeps a server that is back from idling."""
    pauses = []
    for _ in range(9):
        rig = Rig(clock, store=store)
        rig.client.answers = [DOWN] * 9
        with pytest.raises(aa.TransportError):
            await rig.get()
        gate = entry_of(store).record.backoff
        pauses.append(gate.seconds)
        await store.save(
            key_of(store),
            Record(backoff=attrs.evolve(gate, seconds=0.0)),
            replaces=entry_of(store).generation,
        )

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


async def test_what_the_server_asks_for_holds_for_all(clock, store):
    """Retry-After is no guess of ours: it is not cut short."""
    rig = Rig(clock, store=store)
    rig.client.answers = [aa.TransportError("busy", retry_after=120)] * 9
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert entry_of(store).record.backoff.seconds >= 120


async def test_a_success_forgets_the_failure(clock, store):
    """For all."""
    rig = Rig(clock, store=store)
    rig.client.answers = [DOWN] * 3
    with pytest.raises(aa.TransportError):
        await rig.get()
    entry = entry_of(store)
    await store.save(
        key_of(store),
        Record(backoff=attrs.evolve(entry.record.backoff, seconds=0.0)),
        replaces=entry.generation,
    )
    clock.advance(60)
    await rig.get()

    assert entry_of(store).record.backoff is None


async def test_a_refused_secret_stops_only_those_who_have_it(clock, store):
    """A process with the rotated one asks at once."""
    old, same, new = (Rig(clock, store=store) for _ in range(3))
    new.client.secret.value = "two"
    for rig in (old, same):
        rig.client.answers = [REFUSED] * 3
        with pytest.raises(aa.InvalidClientError):
            await rig.get()

    assert await new.get() == "token-1"
    assert (old.client.requests, same.client.requests) == (1, 0)
    clock.advance(1)
    assert await old.get() == "token-1"


async def test_trouble_of_ones_own_is_not_shared(clock, store):
    """A missing secret here says nothing about the others."""
    rig, other = Rig(clock, store=store), Rig(clock, store=store)
    rig.client.answers = [aa.ConfigurationError("set the secret")]
    with pytest.raises(aa.ConfigurationError):
        await rig.get()

    assert await other.get() == "token-1"


async def test_a_shared_failure_leaves_living_tokens_in_use(clock, store):
    """Static stability, also for whoever starts now."""
    first = Rig(clock, store=store)
    token = await first.get()
    clock.advance(3000)
    first.client.answers = [DOWN] * 9
    served = await first.get()
    await settle()
    second = Rig(clock, store=store)

    assert served == await second.get() == token
    assert second.client.requests == 0


# Refresh tokens


async def test_a_refresh_token_is_claimed_before_it_is_exchanged(clock, store):
    """Whoever comes after a crash knows that it may be spent."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    during = entry_of(store).record
    answer.set_result(rotated(rig, refresh_token="third"))
    await caller

    assert during.redeeming_since == clock.time()
    assert during.token.refresh_token == "second"
    assert entry_of(store).record.redeeming_since is None
    assert entry_of(store).token.refresh_token == "third"
    assert entry_of(store).record.serial == 2


async def test_after_a_crash_the_next_one_waits_before_it_presents_the_same(clock, store):
    """The answer may still come; then there is no other way, and the event says so."""
    rig = Rig(clock, grant=REFRESH, store=store)
    token = rotated(rig, refresh_token="second")
    await store.save(key_for(rig), Record(token, 1, clock.time() + 3590), replaces=0)
    clock.advance(3595)
    await rig.get()

    assert presented(rig) == ["second"]
    assert 3600 <= clock.time() - 1_700_000_000 < 3601
    assert rig.happened(RefreshTokenAtRisk) == [RefreshTokenAtRisk(token.fingerprint)]


async def test_whoever_was_only_slow_is_waited_for(clock, store):
    """What it wrote down at last is taken."""
    rig = Rig(clock, grant=REFRESH, store=store)
    key = key_for(rig)
    await store.save(
        key, Record(rotated(rig, refresh_token="second"), 1, clock.time() + 3600), replaces=0
    )
    clock.advance(3600)
    slept = clock.sleep

    async def sleep(seconds):
        if entry_of(store).generation == 1:
            late = rotated(rig, refresh_token="third")
            await store.save(key, Record(late, 2), replaces=1)
        await slept(seconds)

    clock.sleep = sleep
    token = await rig.provider.get_token()

    assert token.refresh_token == "third"
    assert presented(rig) == []
    assert rig.happened(RefreshTokenAtRisk) == []


async def test_another_machines_clock_does_not_make_anyone_wait_for_ever(clock, store):
    """A mark of the future counts as one of now."""
    rig = Rig(clock, grant=REFRESH, store=store)
    await store.save(key_for(rig), Record(None, 0, clock.time() + 10), replaces=0)
    await rig.get()

    assert presented(rig) == ["first"]
    assert rig.happened(RefreshTokenAtRisk) == [RefreshTokenAtRisk("")]


async def test_a_claim_that_comes_too_late_looks_again(clock, store):
    """Somebody signed in anew between the look and the claim."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    save, key = store.save, key_of(store)

    async def save_late(*args, **kwargs):
        store.save = save
        signed_in = rotated(rig, refresh_token="of another sign-in")
        await save(key, Record(signed_in, 9), replaces=entry_of(store).generation)
        return await save(*args, **kwargs)

    store.save = save_late
    token = await rig.provider.get_token()

    assert token.refresh_token == "of another sign-in"
    assert presented(rig) == ["first"]


async def test_a_claim_that_never_succeeds_ends(clock, store):
    """Nothing is presented."""
    store.failing = {"conflict"}
    rig = Rig(clock, grant=REFRESH, store=store)

    with pytest.raises(aa.TransportError, match="faster than it can be claimed"):
        await rig.get()
    assert presented(rig) == []


async def test_a_lost_answer_leaves_the_mark(clock, store):
    """The next one waits, and then presents the same: it is all there is."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second"), LOST]
    await rig.get()
    clock.advance(3600)
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert entry_of(store).record.redeeming_since is not None
    assert entry_of(store).record.backoff.error.may_have_arrived


async def test_a_question_that_never_left_takes_the_mark_away(clock, store):
    """Nothing was presented."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second"), *[UNSENT] * 3]
    await rig.get()
    clock.advance(3600)
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert entry_of(store).record.redeeming_since is None


async def test_a_sign_in_that_has_ended_is_learnt_once_by_the_fleet(clock, store):
    """The dead refresh token is presented by one alone."""
    grant = aa.SignedInGrant("alice")
    rigs = [Rig(clock, grant=grant, store=store) for _ in range(3)]
    await rigs[0].provider.set_token(rotated(rigs[0], refresh_token="dead"))
    clock.advance(3600)
    for rig in rigs:
        rig.client.answers = [SPENT]
        with pytest.raises(aa.ReauthenticationRequiredError):
            await rig.get()

    assert [presented(rig) for rig in rigs] == [["dead"], [], []]
    assert entry_of(store).token.refresh_token is None


async def test_a_new_sign_in_ends_it_for_all(clock, store):
    """Its token is adopted at once."""
    grant = aa.SignedInGrant("alice")
    one, other = (Rig(clock, grant=grant, store=store) for _ in range(2))
    for rig in (one, other):
        with pytest.raises(aa.ReauthenticationRequiredError):
            await rig.get()
    await one.provider.set_token(rotated(one, refresh_token="new"))
    clock.advance(1)

    assert await other.get() == await one.get() == "token-1"


async def test_a_sign_in_during_a_refresh_wins(clock, store):
    """What the refresh brings is of the old one."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    signed_in = rotated(rig, refresh_token="new")
    await store.save(key_of(store), Record(signed_in, 7), replaces=entry_of(store).generation)
    answer.set_result(rotated(rig, refresh_token="old"))
    await caller
    clock.advance(3600)
    await rig.get()

    assert presented(rig) == ["first", "second", "new"]


# The store fails


async def test_without_its_store_a_service_asks_for_itself(clock, store):
    """client_credentials harm nobody; the store is left alone for a while."""
    store.failing = {"load", "save", "lease"}
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3600)
    await rig.get()
    store.failing = set()
    clock.advance(3600)
    await rig.get()

    assert rig.client.requests == 3
    assert len(rig.happened(StoreFailed)) == 2
    assert rig.happened(StoreReturned) == [StoreReturned()]


async def test_a_store_that_comes_back_gets_the_newer_token(clock, store):
    """And whoever shares it adopts that."""
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3600)
    store.failing = {"load"}
    await rig.get()
    store.failing = set()
    clock.advance(3600)
    await rig.get()

    assert entry_of(store).record.serial == 3


async def test_without_its_store_a_refresh_token_is_not_presented(clock, store):
    """It may be good for one time only, and another process may be at it."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    token = await rig.get()
    clock.advance(3000)
    store.failing = {"lease"}
    served = await rig.get()
    await settle()
    clock.advance(600)
    with pytest.raises(aa.TransportError, match="not presented without its lock") as caught:
        await rig.get()

    assert served == token
    assert not caught.value.is_permanent
    assert presented(rig) == ["first"]


async def test_a_server_with_a_grace_may_be_asked_all_the_same(clock, store):
    """By the caller's own word."""
    sharing = SharingPolicy(refresh_without_store=True)
    rig = Rig(clock, grant=REFRESH, store=store, sharing=sharing)
    store.failing = {"load"}
    await rig.get()

    assert presented(rig) == ["first"]


async def test_a_restart_without_store_and_server_serves_what_was_seen(clock, store):
    """The lease fails after the look: the token that lives is better than none."""
    await Rig(clock, store=store).get()
    clock.advance(3000)
    store.failing = {"lease"}
    rig = Rig(clock, store=store)
    rig.client.answers = [DOWN] * 9

    assert await rig.get() == "token-1"


async def test_an_entry_that_cannot_be_read_is_overwritten(clock, store):
    """It counts as none, and is told."""
    rig = Rig(clock, store=store)
    store._entries[key_for(rig)] = Entry(Record(), 5, problem="odd")
    await rig.get()

    assert entry_of(store).generation == 6
    assert StoreFailed("read", "odd") in rig.events


async def test_a_store_that_lost_its_memory_gets_it_back(clock, store):
    """A process that knows a newer refresh token has a moment to say so."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    newer = rotated(rig, refresh_token="third")
    key = key_of(store)
    store._entries.clear()
    slept = clock.sleep

    async def sleep(seconds):
        if entry_of(store).record.serial == 1:
            await store.save(key, Record(newer, 2), replaces=entry_of(store).generation)
        await slept(seconds)

    clock.sleep = sleep
    token = await rig.provider.get_token()

    assert token.refresh_token == "third"
    assert presented(rig) == ["first"]


async def test_a_store_that_lost_its_memory_is_filled_by_whoever_knows(clock, store):
    """Nobody else spoke: this one's is the newest."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    store._entries.clear()
    await rig.get()

    assert presented(rig) == ["first", "second"]


async def test_an_older_token_in_the_store_does_not_beat_the_own_one(clock, store):
    """Another process has written back what it had, after the store lost its memory."""
    rig = Rig(clock, grant=REFRESH, store=store)
    rig.client.answers = [rotated(rig, refresh_token="second")]
    await rig.get()
    clock.advance(3600)
    rig.client.answers = [rotated(rig, refresh_token="third")]
    await rig.get()
    clock.advance(3600)
    older = Record(aa.Token("old", refresh_token="second"), 1)
    await store.save(key_of(store), older, replaces=entry_of(store).generation)
    await rig.get()

    assert presented(rig) == ["first", "second", "third"]


class Beating:
    """A lease that counts how often it is kept, and fails now and then."""

    fence = 1

    def __init__(self):
        self.beats = 0
        self.kept_enough = asyncio.Event()

    async def keep(self):
        self.beats += 1
        if self.beats == 4:
            self.kept_enough.set()
        if self.beats % 2:
            raise OSError("away for a moment")
        return True

    async def release(self):
        raise OSError("gone")


async def test_a_lease_is_kept_while_the_server_is_slow(clock, store):
    """Whatever becomes of a single beat."""
    lease = Beating()

    async def acquire(_key, *, seconds):
        return lease

    store.acquire = acquire
    sharing = SharingPolicy(lease=0.003, max_lease=60)
    rig = Rig(clock, store=store, sharing=sharing)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await lease.kept_enough.wait()
    answer.set_result(rig.client.make_token())

    assert await caller == "token-1"


async def test_a_lease_is_not_kept_for_ever(clock, store):
    """A refresh that hangs gives way to another process."""
    lease = Beating()

    async def acquire(_key, *, seconds):
        return lease

    store.acquire = acquire
    sharing = SharingPolicy(lease=0.003, max_lease=0.004)
    rig = Rig(clock, store=store, sharing=sharing)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await asyncio.sleep(0.05)
    answer.set_result(rig.client.make_token())
    await caller

    assert lease.beats <= 4


async def test_failures_are_told_by_each(clock, store):
    """A health check of every process shows the outage."""
    rigs = [Rig(clock, store=store) for _ in range(2)]
    for rig in rigs:
        rig.client.answers = [DOWN] * 9
        with pytest.raises(aa.TransportError):
            await rig.get()

    assert [len(rig.happened(RefreshFailed)) for rig in rigs] == [1, 1]


async def test_a_sign_in_is_used_although_the_store_is_away(clock, store):
    """It is kept at the next chance."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="second"))
    first = await rig.get()
    store.failing = set()
    clock.advance(3600)
    await rig.get()

    assert first == "token-1"
    assert presented(rig) == ["second"]
    assert entry_of(store).token.access_token == "token-2"


async def test_a_sign_in_that_others_always_overtake_is_told(clock, store):
    """Nothing is lost here: the provider goes on with it."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    store.failing = {"conflict"}
    await rig.provider.set_token(rotated(rig, refresh_token="second"))

    assert StoreFailed("save", "other writers were faster") in rig.events
    assert await rig.get() == "token-1"


async def test_a_refusal_without_a_store_is_remembered_too(clock, store):
    """The store is away while the credential is looked at."""
    rig = Rig(clock, store=store)
    store.failing = {"load"}
    rig.client.answers = [REFUSED] * 3
    for _ in range(3):
        with pytest.raises(aa.InvalidClientError):
            await rig.get()

    assert rig.client.requests == 1


async def test_a_token_that_came_meanwhile_is_not_put_off(clock, store):
    """The refresh that another process has in hand was of the token before it."""
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3000)
    lease = await hold_lease(store)
    acquire = store.acquire

    async def acquire_late(key, *, seconds):
        await rig.provider.set_token(rig.client.make_token())
        return await acquire(key, seconds=seconds)

    store.acquire = acquire_late
    await rig.get()
    await settle()

    assert rig.provider.status().refresh_in == pytest.approx(2700)
    await lease.release()


async def test_a_watcher_that_goes_in_the_last_moment_disturbs_nobody():
    """The change and its cancellation meet."""
    store = aa.MemoryTokenStore()
    watching = asyncio.create_task(store.watch("key", generation=0))
    await settle()
    await store.save("key", Record(), replaces=0)
    watching.cancel()
    await asyncio.wait((watching,))

    assert watching.cancelled()


async def test_an_older_sign_in_in_the_store_is_not_adopted(clock, store):
    """The store was away when the person signed in anew."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="old"))
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="new"))
    store.failing = set()
    clock.advance(10)
    rig.provider.report_rejected(await rig.provider.get_token())
    await rig.get()

    assert presented(rig) == ["new"]
    assert entry_of(store).record.serial == 1_700_000_002


async def test_a_mark_of_a_clock_that_is_far_ahead_is_waited_for_once(clock, store):
    """Ten seconds of this process's own clock, not an hour."""
    rig = Rig(clock, grant=REFRESH, store=store)
    await store.save(key_for(rig), Record(None, 0, clock.time() + 3600), replaces=0)
    began = clock.monotonic()
    await rig.get()

    assert presented(rig) == ["first"]
    assert 10 <= clock.monotonic() - began < 11


async def test_a_mark_may_be_waited_for_longer_than_a_hundred_looks(clock, store):
    """As long as the policy says."""
    policy, sharing = RefreshPolicy(refresh_timeout=60), SharingPolicy(redemption_timeout=40)
    rig = Rig(clock, grant=REFRESH, store=store, policy=policy, sharing=sharing)
    await store.save(key_for(rig), Record(None, 0, clock.time()), replaces=0)
    await rig.get()

    assert presented(rig) == ["first"]


async def test_marks_without_end_are_not_waited_for_without_end(clock, store):
    """Somebody without a lease keeps writing them."""
    rig = Rig(clock, grant=REFRESH, store=store)
    key, slept = key_for(rig), clock.sleep
    await store.save(key, Record(None, 0, clock.time()), replaces=0)

    async def sleep(seconds):
        await slept(seconds)
        await store.save(key, Record(None, 0, clock.time()), replaces=entry_of(store).generation)

    clock.sleep = sleep
    with pytest.raises(aa.TransportError, match="faster than it can be claimed"):
        await rig.get()
    assert presented(rig) == []


async def test_whoever_leads_after_a_loss_hears_of_the_newer_token(clock, store):
    """Also from one whose own still lives: it does not only wait for what the other gets."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="newest"))
    older = Record(rotated(rig, refresh_token="older"), 1)
    store._entries.clear()
    await store.save(key_for(rig), older, replaces=0)
    lease = await hold_lease(store)
    clock.advance(3000)
    await rig.get()
    await settle()
    await lease.release()

    assert entry_of(store).token.refresh_token == "newest"


async def test_a_stored_token_that_ended_meanwhile_is_not_served(clock, store):
    """It lived when the flight began; the server took its time to fail."""
    await Rig(clock, store=store).get()
    clock.advance(3590)
    rig = Rig(clock, store=store)
    answer = rig.client.hold()
    rig.client.answers += [DOWN] * 2
    caller = asyncio.create_task(rig.get())
    await settle()
    clock.advance(30)
    answer.set_exception(DOWN.copy())

    with pytest.raises(aa.TransportError, match="down"):
        await caller


async def test_a_token_that_ended_is_not_put_off(clock, store):
    """Somebody else refreshes it, but the store took its time to say so."""
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3000)
    acquire, releasing = store.acquire, []

    async def acquire_late(key, *, seconds):
        if releasing:
            return await acquire(key, seconds=seconds)
        releasing.append(asyncio.create_task(settle()))
        clock.advance(600)
        return None

    store.acquire = acquire_late
    await rig.get()
    await settle()
    await asyncio.gather(*releasing)

    assert await rig.get() == "token-2"
    assert rig.client.requests == 2


async def test_a_token_of_the_future_is_not_taken_for_new(clock, store):
    """The clock was set back since: it may have ended."""
    rig = Rig(clock, store=store)
    ahead = aa.Token("ahead", issued_at=clock.time() + 86400, expires_at=clock.time() + 90000)
    await store.save(key_for(rig), Record(ahead, 1), replaces=0)

    assert await rig.get() == "token-1"


async def test_a_token_without_a_time_is_shared_with_one(clock, store):
    """A program may have made it by hand."""
    one, other = (Rig(clock, grant=aa.SignedInGrant("alice"), store=store) for _ in range(2))
    await one.provider.set_token(aa.Token("made", expires_at=clock.time() + 3600))

    assert await other.get() == "made"
    assert entry_of(store).token.issued_at == clock.time()


async def test_the_end_of_an_older_sign_in_does_not_stop_a_newer_one(clock, store):
    """The person signed in anew while the store was away."""
    grant = aa.SignedInGrant("alice")
    rig = Rig(clock, grant=grant, store=store)
    ended = Record(
        None, 1, None, SharedBackoff(aa.ReauthenticationRequiredError("ended"), 1, 300.0, "one")
    )
    await store.save(key_for(rig), ended, replaces=0)
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="new"))
    store.failing = set()
    clock.advance(3600)
    await rig.get()

    assert presented(rig) == ["new"]


async def test_an_outage_stops_a_newer_sign_in_too(clock, store):
    """It is the server's, whoever signed in."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await store.save(key_for(rig), Record(None, 1, None, SharedBackoff(DOWN, 1, 9.0)), replaces=0)
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="new"))
    store.failing = set()
    clock.advance(3600)
    with pytest.raises(aa.TransportError, match="down"):
        await rig.get()

    assert presented(rig) == []


async def test_a_sign_in_that_was_not_kept_beats_the_refresh_it_met(clock, store):
    """The store was away for the sign-in and back for the refresh's token."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="old"))
    clock.advance(3600)
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="new"))
    store.failing = set()
    clock.advance(3)
    answer.set_result(rotated(rig, refresh_token="of the old one"))
    await caller
    clock.advance(3600)
    await rig.get()

    assert presented(rig) == ["old", "new"]


async def test_two_sign_ins_of_one_second_are_told_apart(clock, store):
    """The second came while the first was being refreshed, and was not kept."""
    rig = Rig(clock, grant=aa.SignedInGrant("alice"), store=store)
    await rig.provider.set_token(rotated(rig, refresh_token="old"))
    rig.provider.report_rejected(await rig.provider.get_token())
    answer = rig.client.hold()
    caller = asyncio.create_task(rig.get())
    await settle()
    store.failing = {"load"}
    await rig.provider.set_token(rotated(rig, refresh_token="new"))
    store.failing = set()
    clock.advance(3)
    answer.set_result(rotated(rig, refresh_token="of the old one"))
    await caller
    clock.advance(3600)
    await rig.get()

    assert presented(rig) == ["old", "new"]


async def test_a_stored_token_that_was_all_there_was_is_written_back(clock, store):
    """Its refresh token is not lost with the store's memory."""
    grant = aa.SignedInGrant("alice")
    one, other = (Rig(clock, grant=grant, store=store) for _ in range(2))
    await one.provider.set_token(rotated(one, refresh_token="second"))
    clock.advance(3000)
    other.client.answers = [UNSENT] * 3
    await other.get()
    store._entries.clear()
    clock.advance(600)
    await other.get()

    assert presented(other)[-1] == "second"


async def test_a_watch_that_fails_is_no_reason_to_hurry(clock):
    """The store is looked at as rarely as one that cannot watch."""
    store = FailingStore()
    rig = Rig(clock, grant=REFRESH, store=store)
    looks, load, slept = [], store.load, clock.sleep

    async def watch(_key, *, generation):
        raise OSError("no subscription")

    async def count(key):
        looks.append(key)
        assert len(looks) < 300
        return await load(key)

    async def sleep(seconds):
        await settle()
        await slept(seconds)

    store.watch, store.load, clock.sleep = watch, count, sleep
    lease = await store.acquire(key_for(rig), seconds=3600)
    with pytest.raises(aa.TransportError, match="another process is refreshing"):
        await rig.get()
    await lease.release()


async def test_a_claim_keeps_count_of_the_failures(clock, store):
    """The shared pause grows although a refresh token was claimed in between."""
    rig = Rig(clock, grant=REFRESH, store=store)
    await store.save(key_for(rig), Record(backoff=SharedBackoff(DOWN, 3, 0.0)), replaces=0)
    rig.client.answers = [UNSENT] * 3
    with pytest.raises(aa.TransportError):
        await rig.get()

    assert entry_of(store).record.backoff.count == 4


async def test_nobody_waits_for_a_store_that_a_service_can_do_without(clock, store):
    """What it got could be had again."""
    store.failing = {"save"}
    rig = Rig(clock, store=store)

    assert await rig.get() == "token-1"
    assert clock.slept == []


async def test_the_leader_adopts_what_came_between_look_and_lease(clock, store):
    """The holder before it has just finished."""
    rig = Rig(clock, store=store)
    acquire, key = store.acquire, key_for(rig)

    async def acquire_late(_key, *, seconds):
        await store.save(key, Record(rig.client.make_token(), 1), replaces=0)
        return await acquire(key, seconds=seconds)

    store.acquire = acquire_late

    assert await rig.get() == "token-1"
    assert rig.client.requests == 0


@pytest.mark.parametrize("kind", [aa.StoreError, aa.ConfigurationError])
async def test_a_stores_own_words_are_told(clock, store, kind):
    """They say what to do, and hold no secret."""

    async def load(_key):
        raise kind("give tokens a folder that is yours alone")

    store.load = load
    rig = Rig(clock, store=store)
    await rig.get()

    assert rig.events[0] == StoreFailed("load", "give tokens a folder that is yours alone")


async def test_a_refused_secret_is_not_tried_again_because_its_store_went_away(clock, store):
    """What was last seen of the store counts until it is back."""
    await Rig(clock, store=store).get()
    clock.advance(3600)
    rig = Rig(clock, store=store)
    rig.client.answers = [REFUSED] * 3
    with pytest.raises(aa.InvalidClientError):
        await rig.get()
    store.failing = {"load"}
    with pytest.raises(aa.InvalidClientError):
        await rig.get()

    assert rig.client.requests == 1


async def test_a_token_that_was_all_there_was_is_not_served_after_it_was_refused(clock, store):
    """The store has no other, and the server is down."""
    await Rig(clock, store=store).get()
    clock.advance(3000)
    rig = Rig(clock, store=store)
    rig.client.answers = [DOWN] * 9
    rig.provider.report_rejected(await rig.provider.get_token())
    with pytest.raises(aa.TransportError):
        await rig.get()


async def test_a_refused_token_is_not_taken_back_from_a_store_that_was_away(clock, store):
    """Although it is fresher than the one that came alone."""
    rig = Rig(clock, store=store)
    token = await rig.provider.get_token()
    store.failing = {"load"}
    rig.provider.report_rejected(token)
    rig.client.lifetime = 100
    await rig.get()
    store.failing = set()
    clock.advance(100)

    assert await rig.get() == "token-3"


async def test_a_providers_own_clock_ends_its_own_token(clock, store):
    """Whatever the store's clock says."""
    rig = Rig(clock, store=store)
    await rig.get()
    load = store.load

    async def load_as_new(key):
        entry = await load(key)
        return entry and attrs.evolve(entry, token_age=0.0)

    store.load = load_as_new
    clock.advance(3600)

    assert await rig.get() == "token-2"
    clock.advance(3600)
    rig.client.answers = [DOWN] * 9
    with pytest.raises(aa.TransportError):
        await rig.get()


async def test_the_shared_pause_ends_with_the_token(clock, store):
    """The server may be back by then, and nobody has a token any more."""
    rig = Rig(clock, store=store)
    await rig.get()
    clock.advance(3598)
    rig.client.answers = [DOWN] * 9
    await rig.get()
    await settle()
    entry = entry_of(store)
    failing = attrs.evolve(entry.record.backoff, seconds=0.0, count=20)
    await store.save(
        key_of(store), attrs.evolve(entry.record, backoff=failing), replaces=entry.generation
    )
    clock.advance(1)
    other = Rig(clock, store=store)
    other.client.answers = [DOWN] * 9
    await other.get()

    assert entry_of(store).record.backoff.seconds <= 1


async def test_a_token_without_an_end_sets_no_end_to_the_pause(clock, store):
    """Nobody knows when it is over."""
    rig = Rig(clock, store=store, lifetime=None)
    await rig.get()
    clock.advance(240)
    rig.client.answers = [DOWN] * 9
    await rig.get()
    await settle()

    assert entry_of(store).record.backoff.seconds > 0
