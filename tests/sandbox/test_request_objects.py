"""The sandbox's signed authorization requests, without a client of ours."""

import pytest
from joserfc.jwk import ECKey

from aritma_auth.sandbox import Sandbox, SandboxClient
from support.sandbox_wire import ALICE, CALLBACK, CHALLENGE, authorize_url, response_of
from support.signing import ec_key, jwk, sign

pytestmark = pytest.mark.usefixtures("no_leftovers")

KEY = ec_key()


@pytest.fixture
async def sandbox():
    async with Sandbox(server_version="duende-8") as sandbox:
        sandbox.clock.freeze()
        for client_id in ("signing-app", "other-app"):
            sandbox.add_client(
                SandboxClient(
                    client_id=client_id,
                    public_key=jwk(KEY, alg="ES256"),
                    grant_types="authorization_code",
                    scopes=("openid", "api", "bankservice"),
                    redirect_uris="http://127.0.0.1/callback",
                )
            )
        yield sandbox


def url_of(sandbox, *, key=KEY, header=None, client_id="signing-app", **changes):
    """Sign a request; give the address that the browser opens."""
    claims = {
        "iss": "signing-app",
        "aud": sandbox.identity_url,
        "exp": int(sandbox.clock.time()) + 60,
        "client_id": "signing-app",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid api bankservice",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    claims = {k: v for k, v in (claims | changes).items() if v is not None}
    header = {"alg": "ES256", "typ": "oauth-authz-req+jwt"} | (header or {})
    text = sign(claims, key, **header)
    names = ("redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge")
    absent = dict.fromkeys((*names, "code_challenge_method"))
    return authorize_url(sandbox, **(absent | {"client_id": client_id, "request": text}))


async def test_the_claims_are_the_request(sandbox, browser):
    """An end-user signs in by the pages, which carry a reference and not the JWT."""
    url = url_of(sandbox, prompt="login", max_age=0, resource=["urn:aritma:banking"])
    page = await browser.open(url)
    assert "request=" not in page.url
    page = await browser.submit(page, **ALICE)

    assert response_of(page)["state"] == "the-state"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other-app"},
        {"iss": None},
        {"aud": "https://another.example"},
        {"aud": ["x"]},
        {"exp": 1},
        {"exp": None},
        {"client_id": "other-app", "iss": "other-app"},
        {"request_uri": "urn:x"},
        {"header": {"typ": "at+jwt"}},
        {"key": ECKey.generate_key("P-256", auto_kid=False)},
        {"header": {"kid": "x"}, "key": ec_key("P-384"), "iss": "x"},
    ],
    ids=range(11),
)
async def test_an_invalid_object_stays_on_the_servers_page(sandbox, browser, changes):
    """Issuer, audience, time, type and signature count (RFC 9101 §6)."""
    named = changes.pop("client_id", None)
    key = changes.get("key")
    if key is not None and key.curve_name == "P-384":
        changes = {"key": key, "header": {"alg": "ES384"}}
    url = url_of(sandbox, **({} if named is None else {"client_id": named}), **changes)
    page = await browser.open(url)

    assert page.status == 400
    assert "invalid_request_object" in page.text


async def test_a_request_is_of_the_client_that_signed_it(sandbox, browser):
    """The client in the query and in the claims are one."""
    url = url_of(sandbox).replace("client_id=signing-app", "client_id=other-app")
    assert "invalid_request_object" in (await browser.open(url)).text
    url = url_of(sandbox).replace("client_id=signing-app", "client_id=sandbox-web")
    assert "invalid_request_object" in (await browser.open(url)).text


@pytest.mark.parametrize("text", ["x", "a.b.c", "e30.e30.x", "eyJhbGciOiJub25lIn0.e30."])
async def test_what_is_no_jwt_of_a_known_algorithm_is_refused(sandbox, browser, text):
    """A text that is no JWT, and one without a signature, are invalid."""
    url = authorize_url(sandbox, client_id="signing-app", request=text)

    assert "invalid_request_object" in (await browser.open(url)).text
