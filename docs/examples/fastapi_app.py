"""
A web application whose end-users sign in at Aritma ID, with FastAPI, in any number of processes.

``python docs/examples/fastapi_app.py`` runs it against the sandbox. What must outlive a request
is in `Shared` and in a token store; no process needs another's memory. ``aiohttp_app.py`` shows
the same for one process.
"""

import asyncio
import contextlib
import hashlib
import json
import secrets
import socket
import time
from html import escape
from typing import Annotated

import aiohttp
import attrs
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Form, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

import aritma_auth as aa

SCOPE = ("openid", "profile", "offline_access", "bankservice")
SESSION_SECONDS = 8 * 3600
SIGN_IN_SECONDS = 600
NO_STORE = {"Cache-Control": "no-store"}


class Shared:
    """
    The texts that the processes share, each for some seconds. A dict here; in production a Redis.

    It holds code verifiers and ID tokens: keep it where only the application can read.
    """

    def __init__(self) -> None:
        self.entries: dict[str, tuple[str, float]] = {}

    async def add(self, key: str, text: str, seconds: float) -> bool:
        """Add a text; False if the key is taken (SET NX EX)."""
        if await self.get(key) is not None:
            return False
        await self.put(key, text, seconds)
        return True

    async def put(self, key: str, text: str, seconds: float) -> None:
        """Write a text (SET EX)."""
        self.entries[key] = (text, time.time() + seconds)

    async def get(self, key: str) -> str | None:
        """Read a text (GET)."""
        text, ends_at = self.entries.get(key, (None, 0.0))
        return text if ends_at > time.time() else None

    async def take(self, key: str) -> str | None:
        """Read a text and delete it, in one step (GETDEL)."""
        text = await self.get(key)
        self.entries.pop(key, None)
        return text


@attrs.define
class Session:
    """A browser in which an end-user has signed in, as `Shared` keeps it."""

    session_id: str = attrs.field(repr=False)
    subject: str
    name: str
    sid: str
    id_token: str | None = attrs.field(repr=False)
    started_at: float


class Site:
    """What the pages need: the client at Aritma ID, the sessions, and the tokens of each."""

    def __init__(
        self,
        client: aa.OAuthClient,
        *,
        base_url: str,
        bank_url: str,
        shared: Shared,
        store: aa.TokenStore,
    ) -> None:
        self.client = client
        self.base_url = base_url
        self.bank_url = bank_url
        self.shared = shared
        # Another process finds the tokens of a session in the store.
        self.pool = aa.TokenProviderPool[str](
            lambda session_id: aa.TokenProvider(client, aa.SignedInGrant(session_id), store=store)
        )

    def set_cookie(
        self,
        response: Response,
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
            samesite="lax",
            secure=self.base_url.startswith("https:"),
        )

    async def begin(
        self, return_to: str, demand: aa.StepUpRequiredError | None = None
    ) -> RedirectResponse:
        """Redirect the browser to Aritma ID, and keep the request for the way back."""
        request = await self.client.begin_sign_in(
            f"{self.base_url}/callback", SCOPE, step_up=demand, lifetime=SIGN_IN_SECONDS
        )
        # The response counts in this browser alone: a sign-in begun elsewhere has no cookie here.
        cookie, handle = cookie_of(request.state.text), secrets.token_urlsafe(16)
        pending = json.dumps([request.to_json(), local_path(return_to)])
        await self.shared.put(f"{cookie}:{handle}", pending, SIGN_IN_SECONDS)
        response = RedirectResponse(request.url, 303, NO_STORE)
        self.set_cookie(response, cookie, handle, path="/callback", max_age=SIGN_IN_SECONDS)
        return response

    async def open_session(self, sign_in: aa.SignIn) -> Session:
        """Keep a sign-in under a new session id: a planted one never becomes a session."""
        token, subject = sign_in.require_token(), sign_in.require_subject()
        claims = await self.client.fetch_userinfo(token, subject=subject)
        session = Session(
            session_id=secrets.token_urlsafe(32),
            subject=subject,
            name=str(claims.get("name", subject)),
            sid=str(sign_in.claims.get("sid", "")),
            id_token=token.id_token,
            started_at=time.time(),
        )
        text = json.dumps(attrs.asdict(session))
        await self.pool.provider(session.session_id).set_token(token)
        await self.shared.put(f"session:{session.session_id}", text, SESSION_SECONDS)
        return session

    async def find_session(self, session_id: str) -> Session | None:
        """Return a session that has not ended, here or at Aritma ID."""
        text = await self.shared.get(f"session:{session_id}")
        if text is None:
            return None
        session = Session(**json.loads(text))
        for ended in (f"ended:{session.sid}", f"ended:{session.subject}"):
            ended_at = await self.shared.get(ended)
            if ended_at is not None and float(ended_at) >= session.started_at:
                await self.close_session(session)
                return None
        return session

    async def close_session(self, session: Session) -> None:
        """Delete a session and its tokens."""
        await self.shared.take(f"session:{session.session_id}")
        await self.pool.forget(session.session_id)


router = APIRouter(default_response_class=HTMLResponse)


def site_of(request: Request) -> Site:
    return request.app.state.site


async def session_of(request: Request) -> Session | None:
    return await site_of(request).find_session(request.cookies.get("session", ""))


async def signed_in(session: Annotated[Session | None, Depends(session_of)]) -> Session:
    if session is None:
        raise aa.ReauthenticationRequiredError("no end-user has signed in with this browser")
    return session


TheSite = Annotated[Site, Depends(site_of)]
MaybeSession = Annotated[Session | None, Depends(session_of)]
SignedIn = Annotated[Session, Depends(signed_in)]


@router.get("/")
async def home(session: MaybeSession) -> HTMLResponse:
    if session is None:
        return page("Welcome", '<p><a href="/sign-in?next=/accounts">Sign in</a></p>')
    return page(
        "Welcome",
        f"<p>You are {escape(session.name)}.</p>"
        '<p><a href="/accounts">Accounts</a></p>'
        '<form method="post" action="/sign-out"><button>Sign out</button></form>',
    )


@router.get("/accounts")
async def accounts(site: TheSite, session: SignedIn, request: Request) -> HTMLResponse:
    bank: aiohttp.ClientSession = request.app.state.bank
    bearer = site.pool.provider(session.session_id).middleware()
    async with bank.get("api/v3/accounts/42", middlewares=[bearer]) as response:
        response.raise_for_status()
        found = await response.json()
    await site.shared.take(f"asked:{session.session_id}")
    rows = "".join(f"<li>{escape(account['Bban'])}</li>" for account in found)
    return page("Accounts", f"<p>{escape(session.name)}</p><ul>{rows}</ul>")


@router.get("/sign-in")
async def sign_in(site: TheSite, next: str = "/") -> RedirectResponse:
    return await site.begin(next)


@router.get("/callback")
async def callback(site: TheSite, session: MaybeSession, request: Request) -> RedirectResponse:
    cookie = cookie_of(request.query_params.get("state", ""))
    pending = await site.shared.take(f"{cookie}:{request.cookies.get(cookie, '')}")
    if pending is None:
        raise aa.StateMismatchError("this browser has no such sign-in pending")
    text, return_to = json.loads(pending)
    asked = aa.AuthorizationRequest.from_json(text)
    arrived = await site.client.complete_sign_in(asked, request.query_params)
    if session is not None:
        await site.close_session(session)
    opened = await site.open_session(arrived)
    # If the API demands the same again before a call succeeds, another sign-in would not help.
    await site.shared.put(f"asked:{opened.session_id}", demand_of(asked), SIGN_IN_SECONDS)
    response = RedirectResponse(local_path(return_to), 303, NO_STORE)
    site.set_cookie(response, "session", opened.session_id)
    response.delete_cookie(cookie, path="/callback")
    return response


@router.post("/sign-out")
async def sign_out(site: TheSite, session: MaybeSession) -> RedirectResponse:
    if session is None:
        return RedirectResponse("/", 303, NO_STORE)
    with contextlib.suppress(aa.AritmaAuthError):
        await site.client.revoke(await site.pool.get_token(session.session_id, timeout=2))
    await site.close_session(session)
    state = secrets.token_urlsafe(32)
    url = await site.client.end_session_url(
        id_token_hint=session.id_token,
        post_logout_redirect_uri=f"{site.base_url}/signed-out",
        state=state,
    )
    response = RedirectResponse(url, 303, NO_STORE)
    response.delete_cookie("session")
    site.set_cookie(response, "sign-out", state, path="/signed-out")
    return response


@router.get("/signed-out")
async def signed_out(request: Request) -> HTMLResponse:
    state = request.cookies.get("sign-out", "")
    aa.validate_logout_callback(request.query_params, state=state)
    response = page("Signed out", '<p><a href="/">Home</a></p>')
    response.delete_cookie("sign-out", path="/signed-out")
    return response


@router.post("/back-channel-logout")
async def back_channel_logout(site: TheSite, logout_token: Annotated[str, Form()] = "") -> Response:
    try:
        logout = await site.client.verify_logout_token(logout_token)
        # Another process may have accepted it already.
        seconds = logout.expires_at - time.time() + 60
        if not await site.shared.add(f"logout:{logout.token_id}", "seen", seconds):
            raise aa.VerificationError("this logout token was used before")
    except aa.AritmaAuthError:
        return JSONResponse({"error": "invalid_request"}, 400, NO_STORE)
    # Every process looks for this before it accepts a session.
    ended = logout.session_id or logout.subject
    await site.shared.put(f"ended:{ended}", str(time.time()), SESSION_SECONDS)
    return Response(headers=NO_STORE)


def cookie_of(state: str) -> str:
    """Name the cookie of a sign-in: each tab of a browser has its own."""
    return f"sign-in-{hashlib.sha256(state.encode()).hexdigest()[:8]}"


def demand_of(asked: aa.AuthorizationRequest | aa.StepUpRequiredError) -> str:
    """Write down what a sign-in was for, to see whether the API demands the same again."""
    scope = sorted({*SCOPE, *(asked.scope or ())})
    return json.dumps([scope, list(asked.acr_values), asked.max_age])


def return_to(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}" if request.method == "GET" else "/"


async def on_reauthentication(request: Request, _: aa.ReauthenticationRequiredError) -> Response:
    return await site_of(request).begin(return_to(request))


async def on_step_up(request: Request, demand: aa.StepUpRequiredError) -> Response:
    site, session_id = site_of(request), request.cookies.get("session", "")
    if await site.shared.get(f"asked:{session_id}") == demand_of(demand):
        return page("Not allowed", "<p>The bank wants more than you have.</p>", 403)
    return await site.begin(return_to(request), demand)


async def on_denial(_request: Request, _: aa.AccessDeniedError) -> Response:
    return page("Not signed in", '<p><a href="/">Home</a></p>', 403)


async def on_forgery(_request: Request, _: aa.VerificationError) -> Response:
    return page("Please start again", '<p><a href="/">Home</a></p>', 400)


async def on_failure(_request: Request, error: Exception) -> Response:
    return page("Please try later", f"<p>{escape(type(error).__name__)}</p>", 503)


def page(title: str, body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>{title}</title></head><body><main><h1>{title}</h1>{body}</main></body></html>",
        status,
        {
            **NO_STORE,
            "Content-Security-Policy": "default-src 'none'; img-src data:; base-uri 'none'; "
            "frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


def local_path(text: str) -> str:
    """Return a path of this application: a link to it must not redirect to another host."""
    is_local = text.startswith("/") and not text.startswith("//")
    # Browsers read "\" as "/", and drop tabs and line breaks.
    return text if is_local and "\\" not in text and text.isprintable() else "/"


def make_app(site: Site) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI):
        # All end-users share these connections, so no cookie is kept.
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(site.bank_url, cookie_jar=jar) as app.state.bank:
            yield
        await site.pool.aclose()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.state.site = site
    app.include_router(router)
    app.exception_handler(aa.ReauthenticationRequiredError)(on_reauthentication)
    app.exception_handler(aa.StepUpRequiredError)(on_step_up)
    app.exception_handler(aa.AccessDeniedError)(on_denial)
    app.exception_handler(aa.VerificationError)(on_forgery)
    app.exception_handler(aa.AritmaAuthError)(on_failure)
    app.exception_handler(aiohttp.ClientError)(on_failure)
    return app


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
            site = Site(
                client,
                base_url=base_url,
                bank_url=sandbox.banking_url,
                shared=Shared(),
                store=aa.MemoryTokenStore(),
            )
            config = uvicorn.Config(make_app(site), log_level="warning", ws="none")
            print(f"Open {base_url} and sign in as alice with alice-password.", flush=True)
            await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
