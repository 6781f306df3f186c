"""
An integration of a home-automation system: it polls an end-user's accounts and survives a restart.

``python docs/examples/coordinator.py`` runs it against the sandbox, restart included. The host
keeps one entry for each account that its user has set up; the token's text is part of the entry.
No `TokenStore` is needed: the provider tells the entry of each new token before anybody uses it.
"""

import asyncio
import contextlib
import sqlite3
import tempfile
from pathlib import Path

import aiohttp

import aritma_auth as aa

SCOPE = "openid offline_access bankservice"


class Entries:
    """The host's own database: the text of a token by the entry's name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch(mode=0o600)
        self._write("CREATE TABLE IF NOT EXISTS entries (name TEXT PRIMARY KEY, token TEXT)")

    def _write(self, statement: str, *values: str | None) -> str | None:
        with contextlib.closing(sqlite3.connect(self._path)) as database, database:
            row = database.execute(statement, values).fetchone()
        return None if row is None else row[0]

    async def load(self, name: str) -> str | None:
        """Return the text that was kept."""
        return await asyncio.to_thread(
            self._write, "SELECT token FROM entries WHERE name = ?", name
        )

    async def save(self, name: str, token: str | None) -> None:
        """Keep a text, or None; it is on the disk when this returns."""
        await asyncio.to_thread(
            self._write, "REPLACE INTO entries VALUES (?, ?) RETURNING name", name, token
        )


class Coordinator:
    """
    One entry of the host: an end-user's token, and the accounts that it shows.

    ``needs_sign_in`` is what the host shows to its user; ``complete_sign_in`` ends it.
    """

    def __init__(
        self, client: aa.OAuthClient, entries: Entries, name: str, *, clock: aa.Clock
    ) -> None:
        self.accounts: list[dict[str, object]] = []
        self.needs_sign_in = False
        self._entries = entries
        self._name = name
        self._tokens = aa.TokenProvider(
            client, aa.SignedInGrant(), on_token=self._keep, clock=clock
        )
        self._session: aiohttp.ClientSession | None = None

    async def _keep(self, token: aa.Token | None) -> None:
        # Awaited inside the refresh: nobody has the new token before this has returned.
        await self._entries.save(self._name, None if token is None else token.to_json())

    async def start(self, bank_url: str) -> None:
        """Go on with the token that was kept, if there is one."""
        self._session = aiohttp.ClientSession(bank_url, middlewares=[self._tokens.middleware()])
        text = await self._entries.load(self._name)
        if text is None:
            self.needs_sign_in = True
        else:
            await self._tokens.set_token(aa.Token.from_json(text))

    async def complete_sign_in(self, sign_in: aa.SignIn) -> None:
        """Use the token of a sign-in; the entry keeps it."""
        await self._tokens.set_token(sign_in.token)
        self.needs_sign_in = False

    async def poll(self) -> None:
        """Ask the API for the accounts; the host calls this now and then."""
        assert self._session is not None
        try:
            async with self._session.get("/api/accounts") as response:
                response.raise_for_status()
                self.accounts = (await response.json())["accounts"]
        except aa.ReauthenticationRequiredError:
            # An outage raises other errors: only this one asks the user for anything.
            self.needs_sign_in = True

    async def remove(self) -> None:
        """End the sign-in at the server, and let go of what was kept."""
        await self._tokens.sign_out()

    async def stop(self) -> None:
        """Let go of everything; the entry stays."""
        if self._session is not None:
            await self._session.close()
        await self._tokens.aclose()


async def main() -> None:
    """Sign in, poll, restart, and poll again without an end-user."""
    from aritma_auth.sandbox import Sandbox

    async with Sandbox() as sandbox:
        client = aa.OAuthClient(
            "sandbox-web", "web-secret", environment=sandbox.environment, clock=sandbox.clock
        )
        sandbox.sign_in_automatically("alice")
        with tempfile.TemporaryDirectory() as folder:
            entries = Entries(Path(folder) / "entries.db")
            for start in ("first", "second"):
                coordinator = Coordinator(client, entries, "home", clock=sandbox.clock)
                await coordinator.start(str(sandbox.banking_url))
                if coordinator.needs_sign_in:
                    request = await client.begin_sign_in("http://127.0.0.1/callback", SCOPE)
                    callback = await open_browser(request.url)
                    await coordinator.complete_sign_in(
                        await client.complete_sign_in(request, callback)
                    )
                await coordinator.poll()
                print(f"The {start} run sees {len(coordinator.accounts)} accounts.")
                await coordinator.stop()


async def open_browser(url: str) -> str:
    """Stand in for the end-user's browser: the sandbox signs in by itself."""
    async with aiohttp.ClientSession() as session:
        async with session.get(url, allow_redirects=False) as response:
            return response.headers["Location"]


if __name__ == "__main__":
    asyncio.run(main())
