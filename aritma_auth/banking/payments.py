"""
A payment, or a basket of them, that several end-users sign over days and processes.

`PendingPayment` is a value: each method returns another one, nothing is sent, and `to_json` keeps
it between processes. Save it where it says so, and a process may die anywhere::

    begin_creation      -> save -> POST -> created                -> save   one key, for ever
    begin_authorization -> save -> POST -> authorization_started  -> save   a derived key a signer
    step -> the signer's sign-in -> PUT -> merge_authorization    -> save
                        GET or an event -> merge_...              -> save

A signature that was seen stays, and so does a final status. Of everything else the later one
counts, so that events and polls may come in any order, late and twice.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Self

import attrs
from yarl import URL

from aritma_auth.banking.api_request import ApiRequest
from aritma_auth.banking.events import PaymentAuthorized, PaymentStatusUpdated
from aritma_auth.banking.headers import ApiContext, build_api_headers, generate_idempotency_key
from aritma_auth.banking.problems import is_status
from aritma_auth.banking.sca import ScaStep, parse_link, parse_sca_step, require_api_url
from aritma_auth.banking.signatures import SIGNED, PaymentAction, Signature
from aritma_auth.environment import Environment
from aritma_auth.errors import (
    ConfigurationError,
    InvalidResponseError,
    require_instance,
    require_seconds,
)
from aritma_auth.protocol.parameters import parse_words
from aritma_auth.protocol.strict_json import (
    JsonError,
    StructureError,
    parse_json_object,
    structure,
)
from aritma_auth.runtime.values import Value

_EXECUTED = ("accc", "acsc")
_ENDED = (*_EXECUTED, "rjct", "canc")
"""Of ISO 20022: settled at the creditor's or the debtor's bank; rejected, cancelled."""

_STATUS_MEMBERS = ("transactionStatus", "status")
_ID_MEMBERS = ("paymentId", "basketId")
_MAX_COUNT = 1000


@attrs.frozen(eq=False, repr=False, kw_only=True)
class PendingPayment(Value):
    """
    One logical payment or basket, until it is done.

    Attributes:
        path: Where it is created, such as ``bulk-payments/credit-transfer``.

        idempotency_key: The key of its creation, for ever the same.

        digest: Digest of what is to be created, or empty before `begin_creation`.

        sent_at: When its creation was begun, in POSIX seconds, or None.

        url: Its own URL, or None until it is known to exist.

        payment_id: The API's identifier, or None.

        status: The last status that is known; compare it with `has_status`.

        status_at: When that status was true, in POSIX seconds.

        required: Signatures that it needs, or None if unknown.

        left: Signatures that were left when the API last said so, or None.

        left_at: When that was, in POSIX seconds.

        signatures: The signers' parts.
    """

    path: str
    idempotency_key: str
    digest: str = ""
    sent_at: float | None = None
    url: str | None = None
    payment_id: str | None = None
    status: str = ""
    status_at: float = 0.0
    required: int | None = None
    left: int | None = None
    left_at: float = 0.0
    signatures: tuple[Signature, ...] = ()

    @classmethod
    def generate(cls, path: str = "bulk-payments/credit-transfer") -> Self:
        """
        Generate a logical payment with a key of its own; nothing exists of it yet.

        Args:
            path: Where it is created; ``signing-baskets`` for a basket of payments.

        Raises:
            ConfigurationError: The path is not relative.
        """
        require_instance("path", "a path, such as bulk-payments/credit-transfer", path, str)
        if not path or path.startswith("/") or ":" in path or ".." in path:
            raise ConfigurationError(
                f"path must be relative to the API, such as signing-baskets, not {path!r}"
            )
        return cls(path=path, idempotency_key=generate_idempotency_key())

    def to_json(self) -> str:
        """Write it for another process; it holds no token."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Read what `to_json` wrote.

        Args:
            text: The text.

        Raises:
            ConfigurationError: It is something else.
        """
        require_instance("text", "what to_json returned", text, str)
        try:
            return structure(parse_json_object(text.encode(errors="replace")), cls)
        except (JsonError, StructureError) as error:
            problem = str(error)
        raise ConfigurationError(f"text must be what to_json returned: {problem}")

    # The payment

    def begin_creation(
        self, body: Mapping[str, object], *, now: float, replay_window: float = 300.0
    ) -> Self:
        """
        Begin to create it, or to repeat that; save the result before the request is sent.

        Args:
            body: The JSON object to send, the same each time.

            now: POSIX seconds.

            replay_window: Seconds for which Aritma knows a key; its pages say "a short timespan",
                so the default is a guess.

        Raises:
            ConfigurationError: It exists, the body is another one, or the key may be forgotten:
                then a repetition could create a second payment. Look for it at the bank, and give
                it to `created`, or generate another.
        """
        require_seconds("now", now)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        if self.url is not None:
            raise ConfigurationError("this payment exists: it must not be created again")
        if self.digest and digest != self.digest:
            raise ConfigurationError("the body must be the one that this key was used with")
        if self.sent_at is not None and not 0 <= now - self.sent_at < replay_window:
            raise ConfigurationError(
                "this payment may exist, and its Idempotency-Key may be forgotten: look for it at "
                "the bank before anything is sent again"
            )
        sent_at = now if self.sent_at is None else self.sent_at
        return attrs.evolve(self, digest=digest, sent_at=sent_at)

    def build_creation_request(
        self, body: Mapping[str, object], *, context: ApiContext | None = None
    ) -> ApiRequest:
        """
        Build the request that creates it, or gets the first response again.

        Args:
            body: What `begin_creation` got.

            context: The consent or subscription of the call.

        Raises:
            ConfigurationError: `begin_creation` was not called.
        """
        if self.sent_at is None:
            raise ConfigurationError("begin_creation must be called first, and its result saved")
        headers = build_api_headers(idempotency_key=self.idempotency_key, context=context)
        return ApiRequest(method="POST", path=self.path, headers=headers, json=body)

    def created(
        self, members: Mapping[str, object], *, environment: Environment, base_url: str | URL = ""
    ) -> Self:
        """
        Take the response of its creation, or the payment as it was found at the bank.

        Args:
            members: The JSON object.

            environment: The client's: its APIs are trusted, and no other host.

            base_url: The URL that was called (``response.url``), if links may be relative to it.

        Raises:
            InvalidResponseError: It has no identifier or no link to itself.

            VerificationError: The link is at none of the environment's APIs.
        """
        payment_id = _first_text(members, _ID_MEMBERS)
        link = parse_link(members, "self", base_url)
        if payment_id is None or link is None:
            raise InvalidResponseError(
                "the payment must have an identifier and a link to itself: it was created, and "
                "cannot be signed without them",
                status=201,
                problems=("paymentId or basketId, and _links.self, must be there",),
            )
        require_api_url(link, environment, "self")
        return attrs.evolve(self._merged(members, 0.0), payment_id=payment_id, url=link)

    # Its signers

    def begin_authorization(self, signer: str) -> Self:
        """
        Begin one signer's authorization, or a new one if the last has failed; save the result.

        Args:
            signer: The signer, by any name that stays the same.

        Raises:
            ConfigurationError: The payment does not exist, or the signer has signed.
        """
        require_instance("signer", "a name", signer, str)
        if self.url is None:
            raise ConfigurationError("the payment must be created before it is signed")
        signature = self.signature_of(signer)
        if signature is None:
            return self._with(Signature(signer=signer))
        if signature.is_signed:
            raise ConfigurationError(f"{signer!r} has signed: nothing is left to authorize")
        if signature.is_failed:
            return self._with(Signature(signer=signer, attempt=signature.attempt + 1))
        return self

    def build_authorization_request(
        self,
        signer: str,
        *,
        acr_values: str | Iterable[str] = (),
        context: ApiContext | None = None,
    ) -> ApiRequest:
        """
        Build the request that starts a signer's authorization, or gets it again.

        Args:
            signer: The signer.

            acr_values: Authentication context classes that the signer's sign-in must reach.

            context: The consent or subscription of the call.

        Raises:
            ConfigurationError: `begin_authorization` was not called.
        """
        signature = self._require(signer)
        # Derived, so that a process that died before it saved the response gets the same one.
        place = f"{signer}\n{signature.attempt}"
        key = str(uuid.uuid5(uuid.UUID(self.idempotency_key), place))
        words = parse_words(acr_values, "acr_values")
        return ApiRequest(
            method="POST",
            path=f"{self.url}/authorizations",
            headers=build_api_headers(idempotency_key=key, context=context),
            json={"authenticationMethodAcrValues": " ".join(words)} if words else {},
        )

    def authorization_started(
        self,
        signer: str,
        members: Mapping[str, object],
        *,
        environment: Environment,
        base_url: str | URL = "",
        acr_values: str | Iterable[str] = (),
    ) -> Self:
        """
        Take the response of "start authorization".

        Args:
            signer: The signer.

            members: The JSON object.

            environment: The client's: its server and APIs are trusted, and no other host.

            base_url: The URL that was called, if links may be relative to it.

            acr_values: Those that were requested, if the response names none.

        Raises:
            InvalidResponseError: Nothing is to be confirmed at Aritma ID.

            VerificationError: A link leads elsewhere; nothing is kept of it.
        """
        signature = self._require(signer)
        if is_status(members.get("scaStatus"), *SIGNED):
            # An exemption needs no confirmation, so its response has no link.
            return self.merge_authorization(signer, members)
        step = parse_sca_step(
            members, environment=environment, base_url=base_url, acr_values=acr_values
        )
        link = parse_link(members, "self", base_url)
        if link is not None:
            require_api_url(link, environment, "self")
        started = attrs.evolve(
            signature,
            authorization_id=step.authorization_id,
            url=link,
            confirmation=step.confirmation,
            acr_values=step.acr_values,
        )
        # An event may have told of it before this response was saved.
        known = self._authorization(step.authorization_id or "")
        if known is not None and known.is_signed:
            started = attrs.evolve(started, status=SIGNED[0])
        return self._with(started).merge_authorization(signer, members)

    def step(self, signer: str, *, environment: Environment) -> ScaStep:
        """
        Return what the signer has to confirm.

        Args:
            signer: The signer.

            environment: The client's; what was kept is checked against it once more.

        Raises:
            ConfigurationError: The signer has no authorization under way.

            VerificationError: The link leads to another host.
        """
        signature = self._require(signer)
        if signature.confirmation is None:
            raise ConfigurationError(f"{signer!r} must have an authorization before the sign-in")
        require_api_url(signature.confirmation, environment, "confirmation")
        return ScaStep(
            confirmation=signature.confirmation,
            acr_values=signature.acr_values,
            authorization_id=signature.authorization_id,
        )

    # What is known of it

    def merge_payment(self, members: Mapping[str, object], *, now: float) -> Self:
        """
        Take what a GET of the payment gave.

        Args:
            members: The JSON object.

            now: POSIX seconds of the request.
        """
        return self._merged(members, now)

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
        status = members.get("scaStatus")
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
        """
        at, is_ours = event.envelope.time or 0.0, event.payment_id == self.payment_id
        if isinstance(event, PaymentStatusUpdated):
            return self._with_status(event.status, at) if is_ours else self
        known = self._authorization(event.authorization_id)
        if known is None and not is_ours:
            return self
        signature = known or Signature(
            signer=event.user_id, authorization_id=event.authorization_id
        )
        merged = self._with(attrs.evolve(signature, status=SIGNED[0]))
        return merged._counted(event.required, event.remaining, at)  # noqa: SLF001 - our own

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
        """
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

    def _require(self, signer: str) -> Signature:
        signature = self.signature_of(signer)
        if signature is None or self.url is None:
            raise ConfigurationError(
                "begin_authorization must be called first, and its result saved"
            )
        return signature

    def _authorization(self, authorization_id: str) -> Signature | None:
        known = (each for each in self.signatures if each.authorization_id == authorization_id)
        return next(known, None)

    def _with(self, signature: Signature) -> Self:
        """Replace a signer's part, and what an event told of the same authorization."""
        others = (
            each
            for each in self.signatures
            if each.signer != signature.signer
            and (
                each.authorization_id is None or each.authorization_id != signature.authorization_id
            )
        )
        return attrs.evolve(self, signatures=(*others, signature))

    def _merged(self, members: Mapping[str, object], now: float) -> Self:
        status = _first_text(members, _STATUS_MEMBERS)
        merged = self if status is None else self._with_status(status, now)
        return merged._counted(  # noqa: SLF001 - our own
            _count(members.get("requiredAuthorizations")),
            _count(members.get("remainingAuthorizations")),
            now,
        )

    def _with_status(self, status: str, at: float) -> Self:
        # Deliveries are repeated and come late: what is final stays, else the later one counts.
        is_later = at >= self.status_at or is_status(status, *_ENDED)
        if self.is_ended or not is_later:
            return self
        return attrs.evolve(self, status=status, status_at=at)

    def _counted(self, required: int | None, left: int | None, at: float) -> Self:
        counted = self if required is None else attrs.evolve(self, required=required)
        if left is None or (self.left is not None and at < self.left_at):
            return counted
        return attrs.evolve(counted, left=left, left_at=at)


def _first_text(members: Mapping[str, object], names: Iterable[str]) -> str | None:
    values = (members.get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and value), None)


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MAX_COUNT else None
