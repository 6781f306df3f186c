"""Tests that send one secret through every path: it is seen on the wire alone."""

import asyncio
import json
import logging

import aiohttp
import attrs
import cattrs
import pytest

import aritma_auth as aa
from aritma_auth.sandbox import SandboxClient

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant(scope="bankservice")


@pytest.fixture
def me(aritma_sandbox, canary):
    """Give a client whose secret is the canary."""
    return aritma_sandbox.add_client(
        SandboxClient(client_id="canary", secrets=canary.text, scopes=("bankservice",))
    )


def client_of(sandbox, secret, method=aa.ClientSecretPost, **settings):
    return aa.OAuthClient(
        "canary",
        method(aa.Secret(secret)),
        environment=sandbox.environment,
        **settings,
    )


FAULTS = {
    "none": lambda s: None,
    "503": lambda s: s.faults.fail_next(503, times=9),
    "echo": None,
    "dropped": lambda s: s.faults.drop_next(times=9),
    "truncated": lambda s: s.faults.truncate_next(),
    "late": lambda s: s.faults.delay_next(2, times=9),
    "endless": lambda s: s.faults.flood_next(),
    "redirected": lambda s: s.faults.redirect_next("https://evil.example"),
}


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING])
@pytest.mark.parametrize("method", [aa.ClientSecretPost, aa.ClientSecretBasic])
@pytest.mark.parametrize("fault", FAULTS)
async def test_the_client_secret_never_shows(
    aritma_sandbox, canary, me, fault, method, level, caplog
):
    """No fault makes an error, its locals, an event, the status, a log or a repr show it."""
    caplog.set_level(level)
    events = []
    client = client_of(aritma_sandbox, canary.text, method, timeout=0.6)
    if fault == "echo":
        # A hostile or careless server sends the secret back wherever it can.
        body = {"error": "invalid_request", "error_description": f"not {canary.text}"}
        aritma_sandbox.faults.respond_next(json.dumps(body).encode(), status=400)
    else:
        FAULTS[fault](aritma_sandbox)
    provider = aa.TokenProvider(
        client, GRANT, policy=aa.RefreshPolicy(max_attempts=1), on_event=events.append
    )
    results = await asyncio.gather(
        *(provider.get_token() for _ in range(3)), return_exceptions=True
    )
    await provider.aclose()

    canary.assert_hidden(*results, *events, client, client.client_auth, provider, provider.status())
    assert canary.text not in caplog.text


@pytest.mark.parametrize("member", ["access_token", "refresh_token", "id_token", "custom"])
async def test_a_tokens_secrets_never_show(aritma_sandbox, canary, me, member):
    """The secret may be in any member of the token response."""
    members = {"access_token": "a", "token_type": "Bearer", member: canary.text}
    aritma_sandbox.faults.respond_next(json.dumps(members).encode())
    events = []
    provider = aa.TokenProvider(
        client_of(aritma_sandbox, canary.text),
        GRANT,
        store=(store := aa.MemoryTokenStore()),
        on_event=events.append,
    )
    token = await provider.get_token()
    parts = [getattr(provider, name) for name in provider.__slots__ if name != "__weakref__"]
    dumps = [attrs.asdict(token), cattrs.unstructure(token), parts, vars(store)]

    canary.assert_hidden(token, provider, provider.status(), store, *events, *dumps)
    await provider.aclose()


@pytest.mark.parametrize(
    "member", ["access_token", "expires_in", "scope", "token_type", "refresh_token", "id_token"]
)
async def test_a_broken_responses_content_never_shows(aritma_sandbox, canary, me, member):
    """The error names the malformed member and quotes nothing of it."""
    members = {"access_token": "a", "token_type": "Bearer", member: [canary.text]}
    if member == "scope":
        members["scope"] = {"not": canary.text}
    aritma_sandbox.faults.respond_next(json.dumps(members).encode())

    with pytest.raises(aa.InvalidResponseError, match=member) as caught:
        await client_of(aritma_sandbox, canary.text).fetch_token(GRANT)
    canary.assert_hidden(caught.value, caught.value.problems)


@pytest.mark.parametrize(
    "body", ["{0}", '{{"access_token": "{0}"', "<html>{0}</html>", '{{"a": "{0}", "a": 1}}']
)
async def test_unreadable_bodies_never_show(aritma_sandbox, canary, me, body):
    """The errors of json, which hold the whole text, do not escape either."""
    aritma_sandbox.faults.respond_next(body.format(canary.text).encode(), status=500)

    with pytest.raises(aa.InvalidResponseError) as caught:
        await client_of(aritma_sandbox, canary.text).fetch_token(GRANT)
    canary.assert_hidden(caught.value)


async def test_the_callers_own_exception_handler_sees_nothing(aritma_sandbox, canary, me):
    """A failed call shows the token neither in aiohttp's exception nor in its locals."""
    provider = aa.TokenProvider(client_of(aritma_sandbox, canary.text), GRANT)
    token = await provider.get_token()
    aritma_sandbox.faults.drop_next(times=4, where="api")
    async with aiohttp.ClientSession(
        aritma_sandbox.banking_url, middlewares=[provider.middleware()]
    ) as bank:
        with pytest.raises(aiohttp.ClientError) as caught:
            await bank.get("api/v3/accounts/42")
    await provider.aclose()

    canary.text = token.access_token
    canary.assert_hidden(caught.value)
