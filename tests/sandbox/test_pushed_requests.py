"""The sandbox's pushed authorization requests, without a client of ours."""

from urllib.parse import urlencode

import attrs
import pytest

from support.sandbox_wire import (
    ALICE,
    REQUEST,
    WEB,
    authorize_url,
    get,
    post,
    redeem,
    response_of,
)

pytestmark = pytest.mark.usefixtures("no_leftovers")

SERVER_VERSION = "duende-8"


async def push(sandbox, **changes):
    """Push a request; give the status and the JSON."""
    form = {k: v for k, v in (WEB | REQUEST | changes).items() if v is not None}
    return (await post(sandbox, "/connect/par", form))[:2]


async def url_of(sandbox, **changes):
    """Push a request; give the address that the browser opens."""
    status, pushed = await push(sandbox, **changes)
    assert status == 201, pushed
    query = {"client_id": "sandbox-web", "request_uri": pushed["request_uri"]}
    return f"{sandbox.identity_url}/connect/authorize?{urlencode(query)}"


async def test_a_pushed_request_gets_a_reference(sandbox):
    """The response is a 201 with a reference and its lifetime (RFC 9126 §2.2)."""
    status, pushed = await push(sandbox)

    assert status == 201
    assert pushed["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    assert pushed["expires_in"] == 600


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"request_uri": "urn:x"}, "invalid_request"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"scope": "openid zam"}, "invalid_scope"),
        ({"response_type": None}, "unsupported_response_type"),
    ],
)
async def test_an_invalid_request_is_refused_to_the_client(sandbox, changes, error):
    """What the authorization endpoint would refuse is refused here, in JSON (RFC 9126 §2.3)."""
    status, said = await push(sandbox, **changes)

    assert (status, said["error"]) == (400, error)


async def test_a_client_pushes_for_itself_alone(sandbox):
    """A request names the client that has authenticated."""
    form = {**REQUEST, "client_id": "sandbox-hybrid"}
    basic = {"Authorization": "Basic c2FuZGJveC13ZWI6d2ViLXNlY3JldA=="}
    status, said, _ = await post(sandbox, "/connect/par", form, headers=basic)
    assert (status, said["error_description"]) == (400, "Invalid client_id")

    del form["client_id"]
    assert (await post(sandbox, "/connect/par", form, headers=basic))[0] == 201


@pytest.mark.parametrize("prompt", [None, "login", "login consent"])
async def test_an_end_user_signs_in_by_the_pages(sandbox, browser, prompt):
    """Sign-in and consent keep the reference; prompts that are done are not asked for again."""
    url = await url_of(sandbox, prompt=prompt)
    page = await browser.visit(url, **ALICE, decision="yes")
    answer = response_of(page)

    assert answer["state"] == "the-state"
    assert (await redeem(sandbox, answer["code"]))[0] == 200
    assert (await browser.open(url)).status == 400


async def test_a_maximal_age_of_zero_is_asked_for_once(sandbox, browser):
    """``max_age=0`` in a pushed request shows the sign-in page once."""
    page = await browser.visit(await url_of(sandbox, max_age="0"), **ALICE)

    assert "code" in response_of(page)


@pytest.mark.parametrize("decision", ["cancel", "no"])
async def test_a_refusal_spends_the_reference(sandbox, browser, decision):
    """An end-user who refuses has had the response: the reference is spent."""
    url = await url_of(sandbox, prompt="consent")
    answers = {"cancel": ""} if decision == "cancel" else {**ALICE, "decision": "no"}
    page = await browser.visit(url, **answers)

    assert response_of(page)["error"] == "access_denied"
    assert (await browser.open(url)).status == 400


async def test_a_planned_refusal_spends_the_reference(sandbox, browser):
    """An error that a test has planned is a response like every other."""
    url = await url_of(sandbox)
    sandbox.faults.deny_next()

    assert response_of(await browser.open(url))["error"] == "access_denied"
    assert (await browser.open(url)).status == 400


@pytest.mark.parametrize(
    "fault", ["another client", "twice", "expired", "in the middle", "unknown"]
)
async def test_a_wrong_reference_stays_on_the_servers_page(sandbox, browser, fault):
    """A reference is for one client, one visit and ten minutes (RFC 9126 §4)."""
    url = await url_of(sandbox)
    page = None
    if fault == "another client":
        url = url.replace("sandbox-web", "sandbox-cli")
    elif fault == "twice":
        url += f"&{url.rpartition('&')[2]}"
    elif fault == "expired":
        sandbox.clock.advance(600)
    elif fault == "unknown":
        url += "0"
    else:
        page = await browser.open(url)
        sandbox.faults.expire_pushed_requests()
    page = await (browser.open(url) if page is None else browser.submit(page, **ALICE))

    assert page.status == 400


async def test_a_server_can_demand_pushed_requests(sandbox, browser):
    """The metadata say so, and whole requests by the browser are refused (RFC 9126 §5)."""
    where = "/.well-known/openid-configuration"
    name = "require_pushed_authorization_requests"
    url = authorize_url(sandbox)
    assert (await get(sandbox, where))[1][name] is False
    assert (await browser.open(url)).status == 200
    sandbox.faults.require_pushed_requests()
    assert (await get(sandbox, where))[1][name] is True
    assert "Pushed authorization is required" in (await browser.open(url)).text
    sandbox.faults.require_pushed_requests(is_on=False)
    assert (await browser.open(url)).status == 200


async def test_a_registration_can_demand_pushed_requests(sandbox, browser):
    """Only that client is refused without a reference."""
    sandbox.add_client(attrs.evolve(sandbox.clients["sandbox-web"], requires_par=True))

    assert (await browser.open(authorize_url(sandbox))).status == 400
    assert (await browser.open(authorize_url(sandbox, client_id="sandbox-cli"))).status == 200
    assert (await browser.open(authorize_url(sandbox, client_id="nobody"))).status == 400


@pytest.mark.parametrize("sandbox", ["is4", "duende-6.3"], indirect=True)
async def test_older_versions_have_no_such_endpoint(sandbox):
    """IdentityServer has pushed authorization requests since version 7."""
    _, metadata, _ = await get(sandbox, "/.well-known/openid-configuration")

    assert "pushed_authorization_request_endpoint" not in metadata
    assert (await post(sandbox, "/connect/par", WEB | REQUEST))[0] == 404
