"""
The conventions of Aritma's APIs, for your own aiohttp session and your own web server.

Nothing here sends a request, but for `EventReceiver`, which completes the handshake of a
subscription, and `rotate_secret`.

    api_request.py     a request for your session
    headers.py         request and response header fields: versions, idempotency, consent
    problems.py        problem details, and statuses
    kinds.py           what arguments must be
    sca.py             strong customer authentication: the end-user confirms a payment at Aritma ID
    payments.py        a payment or basket that several end-users sign
      known_payment.py what is known of it; signatures.py: the signers' parts

    receiver.py        receives events; asgi.py is its ASGI side
      authorization.py the one proof of who delivers them
      handshake.py     the request with which a subscription begins
      cloud_events.py  the envelopes of events; events.py: what they say
      dispatcher.py    each event to each handler once; deliveries.py remembers which
    subscriptions.py   requests to the Events API

    consents.py        a consent's end, its refresh, and refusals that are its fault
    expirations.py     days left of consents and secrets
    rotation.py        replaces a client's secret, by rotation_steps.py
      iam.py           requests to IAM; secret_places.py: where the service reads its secret
"""

from aritma_auth.banking.api_request import ApiRequest
from aritma_auth.banking.cloud_events import CloudEvent, parse_cloud_events
from aritma_auth.banking.consents import (
    Consent,
    Refusal,
    build_consent_refresh_request,
    explain_refusal,
    parse_consent,
)
from aritma_auth.banking.deliveries import (
    Claim,
    DeliveryLog,
    MemoryDeliveryLog,
    RedisDeliveryLog,
)
from aritma_auth.banking.events import (
    EVENT_TYPES,
    BankingEvent,
    ConsentStatusUpdated,
    MandateStatusUpdated,
    PaymentAuthorized,
    PaymentStatusUpdated,
    TransactionReceived,
    parse_event,
)
from aritma_auth.banking.expirations import Expiration, ExpirationWatch
from aritma_auth.banking.headers import (
    ApiContext,
    ApiVersions,
    build_api_headers,
    generate_idempotency_key,
    parse_api_versions,
    was_replayed,
)
from aritma_auth.banking.iam import IamApi
from aritma_auth.banking.payments import PendingPayment
from aritma_auth.banking.problems import ApiProblem, is_status, parse_problem
from aritma_auth.banking.receiver import EventReceiver, EventReply
from aritma_auth.banking.rotation import read_expiration, rotate_secret
from aritma_auth.banking.rotation_steps import RotatedSecret
from aritma_auth.banking.sca import ScaStep, parse_sca_step
from aritma_auth.banking.secret_places import (
    CommandSecretPlace,
    FileSecretPlace,
    KeyringSecretPlace,
    SecretPlace,
)
from aritma_auth.banking.signatures import PaymentAction, Signature
from aritma_auth.banking.subscriptions import (
    build_failed_events_request,
    build_subscription_request,
)

__all__ = [
    "EVENT_TYPES",
    "ApiContext",
    "ApiProblem",
    "ApiRequest",
    "ApiVersions",
    "BankingEvent",
    "Claim",
    "CloudEvent",
    "CommandSecretPlace",
    "Consent",
    "ConsentStatusUpdated",
    "DeliveryLog",
    "EventReceiver",
    "EventReply",
    "Expiration",
    "ExpirationWatch",
    "FileSecretPlace",
    "IamApi",
    "KeyringSecretPlace",
    "MandateStatusUpdated",
    "MemoryDeliveryLog",
    "PaymentAction",
    "PaymentAuthorized",
    "PaymentStatusUpdated",
    "PendingPayment",
    "RedisDeliveryLog",
    "Refusal",
    "RotatedSecret",
    "ScaStep",
    "SecretPlace",
    "Signature",
    "TransactionReceived",
    "build_api_headers",
    "build_consent_refresh_request",
    "build_failed_events_request",
    "build_subscription_request",
    "explain_refusal",
    "generate_idempotency_key",
    "is_status",
    "parse_api_versions",
    "parse_cloud_events",
    "parse_consent",
    "parse_event",
    "parse_problem",
    "parse_sca_step",
    "read_expiration",
    "rotate_secret",
    "was_replayed",
]
