"""What the sandbox's parts share: who is registered, what time it is, what was asked."""

from collections import deque

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.faults.injection import Faults
from aritma_auth.sandbox.faults.overrides import ResponseOverrides
from aritma_auth.sandbox.identity.client_authentication import AssertionCheck, ClientCheck
from aritma_auth.sandbox.identity.device_codes import Devices
from aritma_auth.sandbox.identity.refresh_tokens import RefreshTokens
from aritma_auth.sandbox.identity.registrations import SAMPLE_CLIENTS, SAMPLE_PEOPLE, User
from aritma_auth.sandbox.identity.server_versions import generation_named
from aritma_auth.sandbox.identity.sessions import BrowserSession, SignIns
from aritma_auth.sandbox.identity.token_endpoint import TokenEndpoint, TokenRequest
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer

_ENDPOINTS = (
    "token",
    "discovery",
    "jwks",
    "authorize",
    "userinfo",
    "introspect",
    "revocation",
    "deviceauthorization",
    "endsession",
)
PLACES = ("api", *_ENDPOINTS)
"""Where faults may happen: the Banking APIs, and the identity server's endpoints."""


def place_of(path: str) -> str | None:
    """
    Give the place of a request to the identity server; pages have none.

    Args:
        path: The request's path.
    """
    if "/.well-known/" in path:
        return "jwks" if path.endswith("/jwks") else "discovery"
    head, _, name = path.rpartition("/")
    return name if head.endswith("/connect") and name in _ENDPOINTS else None


class SandboxState:
    """
    The state of one sandbox.

    Args:
        lifetime: Seconds that the sample clients' access tokens live.

        generation: Name of the IdentityServer generation that it behaves like.
    """

    def __init__(self, lifetime: int, generation: str) -> None:
        self.generation = generation_named(generation)
        self.clients = {
            client.client_id: attrs.evolve(client, lifetime=lifetime) for client in SAMPLE_CLIENTS
        }
        self.people = {person.username: person for person in SAMPLE_PEOPLE}
        self.clock = SandboxClock()
        self.overrides = ResponseOverrides()
        self.issuer = TokenIssuer(self.clock, self.generation, self.overrides)
        self.refresh_tokens = RefreshTokens(
            self.clock, rotate=self.generation.refresh_tokens_rotate
        )
        assertions = AssertionCheck(self.clients, self.clock)
        self.client_check = ClientCheck(self.clients, assertions, self.generation)
        self.sign_ins = SignIns(self.clock)
        self.devices = Devices(self.clock)
        self.token_endpoint = TokenEndpoint(
            self.people,
            self.issuer,
            self.refresh_tokens,
            self.sign_ins,
            self.devices,
            self.generation,
            self.clock,
        )
        self.api_resources = {"bankservice": "api-secret"}
        self.automatic_person: User | None = None
        self.automatic_session: BrowserSession | None = None
        self.logout_answers: list[int | None] = []
        self.authorization_requests = 0
        self._denials: deque[tuple[str, str | None]] = deque()
        self.token_requests: list[TokenRequest] = []
        self.uploads: list[int] = []
        self._faults = {place: Faults() for place in PLACES}
        self._urls: list[str] = []

    def issuer_of(self, tenant: str | None) -> str:
        """
        Give a tenant's issuer, in small letters as IdentityServer writes it.

        Args:
            tenant: The tenant in the path, or None.
        """
        return self.base_of(tenant).lower()

    def base_of(self, tenant: str | None) -> str:
        """
        Give what a tenant's endpoints begin with, in the letters of the request.

        Args:
            tenant: The tenant in the path, or None.
        """
        return self.identity_url if tenant is None else f"{self.identity_url}/{tenant}"

    def take_denial(self) -> tuple[str, str | None] | None:
        """Give the error that a test has planned for this authorization request, if any."""
        return self._denials.popleft() if self._denials else None

    @property
    def identity_url(self) -> str:
        """The identity server's issuer, without trailing slash."""
        return self._url(0)

    @property
    def banking_url(self) -> str:
        """The Banking APIs' base URL, with trailing slash."""
        return f"{self._url(1)}/"

    def _url(self, number: int) -> str:
        if not self._urls:
            raise ConfigurationError("the sandbox has not been started")
        return self._urls[number]

    def _place(self, where: str) -> Faults:
        place = self._faults.get(where)
        if place is None:
            raise ConfigurationError(f"faults happen at {', '.join(PLACES)}")
        return place
