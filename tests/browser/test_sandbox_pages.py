"""The sandbox's pages, as an end-user sees them."""

import pytest

import aritma_auth as aa

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_end_user_signs_in_by_typing_and_clicking(window, client_of, callback):
    """The browser returns with an authorization response that the client can complete."""
    client = client_of("sandbox-web")
    request = await client.begin_sign_in(callback.url, "openid bankservice")
    await window.go(request.url)
    assert await window.heading == "Sign in"
    await window.sign_in()
    assert await window.heading == "Back"
    sign_in = await client.complete_sign_in(request, callback.arrived[0])
    assert sign_in.subject == "user-alice"


async def test_a_wrong_password_is_said_aloud(window, client_of, callback):
    """An alert reports a wrong password, and the name stays filled in."""
    request = await client_of("sandbox-web").begin_sign_in(callback.url)
    await window.go(request.url)
    await window.sign_in(password="wrong")
    assert await window.page.get_by_role("alert").is_visible()
    assert await window.page.get_by_label("User name").input_value() == "alice"
    assert await window.page.get_by_label("Password").input_value() == ""
    await window.sign_in()
    assert await window.heading == "Back"


async def test_a_hint_is_filled_in(window, client_of, callback):
    """The page fills in the ``login_hint``."""
    client = client_of("sandbox-web")
    request = await client.begin_sign_in(callback.url, login_hint="bob")
    await window.go(request.url)
    assert await window.page.get_by_label("User name").input_value() == "bob"


async def test_who_cancels_has_denied_access(window, client_of, callback):
    """Cancel returns ``access_denied`` without any input."""
    client = client_of("sandbox-web")
    request = await client.begin_sign_in(callback.url)
    await window.go(request.url)
    await window.click("Cancel")
    with pytest.raises(aa.AccessDeniedError):
        await client.complete_sign_in(request, callback.arrived[0])


async def test_consent_names_who_asks_and_for_what(window, client_of, callback):
    """A denied consent returns ``access_denied``, and the next request asks again."""
    client = client_of("sandbox-cli")
    request = await client.begin_sign_in(callback.url, "openid bankservice")
    await window.go(request.url)
    await window.sign_in()
    assert await window.heading == "Permission"
    text = await window.page.get_by_role("main").inner_text()
    assert all(word in text for word in ("sandbox-cli", "openid", "bankservice"))
    await window.click("Do not allow")
    with pytest.raises(aa.AccessDeniedError):
        await client.complete_sign_in(request, callback.arrived[0])

    again = await client.begin_sign_in(callback.url, "openid bankservice")
    await window.go(again.url)
    await window.click("Allow")
    assert (await client.complete_sign_in(again, callback.arrived[1])).subject == "user-alice"


async def test_a_response_is_posted(window, client_of, callback):
    """The form_post page submits itself under its own content security policy."""
    client = client_of("sandbox-web")
    request = await client.begin_sign_in(callback.url, response_mode="form_post")
    await window.go(request.url)
    await window.fill_in()
    await window.page.get_by_role("button", name="Sign in").click()
    await window.page.wait_for_url(callback.url)
    await window.check()
    assert (await client.complete_sign_in(request, callback.arrived[0])).subject == "user-alice"


async def test_a_response_comes_in_the_fragment(window, client_of, callback):
    """Only the browser sees an implicit response; the server's log does not."""
    client = client_of("sandbox-implicit")
    request = await client.begin_sign_in(
        callback.url, "openid bankservice", response_type="id_token token"
    )
    await window.go(request.url)
    await window.sign_in()
    assert list(callback.arrived[0]) == []
    sign_in = await client.complete_sign_in(request, window.page.url)
    assert (sign_in.subject, sign_in.token.token_type) == ("user-alice", "Bearer")


async def test_who_wants_to_leave_is_asked(window, sandbox, client_of, callback):
    """A sign-out without an ID token asks for confirmation, and then ends the session."""
    client = client_of("sandbox-web")
    request = await client.begin_sign_in(callback.url)
    await window.go(request.url)
    await window.sign_in()
    await window.go(await client.end_session_url())
    assert await window.heading == "Sign out"
    await window.click("Sign out")
    assert await window.heading == "Signed out"
    await window.go((await client.begin_sign_in(callback.url)).url)
    assert await window.heading == "Sign in"


async def test_a_device_is_let_in_from_another(window, sandbox, client_of):
    """A wrong user code raises an alert, and the right one lets the device sign in."""
    client = client_of("sandbox-cli")
    device = await client.begin_device_sign_in("openid bankservice")
    await window.go(device.verification_uri)
    await window.sign_in()
    assert await window.heading == "Sign in a device"
    await window.page.get_by_label("Code shown on your device").fill("000000000")
    await window.click("Continue")
    assert "unknown or has expired" in await window.alert
    await window.page.get_by_label("Code shown on your device").fill(device.user_code)
    await window.click("Continue")
    await window.click("Allow")
    assert await window.heading == "Done"

    sandbox.clock.advance(5)
    sign_in = await client.complete_device_sign_in(device)
    assert sign_in.subject == "user-alice"


async def test_mistakes_stay_on_the_servers_page(window, client_of, callback):
    """The server does not redirect to an unregistered redirect URI."""
    elsewhere = callback.url.replace("/callback", "/elsewhere")
    request = await client_of("sandbox-web").begin_sign_in(elsewhere)
    response = await window.go(request.url)
    assert response.status == 400
    assert await window.alert == "invalid_request"
    assert callback.arrived == []


async def test_the_keyboard_is_enough(window, client_of, callback):
    """The name field has the focus, Tab follows the order of reading, and the focus is visible."""
    client = client_of("sandbox-cli")
    request = await client.begin_sign_in(callback.url)
    await window.go(request.url)
    assert await window.focus == "username"
    await window.press("alice", "Tab", "alice-password", "Tab", "Enter")
    assert await window.heading == "Permission"
    await window.press("Tab", "Enter")
    assert await window.heading == "Back"
    assert (await client.complete_sign_in(request, callback.arrived[0])).subject == "user-alice"
