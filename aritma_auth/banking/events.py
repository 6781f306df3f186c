"""
What Aritma's events say, as typed values; pure.

The names of the types and of their members are those of Aritma's pages. That a payment's
authorization has the type ``banking.payment.authorized`` is a guess: the pages name the event and
not its type. `EVENT_TYPES` is data for that reason; give `EventReceiver` another table.
"""

from collections.abc import Mapping
from typing import ClassVar, NoReturn, Self

import attrs

from aritma_auth.banking.cloud_events import CloudEvent
from aritma_auth.banking.kinds import OPTIONAL, text
from aritma_auth.banking.problems import is_status
from aritma_auth.errors import (
    ConfigurationError,
    VerificationError,
    require_instance,
    wrong_kind,
)
from aritma_auth.protocol.redaction import Members
from aritma_auth.runtime.values import Value

_MAX_COUNT = 1000
"""End-users who sign one payment, at most."""


@attrs.frozen(eq=False, repr=False, kw_only=True)
class BankingEvent(Value):
    """
    The parent of the typed events.

    Attributes:
        envelope: The event as it was delivered, with all of its data.
    """

    envelope: CloudEvent = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        _require_envelope(self.envelope)

    @property
    def tenant(self) -> str | None:
        """The tenant whom the event is about."""
        return self.envelope.tenant

    @classmethod
    def parse(cls, envelope: CloudEvent) -> Self:
        """
        Parse an event's data.

        Args:
            envelope: The event.

        Raises:
            VerificationError: A member is missing or of another type than the pages say.
        """
        return cls(envelope=envelope)


@attrs.frozen(eq=False, repr=False, kw_only=True)
class _StatusUpdated(BankingEvent):
    """Something has another status, in the letters of the event."""

    status: str = attrs.field(validator=text)

    def has_status(self, *expected: str) -> bool:
        """
        Compare the status without regard to case: Aritma's pages write both PDNG and pdng.

        Args:
            expected: Statuses, such as ``acsc``.
        """
        return is_status(self.status, *expected)


@attrs.frozen(eq=False, repr=False, kw_only=True)
class PaymentStatusUpdated(_StatusUpdated):
    """
    A payment, or a bulk payment, has another status.

    Attributes:
        payment_id: The payment.

        status: Its ISO 20022 status in the letters of the event: compare with `has_status`.

        end_to_end_id: The payment's end-to-end identification, or None.

    Source: Banking's events, ``banking.payment.status.updated``.
    """

    payment_id: str = attrs.field(validator=text)
    end_to_end_id: str | None = attrs.field(default=None, validator=OPTIONAL)

    @classmethod
    def parse(cls, envelope: CloudEvent) -> Self:
        """Parse an event's data, as `BankingEvent.parse` does."""
        data = _members_of(envelope)
        return cls(
            envelope=envelope,
            payment_id=_text(data, "paymentId"),
            status=_text(data, "transactionStatus"),
            end_to_end_id=_optional_text(data, "endToEndIdentification"),
        )


@attrs.frozen(eq=False, repr=False, kw_only=True)
class PaymentAuthorized(BankingEvent):
    """
    One end-user has authorized a payment; it is executed when nobody is left who must.

    Attributes:
        payment_id: The payment.

        authorization_id: The authorization.

        user_id: The end-user who has authorized it.

        required: Authorizations that the payment needs, or None if the event does not say.

        remaining: Those that are left, or None if the event does not say.

    Source: Banking's events, "Payment authorized".
    """

    payment_id: str = attrs.field(validator=text)
    authorization_id: str = attrs.field(validator=text)
    user_id: str = attrs.field(validator=text)
    required: int | None = None
    remaining: int | None = None

    @classmethod
    def parse(cls, envelope: CloudEvent) -> Self:
        """Parse an event's data, as `BankingEvent.parse` does."""
        data = _members_of(envelope)
        return cls(
            envelope=envelope,
            payment_id=_text(data, "paymentId"),
            authorization_id=_text(data, "authorizationId"),
            user_id=_text(data, "userId"),
            required=_count(data, "requiredAuthorizations"),
            remaining=_count(data, "remainingAuthorizations"),
        )


@attrs.frozen(eq=False, repr=False, kw_only=True)
class ConsentStatusUpdated(_StatusUpdated):
    """
    A consent has another status, such as ``authorized``, ``expired`` or ``revoked``.

    Attributes:
        consent_id: The consent.

        status: Its status in the letters of the event: compare with `has_status`.

    Source: Banking's events, ``banking.consent.status.updated``.
    """

    consent_id: str = attrs.field(validator=text)

    @classmethod
    def parse(cls, envelope: CloudEvent) -> Self:
        """Parse an event's data, as `BankingEvent.parse` does."""
        data = _members_of(envelope)
        return cls(
            envelope=envelope,
            consent_id=_text(data, "consentId"),
            status=_text(data, "status"),
        )


@attrs.frozen(eq=False, repr=False, kw_only=True)
class MandateStatusUpdated(_StatusUpdated):
    """
    A direct debit mandate has another status.

    Attributes:
        mandate_id: The mandate.

        status: Its status in the letters of the event: compare with `has_status`.

        reject_reason: Code of the reason if it was rejected, or None.

    Source: Banking's events, ``banking.mandate.status.updated``.
    """

    mandate_id: str = attrs.field(validator=text)
    reject_reason: str | None = attrs.field(default=None, validator=OPTIONAL)

    @classmethod
    def parse(cls, envelope: CloudEvent) -> Self:
        """Parse an event's data, as `BankingEvent.parse` does."""
        data = _members_of(envelope)
        return cls(
            envelope=envelope,
            mandate_id=_text(data, "mandateId"),
            status=_text(data, "mandateStatus"),
            reject_reason=_optional_text(data, "rejectReasonCode"),
        )


@attrs.frozen(eq=False, repr=False, kw_only=True)
class TransactionReceived(BankingEvent):
    """
    An account has a new transaction; ``envelope.data`` has it.

    Source: Banking's events, ``banking.account.transaction.received``.
    """

    _ACCOUNTS: ClassVar[str] = "/accounts/"

    @property
    def account_id(self) -> str | None:
        """The account that the event's subject names, or None."""
        _, found, account = (self.envelope.subject or "").rpartition(self._ACCOUNTS)
        return account if found and account and "/" not in account else None


EVENT_TYPES: Mapping[str, type[BankingEvent]] = {
    "banking.account.transaction.received": TransactionReceived,
    "banking.bulk_payment.status.updated": PaymentStatusUpdated,
    "banking.consent.status.updated": ConsentStatusUpdated,
    "banking.mandate.status.updated": MandateStatusUpdated,
    "banking.payment.authorized": PaymentAuthorized,
    "banking.payment.status.updated": PaymentStatusUpdated,
}
"""The typed events by the ``type`` of their envelope."""


def parse_event(
    envelope: CloudEvent, types: Mapping[str, type[BankingEvent]] = EVENT_TYPES
) -> BankingEvent | CloudEvent:
    """
    Parse an event of a known type; any other stays as it is.

    Args:
        envelope: What `parse_cloud_events` gave.

        types: The typed events by name.

    Raises:
        ConfigurationError: An argument is of the wrong kind.

        VerificationError: The data of a known type lacks a member.
    """
    _require_envelope(envelope)
    require_instance("types", "a mapping, such as EVENT_TYPES", types, Mapping)
    kind = types.get(envelope.type)
    return envelope if kind is None else kind.parse(envelope)


def require_event_types(types: object) -> None:
    """
    Require a table of typed events.

    Args:
        types: What was given.

    Raises:
        ConfigurationError: It is no mapping of types' names to classes of events.
    """
    required = "a mapping of names to classes of events, such as EVENT_TYPES"
    if not isinstance(types, Mapping):
        raise wrong_kind("event_types", required, types)
    for name, kind in types.items():
        if not (
            isinstance(name, str) and isinstance(kind, type) and issubclass(kind, BankingEvent)
        ):
            raise ConfigurationError(f"event_types must be {required}; {name!r:.60} is none")


def _require_envelope(given: object) -> None:
    require_instance("envelope", "a CloudEvent", given, CloudEvent)


def _members_of(envelope: CloudEvent) -> Members:
    _require_envelope(envelope)
    return envelope.members


def _text(data: Members, name: str) -> str:
    return _optional_text(data, name) or _refuse(name, "a text")


def _optional_text(data: Members, name: str) -> str | None:
    value = data.get(name)
    return value if value is None or isinstance(value, str) else _refuse(name, "a text")


def _count(data: Members, name: str) -> int | None:
    value = data.get(name)
    if value is None or (type(value) is int and 0 <= value <= _MAX_COUNT):
        return value
    return _refuse(name, "a small number")


def _refuse(name: str, required: str) -> NoReturn:
    raise VerificationError(f"the event's {name} must be {required}")
