"""Wrong use of the integrations and of sign-ins at this machine: each argument of each wrong kind."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from fastapi import FastAPI

import aritma_auth as aa
from aritma_auth.events import StoreFailed
from aritma_auth.events.listeners import log_event
from aritma_auth.integrations import aiohttp_web, fastapi, httpx, opentelemetry, session_store
from aritma_auth.integrations.web_addresses import WebPaths
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.testing import FakeClient
from support.wrong_kinds import refuse_all

API = "https://api.example"
# Nobody listens there: a sign-in that nothing refuses before ends at once.
NOWHERE = aa.Environment.at("http://127.0.0.1:1", discover=True)
CLIENT = aa.OAuthClient("id", "secret", environment=NOWHERE, timeout=1.0)
SOURCE = aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant())
CALLABLE = (type(None), type, type(log_event))


async def refuse(_client):
    raise aa.AccessDeniedError("access_denied")


WEB = {
    "client": (CLIENT, aa.OAuthClient),
    "base_url": (API, str),
    "scope": ("openid", (str, list, dict)),
    "api_url": (API, (str, type(None))),
    "paths": (WebPaths(), WebPaths),
    "sessions": (
        session_store.MemorySessionStore(),
        (session_store.MemorySessionStore, type(None)),
    ),
    "store": (aa.MemoryTokenStore(), (aa.MemoryTokenStore, type(None))),
    "session_lifetime": (60.0, (int, float)),
    "parameters": ({"prompt": "login"}, (dict, type(None))),
    "render_page": (None, CALLABLE),
    "clock": (SYSTEM_CLOCK, aa.Clock),
}
KEYS = aa.EncryptionKeys.generate()
APP = web.Application()
REQUEST = make_mocked_request("GET", "/")
EVENT = StoreFailed("load", "it is away")

CALLS = {
    "aiohttp_web.WebSignIn": (aiohttp_web.WebSignIn, WEB),
    "fastapi.WebSignIn": (fastapi.WebSignIn, WEB),
    "WebPaths": (
        WebPaths,
        {
            name: (f"/{name}", str)
            for name in ("sign_in", "callback", "sign_out", "signed_out", "back_channel_logout")
        },
    ),
    "BearerAuth": (
        httpx.BearerAuth,
        {
            "source": (SOURCE, aa.TokenProvider),
            "origins": ([API], (list, str, dict, type(None))),
            "strict": (False, bool),
            "keep_authorization": (False, bool),
            "on_event": (None, CALLABLE),
        },
    ),
    "Telemetry": (
        opentelemetry.Telemetry,
        {
            "then": (log_event, CALLABLE),
            "meter_provider": (None, type(None)),
            "tracer_provider": (None, type(None)),
            "per_key": (True, bool),
            "clock": (SYSTEM_CLOCK, aa.Clock),
        },
    ),
    "MemorySessionStore": (
        session_store.MemorySessionStore,
        {"limit": (5, int), "clock": (SYSTEM_CLOCK, aa.Clock)},
    ),
    "RedisSessionStore": (
        session_store.RedisSessionStore,
        {
            "server": ("redis://127.0.0.1", str),
            "keys": (KEYS, aa.EncryptionKeys),
            "password": (None, (str, type(None))),
            "allow_plaintext": (False, bool),
            "prefix": ("p", str),
            "timeout": (0.5, (int, float)),
        },
    ),
    "login_with_browser": (
        aa.login_with_browser,
        {
            "client": (CLIENT, aa.OAuthClient),
            "scope": ("openid", (str, list, dict, type(None))),
            "host": ("127.0.0.1", str),
            "port": (0, int),
            "path": ("/callback", str),
            "timeout": (0.1, (int, float)),
            "open_browser": (None, CALLABLE),
            "show": (str, CALLABLE),
        },
    ),
    "login_with_device": (
        aa.login_with_device,
        {
            "client": (CLIENT, aa.OAuthClient),
            "scope": ("openid", (str, list, dict, type(None))),
            "show": (str, CALLABLE),
        },
    ),
    "signed_in_provider": (
        aa.signed_in_provider,
        {
            "client": (CLIENT, aa.OAuthClient),
            "end_user": ("me", str),
            "store": (None, (aa.MemoryTokenStore, type(None))),
            "sign_in": (refuse, CALLABLE),
            "on_event": (None, CALLABLE),
        },
    ),
}
STORED = {"key": ("k", str)}
WRITTEN = {**STORED, "text": ("t", str), "seconds": (1.0, (int, float))}
METHODS = {
    "aiohttp_web setup": (
        aiohttp_web.WebSignIn(CLIENT, API).setup,
        {"app": (APP, web.Application)},
    ),
    "fastapi install": (
        fastapi.WebSignIn(CLIENT, API).install,
        {"app": (FastAPI(), FastAPI)},
    ),
    "Telemetry": (opentelemetry.Telemetry(None), {"event": (EVENT, aa.Event)}),
    "Telemetry on_wait": (opentelemetry.Telemetry(None).on_wait, {"flight": (1, int)}),
    **{
        f"aiohttp_web {name}": (
            getattr(aiohttp_web.WebSignIn(CLIENT, API), name),
            {"request": (REQUEST, web.Request)},
        )
        for name in ("find_user", "require_user")
    },
    **{
        f"fastapi {name}": (
            getattr(fastapi.WebSignIn(CLIENT, API), name),
            {"request": (fastapi.Request({"type": "http"}), fastapi.Request)},
        )
        for name in ("find_user", "require_user")
    },
    **{
        f"{type(store).__name__} {name}": (getattr(store, name), arguments)
        for store in (
            session_store.MemorySessionStore(),
            session_store.RedisSessionStore("redis://127.0.0.1:1", keys=KEYS),
        )
        for name, arguments in (
            ("put", WRITTEN),
            ("add", WRITTEN),
            ("get", STORED),
            ("take", STORED),
        )
    },
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_wrong_kind_is_refused_by_the_arguments_name(name):
    """It is refused where it is given, or it was right."""
    call, arguments = CALLS[name]

    await refuse_all(call, arguments)


@pytest.mark.parametrize("name", METHODS)
async def test_a_method_refuses_a_wrong_kind_by_the_arguments_name(name):
    """It is refused before anything is sent or kept."""
    method, arguments = METHODS[name]

    await refuse_all(method, arguments)


async def test_a_session_is_of_a_request():
    """Both frameworks' sessions refuse what is no request."""
    with pytest.raises(aa.ConfigurationError, match=r"^request must be an aiohttp.web.Request"):
        async with aiohttp_web.WebSignIn(CLIENT, API).session("GET /"):
            pass
    with pytest.raises(aa.ConfigurationError, match=r"^request must be a fastapi.Request"):
        async for _ in fastapi.WebSignIn(CLIENT, API).session("GET /"):
            pass


def test_httpx_authentication_is_of_a_request():
    """What is no request of httpx is refused before a token is fetched."""
    with pytest.raises(aa.ConfigurationError, match=r"^request must be an httpx.Request"):
        next(httpx.BearerAuth(SOURCE).sync_auth_flow("GET /"))


def open_sessions(**settings):
    return session_store.RedisSessionStore(
        "redis://127.0.0.1", keys=aa.EncryptionKeys.generate(), **settings
    )


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: aiohttp_web.WebSignIn(CLIENT, API, parameters={5: "a"}), "parameters"),
        (lambda: opentelemetry.Telemetry(meter_provider=5), "meter_provider"),
        (lambda: opentelemetry.Telemetry(tracer_provider=object()), "tracer_provider"),
        (lambda: opentelemetry.Telemetry(per_key="no"), "per_key"),
        (lambda: httpx.BearerAuth(SOURCE, on_event=5), "on_event"),
        (lambda: open_sessions(password=b"hunter2"), "password"),
    ],
)
def test_the_error_names_the_argument(call, name):
    """A wrong argument is refused where it is given, by its own name; a secret does not show."""
    with pytest.raises(aa.ConfigurationError, match=f"^{name} must be") as caught:
        call()

    assert "hunter2" not in str(caught.value)
