"""Tests of what an error reporter sees of a constructor that refuses an argument."""

import enum
import inspect
import traceback

import attrs
import pytest

import aritma_auth as aa
from aritma_auth import banking, stores, testing
from aritma_auth.integrations import aiohttp_web, fastapi, httpx, session_store
from aritma_auth.runtime.hidden_arguments import hides_awaited_arguments
from aritma_auth.runtime.values import Value
from aritma_auth.sandbox import SandboxClient

KEYS = aa.EncryptionKeys({"1": "A" * 43})

# One argument of each is a secret, and another one is wrong.
REFUSED = {
    "client id": lambda secret: aa.OAuthClient("", secret),
    "time-out": lambda secret: aa.OAuthClient("id", secret, timeout=0),
    "environment": lambda secret: aa.OAuthClient("id", secret, environment="nowhere"),
    "issuer": lambda secret: aa.OAuthClient("id", environment=f"https://me:{secret}@idp.example"),
    "proxy": lambda secret: aa.OAuthClient("id", proxy=f"http://me:{secret}@proxy.example:70000"),
    "a provider's scope": lambda secret: aa.TokenProvider.client_credentials(
        "id", secret, scope='"'
    ),
    "a pool's client": lambda secret: aa.TokenProviderPool.for_tenants("", secret),
    "discovery": lambda secret: aa.Environment.discover(f"https://me:{secret}@idp.example"),
    "user name": lambda secret: aa.PasswordGrant(5, secret),
    "scope": lambda secret: aa.PasswordGrant("alice", secret, scope='"'),
    "refresh": lambda secret: aa.RefreshTokenGrant(secret, scope='"'),
    "device": lambda secret: aa.DeviceCodeGrant(secret, scope='"'),
    "backchannel": lambda secret: aa.BackchannelGrant(secret, scope='"'),
    "delegation": lambda secret: aa.DelegationGrant(secret, scope='"'),
    "exchange": lambda secret: aa.TokenExchangeGrant(secret, scope='"'),
    "assertion": lambda secret: aa.JwtBearerGrant(secret, scope='"'),
    "custom": lambda secret: aa.CustomGrant("urn:x", {"pin": secret}, scope='"'),
    "extra": lambda secret: aa.ClientCredentialsGrant(extra={"pin": secret, "scope": "x"}),
    "misspelt": lambda secret: aa.ClientSecretBasic(secret, form_encoded=True),
    "flag": lambda secret: aa.ClientSecretBasic(secret, is_form_encoded="no"),
    "digest": lambda secret: aa.ClientSecretJwt(secret, algorithm="RS256"),
    "a key's algorithm": lambda secret: aa.PrivateKeyJwt(secret, algorithm="HS256"),
    "an assertion's": lambda secret: aa.JwtAssertion(secret, algorithm="HS256"),
    "a signing key's": lambda secret: aa.SigningKey({"d": secret}, algorithm="HS256"),
    "token type": lambda secret: aa.Token(secret, token_type=5),
    "Redis": lambda secret: aa.RedisTokenStore(f"redis://me:{secret}@host/x", keys=KEYS),
    "clock": lambda secret: aa.RedisTokenStore(
        "redis://[::1]", keys=KEYS, password=secret, clock=1
    ),
    "encryption": lambda secret: aa.EncryptionKeys({"1": secret}),
    "sessions": lambda secret: session_store.RedisSessionStore(
        f"redis://me:{secret}@h/x", keys=KEYS
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_other_arguments_of_a_refused_construction_are_not_shown(name, canary):
    """One that is wrong must not show the secret beside it in a reporter's local variables."""
    with pytest.raises((aa.ConfigurationError, TypeError)) as caught:
        REFUSED[name](canary.text)

    canary.assert_hidden(caught.value)


# Each shows itself in its own words, for which it must be whole.
HALF_MADE = {
    "client": lambda: aa.OAuthClient(5),
    "provider": lambda: aa.TokenProvider(None, None),
    "pool": lambda: aa.TokenProviderPool(None),
    "registrar": lambda: aa.ClientRegistrar(5),
    "middleware": lambda: aa.BearerMiddleware(None, []),
    "keyed middleware": lambda: aa.KeyedBearerMiddleware(None, None, []),
    "secret": lambda: aa.Secret(5),
    "certificate": lambda: aa.ClientCertificate(5),
    "response": lambda: aa.AuthorizationResponse(
        None, request=None, issuer=None, code=None, token=None, id_token=None, session_state=None
    ),
    "aiohttp": lambda: aiohttp_web.WebSignIn(5, "x"),
    "FastAPI": lambda: fastapi.WebSignIn(5, "x"),
    "httpx": lambda: httpx.BearerAuth(5, []),
    "sessions": lambda: session_store.MemorySessionStore(limit="x"),
    "consent": lambda: banking.ApiContext(scopes=5),
    "step": lambda: banking.ScaStep(confirmation="x", acr_values=5),
    "log": lambda: banking.MemoryDeliveryLog("x"),
    "place": lambda: banking.FileSecretPlace(5),
    "fake": lambda: testing.FakeClient(5),
    "file store": lambda: aa.FileTokenStore(5),
    "sandbox client": lambda: SandboxClient(client_id="x", public_key={"kty": object()}),
}


@pytest.mark.parametrize("name", HALF_MADE)
def test_an_object_that_is_not_whole_stands_in_no_frame(name):
    """A reporter that shows local variables must not fail on the ``repr`` of half an object."""
    with pytest.raises(aa.ConfigurationError) as caught:
        HALF_MADE[name]()

    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "self" not in "".join(report.format())


def exported_classes():
    """Find the classes that the package exports and makes itself."""
    modules = (aa, stores, banking, testing, aiohttp_web, fastapi, httpx, session_store)
    exported = [getattr(module, name) for module in modules for name in module.__all__]
    return {
        kind
        for kind in filter(inspect.isclass, exported)
        if not inspect.isabstract(kind)
        and kind.__module__.startswith("aritma_auth")
        and not issubclass(kind, BaseException | dict | enum.Enum)
    }


def names_of(kinds):
    return [kind.__name__ for kind in kinds if not hasattr(kind.__init__, "__wrapped__")]


def test_every_class_that_takes_a_secret_hides_its_arguments():
    """A new one is not forgotten: its signature says that it takes a secret."""
    # A signed-in user is made by the package alone, of values that hide themselves.
    kinds = exported_classes() - {aiohttp_web.SignedInUser}
    taking = [kind for kind in kinds if "Secret" in str(inspect.signature(kind))]

    assert len(taking) > 15
    assert names_of(taking) == []


def test_every_class_that_shows_itself_does_so_when_it_is_whole():
    """A new one is not forgotten: attrs sets every field before it looks at one."""
    own = [
        kind
        for kind in exported_classes()
        if not attrs.has(kind) and kind.__repr__ not in (object.__repr__, Value.__repr__)
    ]

    assert len(own) > 10
    assert names_of(own) == []


async def test_another_failure_of_a_coroutine_keeps_its_frames():
    """Where the network failed is worth knowing; the arguments are not shown there either."""

    async def fail(secret):
        del secret
        raise OSError("away")

    with pytest.raises(OSError, match="away") as caught:
        await hides_awaited_arguments(aa.ConfigurationError)(fail)("k7Qx2m")

    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert [frame.name for frame in report.stack][-1] == "fail"
    assert not [frame for frame in report.stack if "k7Qx2m" in str(frame.locals)][1:]
