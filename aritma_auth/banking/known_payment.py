"""
What is known of a payment, and how news are merged; pure.

A signature that was seen stays, and so does a final status. Of everything else the later one
counts, so that events and polls may come in any order, late and twice.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Self

import attrs

from aritma_auth.banking.events import PaymentAuthorized, PaymentStatusUpdated
from aritma_auth.banking.kinds import OPTIONAL, text
from aritma_auth.banking.problems import first_text, is_status, read_members
from aritma_auth.banking.sca import require_api_url
from aritma_auth.banking.signatures import SIGNED, PaymentAction, Signature
from aritma_auth.environment import Environment
from aritma_auth.errors import (
    ConfigurationError,
    require_instance,
    require_seconds,
    wrong_kind,
)
from aritma_auth.protocol.parameters import OPTIONAL_TIME, require_time
from aritma_auth.protocol.strict_json import (
    JsonError,
    StructureError,
    parse_json_object,
    structure,
)
from aritma_auth.protocol.urls import require_secure_url
from aritma_auth.runtime.values import Value

_EXECUTED = ("accc", "acsc")
_ENDED = (*_EXECUTED, "rjct", "canc")
"""Of ISO 20022: settled at the creditor's or the debtor's bank; rejected, cancelled."""

_STATUS_MEMBERS = ("transactionStatus", "status")
_MAX_COUNT = 1000


@attrs.frozen(eq=False, repr=False, kw_only=True)
class KnownPayment(Value):
    """
    What is known of one logical payment or basket.

    `PendingPayment` adds what is done about it, and describes each attribute.

    Raises:
        ConfigurationError: The path is not relative, the key no UUID, or the URL not secure.
    """

    path: str
    idempotency_key: str
    digest: str = attrs.field(default="", validator=text)
    sent_at: float | None = attrs.field(default=None, validator=OPTIONAL_TIME)
    url: str | None = None
    payment_id: str | None = attrs.field(default=None, validator=OPTIONAL)
    status: str = attrs.field(default="", validator=text)
    status_at: float = attrs.field(default=0.0, validator=require_time)
    required: int | None = None
    left: int | None = None
    left_at: float = attrs.field(default=0.0, validator=require_time)
    signatures: tuple[Signature, ...] = ()

    def __attrs_post_init__(self) -> None:
        require_instance("path", "a path, such as bulk-payments/credit-transfer", self.path, str)
        if not _is_relative(self.path):
            raise ConfigurationError(
                f"path must be relative to the API, such as signing-baskets, not {self.path!r}"
            )
        if not _is_uuid(self.idempotency_key):
            raise ConfigurationError("idempotency_key must be a UUID, as generate draws it")
        if self.url is not None:
            require_secure_url(self.url, "url")
        for name, count in (("required", self.required), ("left", self.left)):
            if count is not None and _count(count) is None:
                raise ConfigurationError(
                    f"{name} must be a small number or None, not {count!r:.40}"
                )
        _require_signatures(self.signatures)

    def to_json(self) -> str:
        """Write it for another process; it holds no token."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, text: str, *, environment: Environment) -> Self:
        """
        Read what `to_json` wrote.

        Args:
            text: The text.

            environment: The client's; each link that was kept is checked against it once more.

        Raises:
            ConfigurationError: It is something else.

            VerificationError: A link leads to another host.
        """
        require_instance("text", "what to_json returned", text, str)
        require_instance("environment", "an Environment", environment, Environment)
        try:
            known = structure(parse_json_object(text.encode(errors="replace")), cls)
        except (JsonError, StructureError) as error:
            known, problem = None, str(error)
        if known is None:
            raise ConfigurationError(f"text must be what to_json returned: {problem}")
        links = [("url", known.url)]
        for each in known.signatures:
            links += [("a signature's url", each.url), ("confirmation", each.confirmation)]
        for name, link in links:
            if link is not None:
                require_api_url(link, environment, name)
        return known

    def merge_payment(self, members: Mapping[str, object], *, now: float) -> Self:
        """
        Take what a GET of the payment gave.

        Args:
            members: The JSON object.

            now: POSIX seconds of the request.

        Raises:
            ConfigurationError: An argument is of the wrong kind.
        """
        require_seconds("now", now)
        given = read_members(members)
        return self._told(
            first_text(given, _STATUS_MEMBERS),
            required=_count(given.get("requiredAuthorizations")),
            left=_count(given.get("remainingAuthorizations")),
            at=now,
        )

    def merge_authorization(self, signer: str, members: Mapping[str, object]) -> Self:
        """
        Take what a GET of a signer's authorization, or its confirmation, gave.

        Args:
            signer: The signer.

            members: The JSON object.

        Raises:
            ConfigurationError: The signer has no authorization.
        """
        signature = self._require(signer)
        status = read_members(members).get("scaStatus")
        if signature.is_signed or not isinstance(status, str):
            return self
        # What the API last said is left stays: it may have counted this signature or not.
        return self._with(attrs.evolve(signature, status=status))

    def merge_event(self, event: PaymentAuthorized | PaymentStatusUpdated) -> Self:
        """
        Take an event; one of another payment changes nothing.

        Events name a payment and never a basket: a basket's signatures are known by their
        authorization, and its status by `merge_payment`.

        Args:
            event: What a receiver got.

        Raises:
            ConfigurationError: It is no event of a payment.
        """
        kinds = (PaymentAuthorized, PaymentStatusUpdated)
        require_instance("event", "a PaymentAuthorized or PaymentStatusUpdated", event, kinds)
        at, is_ours = event.envelope.time or 0.0, event.payment_id == self.payment_id
        if isinstance(event, PaymentStatusUpdated):
            return self._told(event.status, at=at) if is_ours else self
        known = self._authorization(event.authorization_id)
        if known is None and not is_ours:
            return self
        signature = known or Signature(
            signer=event.user_id, authorization_id=event.authorization_id
        )
        counted = self._told(required=event.required, left=event.remaining, at=at)
        signatures = self._replaced(attrs.evolve(signature, status=SIGNED[0]))
        return attrs.evolve(counted, signatures=signatures)

    def has_status(self, *expected: str) -> bool:
        """
        Compare the status without regard to case.

        Args:
            expected: Statuses, such as ``acsc``.
        """
        return is_status(self.status, *expected)

    @property
    def signed_by(self) -> tuple[str, ...]:
        """The signers who have signed."""
        return tuple(each.signer for each in self.signatures if each.is_signed)

    @property
    def unsigned(self) -> tuple[str, ...]:
        """The signers who have begun and not signed."""
        return tuple(each.signer for each in self.signatures if not each.is_signed)

    @property
    def remaining(self) -> int | None:
        """How many signatures are left, or None if the API has not said how many it needs."""
        if self.left is None and self.required is not None:
            return max(0, self.required - len(self.signed_by))
        return self.left

    @property
    def is_ended(self) -> bool:
        """The payment was executed, rejected or cancelled."""
        return self.has_status(*_ENDED)

    @property
    def is_executed(self) -> bool:
        """The payment was executed."""
        return self.has_status(*_EXECUTED)

    def signature_of(self, signer: str) -> Signature | None:
        """
        Return a signer's part, or None.

        Args:
            signer: The signer.

        Raises:
            ConfigurationError: The signer is no text.
        """
        require_instance("signer", "a name", signer, str)
        return next((each for each in self.signatures if each.signer == signer), None)

    def action_for(self, signer: str) -> PaymentAction:
        """
        Tell what the payment needs next of a signer.

        Before `SIGN` ask the API for the authorization once more: a process may have died after the
        confirmation and before it was saved.

        Args:
            signer: The signer.
        """
        if self.is_ended:
            return PaymentAction.DONE
        if self.url is None:
            return PaymentAction.CREATE
        signature = self.signature_of(signer)
        if self.remaining == 0 or (signature is not None and signature.is_signed):
            return PaymentAction.WAIT
        if signature is None or signature.confirmation is None or signature.is_failed:
            return PaymentAction.AUTHORIZE
        return PaymentAction.SIGN

    def _authorization(self, authorization_id: str) -> Signature | None:
        known = (each for each in self.signatures if each.authorization_id == authorization_id)
        return next(known, None)

    def _require(self, signer: str) -> Signature:
        signature = self.signature_of(signer)
        if signature is None or self.url is None:
            raise ConfigurationError(
                "begin_authorization must be called first, and its result saved"
            )
        return signature

    def _with(self, signature: Signature) -> Self:
        return attrs.evolve(self, signatures=self._replaced(signature))

    def _replaced(self, signature: Signature) -> tuple[Signature, ...]:
        """Replace a signer's part, and what an event told of the same authorization."""
        others = (
            each
            for each in self.signatures
            if each.signer != signature.signer
            and (
                each.authorization_id is None or each.authorization_id != signature.authorization_id
            )
        )
        return (*others, signature)

    def _told(
        self,
        status: str | None = None,
        *,
        required: int | None = None,
        left: int | None = None,
        at: float,
    ) -> Self:
        """Take what was true at a time; None tells nothing."""
        told = self if required is None else attrs.evolve(self, required=required)
        if left is not None and (self.left is None or at >= self.left_at):
            told = attrs.evolve(told, left=left, left_at=at)
        # Deliveries are repeated and come late: what is final stays, else the later one counts.
        is_later = at >= self.status_at or is_status(status, *_ENDED)
        if status is None or self.is_ended or not is_later:
            return told
        return attrs.evolve(told, status=status, status_at=at)


def _require_signatures(given: object) -> None:
    required = "a tuple of Signatures, each of another signer"
    if not isinstance(given, tuple):
        raise wrong_kind("signatures", required, given)
    signers = [each.signer for each in given if isinstance(each, Signature)]
    if len(set(signers)) != len(given):
        raise ConfigurationError(f"signatures must be {required}")


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MAX_COUNT else None


def _is_relative(path: str) -> bool:
    # A line break, a backslash or dots, encoded or not, could lead elsewhere.
    is_plain = path.isascii() and path.isprintable() and not set(path) & set(" :\\%?#")
    return is_plain and bool(path) and path[0] != "/" and ".." not in path


def _is_uuid(text: object) -> bool:
    try:
        return isinstance(text, str) and str(uuid.UUID(text)) == text
    except ValueError:
        return False
