"""Authorization requests, by the rules of each server version."""

import aiohttp
import pytest

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox import Sandbox, SandboxClient
from support.plain_browser import PlainBrowser
from support.sandbox_wire import ALICE, CALLBACK, authorize_url, read_jwt, response_of, sign_in

pytestmark = pytest.mark.usefixtures("no_leftovers")


def of_version(*names):
    return pytest.mark.parametrize("sandbox", names, indirect=True)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "nobody"}, "unauthorized_client"),
        ({"client_id": None}, "unauthorized_client"),
        ({"client_id": "sandbox-service"}, "invalid_request"),
        ({"redirect_uri": "https://evil.example/callback"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": f"{CALLBACK}/"}, "invalid_request"),
        ({"redirect_uri": f"{CALLBACK}?x=y"}, "invalid_request"),
        ({"redirect_uri": "https://127.0.0.1:5000/callback"}, "invalid_request"),
        ({"redirect_uri": "http://localhost:5000/callback"}, "invalid_request"),
        ({"redirect_uri": "http://127.0.0.1@evil.example/callback"}, "invalid_request"),
        ({"redirect_uri": "http://evil.example@127.0.0.1/callback"}, "invalid_request"),
        ({"redirect_uri": "http://[127.0.0.1/callback"}, "invalid_request"),
        ({"redirect_uri": "http://127.0.0.1/" + "c" * 400}, "invalid_request"),
        ({"response_type": "token"}, "unauthorized_client"),
        ({"response_type": "code fish"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "pigeon"}, "unsupported_response_type"),
        ({"scope": None}, "invalid_request"),
        ({"scope": "openid zam"}, "invalid_scope"),
        ({"scope": "openid " + "x" * 300}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "c" * 129}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"nonce": "n" * 301}, "invalid_request"),
        ({"login_hint": "l" * 101}, "invalid_request"),
        ({"acr_values": "a" * 301}, "invalid_request"),
        ({"state": ["one", "two"]}, "invalid_request"),
    ],
    ids=str,
)
async def test_an_invalid_request_stays_on_the_servers_page(sandbox, browser, changes, error):
    """An invalid request gets the server's own error page, and no redirect to the client."""
    page = await browser.open(authorize_url(sandbox, **changes))

    assert page.status == 400
    assert error in page.text


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"redirect_uri": "http://localhost/callback"}, "sandbox-web has registered: http://127."),
        ({"client_id": "sandbox-service"}, "sandbox-service has registered: none."),
        ({"client_id": "nobody"}, "home page lists its clients"),
    ],
    ids=["redirect_uri", "no redirect_uri", "client_id"],
)
async def test_a_developers_first_mistakes_get_a_hint(sandbox, browser, changes, hint):
    """The page says what would have been right, which the real server keeps to itself."""
    page = await browser.open(authorize_url(sandbox, **changes))

    assert hint in page.text
    assert '<p role="alert"' in page.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "id_token", "nonce": None}, "invalid_request"),
        ({"response_type": "id_token", "scope": "api"}, "invalid_request"),
        ({"response_type": "token", "scope": "openid api"}, "invalid_scope"),
        ({"response_type": "id_token", "response_mode": "query"}, "unsupported_response_type"),
        ({"response_type": "code"}, "unauthorized_client"),
        ({"response_type": "code id_token"}, "unauthorized_client"),
    ],
    ids=str,
)
async def test_implicit_has_rules_of_its_own(sandbox, browser, changes, error):
    """The implicit flow needs a nonce for ID tokens, and refuses the query and a scope of the other kind."""
    url = authorize_url(sandbox, client_id="sandbox-implicit", **changes)

    assert error in (await browser.open(url)).text


@pytest.mark.parametrize(
    ("client_id", "changes", "names"),
    [
        ("sandbox-web", {}, ["code", "scope", "session_state", "state"]),
        ("sandbox-web", {"scope": "api", "state": None}, ["code", "scope"]),
        (
            "sandbox-implicit",
            {"response_type": "token", "scope": "api"},
            ["access_token", "token_type", "expires_in", "scope", "state"],
        ),
        (
            "sandbox-implicit",
            {"response_type": "id_token token"},
            [
                "id_token",
                "access_token",
                "token_type",
                "expires_in",
                "scope",
                "session_state",
                "state",
            ],
        ),
        (
            "sandbox-hybrid",
            {"response_type": "code id_token token"},
            [
                "code",
                "id_token",
                "access_token",
                "token_type",
                "expires_in",
                "scope",
                "session_state",
                "state",
            ],
        ),
    ],
)
@pytest.mark.parametrize("mode", [None, "form_post", "fragment"])
async def test_each_response_type_brings_its_parameters(
    sandbox, browser, client_id, changes, names, mode
):
    """The parameters come in IdentityServer's order, by query, fragment or form."""
    sandbox.sign_in_automatically("alice")
    url = authorize_url(sandbox, client_id=client_id, response_mode=mode, **changes)
    page = await browser.open(url)
    if mode == "form_post":
        assert page.forms[0].action == CALLBACK
        page = await browser.submit(page)
    else:
        is_query = mode is None and client_id == "sandbox-web"
        assert page.callback.startswith(f"{CALLBACK}{'?' if is_query else '#'}")

    assert list(response_of(page)) == names
    assert response_of(page).get("state") == (
        None if changes.get("state", "") is None else "the-state"
    )


async def test_a_request_may_be_posted(sandbox, browser):
    """The parameters of a posted request survive the sign-in in between."""
    url, _, query = authorize_url(sandbox).partition("?")
    async with browser.session.post(
        url, data=query, headers={"Content-Type": "application/x-www-form-urlencoded"}
    ) as response:
        login = str(response.url)
    page = await browser.visit(login, **ALICE)

    assert set(response_of(page)) == {"code", "scope", "session_state", "state"}


async def test_other_methods_are_refused(sandbox, browser):
    """Methods other than GET and POST get a 405."""
    async with browser.session.put(authorize_url(sandbox)) as response:
        assert response.status == 405


CALLBACK_ERRORS = {
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "login_required",
}
NEWER_ERRORS = {"temporarily_unavailable", "unmet_authentication_requirements"}


@pytest.mark.parametrize("error", sorted(CALLBACK_ERRORS | NEWER_ERRORS | {"server_error"}))
async def test_only_a_versions_own_errors_reach_the_callback(every, error):
    """Five errors reach the client at IdentityServer 4, seven at Duende; all others stay on the error page."""
    every.faults.deny_next(error, "said")
    async with PlainBrowser(every.identity_url) as browser:
        page = await browser.open(authorize_url(every))
    reach = CALLBACK_ERRORS if every.server_version == "is4" else CALLBACK_ERRORS | NEWER_ERRORS

    if error in reach:
        answer = response_of(page)
        assert answer["error"] == error
        assert answer["error_description"] == "said"
        assert answer["state"] == "the-state"
        assert ("iss" in answer) is (every.server_version != "is4")
    else:
        assert page.status == 400
        assert error in page.text


@pytest.mark.parametrize(
    ("version", "status", "fragment"),
    [
        ("is4", 302, "#_=_"),
        ("duende-6.3", 302, "#_=_"),
        ("duende-7.4", 302, "#_"),
        ("duende-8", 303, "#_"),
    ],
)
async def test_redirects_look_as_the_versions_do(version, status, fragment):
    """Each version has its status and its fragment, which keeps an error from being inherited."""
    async with Sandbox(server_version=version) as sandbox, aiohttp.ClientSession() as http:
        sandbox.faults.deny_next()
        async with http.get(authorize_url(sandbox), allow_redirects=False) as response:
            assert response.status == status
            assert response.headers["Location"].endswith(fragment)
            assert response.headers["Cache-Control"] == "no-store"
        answer = await sign_in(sandbox)
        assert answer.get("iss") == (None if version == "is4" else sandbox.identity_url)
        sandbox.faults.deny_next()
        url = authorize_url(sandbox, response_mode="fragment")
        async with http.get(url, allow_redirects=False) as response:
            assert not response.headers["Location"].endswith(fragment)


def test_there_are_four_versions():
    """An unknown version is a ConfigurationError that names the four."""
    with pytest.raises(ConfigurationError, match=r"is4, duende-6\.3, duende-7\.4, duende-8"):
        Sandbox(server_version="is5")


@pytest.mark.parametrize("prompt", ["none", "login", "consent", "select_account"])
async def test_without_a_session_the_end_user_is_asked_or_refused(sandbox, browser, prompt):
    """Without a session the sign-in page comes, and with prompt=none an error instead."""
    page = await browser.open(authorize_url(sandbox, prompt=prompt))

    if prompt == "none":
        assert response_of(page)["error"] == "login_required"
    else:
        assert "Sign in" in page.text


async def in_again(sandbox, browser, **parameters):
    """Sign in, and then send a second authorization request."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    return await browser.open(authorize_url(sandbox, **parameters))


async def test_a_session_needs_no_second_sign_in(sandbox, browser):
    """A session satisfies the next request at once, with prompt=none too."""
    assert "code" in response_of(await in_again(sandbox, browser))
    assert "code" in response_of(await browser.open(authorize_url(sandbox, prompt="none")))


def session_of(browser):
    """Give the session that the browser's scripts may see."""
    cookies = {cookie.key: cookie.value for cookie in browser.session.cookie_jar}
    return cookies["aritma-sandbox-session"]


@pytest.mark.parametrize("prompt", ["login", "select_account"])
async def test_a_prompt_asks_anew_and_only_once(sandbox, browser, prompt):
    """The sign-in satisfies the prompt, and the session keeps its id."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    first = session_of(browser)
    page = await browser.open(authorize_url(sandbox, prompt=prompt))
    assert "Password" in page.text
    response_of(await browser.submit(page, **ALICE))

    assert session_of(browser) == first


async def test_several_prompts_are_heeded_one_after_the_other(sandbox, browser):
    """prompt="login consent" shows the sign-in, then the consent, then nothing more."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    login = await browser.open(authorize_url(sandbox, prompt="login consent"))
    consent = await browser.submit(login, **ALICE)

    assert "Password" in login.text
    assert "Permission" in consent.text
    assert "code" in response_of(await browser.submit(consent, decision="yes"))


async def test_another_end_user_gets_another_session(sandbox, browser):
    """A sign-in of bob in alice's browser opens a new session."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    first = session_of(browser)
    bob = {"username": "bob", "password": "bob-password"}
    response_of(await browser.visit(authorize_url(sandbox, prompt="login"), **bob))

    assert session_of(browser) != first


@pytest.mark.parametrize(("age", "passes"), [(59, True), (61, False)])
async def test_max_age_asks_for_a_fresh_sign_in(sandbox, browser, age, passes):
    """An old session needs a new sign-in, and prompt=none makes that an error."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    sandbox.clock.advance(age)
    answer = response_of(await browser.open(authorize_url(sandbox, max_age="60", prompt="none")))

    assert ("code" in answer) is passes


async def test_a_max_age_of_nothing_can_be_met(sandbox, browser):
    """max_age=0 is satisfied by one sign-in, however little time it took."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    sandbox.clock.advance(0.5)
    page = await browser.open(authorize_url(sandbox, max_age="0"))
    assert "Password" in page.text
    async with browser.session.post(
        page.forms[0].action, data=page.forms[0].fields | ALICE, allow_redirects=False
    ) as response:
        sandbox.clock.advance(0.5)
        back = f"{sandbox.identity_url}{response.headers['Location']}"

    assert "code" in response_of(await browser.open(back))


@pytest.mark.parametrize("client_id", ["sandbox-cli", "sandbox-web"])
async def test_consent_is_asked_where_it_is_wanted(sandbox, browser, client_id):
    """
    The registration or prompt=consent shows the consent page; with prompt=none that is an error.
    """
    url = authorize_url(sandbox, client_id=client_id)
    page = await browser.submit(await browser.open(url), **ALICE)
    if client_id == "sandbox-web":
        assert "code" in response_of(page)
        page = await browser.open(authorize_url(sandbox, client_id=client_id, prompt="consent"))
    else:
        silent = await browser.open(authorize_url(sandbox, client_id=client_id, prompt="none"))
        assert response_of(silent)["error"] == "consent_required"
    assert "Permission" in page.text

    assert "code" in response_of(await browser.submit(page, decision="yes"))
    assert "code" in response_of(await browser.open(url))
    again = await browser.open(authorize_url(sandbox, client_id=client_id, prompt="consent"))
    assert "Permission" in again.text


async def test_a_denied_consent_is_asked_again_the_next_time(sandbox, browser):
    """A denied consent is access_denied and is not remembered."""
    url = authorize_url(sandbox, client_id="sandbox-cli")
    page = await browser.visit(url, **ALICE, decision="no")
    assert response_of(page)["error"] == "access_denied"

    assert "Permission" in (await browser.open(url)).text


@of_version("is4", "duende-6.3")
async def test_an_unknown_prompt_was_overlooked_once(sandbox, browser):
    """Versions before 7 ignore an unknown prompt."""
    assert "Password" in (await browser.open(authorize_url(sandbox, prompt="dance"))).text


@of_version("duende-7.4", "duende-8")
async def test_an_unknown_prompt_is_an_error_now(sandbox, browser):
    """Versions from 7 on refuse an unknown prompt."""
    page = await browser.open(authorize_url(sandbox, prompt="dance"))

    assert (page.status, "invalid_request" in page.text) == (400, True)


@pytest.mark.parametrize(
    ("acr_values", "claims"),
    [
        ("mfa", {"amr": ["pwd", "mfa"], "acr": "mfa", "idp": "local"}),
        ("verify mfa", {"amr": ["pwd", "verify", "mfa"], "acr": "verify", "idp": "local"}),
        ("idp:softrig tenant:acme", {"amr": ["pwd"], "idp": "softrig", "tid": "acme"}),
    ],
)
async def test_acr_values_are_reached_and_told(sandbox, browser, acr_values, claims):
    """A requested factor needs the one-time code, and both tokens name the contexts reached."""
    url = authorize_url(
        sandbox,
        client_id="sandbox-implicit",
        response_type="id_token token",
        acr_values=acr_values,
    )
    page = await browser.open(url)
    assert ("code" in page.forms[0].fields) is ("acr" in claims)
    answer = response_of(await browser.submit(page, **ALICE, code="123456"))
    told = [read_jwt(answer[name])[1] for name in ("id_token", "access_token")]

    for token in told:
        assert {name: token.get(name) for name in claims} == claims
        assert ("acr" in token) is ("acr" in claims)


@pytest.mark.parametrize("acr_values", ["mfa", "idp:softrig"])
async def test_a_weaker_session_must_sign_in_again(sandbox, browser, acr_values):
    """A session without the requested factor needs a new sign-in; a stronger one does not."""
    await browser.visit(authorize_url(sandbox), **ALICE)
    silent = authorize_url(sandbox, acr_values=acr_values, prompt="none")
    assert response_of(await browser.open(silent))["error"] == "login_required"
    await browser.visit(authorize_url(sandbox, acr_values=acr_values), **ALICE, code="123456")

    assert "code" in response_of(await browser.open(silent))


async def test_a_wrong_code_is_refused(sandbox, browser):
    """A wrong one-time code is refused as a wrong password is."""
    page = await browser.open(authorize_url(sandbox, acr_values="mfa"))
    page = await browser.submit(page, **ALICE, code="000000")

    assert "The user name, the password or the code is wrong." in page.text


async def test_what_cannot_be_reached_is_said_where_it_may_be(every):
    """An unreachable acr value is an error for the client from Duende on, and a page at IdentityServer 4."""
    async with PlainBrowser(every.identity_url) as browser:
        page = await browser.open(authorize_url(every, acr_values="hardware-key"))

    if every.server_version == "is4":
        assert "unmet_authentication_requirements" in page.text
    else:
        assert response_of(page)["error"] == "unmet_authentication_requirements"


async def test_a_hint_is_filled_in(sandbox, browser):
    """login_hint fills in the user name, and the password has the focus."""
    page = await browser.open(authorize_url(sandbox, login_hint="bob"))

    assert page.forms[0].fields["username"] == "bob"
    assert 'autocomplete="current-password" autofocus' in page.text


async def test_resources_are_known_from_duende_on(every):
    """Duende refuses an unknown resource on its page; IdentityServer 4 ignores the parameter."""
    async with PlainBrowser(every.identity_url) as browser:
        every.sign_in_automatically("alice")
        known = ["urn:aritma:banking", "urn:aritma:bankservice"]
        good = await browser.open(authorize_url(every, resource=known))
        bad = await browser.open(authorize_url(every, resource="urn:x"))

    assert "code" in response_of(good)
    if every.server_version == "is4":
        assert "code" in response_of(bad)
    else:
        assert "invalid_target" in bad.text


async def test_the_automatic_mode_is_one_session(sandbox):
    """Automatic sign-ins share one session across prompts and factors, until another end-user signs in."""
    sandbox.sign_in_automatically("alice")
    async with PlainBrowser(sandbox.identity_url) as browser:
        sessions = []
        stronger = {"client_id": "sandbox-cli", "acr_values": "mfa idp:x"}
        for asked in ({}, {"prompt": "login"}, stronger):
            response_of(await browser.open(authorize_url(sandbox, **asked)))
            sessions.append(session_of(browser))
        assert sandbox.session_id is not None
        sandbox.sign_in_automatically("bob")
        assert sandbox.session_id is None
        response_of(await browser.open(authorize_url(sandbox)))
        sandbox.sign_in_automatically(None)
        assert sessions[0] == sessions[1] == sessions[2] != session_of(browser)
        assert "Password" in (await browser.open(authorize_url(sandbox))).text
    with pytest.raises(ConfigurationError, match="username must be one of alice, bob"):
        sandbox.sign_in_automatically("carol")


async def test_redirect_uris_are_compared_without_regard_to_case(sandbox, browser):
    """Redirect URIs are compared as IdentityServer does, which ignores case and nothing else."""
    sandbox.add_client(
        SandboxClient(
            client_id="case",
            grant_types="authorization_code",
            scopes="openid",
            redirect_uris=("https://App.example/Callback", "http://[::1]/callback"),
        )
    )
    sandbox.sign_in_automatically("alice")
    for uri in ("https://app.example/callback", "http://[::1]:7777/callback"):
        url = authorize_url(sandbox, client_id="case", scope="openid", redirect_uri=uri)
        assert (await browser.open(url)).callback.startswith(f"{uri}?code=")


async def test_a_client_may_do_without_pkce(sandbox):
    """A registration may allow requests without a challenge, and flows without a code need none."""
    sandbox.add_client(
        SandboxClient(
            client_id="old",
            secrets="s",
            grant_types="authorization_code",
            scopes="openid",
            redirect_uris="http://127.0.0.1/callback",
            requires_pkce=False,
        )
    )
    answer = await sign_in(sandbox, client_id="old", scope="openid", code_challenge=None)

    assert "code" in answer
