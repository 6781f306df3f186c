"""What Aritma's events say: the typed events, and what their data must have."""

import pytest

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.protocol.redaction import Members


def envelope(kind, data, **attributes):
    """Make an envelope of a type."""
    return banking.CloudEvent(
        id="1", source="s", type=kind, tenant="t", data=Members(data), **attributes
    )


PAYMENT = {"paymentId": "p1", "transactionStatus": "PDNG", "endToEndIdentification": "e2e"}
AUTHORIZED = {
    "paymentId": "p1",
    "authorizationId": "a1",
    "userId": "user-alice",
    "requiredAuthorizations": 2,
    "remainingAuthorizations": 1,
}


def test_a_payments_status_is_typed_and_ignores_case():
    """The pages write PDNG and pdng: either is the same status."""
    event = banking.parse_event(envelope("banking.payment.status.updated", PAYMENT))

    assert isinstance(event, banking.PaymentStatusUpdated)
    assert (event.payment_id, event.status, event.end_to_end_id) == ("p1", "PDNG", "e2e")
    assert event.has_status("rcvd", "pdng")
    assert not event.has_status("acsc")
    assert event.tenant == "t"
    bulk = {"paymentId": "p1", "transactionStatus": "acsc"}
    assert banking.parse_event(envelope("banking.bulk_payment.status.updated", bulk)).has_status(
        "ACSC"
    )


def test_a_payments_authorization_says_who_is_left():
    """The counts of authorizations may be missing."""
    event = banking.parse_event(envelope("banking.payment.authorized", AUTHORIZED))

    assert isinstance(event, banking.PaymentAuthorized)
    assert (event.user_id, event.required, event.remaining) == ("user-alice", 2, 1)
    bare = {name: AUTHORIZED[name] for name in ("paymentId", "authorizationId", "userId")}
    event = banking.parse_event(envelope("banking.payment.authorized", bare))
    assert (event.required, event.remaining) == (None, None)


def test_consents_mandates_and_transactions_are_typed():
    """Each known type has a class, whose status ignores case."""
    consent = banking.parse_event(
        envelope("banking.consent.status.updated", {"consentId": "c", "status": "Expired"})
    )
    mandate = banking.parse_event(
        envelope(
            "banking.mandate.status.updated",
            {"mandateId": "m", "mandateStatus": "RJCT", "rejectReasonCode": "AC04"},
        )
    )
    transaction = banking.parse_event(
        envelope("banking.account.transaction.received", {}, subject="/subscriptions/1/accounts/58")
    )

    assert isinstance(consent, banking.ConsentStatusUpdated)
    assert consent.has_status("expired")
    assert isinstance(mandate, banking.MandateStatusUpdated)
    assert mandate.has_status("rjct")
    assert mandate.reject_reason == "AC04"
    assert isinstance(transaction, banking.TransactionReceived)
    assert transaction.account_id == "58"


@pytest.mark.parametrize(
    "subject", [None, "", "/subscriptions/1", "/accounts/", "/accounts/1/more"]
)
def test_a_subject_without_account_names_none(subject):
    """The account is what the subject ends with, or nothing."""
    event = banking.parse_event(
        envelope("banking.account.transaction.received", {}, subject=subject)
    )

    assert event.account_id is None


def test_an_unknown_type_stays_the_envelope():
    """A type that this version does not know reaches the handlers of envelopes."""
    event = envelope("banking.account.created", {})

    assert banking.parse_event(event) is event


def test_the_table_of_types_is_the_callers():
    """A name that was guessed wrong is put right by another table."""
    types = {**banking.EVENT_TYPES, "banking.payment.signed": banking.PaymentAuthorized}
    event = banking.parse_event(envelope("banking.payment.signed", AUTHORIZED), types)

    assert isinstance(event, banking.PaymentAuthorized)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("banking.payment.status.updated", {}),
        ("banking.payment.status.updated", {"paymentId": "p"}),
        ("banking.payment.status.updated", {"paymentId": 5, "transactionStatus": "x"}),
        ("banking.payment.status.updated", {"paymentId": "", "transactionStatus": "x"}),
        ("banking.payment.status.updated", PAYMENT | {"endToEndIdentification": 5}),
        ("banking.payment.authorized", AUTHORIZED | {"requiredAuthorizations": -1}),
        ("banking.payment.authorized", AUTHORIZED | {"requiredAuthorizations": True}),
        ("banking.payment.authorized", AUTHORIZED | {"remainingAuthorizations": 10**9}),
        ("banking.payment.authorized", AUTHORIZED | {"remainingAuthorizations": "1"}),
        ("banking.consent.status.updated", {"consentId": "c"}),
        ("banking.mandate.status.updated", {"mandateId": "m"}),
    ],
)
def test_data_of_a_known_type_has_its_members(kind, data):
    """A known type whose data lacks a member is refused: no handler gets half of it."""
    with pytest.raises(aa.VerificationError, match="the event's"):
        banking.parse_event(envelope(kind, data))


def test_an_envelope_is_a_cloud_event():
    """A mapping in the place of the envelope is refused by name."""
    with pytest.raises(aa.ConfigurationError, match="envelope must be a CloudEvent"):
        banking.parse_event({"type": "a"})
