"""docs/examples/two_signers.py: killed anywhere, the payment happens once and no signature is lost."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time

import aiohttp
import pytest
from yarl import URL

import aritma_auth as aa
from aritma_auth.banking import PaymentAction
from aritma_auth.sandbox import Sandbox
from support.applications import EXAMPLES, load
from support.mortal import KilledError, Mortal
from support.plain_browser import PlainBrowser

EXAMPLE = load("two_signers")
CALLBACK = "http://127.0.0.1/callback"
SIGNERS = ("user-alice", "user-bob")


@pytest.fixture
async def sandbox(no_leftovers):
    async with Sandbox() as sandbox:
        yield sandbox


@contextlib.asynccontextmanager
async def desk_of(sandbox, file):
    """Open the desk of one process."""
    environment = sandbox.environment
    client = aa.OAuthClient("sandbox-web", "web-secret", environment=environment)
    service = aa.OAuthClient("sandbox-service", "sandbox-secret", environment=environment)
    async with (
        client,
        aa.TokenProvider(service, aa.ClientCredentialsGrant("api")) as tokens,
        aiohttp.ClientSession(sandbox.banking_url, middlewares=[tokens.middleware()]) as bank,
    ):
        yield EXAMPLE.Desk(file, client, bank)


async def sign(sandbox, desk, signer):
    """Let one signer sign, as often as it takes: without a death once."""
    request = await desk.advance(signer, CALLBACK)
    if request is None:
        return
    sandbox.sign_in_automatically(signer.removeprefix("user-"))
    async with aiohttp.ClientSession() as browser:
        async with browser.get(URL(request.url, encoded=True), allow_redirects=False) as response:
            where = response.headers["Location"]
    await desk.confirm(signer, await desk.client.complete_sign_in(request, where))


async def live_and_die(sandbox, file, signer, last):
    """Let a process serve a signer until it is killed; tell whether it lived through it."""
    try:
        async with desk_of(sandbox, file) as desk:
            await Mortal(sign(sandbox, desk, signer), last)
    except KilledError:
        return False
    return True


async def assert_paid_once(sandbox, file):
    """Nothing happened twice, nothing is left, and both signatures are known."""
    async with desk_of(sandbox, file) as desk:
        for signer in SIGNERS:
            payment = await desk.refresh(desk.load(), signer)
            assert payment.action_for(signer) is PaymentAction.DONE
    assert sandbox.payments.executed == sandbox.payments.initiated
    assert len(sandbox.payments.executed) == 1
    assert set(payment.signed_by) == set(SIGNERS)
    assert payment.remaining == 0
    assert payment.is_executed


async def test_two_end_users_sign_one_payment(sandbox, tmp_path):
    """Without any death the payment waits for the second signer, and happens."""
    file = tmp_path / "payment.json"
    async with desk_of(sandbox, file) as desk:
        await sign(sandbox, desk, "user-alice")
        payment = desk.load()
        assert payment.signed_by == ("user-alice",)
        assert payment.remaining == 1
        assert payment.action_for("user-alice") is PaymentAction.WAIT
        assert sandbox.payments.executed == []
        await sign(sandbox, desk, "user-bob")
    await assert_paid_once(sandbox, file)


async def test_a_process_that_is_killed_at_every_await_pays_once(sandbox, tmp_path):
    """Whichever suspension is a process's last, the next one goes on: once, whole, never stuck."""
    deaths, last = 0, 0
    while True:
        file = tmp_path / f"{last}.json"
        sandbox.payments.initiated.clear()
        sandbox.payments.executed.clear()
        # Twice at the same place: what the first death left must not trip the second.
        lived = [await live_and_die(sandbox, file, signer, last) for signer in SIGNERS * 2]
        for signer in SIGNERS:
            assert await live_and_die(sandbox, file, signer, -1)
        await assert_paid_once(sandbox, file)
        if all(lived):
            break
        deaths += lived.count(False)
        last += 1
    assert deaths > 40


@pytest.mark.parametrize("lost", range(8))
async def test_a_response_that_is_lost_costs_nothing(sandbox, tmp_path, lost):
    """The server acts and its response never comes: the repetition creates and signs nothing twice."""
    file = tmp_path / "payment.json"
    async with desk_of(sandbox, file) as desk:
        await desk.bank.get("api/accounts")
        for _ in range(lost):
            sandbox.faults.delay_next(0, where="api")
        sandbox.faults.lose_response_next(where="api")
        for signer in SIGNERS * 2:
            with contextlib.suppress(aiohttp.ClientError):
                await sign(sandbox, desk, signer)
    await assert_paid_once(sandbox, file)


async def test_days_later_a_lost_creation_is_not_repeated(sandbox, tmp_path, monkeypatch):
    """The server may have forgotten the key by then: an operator looks whether the payment is there."""
    async with desk_of(sandbox, tmp_path / "payment.json") as desk:
        sandbox.faults.lose_response_next(where="api")
        with pytest.raises(aiohttp.ClientError):
            await desk.advance("user-alice", CALLBACK)
        now = time.time()
        monkeypatch.setattr(EXAMPLE.time, "time", lambda: now + 3 * 24 * 3600)
        with pytest.raises(aa.ConfigurationError, match="this payment may exist"):
            await desk.advance("user-alice", CALLBACK)
    assert len(sandbox.payments.initiated) == 1


async def test_another_end_user_signs_for_nobody(sandbox, tmp_path):
    """If bob signs in at alice's link, his token confirms nothing in her name."""
    async with desk_of(sandbox, tmp_path / "payment.json") as desk:
        request = await desk.advance("user-alice", CALLBACK)
        sandbox.sign_in_automatically("bob")
        async with aiohttp.ClientSession() as browser:
            async with browser.get(
                URL(request.url, encoded=True), allow_redirects=False
            ) as response:
                where = response.headers["Location"]
        with pytest.raises(aa.VerificationError, match="user-alice must sign in"):
            await desk.confirm("user-alice", await desk.client.complete_sign_in(request, where))
        assert desk.load().signed_by == ()


@contextlib.asynccontextmanager
async def program(sandbox, file):
    """Run the example as a program; give its URL. It is killed in the end, without a warning."""
    environment = {
        **os.environ,
        "ARITMA_ENVIRONMENT": sandbox.identity_url,
        "BANK_URL": sandbox.banking_url,
        "PORT": "0",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / "two_signers.py"),
        str(file),
        env=environment,
        stdout=subprocess.PIPE,
    )
    try:
        line = await process.stdout.readline()
        yield line.decode().split()[1].partition("/sign/")[0]
    finally:
        process.kill()
        await process.communicate()


async def sign_on_the_pages(sandbox, url, signer):
    """Sign on the sandbox's own pages, as an end-user does; give what the program then shows."""
    name = signer.removeprefix("user-")
    async with (
        aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as application,
        PlainBrowser(sandbox.identity_url) as browser,
    ):
        async with application.get(f"/sign/{signer}", allow_redirects=False) as response:
            where = response.headers.get("Location")
            if where is None:
                return await response.text()
        page = await browser.visit(where, username=name, password=f"{name}-password", code="123456")
        async with application.get(URL(page.url, encoded=True)) as response:
            return await response.text()


async def test_the_program_is_killed_between_the_two(sandbox, tmp_path):
    """Alice signs, the process is killed, a new one lets bob sign, and the payment happens once."""
    file = tmp_path / "payment.json"
    async with program(sandbox, file) as url:
        shown = await sign_on_the_pages(sandbox, url, "user-alice")
        assert shown == "signed by user-alice; 1 left; pdng"
    async with program(sandbox, file) as url:
        shown = await sign_on_the_pages(sandbox, url, "user-bob")
        assert shown == "signed by user-alice, user-bob; 0 left; executed"
        assert await sign_on_the_pages(sandbox, url, "user-alice") == shown
    await assert_paid_once(sandbox, file)
