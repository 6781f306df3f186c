"""The home page: who can sign in, and which clients are registered."""

from collections.abc import Iterable, Sequence
from html import escape

from aiohttp import web

from aritma_auth.sandbox.pages.templates import show_page
from aritma_auth.sandbox.state import SandboxState

LINKS = (
    ("/.well-known/openid-configuration", "Metadata"),
    ("/device", "sign in a device"),
    ("/connect/endsession", "sign out"),
)
"""What can be opened without a client, and what a link to it says."""


class HomePage:
    """The route of the home page; everything on it is made up and public."""

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def add_routes(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_get("/", self.show)

    async def show(self, _request: web.Request) -> web.Response:
        """Show end-users and clients, as they are registered now."""
        sandbox = self._sandbox
        users = _table(
            ("user name", "password", "one-time code", "name"),
            (
                (user.username, user.password, user.one_time_code, user.name)
                for user in sandbox.users.values()
            ),
            codes=3,
        )
        clients = _table(
            ("client id", "secret", "grants", "scopes"),
            (
                (
                    client.client_id,
                    client.client_secret or "none",
                    ", ".join(grant.rpartition(":")[2] for grant in client.grant_types),
                    " ".join(client.scopes),
                )
                for client in sandbox.clients.values()
            ),
            codes=2,
        )
        service = next(iter(sandbox.clients.values()))
        settings = (
            f"export ARITMA_ENVIRONMENT={sandbox.identity_url}\n"
            f"export ARITMA_CLIENT_ID={service.client_id}\n"
            f"export ARITMA_CLIENT_SECRET={service.client_secret}\n"
            f"export ARITMA_API_ORIGINS={sandbox.banking_url.rstrip('/')}\n"
            "aritma-auth token"
        )
        links = ", ".join(f'<a href="{path}">{text}</a>' for path, text in LINKS)
        return show_page(
            "A local Aritma",
            f"<p>Identity server <code>{escape(sandbox.identity_url)}</code>, Banking APIs "
            f"<code>{escape(sandbox.banking_url)}</code>.</p>"
            f"<p>{links}</p>"
            f"<h2>End-users</h2>{users}<h2>Clients</h2>{clients}"
            f"<h2>In a terminal</h2><pre><code>{escape(settings)}</code></pre>",
            is_wide=True,
        )


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], *, codes: int) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-name="{name}">{_cell(text, is_code=number < codes)}</td>'
            for number, (name, text) in enumerate(zip(names, row, strict=True))
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str, *, is_code: bool) -> str:
    return f"<code>{escape(text)}</code>" if is_code else escape(text)
