"""
A web application whose end-users sign in at Aritma ID, with aiohttp.web.

``python docs/examples/aiohttp_app.py`` runs it against the sandbox.
"""

import asyncio
import contextlib
import socket
from html import escape
from typing import Unpack

import attrs
from aiohttp import web

import aritma_auth as aa
from aritma_auth.integrations.aiohttp_web import WebSettings, WebSignIn


def make_app(
    client: aa.OAuthClient, *, base_url: str, bank_url: str, **settings: Unpack[WebSettings]
) -> web.Application:
    settings["api_url"] = bank_url
    sign_in = WebSignIn(client, base_url, **settings)

    async def home(request: web.Request) -> web.Response:
        user = await sign_in.find_user(request)
        if user is None:
            return page(
                "Welcome",
                "<p>See your company's bank accounts. You sign in at Aritma ID.</p>"
                '<p><a class="button" href="/sign-in?next=/accounts">Sign in</a></p>',
            )
        return page(
            "Welcome",
            f"<p>You are {escape(user.name)}.</p>"
            '<p><a class="button" href="/accounts">Accounts</a></p>'
            '<form method="post" action="/sign-out"><button>Sign out</button></form>',
        )

    async def accounts(request: web.Request) -> web.Response:
        user = await sign_in.require_user(request)
        async with sign_in.session(request) as bank, bank.get("api/v3/accounts/42") as response:
            if response.status != 200:
                return page("Please try later", "<p>The bank does not respond now.</p>", 503)
            found = await response.json()
        rows = "".join(f"<li>{escape(account['Bban'])}<b>NOK</b></li>" for account in found)
        return page(
            "Accounts",
            f'<p>{escape(user.name)}</p><ul>{rows}</ul><p><a class="button" href="/">Home</a></p>',
        )

    app = web.Application()
    sign_in.setup(app)
    app.add_routes([web.get("/", home), web.get("/accounts", accounts)])
    return app


STYLE = """
:root{color-scheme:light dark;--ground:#f3f6f9;--card:#fff;--text:#14202b;--soft:#4b5b69;
--accent:#0b5cad;--on-accent:#fff;--edge:#d3dce4}
@media(prefers-color-scheme:dark){:root{--ground:#0e141a;--card:#17212b;--text:#edf2f6;
--soft:#a8b7c5;--accent:#7cb8f5;--on-accent:#0b1a2a;--edge:#2a3947}}
*{box-sizing:border-box}
body{margin:0;font:1rem/1.6 system-ui,sans-serif;background:var(--ground);color:var(--text)}
main{max-width:34rem;margin:clamp(1rem,8vh,5rem) auto;padding:2rem;background:var(--card);
border:1px solid var(--edge);border-radius:1rem}
h1{margin:0 0 1rem;font-size:1.7rem;line-height:1.2}p{color:var(--soft)}
ul{padding:0;list-style:none}
li{display:flex;justify-content:space-between;padding:.9rem 0;border-top:1px solid var(--edge);
font-variant-numeric:tabular-nums}
.button,button{display:block;width:100%;padding:.8rem 1.2rem;border:1px solid var(--accent);
border-radius:.6rem;background:var(--accent);color:var(--on-accent);font:inherit;font-weight:600;
text-align:center;text-decoration:none;cursor:pointer}
button{background:none;color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
@media(max-width:36rem){main{margin:1rem;padding:1.4rem}}
"""


def page(title: str, body: str, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
            "img-src data:; base-uri 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
        },
        content_type="text/html",
        text='<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title}</title><style>{STYLE}</style></head>'
        f"<body><main><h1>{title}</h1>{body}</main></body></html>",
    )


async def main() -> None:
    from aritma_auth.sandbox import Sandbox

    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with Sandbox() as sandbox:
            registered = sandbox.clients["sandbox-web"]
            sandbox.add_client(
                attrs.evolve(registered, back_channel_logout_uri=f"{base_url}/back-channel-logout")
            )
            client = aa.OAuthClient(
                registered.client_id, registered.client_secret, environment=sandbox.environment
            )
            app = make_app(client, base_url=base_url, bank_url=sandbox.banking_url)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.SockSite(runner, listener).start()
            print(f"Open {base_url} and sign in as alice with alice-password.", flush=True)
            try:
                await asyncio.Event().wait()
            finally:
                await runner.cleanup()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
