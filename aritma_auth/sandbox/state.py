"""What the sandbox's parts share: who is registered, what time it is, what was asked."""

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.assertions import AssertionCheck
from aritma_auth.sandbox.clients import SAMPLE_CLIENTS, SAMPLE_PEOPLE
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.faults import Faults
from aritma_auth.sandbox.issuing import TokenIssuer
from aritma_auth.sandbox.token_endpoint import TokenEndpoint, TokenRequest


class SandboxState:
    """
    The state of one sandbox.

    Args:
        lifetime: Seconds that the sample clients' access tokens live.
    """

    def __init__(self, lifetime: int) -> None:
        self.clients = {
            client.client_id: attrs.evolve(client, lifetime=lifetime) for client in SAMPLE_CLIENTS
        }
        self.people = {person.username: person for person in SAMPLE_PEOPLE}
        self.clock = SandboxClock()
        self.issuer = TokenIssuer(self.clock)
        assertions = AssertionCheck(self.clients, self.clock)
        self.token_endpoint = TokenEndpoint(self.clients, self.people, self.issuer, assertions)
        self.token_requests: list[TokenRequest] = []
        self.uploads: list[int] = []
        self._faults = {"token": Faults(), "api": Faults()}
        self._urls: list[str] = []

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
            raise ConfigurationError("faults happen at token or api")
        return place
