"""A response that must not be used: the refresh token that came with it is stored all the same."""

import copy
import gc
import json
import pickle
import traceback
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


@pytest.mark.parametrize("rotates", [True, False])
async def test_an_error_holds_no_token(server, rotates):
    """Neither in its text, arguments, attributes and slots, nor in a copy, a pickle or a frame."""
    server.rotates = rotates
    with pytest.raises(aa.InvalidResponseError) as told:
        async with serving(server.answer) as url:
            await client_at(url, FakeClock()).fetch_token(aa.RefreshTokenGrant("first"))
    error = told.value
    slots = [getattr(error, name, None) for kind in type(error).__mro__ for name in _slots(kind)]
    copies = [error.copy(), copy.copy(error), pickle.loads(pickle.dumps(error))]
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = f"{error!r} {error} {error.args} {vars(error)} {slots} {pickle.dumps(error)!r}"
    shown += f"{copies} {[vars(twin) for twin in copies]} {''.join(frames.format())}"

    assert "secret-next" not in shown
    assert "secret-next" not in str(reachable_from(error))
    assert encoded({"alg": "RS256"}) not in shown


def _slots(kind):
    slots = vars(kind).get("__slots__", ())
    return [slots] if isinstance(slots, str) else slots


def reachable_from(error):
    """Give what an error reaches by references, its traceback left out."""
    todo, found = [vars(error), error.args, error.__cause__, error.__context__], []
    while todo:
        one = todo.pop()
        if any(one is known for known in found):
            continue
        found.append(one)
        if isinstance(one, dict | list | tuple):
            todo += gc.get_referents(one)
    return found


def defects():
    """Give responses that must not be used, by what is wrong with them: status, headers, body."""
    good = {
        "access_token": "AT",
        "token_type": "Bearer",
        "expires_in": 600,
        "refresh_token": "secret-next-1",
    }

    def changed(**members):
        return json.dumps(good | members)

    def without(name):
        return json.dumps({key: value for key, value in good.items() if key != name})

    text = json.dumps(good)
    yield "empty access token", 200, changed(access_token="")
    yield "no access token", 200, without("access_token")
    yield "access token null", 200, changed(access_token=None)
    yield "access token number", 200, changed(access_token=7)
    yield "access token with a space", 200, changed(access_token="A T")
    yield "access token not ASCII", 200, changed(access_token="\u00e5")
    yield "bad expires_in", 200, changed(expires_in="soon")
    yield "expires_in object", 200, changed(expires_in={})
    yield "expires_in true", 200, changed(expires_in=True)
    yield "no token type", 200, without("token_type")
    yield "unknown token type", 200, changed(token_type="mac")
    yield "token type number", 200, changed(token_type=1)
    yield "bad scope", 200, changed(scope=5)
    yield "scope of numbers", 200, changed(scope=[1])
    yield "id token number", 200, changed(id_token=5)
    yield "id token with a line break", 200, changed(id_token="a\nb")
    yield "status 202", 202, text
    yield "status 206", 206, text
    yield "not finite", 200, text.replace("600", "NaN")
    yield "infinite", 200, text.replace("600", "1e999")
    yield "another member twice", 200, text.replace("{", '{"scope": "a", "scope": "b", ', 1)
    yield (
        "refresh token twice, the same",
        200,
        text.replace("}", ', "refresh_token": "secret-next-1"}'),
    )
    yield "lone surrogate", 200, text.replace("Bearer", "\\ud800")
    yield "text behind", 200, f"{text} and more"
    yield "text before", 200, f"Notice: x in y.php\n{text}"
    yield "cut short", 200, text[:-1]
    yield "single quotes elsewhere", 200, text.replace('"AT"', "'AT'")
    yield "too deep", 200, text.replace("600", "[" * 100_000)
    yield (
        "slashes escaped",
        200,
        changed(access_token="").replace("secret-next-1", "secret\\/next-1"),
    )


DEFECTS = {name: (status, body) for name, status, body in defects()}


class DefectiveServer:
    """A token endpoint whose first response has a defect."""

    def __init__(self, status, body):
        self.status, self.body, self.presented = status, body, []

    async def answer(self, request):
        form = parse_qs(await request.text())
        self.presented.append(form["refresh_token"][0])
        if len(self.presented) == 1:
            return web.Response(
                status=self.status, body=self.body.encode(), content_type="application/json"
            )
        return web.json_response({"access_token": "good", "token_type": "Bearer", "expires_in": 60})


@pytest.mark.parametrize("has_store", [True, False])
@pytest.mark.parametrize("defect", DEFECTS)
async def test_whatever_is_wrong_with_a_response_its_refresh_token_is_kept(defect, has_store):
    """The next refresh presents the rotated refresh token, in this process or in another."""
    server, clock, store = DefectiveServer(*DEFECTS[defect]), FakeClock(), None
    if has_store:
        store = aa.MemoryTokenStore(clock=clock)
    settings = {"store": store, "clock": clock, "on_event": None}
    async with serving(server.answer) as url:
        client = aa.OAuthClient("app", "secret", environment=aa.Environment.at(url), clock=clock)
        async with aa.TokenProvider(client, aa.RefreshTokenGrant("first"), **settings) as tokens:
            with pytest.raises(aa.AritmaAuthError) as told:
                await tokens.get_token()
            assert tokens.peek() is None
            clock.advance(30)
            async with aa.TokenProvider(
                client, aa.RefreshTokenGrant("first"), **settings
            ) as another:
                token = await (another if has_store else tokens).get_token()

    assert isinstance(told.value, aa.InvalidResponseError)
    assert server.presented == [
        "first",
        "secret/next-1" if "slashes" in defect else "secret-next-1",
    ]
    assert token.access_token == "good"
    frames = traceback.TracebackException.from_exception(told.value, capture_locals=True)
    assert "next-1" not in "".join(frames.format())


@pytest.mark.parametrize(
    "refresh_token",
    ['""', "7", "null", '"a b"', '"\\u00e5"', '["x"]', '"a", "refresh_token": "b"', '"\\q"'],
)
async def test_a_refresh_token_that_is_wrong_itself_is_not_kept(refresh_token):
    """Nobody could present it; what was presented may still be good."""
    body = f'{{"access_token": "", "token_type": "Bearer", "refresh_token": {refresh_token}}}'
    server, clock = DefectiveServer(200, body), FakeClock()
    async with serving(server.answer) as url:
        client = aa.OAuthClient("app", "secret", environment=aa.Environment.at(url), clock=clock)
        async with aa.TokenProvider(
            client, aa.RefreshTokenGrant("first"), clock=clock, on_event=None
        ) as tokens:
            with pytest.raises(aa.InvalidResponseError):
                await tokens.get_token()
            clock.advance(30)
            await tokens.get_token()

    assert server.presented == ["first", "first"]


async def test_a_refusal_that_names_a_refresh_token_changes_nothing():
    """What a server sends with another status than success is no token response."""
    body = '{"message": "try again", "refresh_token": "secret-next-1"}'
    server, clock = DefectiveServer(503, body), FakeClock()
    async with serving(server.answer) as url:
        client = aa.OAuthClient("app", "secret", environment=aa.Environment.at(url), clock=clock)
        async with aa.TokenProvider(
            client,
            aa.RefreshTokenGrant("first"),
            policy=aa.RefreshPolicy(max_attempts=1),
            clock=clock,
            on_event=None,
        ) as tokens:
            with pytest.raises(aa.InvalidResponseError):
                await tokens.get_token()
            clock.advance(30)
            await tokens.get_token()

    assert server.presented == ["first", "first"]
