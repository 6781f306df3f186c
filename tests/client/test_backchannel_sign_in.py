"""Sign-ins without a browser, in poll and ping mode, against the sandbox."""

import asyncio

import attrs
import pytest
from aiohttp import web

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox, SandboxClient
from support.deciding import Deciding
from support.fapi import DPOP_KEY, KEY
from support.loopback import serving

pytestmark = pytest.mark.usefixtures("no_leftovers")

CIBA = "urn:openid:params:grant-type:ciba"


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="fapi") as sandbox:
        sandbox.clock.freeze()
        sandbox.add_client(
            SandboxClient(
                client_id="ciba-app",
                public_key=KEY.public_jwk,
                grant_types=(CIBA, "refresh_token"),
                scopes=("openid", "offline_access", "bankservice"),
            )
        )
        yield sandbox


def client_of(sandbox, clock=None, **settings):
    return aa.OAuthClient(
        "ciba-app",
        aa.PrivateKeyJwt(KEY, names_issuer=True),
        environment=sandbox.environment,
        clock=clock or sandbox.clock,
        **settings,
    )


async def test_an_end_user_decides_while_the_client_polls(sandbox):
    """The interval is kept, and the ID token says who agreed."""
    clock = Deciding(sandbox)
    client = client_of(sandbox, clock)
    asked = await client.begin_backchannel_sign_in(
        "openid offline_access bankservice", login_hint="alice", binding_message="W4SCT"
    )
    done = await client.complete_backchannel_sign_in(asked)

    assert done.subject == "user-alice"
    assert done.token.refresh_token
    assert clock.slept == [5.0, 5.0]
    assert [request.error for request in sandbox.token_requests] == ["authorization_pending", None]


@pytest.mark.parametrize(
    "profile", [aa.FAPI2, aa.FAPI2_MESSAGE_SIGNING], ids=["security", "signing"]
)
async def test_it_keeps_to_the_profile(sandbox, profile):
    """Tokens are bound, and requests are signed where the profile says so."""
    client = client_of(sandbox, Deciding(sandbox), dpop=aa.DPoP(DPOP_KEY), profile=profile)
    asked = await client.begin_backchannel_sign_in(login_hint="alice")
    done = await client.complete_backchannel_sign_in(asked)

    assert done.token.token_type == "DPoP"


async def test_a_request_is_signed_and_never_encrypted(sandbox):
    """A server takes no encrypted ones, whatever the client's other requests are (§7.1.1)."""
    encryption = aa.RequestEncryption("RSA-OAEP-256")
    client = client_of(sandbox, Deciding(sandbox), request_encryption=encryption)
    asked = await client.begin_backchannel_sign_in(login_hint="alice", sign=True)

    assert (await client.complete_backchannel_sign_in(asked)).subject == "user-alice"


async def test_the_profile_decides_that_requests_are_signed(sandbox):
    """A caller cannot turn off what the profile asks for; nothing is sent."""
    client = client_of(sandbox, dpop=aa.DPoP(DPOP_KEY), profile=aa.FAPI2_MESSAGE_SIGNING)
    with pytest.raises(aa.ConfigurationError, match="sign must not be False: the profile requires"):
        await client.begin_backchannel_sign_in(login_hint="alice", sign=False)


async def test_an_id_token_names_the_end_user(sandbox):
    """An ID token of an earlier sign-in is a hint."""
    client = client_of(sandbox, Deciding(sandbox))
    asked = await client.begin_backchannel_sign_in(login_hint="alice")
    first = await client.complete_backchannel_sign_in(asked)
    client = client_of(sandbox, Deciding(sandbox))
    asked = await client.begin_backchannel_sign_in(id_token_hint=first.id_token, sign=True)

    assert (await client.complete_backchannel_sign_in(asked)).subject == first.subject


async def test_a_refusal_ends_the_polling(sandbox):
    """The end-user's no is an AccessDeniedError, and no further poll is sent."""
    client = client_of(sandbox, Deciding(sandbox, agrees=False))
    asked = await client.begin_backchannel_sign_in(login_hint="alice")
    with pytest.raises(aa.AccessDeniedError):
        await client.complete_backchannel_sign_in(asked)


async def test_time_runs_out(sandbox):
    """Without a decision the polling ends with the request."""
    client = client_of(sandbox, Deciding(sandbox, after=0))
    asked = await client.begin_backchannel_sign_in(login_hint="alice", requested_expiry=20)
    with pytest.raises(aa.ExpiredTokenError):
        await client.complete_backchannel_sign_in(asked)

    assert sandbox.clock.time() <= asked.expires_at


async def test_an_end_user_who_is_not_known_is_an_error_at_once(sandbox):
    """The server's error is raised before anything is polled."""
    client = client_of(sandbox)
    with pytest.raises(aa.OAuthError, match="unknown_user_id"):
        await client.begin_backchannel_sign_in(login_hint="mallory")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"notify": "yes"}, "notify must be True or False"),
        ({"sign": 1}, "sign must be True, False or None"),
        ({}, "must name the end-user"),
    ],
)
async def test_a_mistake_is_named_before_a_request(sandbox, given, said):
    """The error names the parameter, and no request is sent."""
    with pytest.raises(aa.ConfigurationError, match=said):
        await client_of(sandbox).begin_backchannel_sign_in(**given)
    with pytest.raises(aa.ConfigurationError, match="authentication must be what"):
        await client_of(sandbox).complete_backchannel_sign_in("text")

    assert sandbox.requests_at("ciba") == 0


async def test_a_notification_says_when_to_ask(sandbox):
    """The server's notification carries the secret, and one token request brings the tokens."""
    heard = asyncio.get_running_loop().create_future()
    waiting = []

    async def receive(request):
        try:
            found = aa.validate_backchannel_notification(
                waiting,
                authorization=request.headers.get("Authorization"),
                body=await request.read(),
            )
        except aa.VerificationError:
            return web.Response(status=401)
        heard.set_result(found)
        return web.Response(status=204)

    async with serving(receive) as url:
        known = sandbox.clients["ciba-app"]
        sandbox.add_client(attrs.evolve(known, backchannel_notification_uri=str(url)))
        client = client_of(sandbox)
        asked = await client.begin_backchannel_sign_in(login_hint="alice", notify=True)
        assert await sandbox.decide_backchannel("alice") == 401
        asked = await client.begin_backchannel_sign_in(login_hint="alice", notify=True)
        waiting.append(asked)
        assert await sandbox.decide_backchannel("alice") == 204
        done = await client.complete_backchannel_sign_in(await heard, is_notified=True)

    assert done.subject == "user-alice"
    assert len(sandbox.token_requests) == 1


async def test_a_client_that_does_not_listen_is_no_error_of_the_server(sandbox):
    """A notification that reaches nobody, or that nobody asked for, is lost; polling still works."""
    client = client_of(sandbox)
    await client.begin_backchannel_sign_in(login_hint="alice", notify=True)
    assert await sandbox.decide_backchannel("alice") is None
    known = sandbox.clients["ciba-app"]
    sandbox.add_client(attrs.evolve(known, backchannel_notification_uri="http://127.0.0.1:1/"))
    asked = await client.begin_backchannel_sign_in(login_hint="alice", notify=True)
    assert await sandbox.decide_backchannel("alice") is None
    done = await client.complete_backchannel_sign_in(asked, is_notified=True)

    assert done.subject == "user-alice"
