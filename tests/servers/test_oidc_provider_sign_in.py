"""End-users sign in at oidc-provider: every response type and mode, and what may fail."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

import aritma_auth as aa
from support.plain_browser import answers_of

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]

ALICE = answers_of("alice")
FRONT = ("id_token", "id_token token", "code id_token", "code token", "code id_token token")
JOURNEYS = [
    ("web", "code", "query"),
    ("web", "code", "fragment"),
    ("web", "code", "form_post"),
    ("public", "code", "query"),
    *(("front", kind, mode) for kind in FRONT for mode in ("fragment", "form_post")),
]


@pytest.fixture
def server(oidc_provider):
    return oidc_provider


@pytest.fixture
def web(server):
    """Give a web application's client."""
    return server.client("web", server.secret)


async def begin(client, server, scope="openid bankservice", **settings):
    return await client.begin_sign_in(server.redirect_uri, scope, **settings)


async def arrive(browser, request, **answers):
    page = await browser.visit(request.url, **(ALICE | answers))
    return page.callback


@pytest.mark.parametrize(("client_id", "response_type", "response_mode"), JOURNEYS)
async def test_an_end_user_signs_in(server, browser, client_id, response_type, response_mode):
    """Code, implicit and hybrid pass every check, in query, fragment and form."""
    client = server.client(client_id, None if client_id == "public" else server.secret)
    request = await begin(client, server, response_type=response_type, response_mode=response_mode)
    signed_in = await client.complete_sign_in(request, await arrive(browser, request))

    assert signed_in.subject == "alice"
    assert signed_in.has_token is (response_type != "id_token")
    if signed_in.has_token:
        userinfo = await client.fetch_userinfo(signed_in.token, subject="alice")
        assert userinfo["sub"] == "alice"


async def test_the_callback_lands_in_another_process(server, browser, web):
    """The request travels as JSON, and another client of the same registration completes it."""
    request = await begin(web, server)
    callback = await arrive(browser, request)
    other = server.client("web", server.secret)
    thawed = aa.AuthorizationRequest.from_json(request.to_json())

    assert (await other.complete_sign_in(thawed, callback)).subject == "alice"


async def test_the_callback_names_its_server(server, browser, web):
    """A code is not exchanged without ``iss`` or with another one (RFC 9207)."""
    request = await begin(web, server)
    callback = await arrive(browser, request)
    (issuer,) = parse_qs(urlsplit(callback).query)["iss"]
    assert issuer == server.issuer

    for spoilt in (callback.partition("&iss=")[0], callback + ".example"):
        thawed = aa.AuthorizationRequest.from_json(request.to_json())
        with pytest.raises(aa.IssuerMismatchError):
            await web.complete_sign_in(thawed, spoilt)
    assert (await web.complete_sign_in(request, callback)).subject == "alice"


async def test_another_sign_ins_callback_spends_nothing(server, browser, web):
    """A callback with a forged state is refused, and the true callback still counts."""
    request, other = await begin(web, server), await begin(web, server)
    callback = await arrive(browser, request)

    with pytest.raises(aa.StateMismatchError):
        await web.complete_sign_in(other, callback)
    assert (await web.complete_sign_in(request, callback)).subject == "alice"


async def test_a_code_is_good_once(server, browser, web):
    """The client refuses a second response; the server revokes the first one's tokens if it is sent all the same."""
    request = await begin(web, server)
    stolen = aa.AuthorizationRequest.from_json(request.to_json())
    callback = await arrive(browser, request)
    signed_in = await web.complete_sign_in(request, callback)

    with pytest.raises(aa.StateMismatchError):
        await web.complete_sign_in(request, callback)
    with pytest.raises(aa.InvalidGrantError):
        await web.complete_sign_in(stolen, callback)
    assert not (await web.introspect(signed_in.token.access_token)).active


async def test_a_code_is_no_good_without_its_verifier(server, browser, web):
    """The server compares the verifier with the challenge (S256)."""
    request = await begin(web, server)
    callback = await arrive(browser, request)
    fields = json.loads(request.to_json()) | {"code_verifier": "x" * 43}
    thief = aa.AuthorizationRequest.from_json(json.dumps(fields))

    with pytest.raises(aa.InvalidGrantError):
        await web.complete_sign_in(thief, callback)


@pytest.mark.parametrize(
    ("settings", "answers", "error"),
    [
        ({}, {"decision": "no"}, "access_denied"),
        ({"prompt": "none"}, {}, "login_required"),
        ({"response_mode": "form_post"}, {"decision": "no"}, "access_denied"),
        ({"resource": ["https://unknown.example/"]}, {}, "invalid_target"),
    ],
    ids=["cancelled", "silent", "cancelled-by-form", "unknown-api"],
)
async def test_a_refusal_comes_back_typed(server, browser, web, settings, answers, error):
    """A refusal of the end-user and one of the server have types of their own."""
    request = await begin(web, server, **settings)
    callback = await arrive(browser, request, **answers)

    with pytest.raises(aa.OAuthError) as caught:
        await web.complete_sign_in(request, callback)
    assert caught.value.error == error
    assert isinstance(caught.value, aa.AccessDeniedError) == (error == "access_denied")


async def test_a_scope_that_the_client_may_not_have(server, browser):
    """The server refuses the whole request in the callback, before any end-user signs in."""
    client = server.client("narrow", server.secret)
    request = await begin(client, server, "openid bankservice")
    callback = await arrive(browser, request)

    with pytest.raises(aa.OAuthError) as caught:
        await client.complete_sign_in(request, callback)
    assert caught.value.error == "invalid_scope"
    assert browser.asked == []


@pytest.mark.parametrize(
    ("client_id", "redirect_uri"),
    [("web", "http://127.0.0.1/elsewhere"), ("nobody", "http://127.0.0.1/callback")],
)
async def test_a_mistake_in_the_registration_stays_on_the_servers_page(
    server, browser, client_id, redirect_uri
):
    """The server does not redirect to an unregistered redirect URI."""
    request = await server.client(client_id, server.secret).begin_sign_in(redirect_uri)
    page = await browser.open(request.url)

    assert (page.is_elsewhere, page.status) == (False, 400)


async def test_a_second_sign_in_needs_no_password_unless_asked_for(server, browser, web):
    """The browser's session is used, unless ``prompt=login`` or a short ``max_age`` requires a new sign-in."""
    for settings, asks in (({}, True), ({"max_age": 600}, False), ({"prompt": "login"}, True)):
        browser.asked.clear()
        request = await begin(web, server, **settings)
        signed_in = await web.complete_sign_in(request, await arrive(browser, request))

        assert ("password" in browser.asked) == asks
        assert signed_in.subject == "alice"


async def test_an_end_user_steps_up(server, browser, web):
    """A session without a second factor is not enough, and the new sign-in states its ``acr`` and ``auth_time``."""
    first = await begin(web, server)
    await web.complete_sign_in(first, await arrive(browser, first))
    stronger = {
        "step_up": aa.StepUpRequiredError("more", acr_values=("mfa",)),
        "requires_acr": True,
    }
    again = await begin(web, server, **stronger)
    with pytest.raises(aa.IdTokenError) as caught:
        await web.complete_sign_in(again, await arrive(browser, again))
    assert caught.value.claim == "acr"

    anew = await begin(web, server, prompt="login", max_age=60, **stronger)
    signed_in = await web.complete_sign_in(anew, await arrive(browser, anew))
    assert signed_in.claims["acr"] == "mfa"
    assert signed_in.claims["iat"] - signed_in.claims["auth_time"] < 60


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256"])
async def test_id_tokens_of_other_algorithms(server, browser, algorithm):
    """The key is found by its type among several keys of the server."""
    client = server.client(f"web-{algorithm}", server.secret, id_token_algorithms=[algorithm])
    request = await begin(client, server)

    signed_in = await client.complete_sign_in(request, await arrive(browser, request))
    assert signed_in.subject == "alice"


@pytest.mark.parametrize(
    ("client_id", "settings"),
    [("web-HS256", {}), ("web", {"id_token_algorithms": ["ES256"]})],
    ids=["a-secret", "not-listed"],
)
async def test_an_algorithm_that_is_not_accepted(server, browser, client_id, settings):
    """An ID token signed with the client's secret, or with an algorithm that is not accepted, is refused."""
    client = server.client(client_id, server.secret, **settings)
    request = await begin(client, server)
    callback = await arrive(browser, request)

    with pytest.raises(aa.IdTokenError, match="algorithm"):
        await client.complete_sign_in(request, callback)


async def test_keys_that_change_in_the_middle_of_a_sign_in(server, browser, web):
    """An unknown key makes the client fetch the keys again, and the old key's signatures stay valid."""
    first = await begin(web, server)
    before = await web.complete_sign_in(first, await arrive(browser, first))
    second = await begin(web, server)
    callback = await arrive(browser, second)
    known = await web.fetch_keys()
    await browser.open(f"{server.issuer}/test/rotate-keys")
    after = await web.complete_sign_in(second, callback)

    assert len(await web.fetch_keys()) == len(known) + 3
    for signed_in, request in ((before, first), (after, second)):
        await web.verify_id_token(signed_in.token.id_token, nonce=request.nonce.text)


async def test_a_token_from_the_browser_ends_for_good(server, browser, clock):
    """An implicit token is used until it expires; then the end-user must sign in again."""
    client = server.client("front", server.secret)
    request = await begin(client, server, response_type="id_token token")
    signed_in = await client.complete_sign_in(request, await arrive(browser, request))
    async with aa.TokenProvider(client, aa.SignedInGrant("alice"), clock=clock) as tokens:
        clock.wall = signed_in.token.issued_at
        await tokens.set_token(signed_in.token)
        assert await tokens.get_token() == signed_in.token

        clock.advance(3600)
        with pytest.raises(aa.ReauthenticationRequiredError):
            await tokens.get_token()
