"""Sign-in from a terminal: each server accepts the loopback address with any port."""

import asyncio

import pytest

import aritma_auth as aa
from support.plain_browser import answers_of

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]


@pytest.fixture(params=["oidc_provider", "nanoidp", "django_oauth_toolkit"])
def server(request):
    return request.getfixturevalue(request.param)


async def sign_in(server, browser, **answers):
    """Begin in a terminal, go through the browser, and let it bring what it got."""
    shown = asyncio.Queue()
    login = asyncio.create_task(
        aa.login_with_browser(
            server.client("public"), "openid", open_browser=None, show=shown.put_nowait, timeout=30
        )
    )
    page = await browser.visit(await shown.get(), **answers_of("alice", **answers))
    async with browser.session.get(page.callback) as response:
        said = await response.text()
    return await asyncio.gather(login, return_exceptions=True), response.status, said


async def test_an_end_user_signs_in_from_a_terminal(server, browser):
    """The browser brings the code to the listener and shows its page (RFC 8252 §7.3)."""
    (signed_in,), status, _ = await sign_in(server, browser)

    assert status == 200
    assert signed_in.subject


@pytest.mark.parametrize(
    ("server", "refusal"),
    [("oidc_provider", {"decision": "no"}), ("django_oauth_toolkit", {"allow": ""})],
    indirect=["server"],
)
async def test_a_denial_reaches_the_program_and_the_page(server, browser, refusal):
    """The terminal raises AccessDeniedError, and the browser's page says so."""
    (refused,), status, said = await sign_in(server, browser, **refusal)

    assert isinstance(refused, aa.AccessDeniedError)
    assert status == 400
    assert "Not signed in" in said
