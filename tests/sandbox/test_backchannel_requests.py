"""The sandbox's backchannel authentication requests (CIBA), without a client of ours."""

import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox import Sandbox, SandboxClient
from support.sandbox_wire import get, post

pytestmark = pytest.mark.usefixtures("no_leftovers")

CIBA = "urn:openid:params:grant-type:ciba"
APP = {"client_id": "ciba-app", "client_secret": "ciba-secret"}
REQUEST = {"scope": "openid bankservice", "login_hint": "alice"}


@pytest.fixture
async def sandbox(request):
    async with Sandbox(server_version=getattr(request, "param", "duende-8")) as sandbox:
        sandbox.clock.freeze()
        register(sandbox)
        yield sandbox


def register(sandbox, **changes):
    fields = {
        "client_id": "ciba-app",
        "secrets": "ciba-secret",
        "grant_types": CIBA,
        "scopes": ("openid", "bankservice"),
    }
    sandbox.add_client(SandboxClient(**(fields | changes)))


async def ask(sandbox, **changes):
    """Post a request; give the status and the JSON."""
    form = {k: v for k, v in (APP | REQUEST | changes).items() if v is not None}
    return (await post(sandbox, "/connect/ciba", form))[:2]


async def poll(sandbox, auth_req_id, client=APP):
    form = {**client, "grant_type": CIBA, "auth_req_id": auth_req_id}
    status, said, _ = await post(sandbox, "/connect/token", form)
    return said.get("error", status)


async def test_an_end_user_is_asked(sandbox):
    """The response says how often to poll, and the decision brings the tokens once."""
    status, asked = await ask(sandbox, binding_message="W4SCT")
    identifier = asked.pop("auth_req_id")

    assert (status, asked) == (200, {"expires_in": 300, "interval": 5})
    assert await poll(sandbox, identifier) == "authorization_pending"
    assert await poll(sandbox, identifier) == "slow_down"
    assert await sandbox.decide_backchannel("alice") is None
    sandbox.clock.advance(5)
    assert await poll(sandbox, identifier) == 200
    assert await poll(sandbox, identifier) == "invalid_grant"


async def test_an_end_user_refuses_or_does_nothing(sandbox):
    """A refusal and the end of the time are errors of their own."""
    _, refused = await ask(sandbox)
    await sandbox.decide_backchannel("alice", agrees=False)
    assert await poll(sandbox, refused["auth_req_id"]) == "access_denied"

    _, late = await ask(sandbox, requested_expiry="60")
    assert late["expires_in"] == 60
    sandbox.clock.advance(60)
    assert await poll(sandbox, late["auth_req_id"]) == "expired_token"


async def test_a_request_is_for_one_client(sandbox):
    """Another client's identifier is no grant."""
    _, asked = await ask(sandbox)
    register(sandbox, client_id="other-app")

    other = {"client_id": "other-app", "client_secret": "ciba-secret"}
    assert await poll(sandbox, asked["auth_req_id"], other) == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        (
            {"client_id": "sandbox-service", "client_secret": "sandbox-secret"},
            400,
            "unauthorized_client",
        ),
        ({"scope": None}, 400, "invalid_request"),
        ({"scope": "bankservice"}, 400, "invalid_scope"),
        ({"login_hint": None}, 400, "invalid_request"),
        ({"id_token_hint": "x"}, 400, "invalid_request"),
        ({"login_hint": "mallory"}, 400, "unknown_user_id"),
        ({"login_hint": None, "id_token_hint": "x"}, 400, "unknown_user_id"),
        ({"requested_expiry": "soon"}, 400, "invalid_request"),
        ({"request": "x"}, 400, "invalid_request_object"),
    ],
    ids=range(10),
)
async def test_an_invalid_request_is_refused(sandbox, changes, status, error):
    """IdentityServer refuses a client with 401 here, unlike at the token endpoint."""
    assert (await ask(sandbox, **changes))[0] == status
    assert (await ask(sandbox, **changes))[1]["error"] == error


async def test_a_client_that_is_notified_gives_a_secret(sandbox):
    """In ping mode a request without the notification's secret is refused (CIBA Core 1.0 §7.1)."""
    register(sandbox, backchannel_notification_uri="http://127.0.0.1:1/")

    assert (await ask(sandbox))[1]["error"] == "invalid_request"
    assert (await ask(sandbox, client_notification_token="t" * 22))[0] == 200


@pytest.mark.parametrize("username", ["bob", "nobody"])
async def test_a_decision_needs_a_request(sandbox, username):
    """A test that decides for nobody learns it."""
    await ask(sandbox)
    with pytest.raises(ConfigurationError, match="username must be"):
        await sandbox.decide_backchannel(username)


@pytest.mark.parametrize("sandbox", ["is4"], indirect=True)
async def test_identityserver_4_has_no_such_endpoint(sandbox):
    """It came with Duende's version 6."""
    _, metadata, _ = await get(sandbox, "/.well-known/openid-configuration")

    assert "backchannel_authentication_endpoint" not in metadata
    assert (await post(sandbox, "/connect/ciba", APP | REQUEST))[0] == 404
