"""The sandbox as a test holds it: its APIs, its counts, its faults."""

import asyncio
import sys
import time
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import aiohttp
import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox import Sandbox, SandboxClient, User
from aritma_auth.sandbox.faults import injection
from aritma_auth.sandbox.faults.wire import PLACES

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
async def sandbox():
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def token_of(sandbox, http, client_id="sandbox-service"):
    client = sandbox.clients[client_id]
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": client.client_secret,
    }
    async with http.post(f"{sandbox.identity_url}/connect/token", data=form) as response:
        return (await response.json())["access_token"]


async def call(sandbox, http, path="api/v3/accounts/42", token=None, **kwargs):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with http.get(sandbox.banking_url + path, headers=headers, **kwargs) as response:
        return response.status, response.headers, await response.read()


async def test_v3_responds_in_pascal_case(sandbox, http):
    """Accounts of v3 have PascalCase members, as at Banking v3."""
    status, _, body = await call(sandbox, http, token=await token_of(sandbox, http))

    assert status == 200
    assert b'"CompanyId": "42"' in body


async def test_v4_responds_with_its_version(sandbox, http):
    """Accounts of v4 come with the version's headers, as at Banking v4."""
    status, headers, body = await call(sandbox, http, "api/accounts", await token_of(sandbox, http))

    assert status == 200
    assert headers["api-supported-versions"] == "1.0"
    assert b'"_links"' in body


async def test_a_missing_token_is_challenged(sandbox, http):
    """A request without a token gets a plain challenge without an error."""
    status, headers, body = await call(sandbox, http)

    assert status == 401
    assert headers["WWW-Authenticate"] == "Bearer"
    assert headers["Content-Type"].startswith("application/problem+json")
    assert b"Unauthorized" in body


async def test_bad_tokens_are_challenged_with_the_reason(sandbox, http):
    """Foreign, revoked and expired tokens get a challenge with the reason."""
    token = await token_of(sandbox, http)
    foreign = await call(sandbox, http, token="foreign")
    sandbox.clock.advance(3600)
    expired = await call(sandbox, http, token=token)
    sandbox.faults.revoke_all()
    revoked = await call(sandbox, http, token=token)

    challenges = [answer[1]["WWW-Authenticate"] for answer in (foreign, expired, revoked)]
    assert [answer[0] for answer in (foreign, expired, revoked)] == [401] * 3
    assert challenges == [
        'Bearer error="invalid_token", error_description="The signature is invalid"',
        'Bearer error="invalid_token", error_description="The access token expired"',
        'Bearer error="invalid_token", error_description="The token was revoked"',
    ]


async def test_a_token_of_another_api_is_forbidden(sandbox, http):
    """A token with another scope gets 403 and insufficient_scope."""
    token = await token_of(sandbox, http, "sandbox-settlement")
    status, headers, _ = await call(sandbox, http, token=token)

    assert status == 403
    assert 'error="insufficient_scope"' in headers["WWW-Authenticate"]


async def test_uploads_are_counted(sandbox, http):
    """The bytes of refused uploads are counted too."""
    headers = {"Authorization": f"Bearer {await token_of(sandbox, http)}"}
    url = f"{sandbox.banking_url}api/v3/uploads"
    async with http.post(url, data=b"12345", headers=headers) as response:
        answer = await response.json()
    async with http.put(url, data=b"123") as response:
        refused = response.status

    assert answer == {"received": 5}
    assert refused == 401
    assert sandbox.uploads == [5, 3]


async def test_the_stream_echoes(sandbox, http):
    """The WebSocket returns text messages and ignores all others."""
    headers = {"Authorization": f"Bearer {await token_of(sandbox, http)}"}
    async with http.ws_connect(f"{sandbox.banking_url}api/v3/stream", headers=headers) as socket:
        await socket.send_bytes(b"binary")
        await socket.send_str("hello")

        assert await socket.receive_str() == "hello"


async def test_a_redirect_goes_where_it_is_told(sandbox, http):
    """The redirect route leads to the address of its query."""
    token = await token_of(sandbox, http)
    status, headers, _ = await call(
        sandbox, http, "redirect?to=/x&status=307", token, allow_redirects=False
    )

    assert (status, headers["Location"]) == (307, "/x")


async def test_the_clock_moves_the_date_header(sandbox, http):
    """The Date header follows the sandbox's clock, by which clients measure skew."""
    sandbox.clock.advance(-3600)
    _, headers, _ = await call(sandbox, http)
    shown = parsedate_to_datetime(headers["Date"]).timestamp()

    assert shown == pytest.approx(time.time() - 3600, abs=3)


async def test_requests_are_counted(sandbox, http):
    """Requests are counted at the APIs and at the token endpoint."""
    await asyncio.gather(*(token_of(sandbox, http) for _ in range(3)))
    await call(sandbox, http)

    assert sandbox.requests_at("api") == 1
    assert len(sandbox.token_requests) == 3
    assert 1 <= sandbox.peak_token_requests <= 3


async def ask(sandbox, http, **kwargs):
    async with http.post(
        f"{sandbox.identity_url}/connect/token", data={}, allow_redirects=False, **kwargs
    ) as response:
        return response.status, response.headers, await response.read()


async def test_status_faults_come_with_a_gateways_page(sandbox, http):
    """A status fault comes once or more often, with or without Retry-After, and then no more."""
    sandbox.faults.fail_next(503, retry_after=7, times=2)
    sandbox.faults.fail_next(429)
    answers = [await ask(sandbox, http) for _ in range(4)]

    assert [answer[0] for answer in answers] == [503, 503, 429, 400]
    assert answers[0][1]["Retry-After"] == "7"
    assert "Retry-After" not in answers[2][1]
    assert b"<h1>" in answers[0][2]


async def test_any_response_can_be_ordered(sandbox, http):
    """Any body and redirect can be ordered, at the API too."""
    sandbox.faults.respond_next(b"\xff", status=200)
    sandbox.faults.redirect_next("https://elsewhere.example")
    sandbox.faults.respond_next(b"busy", status=418, headers={}, where="api")

    assert (await ask(sandbox, http))[2] == b"\xff"
    assert (await ask(sandbox, http))[1]["Location"] == "https://elsewhere.example"
    assert (await call(sandbox, http))[0] == 418


@pytest.mark.parametrize(("fault", "answered"), [("drop_next", 0), ("lose_response_next", 1)])
async def test_connections_break_before_or_after_the_work(sandbox, http, fault, answered):
    """The caller sees the same break, whether or not the server has processed the request."""
    getattr(sandbox.faults, fault)()

    with pytest.raises(aiohttp.ClientError):
        await ask(sandbox, http)
    assert len(sandbox.token_requests) == answered


@pytest.mark.parametrize(
    "fault", [injection.drop(processed=False), injection.send_raw(b"HTTP/1.1 200 OK\r\n\r\n")]
)
async def test_a_connection_that_is_gone_already_cannot_break(fault):
    """A caller may have left before the fault closes the connection."""
    gone = SimpleNamespace(transport=None)

    assert (await fault(gone, None)).status == 500


async def test_a_response_can_be_truncated(sandbox, http):
    """A truncated response breaks off in the middle of a token."""
    sandbox.faults.truncate_next()

    with pytest.raises(aiohttp.ClientError):
        await ask(sandbox, http)


@pytest.mark.parametrize("fault", ["flood_next", "drip_next"])
async def test_responses_can_have_no_end(sandbox, http, fault):
    """An endless response comes fast or slowly."""
    getattr(sandbox.faults, fault)()

    with pytest.raises(TimeoutError):
        await ask(sandbox, http, timeout=aiohttp.ClientTimeout(total=0.1))


async def test_a_bomb_is_small_on_the_wire(sandbox, http):
    """A gzip bomb is small on the wire and large when unpacked."""
    sandbox.faults.bomb_next(1 << 20)
    _, headers, body = await ask(sandbox, http)

    assert int(headers["Content-Length"]) < 2000
    assert len(body) == 1 << 20


async def test_responses_can_be_late(sandbox, http):
    """One response can be late, or all of them."""
    sandbox.faults.delay_next(0.05)
    sandbox.faults.set_latency(0.05, "api")
    started = time.monotonic()
    await ask(sandbox, http)
    await call(sandbox, http)

    # A timer may fire a little early.
    assert time.monotonic() - started >= 0.09


async def test_requests_can_be_held(sandbox, http):
    """Held requests wait until the test releases them."""
    gate = sandbox.faults.hold()
    asking = [asyncio.create_task(ask(sandbox, http)) for _ in range(3)]
    await gate.until(3)
    answered_before = len(sandbox.token_requests)
    gate.release()
    await asyncio.gather(*asking)

    assert answered_before == 0
    assert gate.arrived == 3


async def test_closing_lets_held_requests_go(http):
    """Closing with held requests leaves no task, socket or warning."""
    async with Sandbox() as sandbox:
        gate = sandbox.faults.hold("api")
        asking = asyncio.create_task(call(sandbox, http))
        await gate.until()

    status, *_ = await asking
    assert status == 401


IDENTITY_PLACES = {
    "token": ("POST", "/connect/token"),
    "discovery": ("GET", "/acme/.well-known/openid-configuration"),
    "jwks": ("GET", "/.well-known/openid-configuration/jwks"),
    "authorize": ("GET", "/connect/authorize"),
    "userinfo": ("GET", "/acme/connect/userinfo"),
    "introspect": ("POST", "/connect/introspect"),
    "revocation": ("POST", "/connect/revocation"),
    "deviceauthorization": ("POST", "/acme/connect/deviceauthorization"),
    "par": ("POST", "/connect/par"),
    "ciba": ("POST", "/connect/ciba"),
    "dcr": ("POST", "/connect/dcr"),
    "endsession": ("GET", "/connect/endsession"),
}


def test_every_place_is_tried():
    """The table of places below has the identity server's endpoints and the APIs."""
    assert {*IDENTITY_PLACES, "api"} == set(PLACES)


@pytest.mark.parametrize("where", IDENTITY_PLACES)
async def test_faults_happen_at_every_endpoint(sandbox, http, where):
    """A fault hits its endpoint alone, which counts its requests."""
    sandbox.faults.fail_next(418, where=where)
    statuses = {}
    for place, (method, path) in IDENTITY_PLACES.items():
        async with http.request(method, f"{sandbox.identity_url}{path}") as response:
            statuses[place] = response.status

    assert [place for place, status in statuses.items() if status == 418] == [where]
    assert sandbox.requests_at(where) == 1


async def test_pages_have_no_faults(sandbox, http):
    """Pages and unknown paths belong to no place."""
    for path in ("/device", "/connect/api", "/connect/nowhere"):
        async with http.get(f"{sandbox.identity_url}{path}") as response:
            assert response.status in {200, 404}
    assert sandbox.requests_at("api") == 0


async def test_faults_happen_at_known_places(sandbox):
    """An unknown place is an error and not a silent no-op."""
    with pytest.raises(ConfigurationError, match="where must be one of api, token"):
        sandbox.faults.fail_next(500, where="bank")


def test_it_listens_on_loopback_only():
    """Another host is refused, since the sandbox's secrets are public."""
    with pytest.raises(ConfigurationError, match="host must be"):
        Sandbox(host="0.0.0.0")


async def test_a_port_that_is_taken_leaves_nothing_open(sandbox):
    """If one port is taken, the server on the other is closed again."""
    taken = int(sandbox.banking_url.rstrip("/").rpartition(":")[2])
    other = Sandbox(banking_port=taken)

    with pytest.raises(OSError, match="in use"):
        await other.start()
    with pytest.raises(ConfigurationError, match="must have been started"):
        _ = other.identity_url


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_port(port):
    """A port out of range is an error that names the range."""
    with pytest.raises(ConfigurationError, match="0 to 65535"):
        Sandbox(identity_port=port)


def test_it_has_no_address_before_it_is_started():
    """An address before the start is an error that says what to do."""
    with pytest.raises(ConfigurationError, match="must have been started"):
        _ = Sandbox().identity_url


async def test_it_listens_on_ipv6_too():
    """The sandbox listens on ::1 where the machine has it."""
    try:
        async with Sandbox(host="::1") as sandbox:
            assert sandbox.identity_url.startswith("http://[::1]:")
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")


def test_without_joserfc_the_error_names_the_extra(monkeypatch):
    """Without joserfc the error says what to install."""
    from aritma_auth.sandbox.identity.keys import signing_key

    monkeypatch.setitem(sys.modules, "joserfc.jwk", None)
    with pytest.raises(ConfigurationError, match=r"aritma-auth\[sandbox\]"):
        signing_key(99)


@pytest.mark.parametrize(
    ("named", "make"),
    [
        ("identity_port", lambda: Sandbox(identity_port="5000")),
        ("lifetime", lambda: Sandbox(lifetime="an hour")),
        ("lifetime", lambda: Sandbox(lifetime=0)),
        ("host", lambda: Sandbox(host=None)),
        ("server_version", lambda: Sandbox(server_version=7)),
        ("client_id", lambda: SandboxClient(client_id=42)),
        ("secrets must be .* of type int", lambda: SandboxClient(client_id="a", secrets=42)),
        (
            "secrets must be .* of type bytes",
            lambda: SandboxClient(client_id="a", secrets=[b"s3cr3t"]),
        ),
        ("username", lambda: User("sub", None, "password")),
        ("password", lambda: User("sub", "alice", b"s3cr3t")),
        ("client", lambda: Sandbox().add_client("sandbox-web")),
        ("seconds", lambda: Sandbox().clock.advance("60")),
        ("seconds", lambda: Sandbox().clock.advance(True)),
        ("seconds", lambda: Sandbox().clock.advance(float("nan"))),
    ],
)
def test_an_argument_of_the_wrong_type_is_named(named, make):
    """The error names the argument and what it must be, and shows no secret."""
    with pytest.raises(ConfigurationError, match=named) as caught:
        make()

    assert "s3cr3t" not in str(caught.value)


async def test_bytes_come_as_they_are(sandbox):
    """A response can be written without any HTTP of the server's own."""
    sandbox.faults.send_raw_next(b"HTTP/1.0 200 Fine\r\nX-Odd: 1\r\n\r\nbody")
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{sandbox.identity_url}/connect/token") as response:
            assert (response.status, response.reason) == (200, "Fine")
            assert response.version == aiohttp.HttpVersion10
            assert await response.text() == "body"
