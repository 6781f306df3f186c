"""Wrong use of the integrations and of sign-ins at this machine: each argument of each wrong kind."""

import pytest

import aritma_auth as aa
from aritma_auth.events.base import log_event
from aritma_auth.integrations import aiohttp_web, fastapi, httpx, opentelemetry, session_store
from aritma_auth.integrations.web_messages import WebPaths
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.testing import FakeClient
from support.wrong_kinds import try_all

API = "https://api.example"
# Nobody listens there: a sign-in that nothing refuses before ends at once.
NOWHERE = aa.Environment.at("http://127.0.0.1:1", discover=True)
CLIENT = aa.OAuthClient("id", "secret", environment=NOWHERE, timeout=1.0)
WEB = {
    "client": CLIENT,
    "base_url": API,
    "scope": "openid",
    "api_url": API,
    "paths": WebPaths(),
    "sessions": session_store.MemorySessionStore(),
    "store": aa.MemoryTokenStore(),
    "session_lifetime": 60.0,
    "parameters": {"prompt": "login"},
    "render_page": None,
    "clock": SYSTEM_CLOCK,
}

CALLS = {
    "aiohttp_web.WebSignIn": (aiohttp_web.WebSignIn, WEB),
    "fastapi.WebSignIn": (fastapi.WebSignIn, WEB),
    "WebPaths": (
        WebPaths,
        {
            "sign_in": "/sign-in",
            "callback": "/callback",
            "sign_out": "/sign-out",
            "signed_out": "/signed-out",
            "back_channel_logout": "/logout",
        },
    ),
    "BearerAuth": (
        httpx.BearerAuth,
        {
            "source": aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()),
            "origins": [API],
            "strict": False,
            "keep_authorization": False,
            "on_event": None,
        },
    ),
    "Telemetry": (
        opentelemetry.Telemetry,
        {
            "then": log_event,
            "meter_provider": None,
            "tracer_provider": None,
            "per_key": True,
            "clock": SYSTEM_CLOCK,
        },
    ),
    "MemorySessionStore": (
        session_store.MemorySessionStore,
        {"limit": 5, "clock": SYSTEM_CLOCK},
    ),
    "RedisSessionStore": (
        session_store.RedisSessionStore,
        {
            "server": "redis://127.0.0.1",
            "keys": aa.EncryptionKeys.generate(),
            "password": None,
            "allow_plaintext": False,
            "prefix": "p",
            "timeout": 0.5,
        },
    ),
    "login_with_browser": (
        aa.login_with_browser,
        {
            "client": CLIENT,
            "scope": "openid",
            "host": "127.0.0.1",
            "port": 0,
            "path": "/callback",
            "timeout": 0.1,
            "open_browser": None,
            "show": lambda _url: None,
        },
    ),
    "login_with_device": (
        aa.login_with_device,
        {"client": CLIENT, "scope": "openid", "show": lambda _started: None},
    ),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_wrong_kind_is_an_error_of_the_package(name):
    """It is refused where it is given, or it was right."""
    call, right = CALLS[name]

    await try_all(call, right)


def open_sessions(**settings):
    return session_store.RedisSessionStore(
        "redis://127.0.0.1", keys=aa.EncryptionKeys.generate(), **settings
    )


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: aiohttp_web.WebSignIn(**{**WEB, "parameters": {5: "a"}}), "parameters"),
        (lambda: opentelemetry.Telemetry(meter_provider=5), "meter_provider"),
        (lambda: opentelemetry.Telemetry(tracer_provider=object()), "tracer_provider"),
        (lambda: opentelemetry.Telemetry(per_key="no"), "per_key"),
        (lambda: httpx.BearerAuth(CALLS["BearerAuth"][1]["source"], on_event=5), "on_event"),
        (lambda: open_sessions(password=b"hunter2"), "password"),
    ],
)
def test_the_error_names_the_argument(call, name):
    """A wrong argument is refused where it is given, by its own name; a secret does not show."""
    with pytest.raises(aa.ConfigurationError, match=f"^{name} must be") as caught:
        call()

    assert "hunter2" not in str(caught.value)
