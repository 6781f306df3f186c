"""Tests of signing in on another device, from a terminal."""

import re

import pytest

import aritma_auth as aa
from aritma_auth.native_app import login
from aritma_auth.protocol.device_authorization import DeviceAuthorization

pytestmark = pytest.mark.usefixtures("no_leftovers")

SCOPE = "openid profile offline_access api"


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


@pytest.mark.parametrize("sign_in", [login.login_with_device, login.login_with_browser])
@pytest.mark.parametrize("kind", [OSError, GeneratorExit, KeyboardInterrupt])
async def test_what_shows_a_sign_in_is_named_if_it_fails(client, sign_in, kind):
    """A window of one's own may be closed: the error is one of the package, an interrupt passes."""

    def show(_what):
        raise kind

    settings = {"open_browser": None} if sign_in is login.login_with_browser else {}
    wanted = kind if kind is KeyboardInterrupt else aa.ConfigurationError
    with pytest.raises(wanted) as caught:
        await sign_in(client, show=show, **settings)

    assert kind is KeyboardInterrupt or f"show raised {kind.__name__}, " in str(caught.value)


async def test_a_device_sign_in_may_be_shown_in_ones_own_way(client, aritma_sandbox, monkeypatch):
    """`show` replaces the text on standard error, for a QR code, for example."""
    shown = []

    async def sleep(seconds):
        aritma_sandbox.clock.advance(seconds)
        aritma_sandbox.approve_device(shown[0].user_code, None)

    monkeypatch.setattr(aritma_sandbox.clock, "sleep", sleep)
    with pytest.raises(aa.AccessDeniedError):
        await login.login_with_device(client, show=shown.append)


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


@pytest.mark.parametrize("show", ["show", None])
async def test_a_device_code_is_shown_by_a_function(client, aritma_sandbox, show):
    """A `show` that cannot be called is refused before the server is asked for a code."""
    with pytest.raises(aa.ConfigurationError, match="show must be a plain function"):
        await login.login_with_device(client, show=show)
