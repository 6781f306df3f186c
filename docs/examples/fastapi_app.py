"""
A web application whose end-users sign in at Aritma ID, with FastAPI.

``python docs/examples/fastapi_app.py`` runs it against the sandbox. Several processes share their
sessions and tokens if each is given a `RedisSessionStore` and a `RedisTokenStore`.
"""

import asyncio
import contextlib
import socket
from html import escape
from typing import Annotated, Unpack

import aiohttp
import attrs
import uvicorn
from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse

import aritma_auth as aa
from aritma_auth.integrations.fastapi import SignedInUser, WebSettings, WebSignIn


def make_app(
    client: aa.OAuthClient, *, base_url: str, bank_url: str, **settings: Unpack[WebSettings]
) -> FastAPI:
    settings["api_url"] = bank_url
    sign_in = WebSignIn(client, base_url, **settings)
    app = FastAPI(openapi_url=None)
    sign_in.install(app)

    @app.get("/")
    async def home(
        user: Annotated[SignedInUser | None, Depends(sign_in.find_user)],
    ) -> HTMLResponse:
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

    @app.get("/accounts")
    async def accounts(
        user: Annotated[SignedInUser, Depends(sign_in.require_user)],
        bank: Annotated[aiohttp.ClientSession, Depends(sign_in.session)],
    ) -> HTMLResponse:
        async with bank.get("api/v3/accounts/42") as response:
            if response.status != 200:
                return page("Please try later", "<p>The bank does not respond now.</p>", 503)
            found = await response.json()
        rows = "".join(f"<li>{escape(account['Bban'])}<b>NOK</b></li>" for account in found)
        return page(
            "Accounts",
            f'<p>{escape(user.name)}</p><ul>{rows}</ul><p><a class="button" href="/">Home</a></p>',
        )

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


def page(title: str, body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title}</title><style>{STYLE}</style></head>'
        f"<body><main><h1>{title}</h1>{body}</main></body></html>",
        status,
        {
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
            "img-src data:; base-uri 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
        },
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
            config = uvicorn.Config(app, log_level="warning", ws="none")
            print(f"Open {base_url} and sign in as alice with alice-password.", flush=True)
            await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
