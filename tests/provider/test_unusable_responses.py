"""A response that must not be used: the refresh token that came with it is stored all the same."""

import copy
import json
import pickle
from urllib.parse import parse_qs

import pytest
from aiohttp import web

import aritma_auth as aa
from aritma_auth.protocol.jws import encode_base64url
from support.clock import FakeClock
from support.loopback import serving

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEY = aa.SigningKey.generate("ES256")
UNUSABLE = {
    "another type": ({"cnf": {"jkt": KEY.thumbprint}}, "Bearer"),
    "no key": ({}, "DPoP"),
    "another key": ({"cnf": {"jkt": "another"}}, "DPoP"),
}


def encoded(members):
    return encode_base64url(json.dumps(members).encode())


class RotatingServer:
    """A token endpoint that rotates, and whose answers are unusable the first times."""

    def __init__(self, claims, token_type, unusable=(1,), rotates=True):
        self.claims, self.token_type, self.unusable = claims, token_type, unusable
        self.rotates, self.presented = rotates, []

    async def answer(self, request):
        form = parse_qs(await request.text())
        names = {"assertion", "auth_req_id", "refresh_token"}
        self.presented += [form[name][0] for name in form if name in names]
        number = len(self.presented)
        claims, token_type = {"cnf": {"jkt": KEY.thumbprint}}, "DPoP"
        if number in self.unusable:
            claims, token_type = self.claims, self.token_type
        body = {
            "access_token": f"{encoded({'alg': 'RS256'})}.{encoded(claims | {'n': number})}.AAAA",
            "token_type": token_type,
            "expires_in": 600,
            "scope": "api",
        }
        if self.rotates:
            body["refresh_token"] = f"secret-next-{number}"
        return web.json_response(body)


def client_at(url, clock):
    return aa.OAuthClient(
        "app",
        "client-secret",
        environment=aa.Environment.at(url),
        clock=clock,
        dpop=aa.DPoP(KEY),
        requires_bound_tokens=True,
    )


@pytest.fixture(params=UNUSABLE)
def server(request):
    return RotatingServer(*UNUSABLE[request.param])


@pytest.mark.parametrize("has_store", [True, False])
@pytest.mark.parametrize(
    "grant", [aa.RefreshTokenGrant("first"), aa.BackchannelGrant("first")], ids=["token", "once"]
)
async def test_the_next_refresh_presents_the_successor(server, grant, has_store):
    """The caller gets the error, never the token; and what was presented is not sent again."""
    clock, seen = FakeClock(), []
    store = aa.MemoryTokenStore() if has_store and grant.identity() else None
    async with serving(server.answer) as url:
        async with aa.TokenProvider(
            client_at(url, clock), grant, store=store, clock=clock, on_event=seen.append
        ) as tokens:
            with pytest.raises(aa.InvalidResponseError):
                await tokens.get_token()
            clock.advance(30)
            token = await tokens.get_token()

    assert server.presented == ["first", "secret-next-1"]
    assert token.refresh_token == "secret-next-2"
    assert aa.parse_unverified_claims(token.access_token)["n"] == 2
    failures = [event for event in seen if type(event).__name__ == "TokenRequestFailed"]
    assert len(failures) == 1


@pytest.mark.parametrize("has_store", [True, False])
async def test_a_sign_in_outlives_an_unusable_refresh(server, has_store):
    """A later response keeps scope and ID token of the sign-in, not of the refused one."""
    clock = FakeClock()
    async with serving(server.answer) as url:
        async with aa.TokenProvider(
            client_at(url, clock),
            aa.SignedInGrant("alice"),
            store=aa.MemoryTokenStore() if has_store else None,
            clock=clock,
            on_event=None,
        ) as tokens:
            await tokens.set_token(
                aa.Token(
                    "old",
                    "DPoP",
                    refresh_token="first",
                    id_token="of-the-sign-in",
                    expires_at=clock.time(),
                )
            )
            with pytest.raises(aa.InvalidResponseError):
                await tokens.get_token()
            clock.advance(30)
            token = await tokens.get_token()

    assert server.presented == ["first", "secret-next-1"]
    assert token.id_token == "of-the-sign-in"


async def test_without_a_successor_the_same_refresh_token_is_presented(server):
    """A server that does not rotate has spent nothing."""
    server.rotates, clock = False, FakeClock()
    async with serving(server.answer) as url:
        async with aa.TokenProvider(
            client_at(url, clock), aa.RefreshTokenGrant("first"), clock=clock, on_event=None
        ) as tokens:
            with pytest.raises(aa.InvalidResponseError):
                await tokens.get_token()
            clock.advance(30)
            await tokens.get_token()

    assert server.presented == ["first", "first"]


async def test_a_grant_that_can_be_presented_again_is(server):
    """Nothing is lost with its response, so nothing of that is kept."""
    grant, clock = aa.JwtBearerGrant(aa.Secret("assertion")), FakeClock()
    async with serving(server.answer) as url:
        async with aa.TokenProvider(
            client_at(url, clock), grant, clock=clock, on_event=None
        ) as tokens:
            with pytest.raises(aa.InvalidResponseError):
                await tokens.get_token()
            clock.advance(30)
            await tokens.get_token()

    assert server.presented == ["assertion", "assertion"]


async def test_a_direct_user_gets_an_error_that_shows_no_token(server):
    """The token is neither in the text, the arguments and attributes, nor in a copy or a pickle."""
    async with serving(server.answer) as url:
        with pytest.raises(aa.InvalidResponseError) as told:
            await client_at(url, FakeClock()).fetch_token(aa.RefreshTokenGrant("first"))
    error = told.value
    copies = [error.copy(), copy.copy(error), pickle.loads(pickle.dumps(error))]
    shown = f"{error!r} {error} {error.args} {vars(error)} {pickle.dumps(error)!r}"

    assert "secret-next" not in shown
    assert all(twin.take_token() is None for twin in copies)
    assert error.take_token().refresh_token == "secret-next-1"
    assert error.take_token() is None
