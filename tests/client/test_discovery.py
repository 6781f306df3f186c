"""Tests of the metadata and the keys that an authorization server publishes."""

import asyncio
import json
from base64 import urlsafe_b64encode

import pytest
from aiohttp import web

import aritma_auth as aa
from aritma_auth.client.cached_document import COOL_DOWN, DAY
from aritma_auth.client.discovery import Discovery
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.published import MAX_KEYS
from support.clock import FakeClock
from support.loopback import serving

ISSUER = "https://idp.example"
OIDC = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"
ENDPOINTS = {"token_endpoint": f"{ISSUER}/token", "jwks_uri": f"{ISSUER}/keys"}


def key(kid, **members):
    return {"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": "x", "e": "AQAB"} | members


class Web:
    """Responds by URL: an object as JSON, an HttpResponse or an error as it is, else 404."""

    def __init__(self, **pages):
        self.pages = {}
        self.asked = []
        self.clock = FakeClock()

    def publish(self, issuer=ISSUER, path=OIDC, at=None, **members):
        self.pages[f"{at or issuer}{path}"] = {"issuer": issuer, **ENDPOINTS, **members}
        return self

    async def send(self, request):
        self.asked.append(request.url)
        page = self.pages.get(request.url, HttpResponse(404))
        await asyncio.sleep(0)
        if isinstance(page, Exception):
            raise page
        if isinstance(page, HttpResponse):
            return page
        return HttpResponse(200, {}, json.dumps(page).encode())

    def discovery(self, url=ISSUER, *, by_certificate=False, **settings):
        environment = aa.Environment.at(url, **({"discover": True} | settings))
        return Discovery(environment, self.send, self.clock, by_certificate=by_certificate)


@pytest.fixture
def internet():
    return Web()


@pytest.mark.parametrize(
    ("issuer", "address"),
    [
        (ISSUER, f"{ISSUER}{OIDC}"),
        (ISSUER, f"{ISSUER}{OAUTH}"),
        (f"{ISSUER}/acme", f"{ISSUER}/acme{OIDC}"),
        (f"{ISSUER}/acme", f"{ISSUER}{OAUTH}/acme"),
        (f"{ISSUER}/acme", f"{ISSUER}{OIDC}/acme"),
    ],
)
async def test_metadata_is_looked_for_at_every_address(internet, issuer, address):
    """OpenID Connect appends the well-known path to the issuer's, and RFC 8414 prepends it."""
    internet.pages[address] = {"issuer": issuer, **ENDPOINTS}
    discovery = internet.discovery(issuer)

    assert await discovery.endpoint("token_endpoint") == f"{ISSUER}/token"
    assert (await discovery.fetch_metadata()).issuer == issuer
    assert internet.asked[-1] == address
    assert len(set(internet.asked)) == len(internet.asked)


@pytest.mark.parametrize(
    "absent",
    [
        HttpResponse(400),
        HttpResponse(403, {}, b"no"),
        HttpResponse(404, {}, b'{"error":"not_found"}'),
        HttpResponse(302, {"Location": "https://evil.example/"}),
        HttpResponse(200, {"Content-Type": "text/html"}, b"<!doctype html>"),
        HttpResponse(200, {}, b'{"message":"ok"}'),
    ],
    ids=lambda response: f"{response.status}-{len(response.body)}",
)
async def test_a_response_without_metadata_leads_to_the_next_address(internet, absent):
    """A redirect is not followed, and a web page is no metadata."""
    internet.pages[f"{ISSUER}{OIDC}"] = absent
    internet.publish(path=OAUTH)

    assert (await internet.discovery().fetch_metadata()).issuer == ISSUER
    assert internet.asked == [f"{ISSUER}{OIDC}", f"{ISSUER}{OAUTH}"]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_failing_server_is_not_asked_at_another_address(internet, status):
    """A failing server may have the document, so no other address is tried."""
    internet.pages[f"{ISSUER}{OIDC}"] = HttpResponse(status, {"Retry-After": "7"}, b"busy")
    with pytest.raises(aa.InvalidResponseError) as caught:
        await internet.discovery().fetch_metadata()

    assert caught.value.status == status
    assert caught.value.retry_after == pytest.approx(7, abs=0.05)
    assert len(internet.asked) == 1


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (HttpResponse(403, {}, b"blocked by policy"), "responded 403 .*it begins 'blocked by"),
        (HttpResponse(302, {"Location": "/login"}), "responded 302 .*a redirect to '/login'"),
        (HttpResponse(400, {}, b'{"error":"x_y"}'), "responded 400 with an OAuth error: x_y"),
        (HttpResponse(500, {}, b'{"error":"server_error"}'), "500 with an OAuth error: server_"),
    ],
    ids=["forbidden", "redirect", "refusal", "failure"],
)
@pytest.mark.parametrize("path", [OIDC, OAUTH])
async def test_the_address_that_says_most_is_named(internet, response, said, path):
    """A firewall's words are not lost behind the 404 of another address."""
    internet.pages[f"{ISSUER}{path}"] = response
    with pytest.raises(aa.InvalidResponseError, match=f"{ISSUER}{path} .*{said}") as caught:
        await internet.discovery().fetch_metadata()

    assert caught.value.status == response.status


async def test_a_server_without_metadata_is_named(internet):
    """The error names the server and says what to configure instead."""
    with pytest.raises(
        aa.InvalidResponseError, match=r"idp.example publishes no metadata.*give"
    ) as caught:
        await internet.discovery().fetch_metadata()

    assert caught.value.status == 404
    assert not caught.value.is_permanent


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<!doctype html>", "200 with text/html: the body is not JSON"),
        (b'{"issuer":"https://idp.example"', "200 with text/html: the body is not JSON"),
        (b'\xfe\xff\x00{"issuer":"https://idp.example"}', "200 with text/html"),
        (b'{"token_endpoint":"https://idp.example/token"}', "issuer"),
    ],
    ids=["page", "truncated", "UTF-16", "nameless"],
)
@pytest.mark.parametrize("path", [OIDC, OAUTH])
async def test_what_is_wrong_with_a_document_outlives_the_404s(internet, body, problem, path):
    """The other addresses have none, and that is not what must be mended."""
    internet.pages[f"{ISSUER}{path}"] = HttpResponse(200, {"Content-Type": "text/html"}, body)
    with pytest.raises(aa.InvalidResponseError, match=problem) as caught:
        await internet.discovery().fetch_metadata()

    assert caught.value.status == 200


@pytest.mark.parametrize(
    "named",
    [
        "https://evil.example",
        "https://idp.example.evil.example",
        f"{ISSUER}/acme",
        "HTTPS://idp.example",
        "https://IDP.example",
        "https://idp.example:443",
        "http://idp.example",
        "https://idp.example/",
    ],
)
async def test_another_issuers_document_is_not_used(internet, named):
    """The issuer must be equal in every character, and no other address is tried."""
    internet.publish(named, at=ISSUER)
    with pytest.raises(aa.IssuerMismatchError):
        await internet.discovery().endpoint("token_endpoint")

    assert len(internet.asked) == 1


async def test_an_alias_and_a_final_slash_are_known_issuers(internet):
    """An alias is accepted, and a final slash if the environment was given with it."""
    internet.publish("https://id.old.example", at=ISSUER)
    aliased = internet.discovery(issuer_aliases=["https://id.old.example"])
    internet_with_slash = Web().publish(f"{ISSUER}/", at=ISSUER)

    assert (await aliased.fetch_metadata()).issuer == "https://id.old.example"
    assert (
        await internet_with_slash.discovery(f"{ISSUER}/").fetch_metadata()
    ).issuer == f"{ISSUER}/"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/token",
        "http://idp.example/token",
        "https://user:pw@idp.example/token",
        "https://idp.example:8443/token",
        "//idp.example/token",
        "https://169.254.169.254/token",
    ],
)
async def test_an_endpoint_elsewhere_is_not_used(internet, url):
    """An endpoint on another host, scheme or port, or with a password, is refused by name."""
    internet.publish(token_endpoint=url)
    with pytest.raises(aa.ConfigurationError, match="token_endpoint") as caught:
        await internet.discovery().endpoint("token_endpoint")

    assert "pw" not in str(caught.value)


async def test_an_endpoint_on_a_listed_origin_is_used(internet):
    """The configuration lists the further origins that endpoints may have."""
    internet.publish(token_endpoint="https://login.example/token")
    discovery = internet.discovery(endpoint_origins=["https://login.example"])

    assert await discovery.endpoint("token_endpoint") == "https://login.example/token"


async def test_an_endpoint_that_is_not_there_is_named(internet):
    """The error names the endpoint that the server does not offer."""
    internet.publish()
    with pytest.raises(aa.EndpointMissingError, match="must have revocation_endpoint"):
        await internet.discovery().endpoint("revocation_endpoint")


async def test_given_endpoints_come_before_discovered_ones(internet):
    """A given endpoint is used without a request for the metadata."""
    own = {"token_endpoint": f"{ISSUER}/my/token"}
    discovery = internet.discovery(endpoints=own)

    assert await discovery.endpoint("token_endpoint") == f"{ISSUER}/my/token"
    assert internet.asked == []


async def test_nothing_is_discovered_unasked(internet):
    """Without discovery the paths are IdentityServer's, and no response needs an iss."""
    discovery = internet.discovery(discover=False)

    assert await discovery.endpoint("token_endpoint") == f"{ISSUER}/connect/token"
    assert await discovery.requires_iss() is False
    assert internet.asked == []


@pytest.mark.parametrize(
    ("said", "expected"), [(True, True), (False, False), ("true", False), (None, False)]
)
async def test_the_metadata_says_whether_a_response_has_an_iss(internet, said, expected):
    """Only the JSON value true makes the client require an iss (RFC 9207 §3)."""
    internet.publish(authorization_response_iss_parameter_supported=said)

    assert await internet.discovery().requires_iss() is expected


async def test_clients_with_certificates_have_endpoints_of_their_own(internet):
    """Only a client with a certificate uses aliases (oidcc-client-test-mtls-endpoint-aliases)."""
    internet.publish(
        mtls_endpoint_aliases={
            "token_endpoint": f"{ISSUER}/mtls/token",
        },
        revocation_endpoint=f"{ISSUER}/revoke",
    )
    certified, plain = internet.discovery(by_certificate=True), internet.discovery()

    assert await certified.endpoint("token_endpoint") == f"{ISSUER}/mtls/token"
    assert await certified.endpoint("jwks_uri") == f"{ISSUER}/keys"
    assert await certified.endpoint("revocation_endpoint") == f"{ISSUER}/revoke"
    assert await plain.endpoint("token_endpoint") == f"{ISSUER}/token"


async def test_many_sign_ins_are_one_request_a_document(internet):
    """25 concurrent sign-ins fetch each document once, and later ones reuse it for a day."""
    internet.publish()
    internet.pages[f"{ISSUER}/keys"] = {"keys": [key("one")]}
    discovery = internet.discovery()
    keys = await asyncio.gather(*(discovery.fetch_keys() for _ in range(25)))
    internet.clock.advance(DAY - 1)
    await discovery.fetch_keys()

    assert [[k["kid"] for k in each] for each in keys] == [["one"]] * 25
    assert internet.asked == [f"{ISSUER}{OIDC}", f"{ISSUER}/keys"]


def token_by(kid):
    header = json.dumps({"alg": "RS256"} | ({} if kid is None else {"kid": kid})).encode()
    parts = (urlsafe_b64encode(part).decode().rstrip("=") for part in (header, b"{}", b"x"))
    return ".".join(parts)


@pytest.fixture
def rolling(internet):
    """Give a server that has published one key so far."""
    internet.pages[f"{ISSUER}/.well-known/openid-configuration/jwks"] = {"keys": [key("one")]}
    internet.roll = lambda *kids: internet.pages.update(
        {f"{ISSUER}/.well-known/openid-configuration/jwks": {"keys": [key(kid) for kid in kids]}}
    )
    return internet


async def test_an_unknown_key_is_looked_up(rolling):
    """A known key costs no request, and an unknown key costs one for all its callers."""
    discovery = rolling.discovery(discover=False)
    known = await discovery.keys_for(token_by("one"))
    asked = len(rolling.asked)
    rolling.roll("two", "one")
    rolled = await asyncio.gather(*(discovery.keys_for(token_by("two")) for _ in range(10)))

    assert ([k["kid"] for k in known], asked) == (["one"], 1)
    assert [[k["kid"] for k in keys] for keys in rolled] == [["two", "one"]] * 10
    assert len(rolling.asked) == 2


async def test_without_kid_the_keys_are_of_this_minute(rolling):
    """A token without a kid makes the client fetch the keys anew, once a minute at most."""
    discovery = rolling.discovery(discover=False)
    await discovery.fetch_keys()
    rolling.roll("two")
    found = [await discovery.keys_for(token_by(None)) for _ in range(10)]

    assert [[k["kid"] for k in keys] for keys in found] == [["two"]] * 10
    assert len(rolling.asked) == 2


async def test_a_flood_of_unknown_keys_costs_one_request_a_minute(rolling):
    """Unauthenticated logout tokens could name any number of unknown keys."""
    discovery = rolling.discovery(discover=False)
    for number in range(200):
        await discovery.keys_for(token_by(f"no-{number}"))
    flooded = len(rolling.asked)
    rolling.clock.advance(COOL_DOWN)
    rolling.roll("two")
    found = await discovery.keys_for(token_by("two"))

    assert flooded == 2
    assert [k["kid"] for k in found] == ["two"]


async def test_known_keys_serve_while_the_server_is_down(rolling):
    """A sign-in with a known key succeeds while the key set cannot be fetched."""
    discovery = rolling.discovery(discover=False)
    await discovery.fetch_keys()
    rolling.pages.clear()
    rolling.clock.advance(DAY)

    assert [k["kid"] for k in await discovery.keys_for(token_by("one"))] == ["one"]
    assert [k["kid"] for k in await discovery.keys_for(token_by("two"))] == ["one"]


async def test_an_outage_before_the_first_keys_is_one_request(rolling):
    """25 concurrent sign-ins raise the same failure after one request."""
    rolling.pages.clear()
    discovery = rolling.discovery(discover=False)
    heard = await asyncio.gather(
        *(discovery.fetch_keys() for _ in range(25)), return_exceptions=True
    )
    with pytest.raises(aa.InvalidResponseError):
        await discovery.keys_for(token_by("one"))

    assert {type(error) for error in heard} == {aa.InvalidResponseError}
    assert len(rolling.asked) == 1


async def test_what_is_no_key_is_passed_over_and_a_set_has_its_limit(rolling):
    """A malformed entry does not invalidate the set, and entries beyond the limit are ignored."""
    many = ["nonsense", None, 7, *(key(f"k{number}") for number in range(1000))]
    rolling.pages[f"{ISSUER}/.well-known/openid-configuration/jwks"] = {"keys": many}

    keys = await rolling.discovery(discover=False).fetch_keys()

    assert [k["kid"] for k in keys] == [f"k{number}" for number in range(MAX_KEYS)]


@pytest.mark.parametrize("body", [{}, {"keys": {}}, {"keys": "x"}])
async def test_what_is_no_key_set_is_refused(rolling, body):
    """A document without a list of keys is an InvalidResponseError."""
    rolling.pages[f"{ISSUER}/.well-known/openid-configuration/jwks"] = body
    with pytest.raises(aa.InvalidResponseError):
        await rolling.discovery(discover=False).fetch_keys()


async def test_redirects_are_not_followed_and_endless_documents_not_read():
    """The client's own transport refuses both over a real connection."""
    seen = []

    async def serve(request):
        seen.append(request.path)
        if request.path == OIDC:
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        return web.Response(body=b" " * (2 << 20))

    async with serving(serve) as url:
        client = aa.OAuthClient("id", environment=aa.Environment.at(url, discover=True))
        with pytest.raises(aa.InvalidResponseError, match="more than 1048576 bytes"):
            await client.fetch_metadata()

    assert seen == [OIDC, OAUTH]
