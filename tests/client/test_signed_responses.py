"""Sign-ins whose authorization response is signed (JARM)."""

import pytest

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox
from support.journeys import begin, client_of, sign_in
from support.sandbox_wire import read_jwt

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="fapi") as sandbox:
        sandbox.sign_in_automatically("alice")
        yield sandbox


@pytest.mark.parametrize("push", [True, False])
@pytest.mark.parametrize("mode", ["jwt", "query.jwt", "fragment.jwt", "form_post.jwt"])
async def test_an_end_user_signs_in_by_every_mode(sandbox, mode, push):
    """The callback carries one JWT, and its code is exchanged."""
    client = client_of(sandbox)
    request, callback = await begin(client, response_mode=mode, push=push)
    done = await client.complete_sign_in(request, callback)

    assert "code=" not in str(callback)
    assert done.subject == "user-alice"
    assert read_jwt(done.id_token)[0]["alg"] == "PS256"


@pytest.mark.parametrize(
    ("client_id", "response_type", "mode"),
    [
        ("sandbox-hybrid", "code id_token", "jwt"),
        ("sandbox-hybrid", "code token", "form_post.jwt"),
        ("sandbox-implicit", "id_token token", "fragment.jwt"),
    ],
)
async def test_tokens_come_signed_too(sandbox, client_id, response_type, mode):
    """Hybrid and implicit responses are signed on request."""
    done = await sign_in(
        client_of(sandbox, client_id), response_type=response_type, response_mode=mode
    )

    assert done.subject == "user-alice"


async def test_a_refusal_comes_signed(sandbox):
    """An end-user's refusal is the server's word alone."""
    sandbox.faults.deny_next("access_denied", "not now")
    with pytest.raises(aa.AccessDeniedError, match="not now"):
        await sign_in(client_of(sandbox), response_mode="jwt")


async def test_a_key_that_is_new_is_looked_up(sandbox):
    """A signed response with a new key reloads the keys once."""
    client = client_of(sandbox)
    await sign_in(client, response_mode="jwt")
    sandbox.issuer.roll_keys()
    sandbox.clock.advance(120)

    assert (await sign_in(client, response_mode="jwt")).subject == "user-alice"


@pytest.mark.parametrize("signature", ["none", "foreign", "HS256"])
async def test_a_forged_response_costs_no_code(sandbox, signature):
    """Nothing is sent to the token endpoint, and the good response still counts."""
    client = client_of(sandbox)
    request, good = await begin(client, response_mode="jwt")
    sandbox.overrides.response_signature = signature
    sandbox.overrides.authorization_response = {"state": request.state.text}
    _, forged = await begin(client, response_mode="jwt")
    with pytest.raises(aa.VerificationError):
        await client.complete_sign_in(request, forged)

    assert sandbox.token_requests == []
    assert (await client.complete_sign_in(request, good)).subject == "user-alice"


async def test_an_algorithm_that_was_not_agreed_on_is_refused(sandbox):
    """The client's algorithms count for signed responses, too."""
    client = client_of(sandbox, id_token_algorithms="ES256")
    with pytest.raises(aa.VerificationError, match="algorithm that is not accepted"):
        await sign_in(client, response_mode="jwt")


async def test_a_server_that_cannot_sign_refuses_the_mode():
    """IdentityServer has no such mode, and says so on its own page or to the pushing client."""
    async with Sandbox(server_version="duende-8") as sandbox:
        with pytest.raises(aa.OAuthError, match="unsupported_response_type"):
            await begin(client_of(sandbox), response_mode="jwt", push=True)
