"""What the sandbox's servers and controls share: registrations, clock, sessions, tokens, log."""

import ssl

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.faults.controls import Faults
from aritma_auth.sandbox.identity.backchannel_requests import BackchannelRequests
from aritma_auth.sandbox.identity.certificates import ClientCertificates
from aritma_auth.sandbox.identity.client_authentication import ClientAssertions, ClientAuthenticator
from aritma_auth.sandbox.identity.client_registrations import ClientRegistrations
from aritma_auth.sandbox.identity.device_codes import DeviceCodes
from aritma_auth.sandbox.identity.proofs import ProofValidator
from aritma_auth.sandbox.identity.pushed_requests import PushedRequests
from aritma_auth.sandbox.identity.refresh_tokens import RefreshTokens
from aritma_auth.sandbox.identity.registrations import SAMPLE_CLIENTS, SAMPLE_USERS, User
from aritma_auth.sandbox.identity.request_objects import RequestObjects
from aritma_auth.sandbox.identity.server_versions import server_version_named
from aritma_auth.sandbox.identity.sessions import BrowserSession, Sessions
from aritma_auth.sandbox.identity.token_endpoint import TokenEndpoint, TokenRequest
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer
from aritma_auth.sandbox.overrides import ResponseOverrides
from aritma_auth.sandbox.records.consents import SandboxConsents
from aritma_auth.sandbox.records.deliveries import SandboxEvents
from aritma_auth.sandbox.records.payments import SandboxPayments


class SandboxState:
    """The state of one sandbox."""

    def __init__(self, lifetime: int, server_version: str) -> None:
        self.server_version = server_version_named(server_version)
        self.clients = {
            client.client_id: attrs.evolve(client, lifetime=lifetime) for client in SAMPLE_CLIENTS
        }
        self.users = {user.username: user for user in SAMPLE_USERS}
        self.clock = SandboxClock()
        self.overrides = ResponseOverrides()
        self.issuer = TokenIssuer(self.clock, self.server_version, self.overrides, self.clients)
        self.refresh_tokens = RefreshTokens(self.clock, self.server_version.refresh_tokens_rotate)
        self.request_objects = RequestObjects(
            self.clients,
            self.clock,
            lambda: self.identity_url,
            decrypts=self.server_version.decrypts_requests,
        )
        self.pushed_requests = PushedRequests(
            self.clients, self.clock, self.server_version, self.request_objects
        )
        self.proofs = ProofValidator(self.clock)
        self.certificates = ClientCertificates()
        self.faults = Faults(
            self.issuer,
            self.refresh_tokens,
            self.pushed_requests,
            self.request_objects,
            self.overrides,
            self.proofs,
            self.certificates,
        )
        assertions = ClientAssertions(self.clients, self.clock)
        self.authenticator = ClientAuthenticator(
            self.clients, assertions, self.server_version, self.clock
        )
        self.client_registrations = ClientRegistrations(self.clients, self.clock)
        self.sessions = Sessions(self.clock)
        self.device_codes = DeviceCodes(self.clock)
        self.backchannel_requests = BackchannelRequests(
            self.users, self.issuer, self.request_objects, self.clock
        )
        self.token_endpoint = TokenEndpoint(
            self.users,
            self.issuer,
            self.refresh_tokens,
            self.sessions,
            self.device_codes,
            self.backchannel_requests,
            self.server_version,
            self.clock,
        )
        self.payments = SandboxPayments()
        self.events = SandboxEvents(self.clock, lambda: self.banking_url)
        self.consents = SandboxConsents(self.clock, self.events)
        self.api_resources = {"bankservice": "api-secret"}
        self.automatic_user: User | None = None
        self.automatic_session: BrowserSession | None = None
        self.logout_responses: list[int | None] = []
        self.token_requests: list[TokenRequest] = []
        self.uploads: list[int] = []
        self.urls: list[str] = []
        self.ssl_context: ssl.SSLContext | None = None

    @property
    def asks_for_certificates(self) -> bool:
        """Whether the TLS handshake asks clients for a certificate."""
        context = self.ssl_context
        return context is not None and context.verify_mode is not ssl.CERT_NONE

    def issuer_of(self, tenant: str | None) -> str:
        """Give a tenant's issuer, in small letters as IdentityServer writes it."""
        return self.base_of(tenant).lower()

    def base_of(self, tenant: str | None) -> str:
        """Give what a tenant's endpoints begin with, in the letters of the request."""
        return self.identity_url if tenant is None else f"{self.identity_url}/{tenant}"

    @property
    def identity_url(self) -> str:
        """The identity server's issuer, without trailing slash."""
        return self._url(0)

    @property
    def banking_url(self) -> str:
        """The Banking APIs' base URL, with trailing slash."""
        return f"{self._url(1)}/"

    def _url(self, number: int) -> str:
        if not self.urls:
            raise ConfigurationError(
                "the sandbox must have been started: use `async with Sandbox()`, or await start()"
            )
        return self.urls[number]
