"""Consents of Banking v4, as the sandbox keeps them, and the end-users' decisions."""

import uuid
from datetime import UTC, datetime

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.arguments import require_known, require_text
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.records.deliveries import SandboxEvents

_LIFETIME = 90 * 24 * 3600.0
STATUSES = ("created", "started", "authorized", "expired", "revoked", "failure", "awaitingApproval")


@attrs.define(kw_only=True)
class SandboxConsent:
    """
    A consent.

    Attributes:
        consent_id: Its identifier.

        client_id: The client that has it.

        expires_at: Its end in POSIX seconds.

        status: Its status, but for its end by time.
    """

    consent_id: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    client_id: str
    expires_at: float
    status: str = "created"


class SandboxConsents:
    """
    The consents of one sandbox; ``sandbox.consents`` is one.

    Attributes:
        consents: The consents by id.
    """

    def __init__(self, clock: SandboxClock, events: SandboxEvents) -> None:
        self._clock = clock
        self._events = events
        self.consents: dict[str, SandboxConsent] = {}

    def add(self, client_id: str) -> SandboxConsent:
        """Add a consent, which its end-user has not confirmed yet."""
        require_text("client_id", client_id)
        consent = SandboxConsent(client_id=client_id, expires_at=self._clock.time() + _LIFETIME)
        self.consents[consent.consent_id] = consent
        return consent

    async def decide(self, consent_id: str, status: str = "authorized") -> None:
        """
        Decide for the end-user, and deliver the event.

        Args:
            consent_id: The consent.

            status: Its new status; ``authorized`` lets it last for 90 days from now on.

        Raises:
            ConfigurationError: There is no such consent or status.
        """
        require_text("consent_id", consent_id)
        require_known("status", status, STATUSES)
        consent = self.consents.get(consent_id)
        if consent is None:
            raise ConfigurationError("consent_id must be one of sandbox.consents.consents")
        consent.status = status
        if status == "authorized":
            consent.expires_at = self._clock.time() + _LIFETIME
        data = {"consentId": consent_id, "status": status}
        await self._events.publish("banking.consent.status.updated", data)

    def status_of(self, consent: SandboxConsent) -> str:
        """Tell a consent's status, its end by time included."""
        if consent.status == "authorized" and consent.expires_at <= self._clock.time():
            return "expired"
        return consent.status

    def shown(self, consent: SandboxConsent) -> dict[str, object]:
        """Show a consent; the quick start writes its status with a capital."""
        end = datetime.fromtimestamp(consent.expires_at, UTC)
        return {
            "consentId": consent.consent_id,
            "status": self.status_of(consent).capitalize(),
            "expires": end.isoformat(timespec="seconds"),
        }
