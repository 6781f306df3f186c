"""
How each peer gives a token, by its documented route, against one token endpoint on loopback.

Each function opens a peer and yields what an application calls before a request: a coroutine
function, or a plain function where the peer is synchronous. Nobody is given a token beforehand,
with one exception, said there. Each peer is imported when it is opened: what is missing is left out.
"""

import asyncio
import io
import json
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import aiohttp

ID, SECRET, API = "bench", "secret", "https://api.example/"
FORM = {"grant_type": "client_credentials", "client_id": ID, "client_secret": SECRET}


@dataclass(frozen=True)
class Peer:
    """One library."""

    distribution: str
    open: Callable
    due_lifetime: float
    """With a token that lives for so many seconds its next token request is due within four."""
    is_sync: bool = False
    described: str = ""
    """What the table says beside its name and version."""


@asynccontextmanager
async def open_aritma_auth(url):
    import aritma_auth as aa

    environment = aa.Environment.at(url.removesuffix("/token"), endpoints={"token_endpoint": url})
    async with (
        aa.OAuthClient(ID, SECRET, environment=environment) as client,
        aa.TokenProvider(client, aa.ClientCredentialsGrant(), on_event=None) as tokens,
    ):
        yield tokens.get_token


async def fetch_token(session, url):
    async with session.post(url, data=FORM, raise_for_status=True) as response:
        return await response.json()


class ExpiryMiddleware:
    """What aiohttp's client middleware cookbook describes: a lock, and a refresh before the end."""

    margin = 30.0

    def __init__(self, session, url):
        self.session, self.url = session, url
        self.lock = asyncio.Lock()
        self.token, self.expires_at = None, 0.0

    async def get_token(self):
        async with self.lock:
            if time.time() >= self.expires_at - self.margin:
                response = await fetch_token(self.session, self.url)
                self.token = response["access_token"]
                self.expires_at = time.time() + response["expires_in"]
            return self.token

    async def __call__(self, request, handler):
        request.headers["Authorization"] = f"Bearer {await self.get_token()}"
        return await handler(request)


@asynccontextmanager
async def open_cookbook(url):
    async with aiohttp.ClientSession() as session:
        yield ExpiryMiddleware(session, url).get_token


@asynccontextmanager
async def open_authlib(url):
    from authlib.integrations.httpx_client import AsyncOAuth2Client

    # It fetches no first token by itself: it begins with one that has expired.
    expired = {"access_token": "expired", "token_type": "Bearer", "expires_at": 1}
    async with AsyncOAuth2Client(
        *(ID, SECRET), token=expired, token_endpoint=url, grant_type="client_credentials"
    ) as client:

        async def sign():
            await client.ensure_active_token(client.token)
            return client.token["access_token"]

        yield sign


@asynccontextmanager
async def open_azure(url):
    from azure.core.credentials import AccessToken
    from azure.core.pipeline import PipelineContext, PipelineRequest
    from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
    from azure.core.rest import HttpRequest

    class Credential:
        async def get_token(self, *_scopes, **_options):
            response = await fetch_token(session, url)
            return AccessToken(response["access_token"], int(time.time()) + response["expires_in"])

    async with aiohttp.ClientSession() as session:
        policy = AsyncBearerTokenCredentialPolicy(Credential(), "api")
        request = PipelineRequest(HttpRequest("GET", API), PipelineContext(None))

        async def sign():
            await policy.on_request(request)

        yield sign


@asynccontextmanager
async def open_azure_identity(url):
    from azure.core.pipeline.transport import AioHttpTransport
    from azure.identity.aio import ClientSecretCredential

    class Loopback(AioHttpTransport):
        """It demands https, so its documented `transport` leads to loopback."""

        async def send(self, request, **options):
            request.url = url
            return await super().send(request, **options)

    async with ClientSecretCredential(
        *("bench", ID, SECRET),
        authority="idp.example",
        disable_instance_discovery=True,
        transport=Loopback(),
    ) as credential:
        yield partial(credential.get_token, "api/.default")


@asynccontextmanager
async def open_google(url):
    from google.auth.aio.transport.sessions import AsyncAuthorizedSession
    from google.oauth2.credentials import Credentials

    class Response:
        status_code, headers = 200, {}

    async def send(*_arguments, **_options):
        return Response

    credentials = Credentials(
        None, refresh_token="r", token_uri=url, client_id=ID, client_secret=SECRET
    )
    session = AsyncAuthorizedSession(credentials, auth_request=send)

    async def sign():
        await session.request("GET", API)

    yield sign


@asynccontextmanager
async def open_gcloud(url):
    from gcloud.aio.auth import Token

    user = {"type": "authorized_user", "client_id": ID, "client_secret": SECRET}
    service_file = io.StringIO(json.dumps(user | {"refresh_token": "r", "token_uri": url}))
    async with aiohttp.ClientSession() as session:
        yield Token(service_file, session=session).get


@asynccontextmanager
async def open_oauth2_client(url):
    from aiohttp_oauth2_client.grant.client_credentials import ClientCredentialsGrant

    async with ClientCredentialsGrant(url, ID, SECRET) as grant:
        yield grant.prepare_headers


@asynccontextmanager
async def open_singleflight(url):
    import httpx
    from singleflight_auth import AsyncSingleFlightAuth

    token = ""

    async def refresh():
        nonlocal token
        token = (await fetch_token(session, url))["access_token"]
        return token

    async with aiohttp.ClientSession() as session:
        auth = AsyncSingleFlightAuth(lambda: token, refresh)

        async def sign():
            # What httpx does with it; an API responds 401 to a request without a token.
            request = httpx.Request("GET", API)
            flow = auth.async_auth_flow(request)
            await anext(flow)
            if "Authorization" not in request.headers:
                await flow.asend(httpx.Response(401, request=request))
            await flow.aclose()

        yield sign


@asynccontextmanager
async def open_httpx_auth(url):
    import httpx
    import httpx_auth

    # Its cache belongs to the process: another secret is another entry.
    secret = f"{SECRET}-{time.monotonic_ns()}"
    with httpx.Client() as client:
        auth = httpx_auth.OAuth2ClientCredentials(url, ID, secret, client=client)
        request = httpx.Request("GET", API)

        def sign():
            next(auth.sync_auth_flow(request))

        yield sign


@asynccontextmanager
async def open_msal(url):
    import msal
    import requests

    issuer = "https://idp.example/bench"

    class Loopback(requests.Session):
        """It demands https, so its documented `http_client` leads to loopback."""

        def request(self, method, address, **options):
            return super().request(method, url + address.removeprefix(issuer), **options)

    with Loopback() as http_client:
        application = msal.ConfidentialClientApplication(
            ID, client_credential=SECRET, oidc_authority=issuer, http_client=http_client
        )

        def sign():
            return application.acquire_token_for_client(["api"])["access_token"]

        yield sign


@asynccontextmanager
async def open_requests_oauth2client(url):
    import requests
    from requests_oauth2client import OAuth2Client, OAuth2ClientCredentialsAuth

    client = OAuth2Client(url, client_id=ID, client_secret=SECRET, testing=True)
    auth = OAuth2ClientCredentialsAuth(client)
    request = requests.Request("GET", API).prepare()
    yield lambda: auth(request)


OURS = Peer("aritma-auth", open_aritma_auth, due_lifetime=5)
PEERS = [
    Peer("aiohttp", open_cookbook, due_lifetime=33, described=", its cookbook"),
    Peer("authlib", open_authlib, due_lifetime=63),
    Peer("azure-core", open_azure, due_lifetime=243),
    Peer("azure-identity", open_azure_identity, due_lifetime=303),
    Peer("google-auth", open_google, due_lifetime=228),
    Peer("gcloud-aio-auth", open_gcloud, due_lifetime=6),
    Peer("aiohttp-oauth2-client", open_oauth2_client, due_lifetime=33),
    Peer("singleflight-auth", open_singleflight, due_lifetime=5),
    Peer("httpx-auth", open_httpx_auth, due_lifetime=33, is_sync=True),
    Peer("msal", open_msal, due_lifetime=303, is_sync=True),
    Peer("requests_oauth2client", open_requests_oauth2client, due_lifetime=23, is_sync=True),
]
