"""The application's own callback: each new token, in order, before anybody is given it."""

import asyncio
import threading
import time

import pytest

import aritma_auth as aa
from aritma_auth.events import TokenCallbackFailed, TokenForgotten
from aritma_auth.runtime.tasks import silence
from support.fakes import settle
from support.internals import providers_of
from support.loops import run_leaping
from support.rig import LOST, Rig, rotated
from support.sharing import key_of
from support.stores import FailingStore

pytestmark = pytest.mark.usefixtures("no_leftovers")

ALICE = aa.SignedInGrant("alice")
QUICK = aa.RefreshPolicy(on_token_timeout=0.02, backoff_base=0.001)


class Book:
    """A callback that writes tokens down, fails as it is told, and can be held up."""

    def __init__(self):
        self.told = []
        self.kept = []
        self.failures = []
        self.gate = None
        self.began = asyncio.Event()
        self.ended = asyncio.Event()

    async def keep(self, token):
        self.told.append(text_of(token))
        self.began.set()
        if self.gate is not None:
            await self.gate
        if self.failures:
            raise self.failures.pop(0)
        self.kept.append(text_of(token))
        self.ended.set()

    def hold(self):
        """Let each call wait until the future is resolved."""
        self.gate = asyncio.get_running_loop().create_future()
        return self.gate


def text_of(token):
    return token and (token.refresh_token or token.access_token)


class StubbornBook(Book):
    """Its call does not end when it is cancelled, but when the test says so."""

    async def keep(self, token):
        try:
            await super().keep(token)
        except asyncio.CancelledError:
            await self.hold()
            self.gate = None


@pytest.fixture
def book():
    return Book()


def wait_until(holds):
    while not holds():
        time.sleep(0.001)


async def make(clock, book, grant=ALICE, **settings):
    """Make a provider whose sign-in has been told already."""
    rig = Rig(clock, grant=grant, on_token=book.keep, **settings)
    if grant is ALICE:
        await rig.provider.set_token(rotated(rig, refresh_token="first"))
        book.told.clear()
        book.kept.clear()
        book.began.clear()
        book.ended.clear()
    return rig


async def refresh(rig, refresh_token):
    """Let the access token end and the server rotate."""
    rig.clock.advance(3600)
    rig.client.answers.append(rotated(rig, refresh_token=refresh_token))
    return await rig.provider.get_token()


async def test_a_token_is_kept_before_it_is_given(clock, book):
    """No caller has the new token while the callback is still keeping it."""
    rig = await make(clock, book)
    gate = book.hold()
    caller = asyncio.create_task(refresh(rig, "second"))
    await book.began.wait()
    await settle()
    waiting = caller.done(), rig.provider.peek()
    gate.set_result(None)

    assert waiting == (False, None)
    assert (await caller).refresh_token == "second"
    assert book.kept == ["second"]


async def test_each_rotation_is_told_once_and_in_order(clock, book):
    """The callback sees what a one-time refresh token became, step by step."""
    rig = await make(clock, book)
    for number in range(5):
        await refresh(rig, f"refresh-{number}")
        await asyncio.gather(*(rig.get() for _ in range(10)))

    assert book.told == book.kept == [f"refresh-{number}" for number in range(5)]


async def test_a_refresh_token_that_was_not_repeated_is_told(clock, book):
    """The token that is told has all that the next process needs."""
    rig = await make(clock, book)
    await refresh(rig, None)

    assert book.kept == ["first"]


async def test_a_services_token_is_told_too(clock, book):
    """Whatever the grant is, the callback receives each new token."""
    rig = Rig(clock, on_token=book.keep)
    await rig.get()

    assert book.kept == ["token-1"]


async def test_the_token_of_a_sign_in_is_told(clock, book):
    """One place keeps tokens, whether a sign-in or a refresh has brought them."""
    rig = Rig(clock, grant=ALICE, on_token=book.keep)
    await rig.provider.set_token(rotated(rig, refresh_token="first"))

    assert book.kept == ["first"]


async def test_a_cancelled_sign_in_is_told_all_the_same(clock, book):
    """Once set_token was called, the callback receives the token."""
    rig = Rig(clock, grant=ALICE, on_token=book.keep)
    gate = book.hold()
    setting = asyncio.create_task(rig.provider.set_token(rotated(rig, refresh_token="first")))
    await book.began.wait()
    setting.cancel()
    gate.set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await setting
    await rig.provider.aclose()

    assert book.kept == ["first"]


async def test_a_cancelled_caller_loses_no_rotation(clock, book):
    """The callback's call belongs to no caller."""
    rig = await make(clock, book)
    gate = book.hold()
    caller = asyncio.create_task(refresh(rig, "second"))
    await book.began.wait()
    caller.cancel()
    gate.set_result(None)
    await settle()

    assert book.kept == ["second"]
    assert (await rig.provider.get_token()).refresh_token == "second"


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "with a store"])
def test_a_loop_that_ends_waits_for_the_callback(clock, shared):
    """asyncio.run ends with a cancellation, which neither cuts the call in two nor ends its lease."""
    kept, leases = [], []
    store = FailingStore() if shared else None

    async def keep(token):
        await asyncio.sleep(0.02)
        kept.append(text_of(token))
        if shared and len(kept) == 2:
            leases.append(await store.acquire(key_of(store), seconds=1))

    async def job():
        await rig.provider.set_token(rotated(rig, refresh_token="first"))
        caller = asyncio.create_task(refresh(rig, "second"))
        await settle()
        caller.cancel()

    rig = Rig(clock, grant=ALICE, on_token=keep, store=store)
    asyncio.run(job())

    assert kept == ["first", "second"]
    assert leases == ([None] if shared else [])
    assert asyncio.run(rig.get()) == "token-2"
    assert rig.client.requests == 1


def test_a_callback_that_raises_costs_no_caller_anything(clock, book, caplog):
    """The token is served, an event names the exception's class, and the call is repeated."""

    async def job():
        rig = await make(clock, book)
        rig.draw = 0.9
        book.failures = [OSError("canary"), ValueError("canary")]
        token = await refresh(rig, "second")
        told = list(book.told)
        await book.ended.wait()
        return rig, token, told

    rig, token, told_at_once = run_leaping(job())

    assert token.refresh_token == "second"
    assert told_at_once == ["second"]
    assert book.told == ["second"] * 3
    failures = rig.happened(TokenCallbackFailed)
    assert [failure.fingerprint for failure in failures] == [token.fingerprint] * 2
    assert failures[0].error.startswith("OSError, test_on_token.py:")
    assert failures[1].error.startswith("ValueError, test_on_token.py:")
    assert "canary" not in caplog.text


@pytest.mark.parametrize("has_store", [False, True])
def test_a_callback_that_hangs_is_given_up_and_called_again(clock, book, has_store):
    """Callers wait for the time-out of the callback and no longer."""
    store = aa.MemoryTokenStore(clock=clock) if has_store else None

    async def job():
        rig = await make(clock, book, store=store)
        rig.draw = 0.9
        book.hold()
        began = asyncio.get_running_loop().time()
        token = await refresh(rig, "second")
        waited = asyncio.get_running_loop().time() - began
        book.gate = None
        await book.ended.wait()
        return rig, token, waited

    rig, token, waited = run_leaping(job())

    assert waited == pytest.approx(10, abs=0.01)
    assert token.refresh_token == "second"
    assert book.told == ["second"] * 2
    assert [event.error for event in rig.happened(TokenCallbackFailed)] == ["TimeoutError"]


async def test_a_call_that_does_not_end_is_overtaken_by_no_other(clock):
    """A call that ignores its cancellation keeps the next one waiting, so that order is kept."""
    book = StubbornBook()
    rig = await make(clock, book, policy=QUICK)
    book.hold()
    await refresh(rig, "second")
    await refresh(rig, "third")
    told = list(book.told)
    book.gate.set_result(None)
    await book.ended.wait()

    assert told == ["second"]
    assert book.told[1:] == ["third"]
    errors = [event.error for event in rig.happened(TokenCallbackFailed)]
    assert errors[:2] == ["TimeoutError", "an earlier call has not ended"]


async def test_a_newer_token_takes_the_place_of_one_that_was_not_kept(clock, book):
    """The older refresh token is spent by then: keeping it would help nobody."""
    rig = await make(clock, book)
    book.failures = [OSError()]
    rig.draw = 0.9
    await refresh(rig, "second")
    await refresh(rig, "third")
    await rig.provider.aclose()

    assert book.told == ["second", "third"]
    assert book.kept == ["third"]


async def test_a_failure_after_a_newer_token_came_is_not_repeated(clock, book):
    """The newer token is told at once, without the pause after a failure."""
    rig = await make(clock, book)
    rig.draw = 0.9
    gate = book.hold()
    book.failures = [OSError()]
    caller = asyncio.create_task(refresh(rig, "second"))
    await book.began.wait()
    setting = asyncio.create_task(rig.provider.set_token(rotated(rig, refresh_token="newer")))
    await settle()
    gate.set_result(None)
    await asyncio.gather(setting, caller)

    assert book.told == ["second", "newer"]
    assert book.kept == ["newer"]


def test_a_repetition_that_is_not_needed_any_more_is_left_out(clock, book):
    """The pause of a failed call ends after a newer token was kept."""

    async def job():
        rig = await make(clock, book)
        rig.draw = 0.9
        book.failures = [OSError()]
        await refresh(rig, "second")
        await refresh(rig, "third")
        await asyncio.sleep(60)

    run_leaping(job())

    assert book.told == ["second", "third"]


async def test_a_callback_that_awaits_a_cancelled_task_has_failed(clock):
    """A CancelledError of the callback's own cancels nothing of the provider's."""

    async def keep(_token):
        raise asyncio.CancelledError

    rig = Rig(clock, on_token=keep)
    token = await rig.get()
    await rig.provider.aclose()

    assert token == "token-1"
    (told,) = {event.error for event in rig.happened(TokenCallbackFailed)}
    assert told.startswith("CancelledError, test_on_token.py:")


async def test_closing_waits_for_a_call_and_repeats_one_that_failed(clock, book):
    """What was not kept is told once more before the provider has closed."""
    rig = await make(clock, book)
    book.failures = [OSError()]
    rig.draw = 0.9
    await refresh(rig, "second")
    await rig.provider.aclose()

    assert book.told == ["second", "second"]
    assert book.kept == ["second"]


def test_a_callback_that_fails_to_the_end_does_not_keep_the_provider_open(clock, book):
    """Closing tries once and leaves no timer behind."""

    async def job():
        rig = await make(clock, book)
        rig.draw = 0.9
        book.failures = [OSError()] * 9
        await refresh(rig, "second")
        await rig.provider.aclose()
        await asyncio.sleep(600)

    run_leaping(job())

    assert book.told == ["second", "second"]
    assert book.kept == []


async def test_a_sign_in_overtakes_a_refresh_that_is_under_way(clock, book):
    """The token of the older sign-in is neither served nor told."""
    rig = await make(clock, book)
    answer = rig.client.hold()
    clock.advance(3600)
    caller = asyncio.create_task(rig.provider.get_token())
    await settle()
    await rig.provider.set_token(rotated(rig, refresh_token="newer"))
    answer.set_result(rotated(rig, refresh_token="older"))

    assert (await caller).refresh_token == "newer"
    assert book.told == ["newer"]


async def test_a_sign_in_waits_for_the_call_before_it(clock, book):
    """A sign-in that comes while a rotation is being kept is told after it."""
    rig = await make(clock, book)
    gate = book.hold()
    caller = asyncio.create_task(refresh(rig, "second"))
    await book.began.wait()
    setting = asyncio.create_task(rig.provider.set_token(rotated(rig, refresh_token="newer")))
    await settle()
    told = list(book.told)
    gate.set_result(None)
    await setting
    await caller

    assert told == ["second"]
    assert book.kept == ["second", "newer"]


async def test_a_sign_in_of_another_thread_waits_as_well(clock, book):
    """Two event loops never call the callback at once."""
    rig = await make(clock, book)
    gate = book.hold()
    caller = asyncio.create_task(refresh(rig, "second"))
    await book.began.wait()
    book.began.clear()
    newer = rotated(rig, refresh_token="newer")
    thread = threading.Thread(target=lambda: asyncio.run(rig.provider.set_token(newer)))
    thread.start()
    await asyncio.to_thread(wait_until, lambda: rig.provider.peek() is newer)
    told = list(book.told)
    gate.set_result(None)
    await caller
    await asyncio.to_thread(thread.join)

    assert told == ["second"]
    assert book.kept == ["second", "newer"]


async def test_a_callback_on_a_loop_that_was_closed_is_not_waited_for(clock):
    """What a dead loop has left behind keeps no later call waiting."""
    told = []
    keep_waiting = True

    async def keep(token):
        told.append(text_of(token))
        if keep_waiting:
            await asyncio.Event().wait()

    rig = Rig(clock, grant=ALICE, on_token=keep)
    first, second = (rotated(rig, refresh_token=text) for text in ("first", "second"))

    def cut():
        loop = asyncio.new_event_loop()
        task = loop.create_task(rig.provider.set_token(first))
        while not told:
            loop.run_until_complete(asyncio.sleep(0))
        silence(task)
        loop.close()

    await asyncio.to_thread(cut)
    keep_waiting = False
    await rig.provider.set_token(second)

    assert told == ["first", "second"]


async def test_forgetting_tells_that_there_is_no_token(clock, book):
    """The application lets go of what it has kept."""
    rig = await make(clock, book)
    fingerprint = rig.provider.peek().fingerprint
    await rig.provider.forget()

    assert book.kept == [None]
    assert rig.happened(TokenForgotten) == [TokenForgotten(fingerprint, is_revoked=False)]


async def test_signing_out_revokes_and_tells(clock, book):
    """The server has revoked the token when the application learns of its end."""
    rig = await make(clock, book)
    revoked = []

    async def revoke(token):
        revoked.append((token.refresh_token, list(book.kept)))

    rig.client.revoke = revoke
    fingerprint = rig.provider.peek().fingerprint
    await rig.provider.sign_out()

    assert revoked == [("first", [])]
    assert book.kept == [None]
    assert rig.happened(TokenForgotten) == [TokenForgotten(fingerprint, is_revoked=True)]


async def test_signing_out_tells_although_the_server_is_away(clock, book):
    """The sign-in has ended here, whatever the server has learned of it."""
    rig = await make(clock, book)

    async def revoke(_token):
        raise LOST.copy()

    rig.client.revoke = revoke
    with pytest.raises(aa.TransportError):
        await rig.provider.sign_out()

    assert book.kept == [None]
    assert [event.is_revoked for event in rig.happened(TokenForgotten)] == [False]


async def test_a_failed_farewell_is_repeated(clock, book):
    """That there is no token any more is told again like a token."""
    rig = await make(clock, book)
    book.failures = [OSError()]
    await rig.provider.forget()
    await rig.provider.aclose()

    assert book.told == [None, None]
    (failure,) = rig.happened(TokenCallbackFailed)
    assert failure.fingerprint == ""
    assert failure.error.startswith("OSError, test_on_token.py:")


async def test_a_cancelled_farewell_is_told_all_the_same(clock, book):
    """Once forget was called the callback learns of it, also while a refresh is still ending."""
    rig = await make(clock, book)
    answer = rig.client.hold()
    clock.advance(3600)
    caller = asyncio.create_task(rig.provider.get_token())
    await settle()
    forgetting = asyncio.create_task(rig.provider.forget())
    await settle()
    forgetting.cancel()
    await asyncio.gather(forgetting, return_exceptions=True)
    answer.set_result(rotated(rig, refresh_token="second"))
    await asyncio.gather(caller, return_exceptions=True)

    assert book.told == [None]


async def test_nobody_is_told_of_a_refresh_after_the_farewell(clock, book):
    """A refresh that ends while its end-user signs out is told before, and its end after it."""
    rig = await make(clock, book)
    answer = rig.client.hold()
    clock.advance(3600)
    caller = asyncio.create_task(rig.provider.get_token())
    await settle()
    forgetting = asyncio.create_task(rig.provider.forget())
    await settle()
    answer.set_result(rotated(rig, refresh_token="second"))
    await asyncio.gather(forgetting, caller, return_exceptions=True)

    assert book.told[-1] is None
    assert rig.provider.peek() is None


async def test_the_store_has_the_token_before_the_callback(clock, book):
    """With a store, both keep it, and the lease is held until the callback has."""
    store = FailingStore()
    rig = await make(clock, book, store=store)
    seen = []

    async def look(token):
        entry = await store.load(key_of(store))
        seen.append((entry.record.token, await store.acquire(key_of(store), seconds=1)))
        await Book.keep(book, token)

    book.keep = look
    rig = Rig(clock, grant=ALICE, on_token=look, store=store)
    token = await refresh(rig, "second")

    assert book.kept == ["second"]
    assert seen == [(token, None)]


async def test_a_fleet_tells_each_rotation_once_and_in_order(clock):
    """The process that rotates tells; those that adopt the token from the store do not."""
    told = []
    store = FailingStore()

    async def keep(token):
        told.append(text_of(token))

    rigs = [Rig(clock, grant=ALICE, on_token=keep, store=store) for _ in range(3)]
    await rigs[0].provider.set_token(rotated(rigs[0], refresh_token="first"))
    for number in range(6):
        clock.advance(3600)
        for rig in rigs:
            rig.client.made = 100 * (number + 1)
            rig.client.answers = [rotated(rig, refresh_token=f"refresh-{number}")]
        await asyncio.gather(*(rig.provider.get_token() for rig in rigs[number % 3 :]))

    assert told == ["first", *(f"refresh-{number}" for number in range(6))]


async def test_a_token_is_told_although_the_store_is_away(clock, book):
    """The callback may be the only place that has it then."""
    store = FailingStore()
    rig = await make(clock, book, store=store, sharing=aa.SharingPolicy(refresh_without_store=True))
    store.failing = {"load"}
    await refresh(rig, "second")

    assert book.kept == ["second"]


async def test_a_store_that_cannot_forget_prevents_no_farewell(clock, book):
    """The callback learns of the end before the error is raised."""
    store = FailingStore()
    rig = await make(clock, book, store=store)
    store.failing = {"load"}
    with pytest.raises(aa.StoreError):
        await rig.provider.forget()
    store.failing = set()
    await rig.provider.aclose()

    assert book.kept == [None]


async def test_a_pool_keeps_a_provider_whose_token_is_owed(clock, book):
    """An evicted provider could not tell it any more."""
    book.failures = [OSError()] * 9

    def make_one(key):
        return Rig(clock, on_token=book.keep if key == "owing" else None).provider

    pool = aa.TokenProviderPool(make_one, max_size=1)
    await pool.get_token("owing")
    for key in range(3):
        await pool.get_token(key)
    held = set(providers_of(pool))
    await pool.aclose()

    assert "owing" in held


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("keep", "on_token must be a coroutine function that takes a token or None; it is of type"),
        (print, r"on_token must be a coroutine function \(async def\)"),
        (lambda token: None, r"on_token must be a coroutine function \(async def\)"),
    ],
    ids=["a text", "a function", "a lambda"],
)
def test_a_callback_is_a_coroutine_function(clock, wrong, problem):
    """A function whose result nobody could await is refused at construction."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        Rig(clock, on_token=wrong)


async def test_an_object_with_an_async_call_is_a_callback(clock):
    """Whatever can be called and awaited will do."""
    kept = []

    class Keeper:
        async def __call__(self, token):
            kept.append(token)

    token = await Rig(clock, on_token=Keeper()).provider.get_token()

    assert kept == [token]


@pytest.mark.parametrize("made_by", ["client_credentials", "from_env", "from_config"])
async def test_each_way_to_make_a_provider_takes_the_callback(
    http_mock, book, tmp_path, monkeypatch, made_by
):
    """What the class takes, its conveniences take: here the callback, and the listener of events."""
    seen = []
    options = {"on_token": book.keep, "on_event": seen.append}
    http_mock.post(
        "https://id.dev.aritma.io/connect/token",
        payload={"access_token": "first", "token_type": "Bearer", "expires_in": 60},
    )
    if made_by == "client_credentials":
        tokens = aa.TokenProvider.client_credentials(
            "id", "secret", environment=aa.DEVELOPMENT, **options
        )
    elif made_by == "from_env":
        monkeypatch.setenv("ARITMA_CLIENT_ID", "id")
        monkeypatch.setenv("ARITMA_CLIENT_SECRET", "secret")
        monkeypatch.setenv("ARITMA_ENVIRONMENT", "development")
        tokens = aa.TokenProvider.from_env(**options)
    else:
        monkeypatch.setenv("SOME_SECRET", "secret")
        file = tmp_path / "aritma.toml"
        file.write_text(
            '[registrations.one]\nclient_id = "id"\nenvironment = "development"\n'
            'client_secret_variable = "SOME_SECRET"\n'
        )
        tokens = aa.TokenProvider.from_config("one", path=file, **options)
    async with tokens:
        await tokens.get_token()

    assert book.kept == ["first"]
    assert {event.client_id for event in seen} == {"id"}


WAITING = {
    "get_token": lambda provider: provider.get_token(),
    "set_token": lambda provider: provider.set_token(aa.Token("of the callback", expires_at=9e9)),
    "forget": lambda provider: provider.forget(),
    "sign_out": lambda provider: provider.sign_out(),
    "aclose": lambda provider: provider.aclose(),
}


@pytest.mark.parametrize("has_store", [False, True])
@pytest.mark.parametrize("call", WAITING)
def test_a_callback_that_awaits_its_own_provider_is_told_so_at_once(clock, call, has_store):
    """It would wait for what waits for it: nobody else waits, and nothing is done over and over."""
    store = aa.MemoryTokenStore(clock=clock) if has_store else None

    async def keep(token):
        told.append(token)
        await WAITING[call](rig.provider)

    async def job():
        began = asyncio.get_running_loop().time()
        token = await rig.provider.get_token()
        waited = asyncio.get_running_loop().time() - began
        problems = [event.error for event in rig.happened(TokenCallbackFailed)]
        await rig.provider.aclose()
        return token, waited, problems

    told, rig = [], Rig(clock, on_token=keep, store=store)
    rig.draw = 0.9
    token, waited, problems = run_leaping(job())

    assert token.access_token == "token-1"
    assert waited < 1
    assert len(problems) == 1
    assert "on_token must not await its own provider" in problems[0]
    assert len(told) == 2


async def test_a_task_of_the_callback_may_await_the_provider(clock):
    """It waits until the callback has returned."""
    tasks = []

    async def keep(token):
        tasks.append(asyncio.create_task(rig.provider.get_token()))

    rig = Rig(clock, on_token=keep)
    token = await rig.provider.get_token()

    assert await tasks[0] == token
    await rig.provider.aclose()


def test_a_callback_that_has_a_token_set_each_time_ends_all_the_same(clock):
    """Each call brings another token to tell of: callers wait for some of them, not for ever."""
    told = []

    async def set_another():
        token = aa.Token(f"number {len(told)}", expires_at=clock.time() + 60)
        await rig.provider.set_token(token)

    async def keep(token):
        told.append(token)
        await asyncio.gather(asyncio.wait_for(set_another(), 5), return_exceptions=True)

    async def job():
        await rig.provider.get_token()
        at_once = len(told)
        await rig.provider.aclose()
        return at_once

    rig = Rig(clock, on_token=keep)

    assert 1 < run_leaping(job()) < 30


async def test_a_callback_may_read_what_it_need_not_wait_for(clock):
    """A token that lives is served inside the callback too, as to sign the request that keeps it."""
    seen = []

    async def keep(token):
        if rig.provider.peek() is None:
            seen.append((await rig.provider.get_token()).access_token)

    rig = Rig(clock, on_token=keep)
    await rig.provider.set_token(aa.Token("old", expires_at=clock.time() + 3600))
    clock.advance(3000)
    assert (await rig.provider.get_token()).access_token == "old"
    await settle()
    await rig.provider.aclose()

    assert seen == ["old"]
