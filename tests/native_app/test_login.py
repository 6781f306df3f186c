"""Tests of signing in from a terminal: whole journeys against the sandbox, and hostile requests."""

import asyncio
import contextlib
import functools
import html
import re
import threading
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import attrs
import pytest

import aritma_auth as aa
from aritma_auth.native_app import login
from aritma_auth.native_app.loopback import LoopbackListener
from aritma_auth.protocol.device_authorization import DeviceAuthorization
from aritma_auth.sandbox import Sandbox
from support.clock import FakeClock

pytestmark = pytest.mark.usefixtures("no_leftovers")

SCOPE = "openid profile offline_access api"


def client_of(sandbox, client_id="sandbox-cli"):
    secret = sandbox.clients[client_id].client_secret or None
    return aa.OAuthClient(client_id, secret, environment=sandbox.environment, clock=sandbox.clock)


@pytest.fixture
def client(aritma_sandbox):
    aritma_sandbox.sign_in_automatically("alice")
    return client_of(aritma_sandbox)


class Journey:
    """A sign-in under way, and the end-user's browser."""

    def __init__(self, task, url, browser):
        self.task = task
        self.url = url
        self.browser = browser
        self.query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.redirect_uri = self.query["redirect_uri"]

    async def go(self, url=None, method="GET", **request):
        """Open a URL, follow the redirects, and return the status and the text."""
        async with self.browser.request(method, url or self.url, **request) as response:
            return response.status, await response.text()

    async def callback(self):
        """Return where the server redirects the browser to, without following."""
        async with self.browser.get(self.url, allow_redirects=False) as response:
            return response.headers["Location"]

    def forge(self, **parameters):
        """Build a callback that the server did not send."""
        return f"{self.redirect_uri}?{urlencode(parameters)}"


@contextlib.asynccontextmanager
async def signing_in(client, **settings):
    """Begin a sign-in and return it once its URL has been shown."""
    shown = asyncio.get_running_loop().create_future()
    settings = {"scope": SCOPE, "open_browser": None, "show": shown.set_result} | settings
    task = asyncio.create_task(login.login_with_browser(client, **settings))
    async with aiohttp.ClientSession() as browser:
        yield Journey(task, await shown, browser)
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_an_end_user_signs_in_with_the_browser(client):
    """The page reports success, and the program has the tokens and the subject."""
    async with signing_in(client) as journey:
        status, page = await journey.go()
        sign_in = await journey.task

    assert status == 200
    assert "Signed in" in page
    assert "return to the program" in page
    assert sign_in.subject == "user-alice"
    assert sign_in.token.refresh_token
    assert sign_in.token.scope == tuple(SCOPE.split())


async def test_the_page_shows_no_secret(client):
    """The page holds neither the code nor the state."""
    async with signing_in(client) as journey:
        callback = await journey.callback()
        _, page = await journey.go(callback)
        await journey.task

    for values in parse_qs(urlsplit(callback).query).values():
        assert not any(len(value) > 20 and value in page for value in values)


async def test_the_response_may_be_posted(client):
    """A sign-in with response_mode=form_post completes."""
    async with signing_in(client, response_mode="form_post") as journey:
        _, posting = await journey.go()
        fields = dict(
            part.split('" value="')
            for part in html.unescape(posting).split('<input type="hidden" name="')[1:]
            for part in [part.partition('">')[0]]
        )
        status, page = await journey.go(journey.redirect_uri, "POST", data=fields)
        sign_in = await journey.task

    assert (status, sign_in.subject) == (200, "user-alice")
    assert "Signed in" in page


async def test_every_authorization_parameter_reaches_the_server(client):
    """Each of AuthorizationParameters becomes a parameter of the request, or decides about it."""
    parameters = {
        "response_type": "code",
        "response_mode": "form_post",
        "prompt": "login",
        "max_age": 5,
        "login_hint": "alice",
        "acr_values": aa.build_acr_values(mfa=True),
        "requires_acr": True,
        "ui_locales": "nb",
        "resource": ["https://api.example"],
        "extra": {"more": "yes"},
        "step_up": aa.StepUpRequiredError("more", acr_values=("verify",)),
        "lifetime": 30.0,
    }
    async with signing_in(client, **parameters) as journey:
        query = journey.query

    assert parameters.keys() == aa.AuthorizationParameters.__annotations__.keys()
    assert {name: query[name] for name in parameters if name in query} == {
        "response_type": "code",
        "response_mode": "form_post",
        "prompt": "login",
        "max_age": "5",
        "login_hint": "alice",
        "acr_values": "verify mfa",
        "ui_locales": "nb",
        "resource": "https://api.example",
    }
    assert query["more"] == "yes"
    assert query["code_challenge_method"] == "S256"


async def test_the_redirect_uri_is_as_registered(client, unused_tcp_port):
    """The port and the path of the redirect URI are the caller's."""
    async with signing_in(client, port=unused_tcp_port, path="/back") as journey:
        assert journey.redirect_uri == f"http://127.0.0.1:{unused_tcp_port}/back"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": "10"}, "timeout"),
        ({"response_mode": "fragment"}, "query or form_post"),
        ({"host": "localhost"}, "host"),
        ({"port": 70000}, "port"),
        ({"prompt": "sing"}, "prompt"),
        ({"response_mode": ["query"]}, "query or form_post"),
        ({"host": ["127.0.0.1"]}, "host"),
        ({"open_browser": "firefox"}, "open_browser must be a plain function"),
        ({"show": None}, "show must be a plain function"),
        ({"show": asyncio.sleep}, "show must be a plain function"),
        ({"open_browser": asyncio.sleep}, "open_browser must be a plain function"),
        ({"scope": 5}, "scope"),
    ],
)
async def test_an_unusable_argument_is_refused(client, settings, said):
    """An argument that is not usable raises before anything is shown or opened."""
    with pytest.raises(aa.ConfigurationError, match=said):
        await login.login_with_browser(
            client, **({"open_browser": None, "show": pytest.fail} | settings)
        )


async def test_a_taken_port_is_reported(client):
    """A port in use raises before anything is shown or opened."""
    async with signing_in(client) as journey:
        port = urlsplit(journey.redirect_uri).port
        with pytest.raises(aa.ConfigurationError, match="cannot listen on"):
            await login.login_with_browser(
                client, port=port, open_browser=pytest.fail, show=pytest.fail
            )


async def test_an_end_user_may_deny_access(client, aritma_sandbox):
    """A denial is shown on the page and raised in the program as AccessDeniedError."""
    aritma_sandbox.faults.deny_next("access_denied", "The end-user said no")
    async with signing_in(client) as journey:
        status, page = await journey.go()
        with pytest.raises(aa.AccessDeniedError, match="The end-user said no"):
            await journey.task

    assert status == 400
    assert "Not signed in" in page
    assert "access_denied: The end-user said no" in page


async def test_a_servers_words_are_text(client, aritma_sandbox):
    """Markup and bidirectional characters in an error description stay text on the page."""
    aritma_sandbox.faults.deny_next("access_denied", "<script>alert(1)</script>\u202e")
    async with signing_in(client) as journey:
        _, page = await journey.go()
        with pytest.raises(aa.AccessDeniedError):
            await journey.task

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page


async def test_a_failed_exchange_is_no_success(client, aritma_sandbox):
    """The page reports the failure of the exchange that follows a good callback."""
    aritma_sandbox.faults.respond_next(b'{"error":"invalid_grant"}', status=400)
    async with signing_in(client) as journey:
        status, page = await journey.go()
        with pytest.raises(aa.InvalidGrantError):
            await journey.task

    assert status == 400
    assert "invalid_grant" in page


async def test_a_failed_exchange_shows_no_code(client, canary):
    """The code is neither on the page nor in anything captured of the error."""
    async with signing_in(client) as journey:
        _, page = await journey.go(journey.forge(code=canary.text, state=journey.query["state"]))
        with pytest.raises(aa.InvalidGrantError) as caught:
            await journey.task

    assert canary.text not in page
    canary.assert_hidden(caught.value)


async def test_a_response_of_another_server_ends_the_sign_in(client):
    """A callback with our state and another issuer is a mix-up attack, and ends the sign-in."""
    async with signing_in(client) as journey:
        forged = journey.forge(code="x", state=journey.query["state"], iss="https://evil.example")
        status, _ = await journey.go(forged)
        with pytest.raises(aa.IssuerMismatchError):
            await journey.task

    assert status == 400


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"code": "x"},
        {"code": "x", "state": "wrong"},
        {"error": "access_denied", "state": "wrong"},
        {"error": "access_denied", "error_description": "<b>markup</b>"},
        {"code": "x", "state": "\udcff".encode(errors="surrogateescape")},
    ],
    ids=str,
)
async def test_a_forged_response_neither_counts_nor_ends_the_sign_in(client, parameters):
    """A callback without our state discloses nothing, and the right one still completes."""
    async with signing_in(client) as journey:
        status, page = await journey.go(journey.forge(**parameters))
        assert status == 400
        assert "expects another request" in page
        assert "markup" not in page
        assert not journey.task.done()
        await journey.go()
        sign_in = await journey.task

    assert sign_in.subject == "user-alice"


async def test_a_doubled_parameter_neither_counts_nor_ends_the_sign_in(client):
    """A callback that names a parameter twice discloses nothing, though it has the state."""
    async with signing_in(client) as journey:
        callback = await journey.callback()
        status, _ = await journey.go(f"{callback}&state=wrong")
        assert status == 400
        await journey.go(callback)
        sign_in = await journey.task

    assert sign_in.subject == "user-alice"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [("/favicon.ico", {}, 404), ("/callback", {"Host": "evil.example"}, 421)],
)
async def test_stray_requests_go_no_further(client, path, headers, status):
    """A request for another path or host is refused, even with the right parameters."""
    async with signing_in(client) as journey:
        callback = await journey.callback()
        strayed = callback.replace("/callback", path, 1)
        assert (await journey.go(strayed, headers=headers))[0] == status
        await journey.go(callback)
        assert (await journey.task).subject == "user-alice"


async def test_one_response_counts(client, aritma_sandbox, monkeypatch):
    """A second callback during the exchange of the first sends no request and gets status 400."""
    arrivals = asyncio.Queue()

    class WatchedListener(LoopbackListener):
        async def _receive(self, request):
            arrivals.put_nowait(request)
            return await super()._receive(request)

    monkeypatch.setattr(login, "LoopbackListener", WatchedListener)
    gate = aritma_sandbox.faults.hold()
    async with signing_in(client) as journey:
        callback = await journey.callback()
        first = asyncio.create_task(journey.go(callback))
        await gate.until()
        second = asyncio.create_task(journey.go(callback))
        for _ in range(2):
            await arrivals.get()
        gate.release()
        sign_in = await journey.task
        statuses = [(await first)[0], (await second)[0]]

    assert sign_in.subject == "user-alice"
    assert statuses == [200, 400]
    assert len(aritma_sandbox.token_requests) == 1


async def test_nothing_listens_after_the_response(client):
    """The listener is closed once the sign-in has completed."""
    async with signing_in(client) as journey:
        callback = await journey.callback()
        await journey.go(callback)
        await journey.task
        with pytest.raises(aiohttp.ClientConnectorError):
            await journey.go(callback)


async def test_no_response_arrives(client):
    """TokenTimeoutError says that the server's page probably shows the reason."""
    async with signing_in(client, timeout=1e-6) as journey:
        with pytest.raises(aa.TokenTimeoutError, match="look at the browser window") as caught:
            await journey.task

    assert isinstance(caught.value, TimeoutError)
    assert not caught.value.is_permanent
    assert "redirect URI" in str(caught.value)
    assert journey.redirect_uri in str(caught.value)
    assert caught.value.__context__ is None


async def test_forged_responses_do_not_prolong_the_wait(client):
    """The time-out counts for all requests together."""
    async with signing_in(client, timeout=0.2) as journey:

        async def knock():
            while True:
                await journey.go(journey.forge(state="wrong"))

        knocking = asyncio.create_task(knock())
        with pytest.raises(aa.TokenTimeoutError):
            await journey.task
        with pytest.raises(aiohttp.ClientError):
            await knocking


async def test_a_response_in_time_is_exchanged_however_long_that_takes(
    client, aritma_sandbox, monkeypatch
):
    """The time-out ends with the arrival of the callback: a code is not thrown away."""
    running = []

    @contextlib.asynccontextmanager
    async def limit(deadline):
        running.append(deadline)
        async with asyncio.timeout(deadline - asyncio.get_running_loop().time()):
            yield
        running.remove(deadline)

    monkeypatch.setattr(asyncio, "timeout_at", limit)
    gate = aritma_sandbox.faults.hold()
    async with signing_in(client) as journey:
        assert running
        going = asyncio.create_task(journey.go())
        await gate.until()
        assert running == []
        gate.release()
        assert (await journey.task).subject == "user-alice"
        assert (await going)[0] == 200


async def test_a_cancelled_sign_in_leaves_nothing(client):
    """A cancelled login leaves neither a task nor a listening socket."""
    async with signing_in(client) as journey:
        journey.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await journey.task
        with pytest.raises(aiohttp.ClientConnectorError):
            await journey.go(journey.redirect_uri)


async def test_cancelling_during_the_exchange_leaves_the_browser_with_a_page(
    client, aritma_sandbox
):
    """The browser gets a page with status 400 if the login is cancelled during the exchange."""
    gate = aritma_sandbox.faults.hold()
    async with signing_in(client) as journey:
        going = asyncio.create_task(journey.go())
        await gate.until()
        journey.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await journey.task
        assert (await going)[0] == 400
        gate.release()


async def test_a_browser_that_stays_open_holds_nothing_up(client):
    """A browser command that does not return delays neither the loop nor the program's end."""
    loop, opened, may_end = asyncio.get_running_loop(), asyncio.Queue(), threading.Event()

    def browse(url):
        loop.call_soon_threadsafe(opened.put_nowait, threading.current_thread())
        assert may_end.wait(20)

    async with signing_in(client, open_browser=browse) as journey:
        thread = await opened.get()
        await journey.go()
        sign_in = await journey.task
    assert thread.is_alive()
    may_end.set()

    assert thread.daemon
    assert sign_in.subject == "user-alice"


async def test_a_browser_that_cannot_be_opened_is_no_error(client):
    """An exception of open_browser is ignored, since the URL has been shown."""
    tried = threading.Event()

    def browse(url):
        tried.set()
        raise OSError("no browser")

    async with signing_in(client, open_browser=browse) as journey:
        assert await asyncio.to_thread(tried.wait, 20)
        await journey.go()
        assert (await journey.task).subject == "user-alice"


async def test_the_browser_gets_a_one_time_address(client):
    """open_browser gets an address of the listener that leads to the authorization request."""
    loop, opened = asyncio.get_running_loop(), asyncio.Queue()

    def browse(url):
        loop.call_soon_threadsafe(opened.put_nowait, url)

    async with signing_in(client, open_browser=browse) as journey:
        address = await opened.get()
        status, page = await journey.go(address)
        sign_in = await journey.task

    assert urlsplit(address).netloc == urlsplit(journey.redirect_uri).netloc
    assert journey.query["state"] not in address
    assert (status, "Signed in" in page) == (200, True)
    assert sign_in.subject == "user-alice"


async def test_by_default_the_address_is_shown_on_standard_error(client, capsys, monkeypatch):
    """The default `show` writes to standard error, and open_browser=None opens none."""
    monkeypatch.setattr(login, "_open_in_thread", pytest.fail)
    with pytest.raises(aa.TokenTimeoutError):
        await login.login_with_browser(client, open_browser=None, timeout=1e-6)
    shown = capsys.readouterr()

    assert shown.out == ""
    assert f"\n  {client.environment.issuer}/connect/authorize?response_type=code&" in shown.err


async def test_an_end_user_signs_in_on_another_device(client, aritma_sandbox, monkeypatch, capsys):
    """The code is shown, and polled at the interval that the server gave."""
    naps, shown = [], ""

    async def sleep(seconds):
        nonlocal shown
        naps.append(seconds)
        shown += capsys.readouterr().err
        aritma_sandbox.clock.advance(seconds)
        if len(naps) == 2:
            aritma_sandbox.approve_device(re.search(r"the code (\d+)", shown)[1], "alice")

    monkeypatch.setattr(aritma_sandbox.clock, "sleep", sleep)
    sign_in = await login.login_with_device(client, SCOPE)

    assert sign_in.subject == "user-alice"
    assert naps == [5, 5]
    assert shown.startswith(f"Go to {aritma_sandbox.identity_url}/device on any device")
    assert f"\nOr go to {aritma_sandbox.identity_url}/device?user_code=" in shown


async def test_a_device_sign_in_may_be_shown_in_ones_own_way(client, aritma_sandbox, monkeypatch):
    """`show` replaces the text on standard error, for a QR code, for example."""
    shown = []

    async def sleep(seconds):
        aritma_sandbox.clock.advance(seconds)
        aritma_sandbox.approve_device(shown[0].user_code, None)

    monkeypatch.setattr(aritma_sandbox.clock, "sleep", sleep)
    with pytest.raises(aa.AccessDeniedError):
        await login.login_with_device(client, show=shown.append)


def test_a_url_cannot_steer_the_terminal(capsys):
    """Control characters of an address are replaced, and the address is shown whole."""
    login.show_url(f"https://idp.example/\x1b[2J\u202e\n?{'x' * 5000}")
    shown = capsys.readouterr().err

    assert shown.count("\n") == 4
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "x" * 5000 in shown


@pytest.mark.parametrize(
    ("complete", "lines"), [(None, 1), ("https://idp.example/?code=ABCD\x1b[2J\n", 2)]
)
def test_a_devices_address_cannot_steer_the_terminal(capsys, complete, lines):
    """Control characters of the server are replaced in each line that is shown."""
    login.show_device_code(
        DeviceAuthorization(
            device_code="secret-code",
            user_code="ABCD",
            verification_uri="https://idp.example/\x1b[2J",
            verification_uri_complete=complete,
            expires_at=0,
            interval=5,
        )
    )
    shown = capsys.readouterr().err

    assert shown.count("\n") == lines
    assert "\x1b" not in shown
    assert "ABCD" in shown
    assert "secret-code" not in shown


async def sign_in_as(username, sandbox, client):
    """Sign in without a browser, as the `sign_in` of `signed_in_provider`."""
    sandbox.sign_in_automatically(username)
    async with signing_in(client) as journey:
        await journey.go()
        return await journey.task


async def refuse(client):
    pytest.fail("no sign-in must begin")


async def test_a_provider_signs_in_when_it_must(client, aritma_sandbox):
    """The first provider signs in, and the next one uses the stored tokens."""
    store = aa.MemoryTokenStore()
    by_alice = functools.partial(sign_in_as, "alice", aritma_sandbox)
    async with await login.signed_in_provider(client, store=store, sign_in=by_alice) as tokens:
        first = await tokens.get_token()
    async with await login.signed_in_provider(client, store=store, sign_in=refuse) as tokens:
        again = await tokens.get_token()

    assert first.access_token == again.access_token
    assert [request.grant_type for request in aritma_sandbox.token_requests] == [
        "authorization_code"
    ]


@pytest.mark.parametrize("store", [None, aa.MemoryTokenStore()], ids=["no store", "empty store"])
async def test_a_first_sign_in_is_reported_as_no_failure(client, aritma_sandbox, caplog, store):
    """A provider without a stored sign-in warns of nothing, and reports later failures."""
    by_alice = functools.partial(sign_in_as, "alice", aritma_sandbox)
    with caplog.at_level("DEBUG", "aritma_auth"):
        async with await login.signed_in_provider(client, store=store, sign_in=by_alice) as tokens:
            seen = [record for record in caplog.records if record.name == "aritma_auth"]
            assert [record for record in seen if record.levelname != "DEBUG"] == []
            assert "sign-in has ended" not in caplog.text
            token = await tokens.get_token()
            ended = attrs.evolve(token, expires_at=1.0, refresh_token=None)
            await tokens.forget()
            await tokens.set_token(ended)
            with pytest.raises(aa.ReauthenticationRequiredError):
                await tokens.get_token()

    assert "RefreshFailed(error=ReauthenticationRequiredError" in caplog.text


async def test_end_users_have_their_own_tokens(client, aritma_sandbox):
    """`end_user` distinguishes the stored tokens of two end-users."""
    store = aa.MemoryTokenStore()
    for name in ("alice", "bob"):
        sign_in = functools.partial(sign_in_as, name, aritma_sandbox)
        async with await login.signed_in_provider(
            client, end_user=name, store=store, sign_in=sign_in
        ):
            pass
    for name in ("alice", "bob"):
        async with await login.signed_in_provider(
            client, end_user=name, store=store, sign_in=refuse
        ) as tokens:
            claims = await client.fetch_userinfo(await tokens.get_token())
            assert claims["sub"] == f"user-{name}"


@pytest.fixture
async def store(client):
    """Give a store with an expired token and a refresh token that the server does not know."""
    clock, store = FakeClock(), aa.MemoryTokenStore()
    async with aa.TokenProvider(client, aa.SignedInGrant("me"), store=store, clock=clock) as tokens:
        await tokens.set_token(
            aa.Token("old", expires_at=clock.time() - 1, refresh_token="revoked", issued_at=1.0)
        )
    return store


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (None, 400),
        (b"", 400),
        (b'{"error":"invalid_request","error_description":"no such token"}', 400),
        (b'{"error":"unauthorized_client"}', 403),
        (b'{"error":"token_expired"}', 400),
    ],
    ids=str,
)
async def test_a_sign_in_that_has_ended_is_begun_anew(client, aritma_sandbox, store, body, status):
    """A refresh token that the server refuses, by whatever name, leads to a new sign-in."""

    async def by_alice(client):
        return await sign_in_as("alice", aritma_sandbox, client)

    if body is not None:
        aritma_sandbox.faults.respond_next(body, status=status)
    async with await login.signed_in_provider(client, store=store, sign_in=by_alice) as tokens:
        token = await tokens.get_token()

    assert token.access_token != "old"
    assert (await client.fetch_userinfo(token))["sub"] == "user-alice"
    async with await login.signed_in_provider(client, store=store, sign_in=refuse) as tokens:
        assert (await tokens.get_token()).access_token == token.access_token


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 503),
        (b"<html>default backend</html>", 404),
        (b"<html>blocked</html>", 403),
        (b'{"error":"invalid_client"}', 401),
        (b'{"error":"temporarily_unavailable"}', 400),
    ],
    ids=str,
)
async def test_another_failure_asks_for_no_sign_in(client, aritma_sandbox, store, body, status):
    """An outage, a page of a gateway or a refused client is raised, and no sign-in begins."""
    aritma_sandbox.faults.respond_next(body, status=status, times=10)
    with pytest.raises(aa.AritmaAuthError) as caught:
        await login.signed_in_provider(client, store=store, sign_in=refuse)

    assert not isinstance(caught.value, aa.ReauthenticationRequiredError)


@pytest.mark.parametrize("client", ["client", None, aa.OAuthClient], ids=repr)
@pytest.mark.parametrize(
    "function", [login.login_with_browser, login.login_with_device, login.signed_in_provider]
)
async def test_a_client_is_an_oauth_client(function, client):
    """Every function refuses an argument that is no client before anything is shown or opened."""
    with pytest.raises(aa.ConfigurationError, match="client must be an OAuthClient"):
        await function(client)


async def give_a_text(client):
    return "token"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sign_in": "browser"}, "sign_in must be a coroutine function"),
        ({"sign_in": lambda client: aa.SignIn(None)}, "sign_in must be a coroutine function"),
        ({"sign_in": give_a_text}, "returns a SignIn; it is of type str"),
        ({"on_event": "log"}, "on_event must be a function"),
        ({"on_event": give_a_text}, "on_event must be a plain function"),
        ({"end_user": 5}, "end_user must be"),
        ({"store": "/tmp/tokens"}, "store must be a TokenStore"),
    ],
)
async def test_an_unusable_argument_of_a_provider_is_refused(client, settings, said):
    """A wrong kind of argument is named, with what it must be."""
    with pytest.raises(aa.ConfigurationError, match=said):
        await login.signed_in_provider(client, **({"sign_in": refuse} | settings))


@pytest.mark.parametrize("show", ["show", None])
async def test_a_device_code_is_shown_by_a_function(client, aritma_sandbox, show):
    """A `show` that cannot be called is refused before the server is asked for a code."""
    with pytest.raises(aa.ConfigurationError, match="show must be a plain function"):
        await login.login_with_device(client, show=show)


async def test_a_failed_sign_in_leaves_no_provider(client, aritma_sandbox):
    """The error of the sign-in is raised, and the provider is closed."""

    async def fail(client):
        raise aa.AccessDeniedError("access_denied")

    with pytest.raises(aa.AccessDeniedError):
        await login.signed_in_provider(client, sign_in=fail)


async def test_a_sign_in_without_a_token_is_refused():
    """A sign-in that gave an ID token alone raises ConfigurationError."""

    async def identify(client):
        return aa.SignIn(None)

    async with Sandbox() as sandbox:
        with pytest.raises(aa.ConfigurationError, match="no token"):
            await login.signed_in_provider(client_of(sandbox), sign_in=identify)
