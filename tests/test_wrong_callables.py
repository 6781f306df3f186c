"""Functions that a caller gives: of a wrong kind they are refused at once, and named when they fail."""

import asyncio
import logging

import pytest

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.banking.dispatcher import EventDispatcher
from aritma_auth.integrations.aiohttp_web import WebSignIn
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.testing import FakeClient

pytestmark = pytest.mark.usefixtures("no_leftovers")

API = "https://api.example"
NOWHERE = aa.Environment.at("http://127.0.0.1:1")
KEY = aa.SigningKey.generate()


def provider(**settings):
    return aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant(), **settings)


def pool(**settings):
    return aa.TokenProviderPool(lambda _key: provider(), **settings)


async def as_async(_one=None):
    return None


async def as_async_of_two(_one, _two):
    return None


def as_generator(_one=None):
    yield None


async def as_async_generator(_one=None):
    yield None


def of_two(_one, _two):
    return None


class AsyncObject:
    async def __call__(self, _one=None):
        return None


def name_of(given):
    """Name what is given, without the address that its repr shows."""
    return getattr(given, "__name__", type(given).__name__)


def web(render_page):
    return WebSignIn(aa.OAuthClient("id", "s"), API, render_page=render_page)


NOT_AWAITED = {
    "on_event": lambda given: provider(on_event=given),
    "factory": aa.TokenProviderPool,
    "label": lambda given: pool(label=given),
    "key": lambda given: pool().middleware(given, [API]),
    "render_page": web,
    "show": lambda given: aa.login_with_device(aa.OAuthClient("id", "s"), show=given),
    "open_browser": lambda given: aa.login_with_browser(
        aa.OAuthClient("id", "s"), open_browser=given
    ),
}
AWAITED = {
    "on_token": lambda given: provider(on_token=given),
    "sign": lambda given: aa.RemoteSigner("ES256", given),
    "keys": lambda given: pool().keep_alive(given, idle=60.0),
    "sign_in": lambda given: aa.signed_in_provider(aa.OAuthClient("id", "s"), sign_in=given),
}
EITHER = {"source": aa.Secret.from_callable}


async def refuse(name, make, given):
    with pytest.raises(aa.ConfigurationError, match=rf"^{name} must be a"):
        await make(given)


@pytest.mark.parametrize("name", NOT_AWAITED)
@pytest.mark.parametrize(
    "given", [as_async, AsyncObject(), as_generator, as_async_generator, of_two, "x"], ids=name_of
)
async def test_a_function_that_is_called_and_not_awaited(name, given):
    """An async one would be called, never awaited, and its coroutine taken for a result."""
    await refuse(name, NOT_AWAITED[name], given)


@pytest.mark.parametrize("name", AWAITED)
@pytest.mark.parametrize(
    "given", [as_generator, as_async_generator, as_async_of_two, 5], ids=name_of
)
async def test_a_function_that_is_awaited(name, given):
    """One that takes another number of arguments fails when the provider is made, not at night."""
    await refuse(name, AWAITED[name], given)


@pytest.mark.parametrize("given", [lambda _one: "x", as_generator, as_async_generator, b"x"])
async def test_a_function_that_is_awaited_if_need_be(given):
    """A secret may come from a plain function or an async one."""
    await refuse("source", EITHER["source"], given)


def test_functions_that_say_nothing_of_themselves_are_taken():
    """Some builtins have no signature; an object may be callable."""
    assert pool(label=str) is not None
    assert aa.Secret.from_callable(dict)
    assert aa.RemoteSigner("ES256", AsyncObject())
    assert provider(on_event=print)


class Raising:
    """Stands for a class of the caller's whose every method raises."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def fail_here(*_arguments, **_keywords):
            raise KeyError("k7Qx2mZr9TbWv4Lc8NdY")

        return fail_here


async def fail_here(*_arguments):
    raise KeyError("k7Qx2mZr9TbWv4Lc8NdY")


def client(auth="s"):
    return aa.OAuthClient("id", auth, environment=NOWHERE, timeout=1.0)


class Keyring(Raising):
    priority = 1


async def of_store(seen):
    async with provider(store=aa.KeyringTokenStore(keyring=Keyring()), on_event=seen) as tokens:
        await tokens.get_token()


async def of_callback(seen):
    async with provider(on_token=fail_here, on_event=seen) as tokens:
        await tokens.get_token()


async def of_signer(_seen):
    signer = aa.RemoteSigner("ES256", fail_here, public_jwk=KEY.public_jwk)
    await client(aa.PrivateKeyJwt(signer)).fetch_token(aa.ClientCredentialsGrant())


async def of_secret(_seen):
    await client(aa.Secret.from_callable(fail_here)).fetch_token(aa.ClientCredentialsGrant())


async def of_subject(_seen):
    await client().fetch_token(aa.TokenExchangeGrant(Subject()))


class Subject:
    get_token = staticmethod(fail_here)

    def peek(self):
        return None

    def report_rejected(self, _token):
        return False

    def identity(self):
        return "alice"


async def of_keep_alive(_seen):
    run = asyncio.create_task(pool().keep_alive(fail_here, idle=60.0))
    await asyncio.sleep(0.01)
    run.cancel()
    await asyncio.wait([run])


async def of_handler(seen):
    dispatcher = EventDispatcher(
        banking.MemoryDeliveryLog(), timeout=5, retention=60, clock=SYSTEM_CLOCK, tell=seen
    )
    dispatcher.on(banking.CloudEvent, "handler")(fail_here)
    event = banking.CloudEvent(id="1", source="s", type="t")
    await dispatcher.handle_all([event], SYSTEM_CLOCK.monotonic() + 5)


FAILING = [of_store, of_callback, of_signer, of_secret, of_subject, of_keep_alive, of_handler]


@pytest.mark.parametrize("fail", FAILING, ids=lambda fail: fail.__name__)
async def test_what_a_callers_function_raises_is_named_by_class_and_place(fail, canary, caplog):
    """Nobody finds a KeyError of which neither module nor line is said; its text may be a secret."""
    canary.text = "k7Qx2mZr9TbWv4Lc8NdY"
    caplog.set_level(logging.DEBUG)
    seen = []
    try:
        await fail(seen.append)
    except aa.AritmaAuthError as error:
        canary.assert_hidden(error)
        seen.append(error)
    told = "\n".join([*map(str, seen), caplog.text])

    assert "KeyError, test_wrong_callables.py:" in told
    assert " in fail_here" in told
    assert canary.text not in told
