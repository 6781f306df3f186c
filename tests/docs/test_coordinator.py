"""The home-automation integration in docs/examples, against the sandbox: restarts and sign-outs."""

import contextlib
import importlib.util
import sys
from pathlib import Path

import pytest

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "coordinator.py"
HOUR = 3600


def load():
    """Import the example from the documentation."""
    spec = importlib.util.spec_from_file_location("coordinator", EXAMPLE)
    module = sys.modules["coordinator"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load()


@pytest.fixture
async def sandbox(no_leftovers):
    async with Sandbox() as sandbox:
        sandbox.sign_in_automatically("alice")
        yield sandbox


@pytest.fixture
def entries(tmp_path):
    return example.Entries(tmp_path / "entries.db")


@contextlib.asynccontextmanager
async def running(sandbox, entries):
    """A run of the host, from its start to its end."""
    client = aa.OAuthClient(
        "sandbox-web", "web-secret", environment=sandbox.environment, clock=sandbox.clock
    )
    coordinator = example.Coordinator(client, entries, "home", clock=sandbox.clock)
    await coordinator.start(str(sandbox.banking_url))
    try:
        yield client, coordinator
    finally:
        await coordinator.stop()


async def sign_in(client, coordinator):
    request = await client.begin_sign_in("http://127.0.0.1/callback", example.SCOPE)
    callback = await example.open_browser(request.url)
    await coordinator.complete_sign_in(await client.complete_sign_in(request, callback))


async def kept_by(entries):
    text = await entries.load("home")
    return None if text is None else aa.Token.from_json(text)


async def test_a_sign_in_survives_restarts(sandbox, entries):
    """One-time refresh tokens rotate in run after run, and no end-user is asked again."""
    async with running(sandbox, entries) as (client, coordinator):
        asked = coordinator.needs_sign_in
        await sign_in(client, coordinator)
    refresh_tokens = [(await kept_by(entries)).refresh_token]
    for _ in range(3):
        sandbox.clock.advance(2 * HOUR)
        async with running(sandbox, entries) as (_, coordinator):
            await coordinator.poll()
            assert (len(coordinator.accounts), coordinator.needs_sign_in) == (2, False)
        refresh_tokens.append((await kept_by(entries)).refresh_token)

    assert asked
    assert len(set(refresh_tokens)) == 4


async def test_a_crash_after_a_refresh_loses_nothing(sandbox, entries):
    """The entry has the new refresh token as soon as the API is called with the new access token."""
    async with running(sandbox, entries) as (client, coordinator):
        await sign_in(client, coordinator)
        sandbox.clock.advance(2 * HOUR)
        await coordinator.poll()
        # What the next run would find if this one ended now, without closing anything.
        text = await entries.load("home")
    await entries.save("home", text)
    sandbox.clock.advance(2 * HOUR)
    async with running(sandbox, entries) as (_, coordinator):
        await coordinator.poll()

    assert not coordinator.needs_sign_in


async def test_removing_the_entry_ends_the_sign_in(sandbox, entries):
    """The refresh token is revoked, and the entry has no token any more."""
    async with running(sandbox, entries) as (client, coordinator):
        await sign_in(client, coordinator)
        text = await entries.load("home")
        await coordinator.remove()
        left = await entries.load("home")
    await entries.save("home", text)
    sandbox.clock.advance(2 * HOUR)
    async with running(sandbox, entries) as (_, coordinator):
        await coordinator.poll()

    assert left is None
    assert coordinator.needs_sign_in


async def test_an_outage_asks_the_user_for_nothing(sandbox, entries):
    """A server that is away is no reason to sign in again."""
    async with running(sandbox, entries) as (client, coordinator):
        await sign_in(client, coordinator)
        sandbox.clock.advance(2 * HOUR)
        sandbox.faults.fail_next(503, times=9)
        with pytest.raises(aa.InvalidResponseError):
            await coordinator.poll()

    assert not coordinator.needs_sign_in


async def test_the_program_runs_as_it_stands(capsys):
    """It signs in, restarts, and needs no end-user for the second run."""
    await example.main()

    assert capsys.readouterr().out.count("sees 2 accounts") == 2
