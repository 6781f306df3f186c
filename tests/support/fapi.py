"""Clients that keep to the FAPI 2.0 profiles, at the sandbox's server for them."""

import contextlib
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import attrs

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox, SandboxClient
from support.internals import transport_of
from support.tls import Authority

KEY = aa.SigningKey.generate("ES256", key_id="client-key")
DPOP_KEY = aa.SigningKey.generate("ES256")

COMBINATIONS = [
    "private_key_jwt + dpop",
    "private_key_jwt + mtls",
    "mtls + dpop",
    "mtls + mtls",
]
"""Client authentication and sender constraint."""


def register(sandbox, key=KEY, client_id="fapi-app", **changes):
    """Register a client whose requests must be pushed, authenticated by a key."""
    fields = {
        "client_id": client_id,
        "public_key": key.public_jwk,
        "grant_types": ("authorization_code", "refresh_token", "client_credentials"),
        "scopes": ("openid", "profile", "offline_access", "bankservice", "api"),
        "redirect_uris": "http://127.0.0.1/callback",
        "requires_par": True,
    }
    return sandbox.add_client(SandboxClient(**(fields | changes)))


def fapi_client(sandbox, profile=aa.FAPI2, auth=None, **settings):
    """Make the client of that registration: the profile is one value."""
    usual = {"dpop": aa.DPoP(DPOP_KEY), "clock": sandbox.clock, "environment": sandbox.environment}
    return aa.OAuthClient(
        "fapi-app", auth or aa.PrivateKeyJwt(KEY), profile=profile, **(usual | settings)
    )


@attrs.frozen
class FapiServer:
    """
    A server for one combination of client authentication and sender constraint.

    Attributes:
        sandbox: The server; Alice is signed in.

        combination: One of `COMBINATIONS`.

        certificate: The client's, or None.
    """

    sandbox: Sandbox
    combination: str
    certificate: aa.ClientCertificate | None = None

    @property
    def has_dpop(self):
        """Whether tokens are bound to a key of the client."""
        return self.combination.endswith("dpop")

    @property
    def token_type(self):
        """The type of the server's tokens."""
        return "DPoP" if self.has_dpop else "Bearer"

    def client(self, profile, endpoint_origins=()):
        """Make a client of the combination: the profile is one value."""
        environment = aa.Environment.at(
            self.sandbox.identity_url,
            api_origins=[self.sandbox.banking_url],
            endpoint_origins=endpoint_origins,
        )
        settings = {
            "dpop": aa.DPoP(DPOP_KEY) if self.has_dpop else None,
            "environment": environment,
        }
        if self.combination.startswith("mtls"):
            settings |= {"auth": aa.TlsClientAuth(self.certificate), "request_signer": KEY}
        elif self.certificate is not None:
            settings["certificate"] = self.certificate
        return fapi_client(self.sandbox, profile, **settings)

    def is_bound(self, confirmation):
        """Tell whether a token's ``cnf`` is the client's."""
        if self.has_dpop:
            return confirmation.get("jkt") == DPOP_KEY.thumbprint
        return confirmation == {"x5t#S256": self.certificate.thumbprint}

    async def visit(self, request):
        """Send the browser away with a request; give what it brings back."""
        tls = True if self.certificate is None else self.certificate.ssl_context
        connector = aiohttp.TCPConnector(ssl=tls)
        async with aiohttp.ClientSession(connector=connector) as browser:
            async with browser.get(request.url, allow_redirects=False) as response:
                return response.headers["Location"]

    def api_session(self, tokens):
        """Open a session that calls the APIs, with the certificate if there is one."""
        return tokens.session(self.sandbox.banking_url, origins=[self.sandbox.banking_url])

    def record_hosts(self, client):
        """Give the host of each posted request from now on."""
        return record_posts(client, lambda request: urlsplit(request.url).hostname)

    def record_requests(self, client):
        """Give the form and the header fields of each posted request from now on."""
        return record_posts(
            client,
            lambda request: (dict(parse_qsl(bytes(request.body).decode())), dict(request.headers)),
        )


def record_posts(client, look):
    """Give what a function sees of each request that a client posts from now on."""
    seen, transport = [], transport_of(client)
    send = transport.send

    async def listen(request, **settings):
        if request.method == "POST":
            seen.append(look(request))
        return await send(request, **settings)

    transport.send = listen
    return seen


@contextlib.asynccontextmanager
async def fapi_server(combination, folder):
    """Start the server of a combination; certificates are files in a folder."""
    certificate = tls = None
    changes = {}
    if "mtls" in combination:
        authority = Authority(folder)
        certificate, tls = authority.certificate(), authority.server()
    if combination.startswith("mtls"):
        changes["certificate_name"] = "payments.example"
    async with Sandbox(server_version="fapi", ssl_context=tls) as sandbox:
        register(sandbox, **changes)
        sandbox.sign_in_automatically("alice")
        yield FapiServer(sandbox, combination, certificate)
