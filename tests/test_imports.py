"""
What a service loads while it starts and with its first token, module by module.

A module costs about a third of a million instructions and a class of attrs one to three; the goals
are 90 million for the start and 135 for both (docs/explanation/performance.md). A name that appears
here is a decision: most of what is imported can wait until it is used.
"""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import sys, json
import aiohttp
stages = [set(sys.modules)]
import aritma_auth
stages.append(set(sys.modules))
from aritma_auth import BearerMiddleware, ClientCredentialsGrant, OAuthClient, TokenProvider
stages.append(set(sys.modules))

import asyncio
from aritma_auth.network.transport import Transport
from aritma_auth.protocol.http_messages import HttpResponse

async def send(self, request, **_settings):
    token = b'{"access_token": "x", "token_type": "Bearer", "expires_in": 3600}'
    return HttpResponse(200, {"content-type": "application/json"}, token)

async def main():
    Transport.send = send
    grant = ClientCredentialsGrant("bankservice")
    async with TokenProvider(OAuthClient("id", "secret"), grant) as tokens:
        await tokens.get_token()

asyncio.run(main())
stages.append(set(sys.modules))

def classes(modules):
    return sorted(
        f"{name.removeprefix('aritma_auth.')}.{kind}"
        for name in modules if name.startswith("aritma_auth")
        for kind, value in vars(sys.modules[name]).items()
        if "__attrs_attrs__" in getattr(value, "__dict__", ()) and value.__module__ == name
    )

loaded = [after - before for before, after in zip(stages, stages[1:])]
print(json.dumps([[sorted(modules), classes(modules)] for modules in loaded]))
"""

NAMES = ["", ".runtime", ".runtime.lazy_names", ".version"]

START = """
apis client client.arguments client.client client.connection client.discovery environment errors
events events.listeners network network.transport protocol protocol.client_auth
protocol.client_auth.base protocol.client_auth.post protocol.credentials protocol.endpoints
protocol.grants protocol.grants.base protocol.grants.service protocol.http_messages
protocol.parameters protocol.redaction protocol.tokens protocol.urls provider provider.backoff
provider.cache provider.lifecycle provider.middleware provider.policy provider.provider
provider.replay provider.settings runtime.callables runtime.clock runtime.closing
runtime.hidden_arguments runtime.lock runtime.tasks runtime.threads runtime.values secret
"""

START_CLASSES = """
apis.Api environment.Environment network.transport._Connections
protocol.client_auth.base.ClientCredential protocol.client_auth.base.Proof
protocol.client_auth.post.ClientSecretPost protocol.credentials.PlainSecret
protocol.grants.base.Grant protocol.grants.service.ClientCredentialsGrant
protocol.http_messages.HttpRequest protocol.http_messages.HttpResponse protocol.tokens.Token
provider.backoff.ForcedRefreshLimiter provider.backoff.RetryState provider.cache.IssuedToken
provider.lifecycle.TokenLifetime provider.policy.RefreshPolicy provider.settings.Settings
"""

FIRST_TOKEN = """
protocol.json_response protocol.strict_json protocol.successors protocol.token_endpoint
provider.refresh provider.token_request runtime.single_flight
"""

FIRST_TOKEN_CLASSES = "protocol.token_endpoint._TokenResponse"

FOREIGN = {"cattrs", "dataclasses", "typing_extensions"}


@pytest.fixture(scope="module")
def loaded():
    """Return modules and classes of attrs that each stage loads, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    return json.loads(ran.stdout)


def ours(modules):
    return [name.removeprefix("aritma_auth") for name in modules if name.startswith("aritma_auth")]


def test_the_package_loads_none_of_its_names(loaded):
    """``import aritma_auth`` loads what looks the names up, and no class of attrs."""
    modules, classes = loaded[0]

    assert ours(modules) == NAMES
    assert classes == []


@pytest.mark.parametrize(
    ("stage", "expected", "expected_classes"),
    [(1, START, START_CLASSES), (2, FIRST_TOKEN, FIRST_TOKEN_CLASSES)],
    ids=["start", "first token"],
)
def test_a_service_loads_these_modules_and_no_others(loaded, stage, expected, expected_classes):
    """Provider, client and middleware load these; a first token these, and none of the events."""
    modules, classes = loaded[stage]

    assert [name.removeprefix(".") for name in ours(modules)] == expected.split()
    assert classes == sorted(expected_classes.split())


def test_of_others_the_start_loads_attrs_alone_and_the_first_token_cattrs(loaded):
    """Beyond what aiohttp loads: no module of Python's own for randomness, dates, TLS or files."""
    tops = [{name.partition(".")[0] for name in modules} for modules, _ in loaded]
    own = {"aritma_auth"}

    assert tops[1] - own <= {"attrs"}
    assert "cattrs" in tops[2]
    assert tops[2] - own <= FOREIGN
