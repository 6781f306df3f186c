"""
A web application whose end-users sign in at Aritma ID, with aiohttp.web.

``python docs/examples/aiohttp_app.py`` runs it against the sandbox. One process keeps everything
in memory; ``fastapi_app.py`` shows the same for several processes.
"""

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import AsyncIterator
from html import escape

import aiohttp
import attrs
from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

import aritma_auth as aa

SCOPE = ("openid", "profile", "offline_access", "bankservice")
SESSION_SECONDS = 8 * 3600
SIGN_IN_SECONDS = 600


@attrs.define
class Session:
    """
    A browser in which an end-user has signed in.

    ``asked`` is the authorization request of the sign-in, until a call to the API has succeeded: if
    the API demands the same before that, another sign-in would not help.
    """

    subject: str
    name: str
    sid: str
    id_token: str | None = attrs.field(repr=False)
    tokens: aa.TokenProvider
    bearer: aa.BearerMiddleware
    asked: aa.AuthorizationRequest | None
    ends_at: float

    def was_asked_for(self, demand: aa.StepUpRequiredError) -> bool:
        """Tell whether this sign-in was for what the API demands."""
        return (
            self.asked is not None
            and self.asked.acr_values == demand.acr_values
            and self.asked.max_age == demand.max_age
            and set(demand.scope or ()) <= set(self.asked.scope or ())
        )


class Site:
    """The application: its client at Aritma ID, its sessions, its pages."""

    def __init__(self, client: aa.OAuthClient, *, base_url: str, bank_url: str) -> None:
        self.client = client
        self.base_url = base_url
        self.bank_url = bank_url
        self.pending = aa.PendingSignIns()
        self.sessions: dict[str, Session] = {}
        # A browser checks where a form's redirects lead: signing out leads to Aritma ID.
        identity = URL(client.environment.issuer).origin()
        self.headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; img-src data:; base-uri 'none'; "
            f"frame-ancestors 'none'; form-action 'self' {identity}",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self.handle_errors])
        app.add_routes(
            [
                web.get("/", self.home),
                web.get("/accounts", self.accounts),
                web.get("/sign-in", self.sign_in),
                web.get("/callback", self.callback),
                web.post("/sign-out", self.sign_out),
                web.get("/signed-out", self.signed_out),
                web.post("/back-channel-logout", self.back_channel_logout),
            ]
        )
        app.cleanup_ctx.append(self.connect)
        return app

    async def connect(self, _app: web.Application) -> AsyncIterator[None]:
        # All end-users share these connections, so no cookie is kept.
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(self.bank_url, cookie_jar=jar) as self.bank:
            yield
        for session_id in list(self.sessions):
            await self.end(session_id)

    # Pages

    async def home(self, request: web.Request) -> web.Response:
        session = self.session_of(request)
        if session is None:
            return self.page("Welcome", '<p><a href="/sign-in?next=/accounts">Sign in</a></p>')
        return self.page(
            "Welcome",
            f"<p>You are {escape(session.name)}.</p>"
            '<p><a href="/accounts">Accounts</a></p>'
            '<form method="post" action="/sign-out"><button>Sign out</button></form>',
        )

    async def accounts(self, request: web.Request) -> web.Response:
        session = self.signed_in(request)
        path = "api/v3/accounts/42"
        async with self.bank.get(path, middlewares=[session.bearer]) as response:
            response.raise_for_status()
            accounts = await response.json()
        session.asked = None
        rows = "".join(f"<li>{escape(account['Bban'])}</li>" for account in accounts)
        return self.page("Accounts", f"<p>{escape(session.name)}</p><ul>{rows}</ul>")

    # Signing in

    def session_of(self, request: web.Request) -> Session | None:
        session = self.sessions.get(request.cookies.get("session", ""))
        return None if session is None or session.ends_at < time.time() else session

    def signed_in(self, request: web.Request) -> Session:
        session = self.session_of(request)
        if session is None:
            raise aa.ReauthenticationRequiredError("no end-user has signed in with this browser")
        return session

    async def sign_in(self, request: web.Request) -> web.Response:
        return await self.begin(request.query.get("next", "/"))

    async def begin(
        self, return_to: str, demand: aa.StepUpRequiredError | None = None
    ) -> web.Response:
        request = await self.client.begin_sign_in(
            f"{self.base_url}/callback", SCOPE, step_up=demand, lifetime=SIGN_IN_SECONDS
        )
        pending = self.pending.add(request, local_path(return_to))
        response = self.redirect(request.url)
        # The response counts in this browser alone: a sign-in begun elsewhere has no cookie here.
        self.set_cookie(
            response, pending.cookie, pending.handle, path="/callback", max_age=SIGN_IN_SECONDS
        )
        return response

    async def callback(self, request: web.Request) -> web.Response:
        pending = self.pending.take(request.cookies, request.query.get("state"))
        sign_in = await self.client.complete_sign_in(pending.request, request.query)
        token, subject = sign_in.require_token(), sign_in.require_subject()
        claims = await self.client.fetch_userinfo(token, subject=subject)
        tokens = aa.TokenProvider(self.client, aa.SignedInGrant(subject))
        await tokens.set_token(token)
        # A new session id at every sign-in: a planted one never becomes a session.
        await self.end(request.cookies.get("session"))
        for session_id in [i for i, s in self.sessions.items() if s.ends_at < time.time()]:
            await self.end(session_id)
        session_id = secrets.token_urlsafe(32)
        self.sessions[session_id] = Session(
            subject=subject,
            name=str(claims.get("name", subject)),
            sid=str(sign_in.claims.get("sid", "")),
            id_token=token.id_token,
            tokens=tokens,
            bearer=tokens.middleware(),
            asked=pending.request,
            ends_at=time.time() + SESSION_SECONDS,
        )
        response = self.redirect(pending.return_to)
        self.set_cookie(response, "session", session_id)
        response.del_cookie(pending.cookie, path="/callback")
        return response

    # Signing out

    async def end(self, session_id: str | None) -> Session | None:
        session = self.sessions.pop(session_id or "", None)
        if session is not None:
            await session.tokens.aclose()
        return session

    async def sign_out(self, request: web.Request) -> web.Response:
        session = self.session_of(request)
        if session is None:
            return self.redirect("/")
        with contextlib.suppress(aa.AritmaAuthError):
            await self.client.revoke(await session.tokens.get_token(timeout=2))
        await self.end(request.cookies["session"])
        state = secrets.token_urlsafe(32)
        response = self.redirect(
            await self.client.end_session_url(
                id_token_hint=session.id_token,
                post_logout_redirect_uri=f"{self.base_url}/signed-out",
                state=state,
            )
        )
        response.del_cookie("session")
        self.set_cookie(response, "sign-out", state, path="/signed-out")
        return response

    async def signed_out(self, request: web.Request) -> web.Response:
        aa.validate_logout_callback(request.query, state=request.cookies.get("sign-out", ""))
        response = self.page("Signed out", '<p><a href="/">Home</a></p>')
        response.del_cookie("sign-out", path="/signed-out")
        return response

    async def back_channel_logout(self, request: web.Request) -> web.Response:
        form = await request.post()
        try:
            logout = await self.client.verify_logout_token(str(form.get("logout_token", "")))
        except aa.AritmaAuthError:
            return web.json_response({"error": "invalid_request"}, status=400, headers=NO_STORE)
        for session_id, session in list(self.sessions.items()):
            if session.sid == logout.session_id or (
                logout.session_id is None and session.subject == logout.subject
            ):
                await self.end(session_id)
        return web.Response(headers=NO_STORE)

    # Errors

    @web.middleware
    async def handle_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        return_to = request.path_qs if request.method == "GET" else "/"
        try:
            return await handler(request)
        except aa.ReauthenticationRequiredError:
            return await self.begin(return_to)
        except aa.StepUpRequiredError as demand:
            if self.signed_in(request).was_asked_for(demand):
                return self.page("Not allowed", "<p>The bank wants more than you have.</p>", 403)
            return await self.begin(return_to, demand)
        except aa.AccessDeniedError:
            return self.page("Not signed in", '<p><a href="/">Home</a></p>', 403)
        except aa.VerificationError:
            return self.page("Please start again", '<p><a href="/">Home</a></p>', 400)
        except (aa.AritmaAuthError, aiohttp.ClientError) as error:
            return self.page("Please try later", f"<p>{escape(type(error).__name__)}</p>", 503)

    def page(self, title: str, body: str, status: int = 200) -> web.Response:
        return web.Response(
            status=status,
            headers=self.headers,
            content_type="text/html",
            text='<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
            f"<title>{title}</title></head><body><main><h1>{title}</h1>{body}</main></body></html>",
        )

    def set_cookie(
        self,
        response: web.Response,
        name: str,
        value: str,
        *,
        path: str = "/",
        max_age: int | None = None,
    ) -> None:
        # Over https also name them __Host-… where the path is /: no other host can set those.
        response.set_cookie(
            name,
            value,
            path=path,
            max_age=max_age,
            httponly=True,
            samesite="Lax",
            secure=self.base_url.startswith("https:"),
        )

    def redirect(self, location: str) -> web.Response:
        return web.Response(status=303, headers={**self.headers, "Location": location})


NO_STORE = {"Cache-Control": "no-store"}


def local_path(text: str) -> str:
    """Return a path of this application: a link to it must not redirect to another host."""
    is_local = text.startswith("/") and not text.startswith("//")
    # Browsers read "\" as "/", and drop tabs and line breaks.
    return text if is_local and "\\" not in text and text.isprintable() else "/"


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
            site = Site(client, base_url=base_url, bank_url=sandbox.banking_url)
            runner = web.AppRunner(site.application())
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
