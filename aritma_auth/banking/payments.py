"""
A payment, or a basket of them, that several end-users sign over days and processes.

`PendingPayment` is a value: each method returns another one, nothing is sent, and `to_json` keeps
it between processes. Save it where it says so, and a process may die anywhere::

    begin_creation      -> save -> POST -> created                -> save   one key, for ever
    begin_authorization -> save -> POST -> authorization_started  -> save   a derived key a signer
    step -> the signer's sign-in -> PUT -> merge_authorization    -> save
                        GET or an event -> merge_...              -> save
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Self

import attrs
from yarl import URL

from aritma_auth.banking.api_request import ApiRequest
from aritma_auth.banking.headers import ApiContext, build_api_headers, generate_idempotency_key
from aritma_auth.banking.known_payment import KnownPayment
from aritma_auth.banking.problems import first_text, is_status, read_members
from aritma_auth.banking.sca import (
    ScaStep,
    parse_link,
    parse_sca_step,
    require_api_url,
)
from aritma_auth.banking.signatures import SIGNED, Signature
from aritma_auth.environment import Environment
from aritma_auth.errors import (
    ConfigurationError,
    InvalidResponseError,
    require_flag,
    require_instance,
    require_seconds,
)
from aritma_auth.protocol.parameters import parse_words

_ID_MEMBERS = ("paymentId", "basketId")


@attrs.frozen(eq=False, repr=False, kw_only=True)
class PendingPayment(KnownPayment):
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

    @classmethod
    def generate(cls, path: str = "bulk-payments/credit-transfer") -> Self:
        """
        Generate a logical payment with a key of its own; nothing exists of it yet.

        Args:
            path: Where it is created; ``signing-baskets`` for a basket of payments.

        Raises:
            ConfigurationError: The path is not relative.
        """
        return cls(path=path, idempotency_key=generate_idempotency_key())

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
        require_seconds("replay_window", replay_window)
        digest = _digest(body)
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
            ConfigurationError: `begin_creation` was not called, or with another body.
        """
        if self.sent_at is None:
            raise ConfigurationError("begin_creation must be called first, and its result saved")
        if _digest(body) != self.digest:
            raise ConfigurationError("the body must be the one that begin_creation got")
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
        given = read_members(members)
        require_instance("environment", "an Environment", environment, Environment)
        payment_id = first_text(given, _ID_MEMBERS)
        link = parse_link(given, "self", base_url)
        if payment_id is None or link is None:
            raise InvalidResponseError(
                "the payment must have an identifier and a link to itself: it was created, and "
                "cannot be signed without them",
                status=201,
                problems=("paymentId or basketId, and _links.self, must be there",),
            )
        require_api_url(link, environment, "self")
        return attrs.evolve(self.merge_payment(given, now=0.0), payment_id=payment_id, url=link)

    # Its signers

    def begin_authorization(self, signer: str, *, anew: bool = False) -> Self:
        """
        Begin one signer's authorization, or a new one if the last has failed; save the result.

        Args:
            signer: The signer, by any name that stays the same.

            anew: Begin another although the last one has not failed: the API has refused to start
                it, and replays that refusal to its key, or knows it no longer. Ask for the
                authorization before: one that was confirmed is the signer's signature.

        Raises:
            ConfigurationError: The payment does not exist, or the signer has signed.
        """
        require_instance("signer", "a name", signer, str)
        require_flag("anew", anew)
        if not signer or not signer.isprintable():
            raise ConfigurationError("signer must be a name of visible characters")
        if self.url is None:
            raise ConfigurationError("the payment must be created before it is signed")
        signature = self.signature_of(signer)
        if signature is None:
            return self._with(Signature(signer=signer))
        if signature.is_signed:
            raise ConfigurationError(
                f"signer must have something left to authorize, and {signer!r} has signed"
            )
        if signature.is_failed or anew:
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
            path=f"{(self.url or '').rstrip('/')}/authorizations",
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
        if is_status(read_members(members).get("scaStatus"), *SIGNED):
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


def _digest(body: Mapping[str, object]) -> str:
    """Digest what is to be sent, whatever the order of its members."""
    require_instance("body", "the JSON object to send", body, Mapping)
    try:
        text = json.dumps(dict(body), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        problem = type(error).__name__
    else:
        return hashlib.sha256(text.encode()).hexdigest()
    # Outside the except block: json's error quotes the body.
    raise ConfigurationError(
        f"body must be what JSON can hold: texts, numbers, lists and objects ({problem})"
    )
