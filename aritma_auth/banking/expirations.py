"""What ends without a request of ours: secrets of clients, and consents of end-users."""

from collections.abc import Iterable

import attrs

from aritma_auth.banking.consents import ENDED, Consent, days_until
from aritma_auth.banking.events import ConsentStatusUpdated
from aritma_auth.caller_code import require_clock
from aritma_auth.errors import require_count, require_instance, require_seconds, wrong_kind
from aritma_auth.events import ConsentExpiring, SecretExpiring
from aritma_auth.events.base import Event, Listener
from aritma_auth.events.listeners import log_event, notify, require_listener
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.values import Value

_ENDED = -1


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Expiration(Value):
    """
    One thing that ends.

    Attributes:
        kind: ``secret`` or ``consent``.

        name: The client's identifier, or the consent's.

        days: Whole days that are left: 0 on the last one, -1 once it has ended.

        expires_at: Its end in POSIX seconds, or None if its status ended it.

        status: A consent's status; empty for a secret.
    """

    kind: str
    name: str
    days: int
    expires_at: float | None = None
    status: str = ""


class ExpirationWatch:
    """
    Counts the days of secrets and consents, and warns before they end.

    It sends nothing and starts no task: call `check` once a day or so, and `status` from a health
    check.

    Args:
        warn_days: At so many days left an event is emitted, once each; the end is always told.

        on_event: Is called with `SecretExpiring` and `ConsentExpiring`; by default they are logged.

        clock: Tells the time.

    Raises:
        ConfigurationError: An argument is of the wrong kind.
    """

    @hides_arguments
    def __init__(
        self,
        *,
        warn_days: Iterable[int] = (30, 14, 7, 3, 1, 0),
        on_event: Listener | None = log_event,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        days = warn_days
        if isinstance(days, str | bytes) or not isinstance(days, Iterable):
            raise wrong_kind("warn_days", "a list of whole days", days)
        days = tuple(days)
        for each in days:
            require_count("each of warn_days", each)
        require_listener(on_event)
        clock = require_clock(clock)
        self._steps = sorted({*days, _ENDED})
        self._on_event = on_event
        self._clock = clock
        self._watched: dict[tuple[str, str], Consent | float] = {}
        self._told: dict[tuple[str, str], int] = {}

    def watch_secret(self, client_id: str, expires_at: float | None) -> None:
        """
        Watch a client's secret, or its successor.

        Args:
            client_id: The client.

            expires_at: Its end in POSIX seconds, as `read_expiration` gives it; None for one that
                does not end.

        Raises:
            ConfigurationError: An argument is of the wrong kind.
        """
        require_instance("client_id", "a client's id", client_id, str)
        if expires_at is not None:
            require_seconds("expires_at", expires_at)
        self._watch(("secret", client_id), expires_at)

    def watch_consent(self, consent: Consent) -> None:
        """
        Watch a consent, or what is newly known of it.

        Args:
            consent: What `parse_consent` gave.

        Raises:
            ConfigurationError: It is no consent.
        """
        require_instance("consent", "a Consent, such as parse_consent gives", consent, Consent)
        self._watch(("consent", consent.consent_id), consent)

    def merge_event(self, event: ConsentStatusUpdated) -> None:
        """
        Take an event of a receiver; a consent that is not watched yet is from now on.

        Args:
            event: The event.

        Raises:
            ConfigurationError: It is another event.
        """
        require_instance("event", "a ConsentStatusUpdated", event, ConsentStatusUpdated)
        known = self._watched.get(("consent", event.consent_id))
        end = known.expires_at if isinstance(known, Consent) else None
        self.watch_consent(
            Consent(consent_id=event.consent_id, status=event.status, expires_at=end)
        )

    def _watch(self, key: tuple[str, str], thing: "Consent | float | None") -> None:
        before = self._watched.pop(key, None)
        if thing is not None:
            self._watched[key] = thing
        if _mark(before) != _mark(thing):
            # It was renewed: its days are told anew.
            self._told.pop(key, None)

    def forget(self, name: str) -> None:
        """
        Watch a client's secret, or a consent, no longer.

        Args:
            name: The client's identifier, or the consent's.

        Raises:
            ConfigurationError: It is no text.
        """
        require_instance("name", "a client's or a consent's id", name, str)
        for kind in ("secret", "consent"):
            self._watch((kind, name), None)

    def status(self) -> tuple[Expiration, ...]:
        """Return what ends, the soonest first."""
        now = self._clock.time()
        found = (_expiration(key, thing, now) for key, thing in self._watched.items())
        ends = [each for each in found if each is not None]
        return tuple(sorted(ends, key=lambda each: (each.days, each.kind, each.name)))

    def check(self) -> tuple[Expiration, ...]:
        """Emit the events that are due, and return the status."""
        status = self.status()
        for each in status:
            key = (each.kind, each.name)
            due = next((step for step in self._steps if each.days <= step), None)
            if due is not None and due < self._told.get(key, due + 1):
                self._told[key] = due
                notify(self._on_event, _event_of(each))
        return status

    def __repr__(self) -> str:
        return f"<ExpirationWatch of {len(self._watched)}>"


def _end_of(thing: "Consent | float | None") -> float | None:
    return thing.expires_at if isinstance(thing, Consent) else thing


def _mark(thing: "Consent | float | None") -> tuple[float | None, bool]:
    return _end_of(thing), isinstance(thing, Consent) and thing.has_status(*ENDED)


def _expiration(key: tuple[str, str], thing: "Consent | float", now: float) -> Expiration | None:
    if isinstance(thing, Consent):
        days, status = thing.days_left(now=now), thing.status
    else:
        days, status = days_until(thing, now=now), ""
    if days is None:
        return None
    kind, name = key
    return Expiration(kind=kind, name=name, days=days, expires_at=_end_of(thing), status=status)


def _event_of(ends: Expiration) -> Event:
    if ends.kind == "consent":
        return ConsentExpiring(ends.name, ends.status, ends.days)
    return SecretExpiring(ends.days, ends.expires_at or 0.0, client_id=ends.name)
