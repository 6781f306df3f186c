"""Wrong use of the banking package: each argument gets something of each wrong kind."""

import attrs
import pytest

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.events.listeners import log_event
from aritma_auth.protocol.redaction import Members, SecretText
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from support.wrong_kinds import try_method, try_name

ENVIRONMENT = aa.Environment.at("http://127.0.0.1:1", api_origins=["https://banking.example/api"])
PAYMENT = "https://banking.example/api/bulk-payments/credit-transfer/p1"
AUTHORIZATION = aa.Secret("Bearer chosen")
BODY = {"amount": "10"}
MADE = {"paymentId": "p1", "_links": {"self": PAYMENT}}
STARTED = {
    "authorizationId": "a1",
    "scaStatus": "started",
    "_links": {"scaOauth": "http://127.0.0.1:1", "confirmation": f"{PAYMENT}/confirmation"},
}
ENVELOPE = banking.CloudEvent(id="i", source="s", type="banking.payment.authorized")
TOLD = banking.CloudEvent(
    id="i",
    source="s",
    type="banking.payment.authorized",
    data=Members({"paymentId": "p1", "authorizationId": "a1", "userId": "u"}),
)
FIELDS = [
    ("ce-specversion", "1.0"),
    *(("ce-id", "i"), ("ce-source", "s"), ("ce-type", "t")),
    ("Content-Type", "application/json"),
]
CONSENT = banking.Consent(consent_id="c", status="authorized", expires_at=1e9)
CHANGED = banking.ConsentStatusUpdated(envelope=ENVELOPE, consent_id="c", status="expired")
AUTHORIZED = banking.PaymentAuthorized(
    envelope=ENVELOPE, payment_id="p1", authorization_id="a1", user_id="u"
)
PROBLEM = banking.ApiProblem(status=403)
HEADERS = {"api-supported-versions": "1.0"}
STEP = {"environment": ENVIRONMENT, "base_url": PAYMENT, "acr_values": ("mfa",)}
CONTEXT = banking.ApiContext(consent_id="c")


class Place:
    """A place that has nothing and is never written to."""

    async def read(self):
        """Nothing is there."""

    async def write(self, text):
        raise aa.StoreError("it is not written")


class Session:
    """A session that never responds."""

    closed = False

    def request(self, *arguments, **named):
        raise TimeoutError


def begun():
    return banking.PendingPayment.generate().begin_creation(BODY, now=1.0)


def created():
    return begun().created(MADE, environment=ENVIRONMENT)


def authorizing():
    return created().begin_authorization("anna")


def authorized():
    return authorizing().authorization_started("anna", STARTED, environment=ENVIRONMENT)


def step():
    return authorized().step("anna", environment=ENVIRONMENT)


def watch():
    return banking.ExpirationWatch(on_event=None)


def receiver(**settings):
    return banking.EventReceiver(AUTHORIZATION, tenants=None, **settings)


async def parts():
    yield b""


def explain(**arguments):
    return banking.explain_refusal(PROBLEM, {}, now=1.0, **arguments)


def subscribe(**arguments):
    return banking.build_subscription_request(
        **{**CALLS["build_subscription_request"], **arguments}
    )


CALLS = {
    "ApiContext": {
        "consent_id": "c",
        "channel_type": "psd2",
        "subscription_id": "s",
        "resource_group_name": "g",
        "scopes": (),
        "psu_ip_address": "127.0.0.1",
        "resource_uri": "/a",
        "tenant_id": "t",
    },
    "build_api_headers": {"version": "1.0", "idempotency_key": "k", "context": CONTEXT},
    "parse_api_versions": {"headers": HEADERS},
    "was_replayed": {"headers": HEADERS},
    "is_status": {"value": "a"},
    "parse_problem": {"status": 400, "body": b"{}", "content_type": "", "sent": ()},
    "parse_sca_step": {"members": STARTED, **STEP},
    "parse_cloud_events": {"headers": FIELDS, "body": b"{}", "max_events": 5},
    "parse_event": {"envelope": TOLD, "types": banking.EVENT_TYPES},
    "PaymentAuthorized.parse": {"envelope": TOLD},
    "TransactionReceived.parse": {"envelope": ENVELOPE},
    "CloudEvent": {
        "id": "i",
        "source": "s",
        "type": "t",
        "tenant": "t",
        "subject": "s",
        "time": 1.0,
        "data": Members(),
        "extensions": Members(),
    },
    "EventReply": {"status": 200, "headers": {}},
    "EventReceiver": {
        "authorization": AUTHORIZATION,
        "tenants": "t",
        "environment": ENVIRONMENT,
        "validation_origins": (),
        "validation_headers": ("a",),
        "authorize_handshake": False,
        "deliveries": banking.MemoryDeliveryLog(),
        "event_types": banking.EVENT_TYPES,
        "max_body": 1000,
        "max_events": 10,
        "timeout": 1.0,
        "retention": 1.0,
        "session": None,
        "on_event": log_event,
        "clock": SYSTEM_CLOCK,
    },
    "MemoryDeliveryLog": {"max_size": 5, "clock": SYSTEM_CLOCK},
    "RedisDeliveryLog": {
        "server": "redis://127.0.0.1",
        "password": None,
        "allow_plaintext": False,
        "prefix": "p",
        "timeout": 0.5,
    },
    "build_subscription_request": {
        "name": "n",
        "events": ["banking.payment.authorized"],
        "delivery_url": "https://erp.example/events",
        "authorization": SecretText("Bearer chosen"),
        "resource_uri": "/a",
        "tenant_id": "t",
        "max_events_per_batch": 5,
        "preferred_batch_kilobytes": 5,
        "max_attempts": 5,
        "retry_ttl": 5,
        "expires_at": "2027-01-01T00:00:00Z",
        "dead_letters": True,
    },
    "build_failed_events_request": {"event_id": None, "cursor": "c", "page_size": 5},
    "PendingPayment.generate": {"path": "signing-baskets"},
    "PendingPayment.from_json": {"text": begun().to_json(), "environment": ENVIRONMENT},
    "PendingPayment": {
        "path": "signing-baskets",
        "idempotency_key": banking.generate_idempotency_key(),
        "digest": "",
        "sent_at": 1.0,
        "url": PAYMENT,
        "payment_id": "p",
        "status": "a",
        "status_at": 1.0,
        "required": 1,
        "left": 1,
        "left_at": 1.0,
        "signatures": (),
    },
    "Signature": {
        "signer": "anna",
        "attempt": 1,
        "authorization_id": "a1",
        "url": PAYMENT,
        "confirmation": PAYMENT,
        "acr_values": (),
        "status": "started",
    },
    "ScaStep": {"confirmation": PAYMENT, "acr_values": (), "authorization_id": "a1"},
    "Consent": {"consent_id": "c", "status": "s", "expires_at": 1.0},
    "parse_consent": {"members": {"consentId": "c", "status": "s", "expires": "2027-01-01"}},
    "build_consent_refresh_request": {
        "consent_id": "c",
        "success_url": "https://erp.example/done",
        "error_url": "https://erp.example/failed",
        "state": "s",
        "context": CONTEXT,
        "method": "PUT",
        "path": "consents/{consent_id}/refresh",
    },
    "explain_refusal": {
        "problem": PROBLEM,
        "headers": {"WWW-Authenticate": "Bearer"},
        "now": 1.0,
        "consent": CONSENT,
        "codes": ("CONSENT_EXPIRED",),
    },
    "Expiration": {"kind": "secret", "name": "n", "days": 1, "expires_at": 1.0, "status": ""},
    "ExpirationWatch": {"warn_days": (3, 1), "on_event": None, "clock": SYSTEM_CLOCK},
    "IamApi": {
        "secrets_path": "v1/{client_id}",
        "secret_path": "v1/{client_id}/{secret_id}",
        "list_method": "GET",
        "delete_method": "DELETE",
        "list_members": ("items",),
        "id_members": ("id",),
    },
    "FileSecretPlace": {"path": "/nowhere/secret"},
    "KeyringSecretPlace": {"service": "s", "username": "u", "keyring": None},
    "CommandSecretPlace": {"read": ["true"], "write": ["true"], "timeout": 5.0},
    "read_expiration": {"journal": Place()},
    "rotate_secret": {
        "client_id": "c",
        "place": Place(),
        "journal": Place(),
        "iam": Session(),
        "iam_url": "https://iam.example",
        "environment": ENVIRONMENT,
        "scope": "api",
        "make_client": None,
        "lifetime": 60.0,
        "only_within": 60.0,
        "keep_old": False,
        "old_secret_id": "o",
        "description": "d",
        "iam_api": banking.IamApi(),
        "timeout": 1.0,
        "session": None,
        "clock": SYSTEM_CLOCK,
    },
}

METHODS = {
    "receive": (receiver, {"method": "POST", "headers": [], "body": parts()}),
    "begin_creation": (begun, {"body": BODY, "now": 1.0, "replay_window": 300.0}),
    "build_creation_request": (begun, {"body": BODY, "context": CONTEXT}),
    "created": (begun, {"members": MADE, "environment": ENVIRONMENT, "base_url": PAYMENT}),
    "begin_authorization": (created, {"signer": "anna", "anew": False}),
    "build_authorization_request": (
        authorizing,
        {"signer": "anna", "acr_values": ("mfa",), "context": CONTEXT},
    ),
    "authorization_started": (authorizing, {"signer": "anna", "members": STARTED, **STEP}),
    "step": (authorized, {"signer": "anna", "environment": ENVIRONMENT}),
    "merge_payment": (created, {"members": MADE, "now": 1.0}),
    "merge_authorization": (authorized, {"signer": "anna", "members": {"scaStatus": "failed"}}),
    "merge_event": (created, {"event": AUTHORIZED}),
    "signature_of": (created, {"signer": "anna"}),
    "action_for": (created, {"signer": "anna"}),
    "begin_sign_in": (
        step,
        {
            "client": aa.OAuthClient("c", "s", environment=ENVIRONMENT),
            "redirect_uri": "https://erp.example/back",
            "scope": "openid",
            "acr_values": "verify",
        },
    ),
    "confirmation_body": (step, {"token": aa.Token("t"), "member": "accessToken"}),
    "on": (receiver, {"kind": banking.CloudEvent, "name": "n"}),
    "watch_secret": (watch, {"client_id": "c", "expires_at": 1.0}),
    "watch_consent": (watch, {"consent": CONSENT}),
    "forget": (watch, {"name": "c"}),
    "is_usable": (lambda: CONSENT, {"now": 1.0}),
    "has_ended": (lambda: CONSENT, {"now": 1.0}),
    "days_left": (lambda: CONSENT, {"now": 1.0}),
}


def test_every_public_function_and_class_is_tried():
    """What is new and public comes into the table, or among those that we make ourselves."""
    made_by_us = {
        *("ApiProblem", "ApiRequest", "ApiVersions", "BankingEvent", "Claim", "DeliveryLog"),
        *("ConsentStatusUpdated", "MandateStatusUpdated", "PaymentAction", "PaymentStatusUpdated"),
        *("Refusal", "RotatedSecret", "SecretPlace", "generate_idempotency_key"),
    }
    public = {name for name in banking.__all__ if callable(getattr(banking, name))}

    assert public - made_by_us == {name.partition(".")[0] for name in CALLS}


@pytest.mark.parametrize("name", CALLS)
async def test_a_wrong_kind_is_an_error_of_the_package(name):
    """Constructors and functions refuse it, or it was right."""
    await try_name(banking, name, CALLS[name])


@pytest.mark.parametrize("name", METHODS)
async def test_a_wrong_kind_given_to_a_method_is_an_error_of_the_package(name):
    """Methods refuse it, or find that it was right."""
    make, right = METHODS[name]

    await try_method(make, name, right)


def parse_event(types):
    return banking.parse_event(ENVELOPE, types)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: banking.ApiContext(channel_type=[]), "channel_type"),
        (lambda: banking.was_replayed({5: "true"}), "each name of headers"),
        (lambda: banking.was_replayed({"idempotent-replayed": True}), "each value of headers"),
        (lambda: banking.is_status("a", 5), "each of expected"),
        (lambda: banking.parse_problem("400", b""), "status"),
        (lambda: banking.parse_cloud_events({"ce": "id"}, b""), "headers"),
        (lambda: banking.parse_cloud_events([("ce-id", 5)], b""), "headers"),
        (lambda: banking.parse_cloud_events([5], b""), "headers"),
        (lambda: banking.parse_cloud_events([], b"", max_events=True), "max_events"),
        (lambda: banking.CloudEvent(id="", source="s", type="t"), "id"),
        (lambda: banking.CloudEvent(id="i", source="s", type="t", time="now"), "time"),
        (lambda: banking.CloudEvent(id="i", source="s", type="t", data=object()), "data"),
        (lambda: banking.CloudEvent(id="i", source="s", type="t", extensions=[]), "extensions"),
        (lambda: banking.BankingEvent(envelope={}), "envelope"),
        (lambda: banking.PaymentAuthorized.parse({}), "envelope"),
        (lambda: parse_event([]), "types"),
        (lambda: receiver(event_types=[]), "event_types"),
        (lambda: receiver(event_types={"a": dict}), "event_types"),
        (lambda: receiver(event_types={5: banking.BankingEvent}), "event_types"),
        (lambda: receiver(validation_headers=[5]), "validation_headers"),
        (lambda: receiver(authorize_handshake="no"), "authorize_handshake"),
        (lambda: receiver(session=object()), "session"),
        (lambda: receiver(max_body=-1), "max_body"),
        (lambda: receiver().on(banking.CloudEvent, name=5), "name"),
        (lambda: banking.Consent(consent_id="c", status=5), "status"),
        (lambda: CONSENT.is_usable(now="1"), "now"),
        (lambda: banking.build_consent_refresh_request("c", state=5), "state"),
        (lambda: banking.build_consent_refresh_request("c", method="P T"), "method"),
        (lambda: explain(consent=5), "consent"),
        (lambda: explain(codes=[5]), "each of codes"),
        (lambda: banking.build_failed_events_request(cursor=5), "cursor"),
        (lambda: banking.build_failed_events_request(page_size=0), "page_size"),
        (lambda: subscribe(max_attempts="3"), "max_attempts"),
        (lambda: subscribe(dead_letters="no"), "dead_letters"),
        (lambda: subscribe(name=None), "name"),
        (lambda: banking.ExpirationWatch(warn_days="30"), "warn_days"),
        (lambda: banking.ExpirationWatch(warn_days=[1.5]), "each of warn_days"),
        (lambda: watch().forget(5), "name"),
        (lambda: banking.IamApi(list_members=[5]), "list_members"),
        (lambda: banking.KeyringSecretPlace("s", "u", keyring=5), "keyring"),
        (lambda: banking.CommandSecretPlace({"a": 1}, ["true"]), "read"),
        (lambda: banking.Signature(signer=5), "signer"),
        (lambda: banking.Signature(signer="anna", attempt=0), "attempt"),
        (lambda: banking.ScaStep(confirmation="confirm"), "confirmation"),
        (lambda: step().confirmation_body(aa.Token("t"), member=5), "member"),
        (lambda: created().begin_authorization("anna", anew="no"), "anew"),
        (lambda: created().action_for(5), "signer"),
        (lambda: attrs.evolve(created(), left=-1), "left"),
        (lambda: attrs.evolve(created(), required=10**9), "required"),
        (lambda: attrs.evolve(created(), signatures=[]), "signatures"),
        (lambda: attrs.evolve(created(), signatures=(5,)), "signatures"),
    ],
)
def test_the_error_names_the_argument(call, name):
    """A wrong argument is refused where it is given, by its own name."""
    with pytest.raises(aa.ConfigurationError, match=f"^{name}.* must"):
        call()
