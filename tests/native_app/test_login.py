"""Tests of signing in with the browser: whole journeys at the sandbox, and hostile requests."""

import asyncio
import contextlib
import html
import threading
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest

import aritma_auth as aa
from aritma_auth.native_app import login
from aritma_auth.native_app.loopback import LoopbackListener
from support.internals import watched

pytestmark = pytest.mark.usefixtures("no_leftovers")

SCOPE = "openid profile offline_access api"


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
        "expected_claims": {"sub": "user-alice"},
        "ui_locales": "nb",
        "resource": ["https://api.example"],
        "extra": {"more": "yes"},
        "step_up": aa.StepUpRequiredError("more", acr_values=("verify",)),
        "lifetime": 30.0,
        "push": False,
        "sign": False,
        "authorization_details": [{"type": "account_information"}],
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
        "authorization_details": '[{"type":"account_information"}]',
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
        ({"response_type": "code id_token"}, "must not be query"),
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
    monkeypatch.setattr(login, "LoopbackListener", watched(LoopbackListener, arrivals))
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


def test_a_url_cannot_steer_the_terminal(capsys):
    """Control characters of an address are replaced, and the address is shown whole."""
    login.show_url(f"https://idp.example/\x1b[2J\u202e\n?{'x' * 5000}")
    shown = capsys.readouterr().err

    assert shown.count("\n") == 4
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "x" * 5000 in shown


@pytest.mark.parametrize("client", ["client", None, aa.OAuthClient], ids=repr)
@pytest.mark.parametrize(
    "function", [login.login_with_browser, login.login_with_device, login.signed_in_provider]
)
async def test_a_client_is_an_oauth_client(function, client):
    """Every function refuses an argument that is no client before anything is shown or opened."""
    with pytest.raises(aa.ConfigurationError, match="client must be an OAuthClient"):
        await function(client)
