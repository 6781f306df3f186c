"""``aritma-auth watch``: a live view of a provider's life."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from json import dumps as to_json
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from aritma_auth.cli.exit_codes import ExitCode, UsageError, exit_code_of
from aritma_auth.cli.open_tokens import open_tokens
from aritma_auth.cli.options import Count, EndUser, Json, RegistrationName, Seconds
from aritma_auth.cli.stopping import stop_on_signals
from aritma_auth.cli.terminal import open_live, show, show_styled
from aritma_auth.cli.timeline import Timeline, View
from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import AritmaAuthError
from aritma_auth.events import TokenAcquired
from aritma_auth.events.base import Event, Listener
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.provider.provider import TokenProvider
from aritma_auth.runtime.clock import SYSTEM_CLOCK

_FRAME = 0.1
_LATENCY = 0.05
"""Seconds that the stand-in takes for a response: without any no caller would have to wait."""


async def watch_provider(
    *,
    sandbox: bool = False,
    lifetime: Count = 20,
    failures: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    registration: RegistrationName | None = None,
    end_user: EndUser | None = None,
    callers: Count = 3,
    every: Seconds = 0.5,
    once: bool = False,
    seconds: Seconds | None = None,
    json: Json = False,
) -> int:
    """
    Show a provider's life: states on a time line, refreshes, waiters, latencies and backoff.

    Callers ask it for its token again and again, until Ctrl-C. Without a terminal each event is a
    line. Against a real issuer this requests tokens as a service with such callers would.

    Parameters
    ----------
    sandbox:
        Watch a provider of a local stand-in for Aritma; no settings are needed.
    lifetime:
        Seconds that the stand-in's tokens live.
    failures:
        Token requests that fail at the stand-in, after the first.
    registration:
        Read the settings from this registration of a TOML file.
    end_user:
        Watch the token of this sign-in of aritma-auth login.
    callers:
        Callers that ask for the token at the same time.
    every:
        Seconds between two calls of a caller.
    once:
        Show the provider once, when it has its first token or failed to get one.
    seconds:
        End after so many seconds.
    json:
        Print each event as one JSON object a line, and a summary at the end.
    """
    if sandbox and end_user is not None:
        raise UsageError("--sandbox and --end-user exclude each other: give one of them")
    if failures and not sandbox:
        raise UsageError("--failures needs --sandbox: a real issuer's come by themselves")
    watcher = Watcher(as_json=json, is_live=sys.stdout.isatty() and not (json or once))
    if sandbox:
        opened = _open_sandbox(lifetime, failures, watcher.on_event)
    else:
        opened = _open_real(registration, end_user, watcher.on_event)
    async with opened as (title, tokens):
        watcher.timeline.title = title
        return await watcher.run(tokens, callers, every, seconds, once=once)


class Watcher:
    """
    Asks a provider for tokens, and shows what happens.

    Args:
        as_json: Write JSON lines.

        is_live: Draw a live view; otherwise write lines.

    Attributes:
        timeline: What happened so far.
    """

    def __init__(self, *, as_json: bool, is_live: bool) -> None:
        self.timeline = Timeline(time.monotonic(), "")
        self._as_json = as_json
        self._is_live = is_live
        self._error: AritmaAuthError | None = None
        self._has_called = asyncio.Event()

    def on_event(self, event: Event) -> None:
        """Take an event of the provider."""
        local = datetime.now().astimezone()
        self.timeline.note_event(event, time.monotonic(), local)
        if self._as_json:
            show(to_json({"time": local.isoformat(), **event.as_dict()}))
        elif not self._is_live:
            show(f"{local:%H:%M:%S} {str(event).partition(' [')[0]}")

    async def run(
        self,
        tokens: TokenProvider,
        callers: int,
        every: float,
        seconds: float | None,
        *,
        once: bool,
    ) -> ExitCode:
        """
        Watch until the time is over.

        Args:
            tokens: The provider.

            callers: Callers at the same time.

            every: Seconds between two calls of a caller.

            seconds: Seconds to watch, or None to watch until Ctrl-C.

            once: End after the first call.
        """
        stop = stop_on_signals()
        tasks = [asyncio.create_task(self._call(tokens, every)) for _ in range(callers)]
        try:
            with open_live(is_on=self._is_live) as draw:
                deadline = None if seconds is None else time.monotonic() + seconds
                while not stop.is_set() and (deadline is None or time.monotonic() < deadline):
                    self.timeline.note_status(tokens.status(), time.monotonic())
                    draw(View(self.timeline, time.monotonic()))
                    if once and self._has_called.is_set():
                        break
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_FRAME):
                            await stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._show_end(tokens)
        if tokens.status().fingerprint is not None:
            return ExitCode.DONE
        return ExitCode.TRY_LATER if self._error is None else exit_code_of(self._error)

    async def _call(self, tokens: TokenProvider, every: float) -> None:
        while True:
            started = time.perf_counter()
            try:
                await tokens.get_token()
            except AritmaAuthError as error:
                self._error = error.with_traceback(None)
            else:
                self._error = None
            self.timeline.note_call(time.perf_counter() - started, self._error)
            self._has_called.set()
            await SYSTEM_CLOCK.sleep(every)

    def _show_end(self, tokens: TokenProvider) -> None:
        now = time.monotonic()
        self.timeline.note_status(tokens.status(), now)
        if self._as_json:
            show(to_json(self.timeline.as_json(now)))
        elif not self._is_live:
            # Each event has been a line already.
            show("")
            show_styled(View(self.timeline, now, shows_events=False))


@contextlib.asynccontextmanager
async def _open_real(
    registration: str | None, end_user: str | None, on_event: Listener
) -> AsyncIterator[tuple[str, TokenProvider]]:
    async with open_tokens(end_user, registration=registration, on_event=on_event) as opened:
        client = opened.client
        yield f"{client.client_id} at {client.environment.issuer}", opened.tokens


@contextlib.asynccontextmanager
async def _open_sandbox(
    lifetime: int, failures: int, on_event: Listener
) -> AsyncIterator[tuple[str, TokenProvider]]:
    from aritma_auth.sandbox import Sandbox  # a real issuer needs none

    async with Sandbox(lifetime=lifetime) as sandbox:
        sandbox.faults.set_latency(_LATENCY)

        def listen(event: Event) -> None:
            if isinstance(event, TokenAcquired) and failures:
                sandbox.faults.fail_next(503, times=failures)
            on_event(event)

        client = OAuthClient(
            sandbox.client.client_id,
            sandbox.client.client_secret,
            environment=sandbox.environment,
        )
        grant = ClientCredentialsGrant("bankservice")
        async with TokenProvider(client, grant, on_event=listen) as tokens:
            yield f"{client.client_id} at a local stand-in, not Aritma", tokens
