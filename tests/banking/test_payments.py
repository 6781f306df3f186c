"""A payment of several signers as a value: its requests, what it refuses, and how news are merged."""

import itertools
import json
import uuid

import hypothesis
import pytest
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.banking import PaymentAction, PendingPayment
from aritma_auth.protocol.redaction import Members

ENVIRONMENT = aa.Environment("https://id.example", api_origins=["https://banking.example/api"])
PAYMENT = "https://banking.example/api/bulk-payments/credit-transfer/p1"
BODY = {"payments": [{"amount": "10"}]}
NOW = 1000.0


def made(**members):
    """Build the response of a creation."""
    return {
        "paymentId": "p1",
        "transactionStatus": "RCVD",
        "requiredAuthorizations": 2,
        "remainingAuthorizations": 2,
        "_links": {"self": {"href": PAYMENT}},
    } | members


def started(number, **members):
    """Build the response of "start authorization"."""
    url = f"{PAYMENT}/authorizations/{number}"
    return {
        "scaStatus": "started",
        "authorizationId": f"a{number}",
        "_links": {
            "scaOauth": "https://id.example",
            "confirmation": f"{url}/confirmation",
            "self": url,
        },
    } | members


def read(text):
    return PendingPayment.from_json(text, environment=ENVIRONMENT)


def created():
    payment = PendingPayment.generate().begin_creation(BODY, now=NOW)
    return payment.created(made(), environment=ENVIRONMENT)


def authorized(*signers):
    payment = created()
    for number, signer in enumerate(signers, 1):
        payment = payment.begin_authorization(signer)
        payment = payment.authorization_started(signer, started(number), environment=ENVIRONMENT)
    return payment


def signed(number, user="user-x", time=2000.0, **data):
    """Make the event of a signature."""
    data = {"paymentId": "p1", "authorizationId": f"a{number}", "userId": user} | data
    return banking.parse_event(
        banking.CloudEvent(
            id="1", source="s", type="banking.payment.authorized", time=time, data=Members(data)
        )
    )


def updated(status, time=2000.0, payment_id="p1"):
    """Make the event of a status."""
    data = Members({"paymentId": payment_id, "transactionStatus": status})
    return banking.parse_event(
        banking.CloudEvent(
            id="1", source="s", type="banking.payment.status.updated", time=time, data=data
        )
    )


# Its requests


def test_one_key_for_one_payment():
    """Every repetition of the creation has the same key, and so has a copy in another process."""
    payment = PendingPayment.generate()
    begun = payment.begin_creation(BODY, now=NOW)
    again = read(begun.to_json()).begin_creation(BODY, now=NOW + 100)
    requests = [each.build_creation_request(BODY) for each in (begun, again)]

    assert again == begun
    assert requests[0] == requests[1]
    assert requests[0].arguments() == {
        "method": "POST",
        "url": "bulk-payments/credit-transfer",
        "headers": {"api-version": "1.0", "Idempotency-Key": payment.idempotency_key},
        "json": BODY,
    }
    assert uuid.UUID(payment.idempotency_key).version == 4
    assert PendingPayment.generate().idempotency_key != payment.idempotency_key


def test_each_signer_has_a_derived_key():
    """The keys of two signers and of two attempts differ, and a new process derives the same."""

    def key(payment, signer):
        payment = read(payment.to_json())
        request = payment.build_authorization_request(signer, acr_values="mfa")
        assert request.path == f"{PAYMENT}/authorizations"
        assert request.json == {"authenticationMethodAcrValues": "mfa"}
        return request.headers["Idempotency-Key"]

    payment = created().begin_authorization("alice").begin_authorization("bob")
    failed = payment.authorization_started("alice", started(1), environment=ENVIRONMENT)
    failed = failed.merge_authorization("alice", {"scaStatus": "Failed"})
    retried = failed.begin_authorization("alice")
    keys = [key(payment, "alice"), key(payment, "bob"), key(retried, "alice")]

    assert len({*keys, payment.idempotency_key}) == 4
    assert keys[0] == key(payment, "alice")
    assert all(uuid.UUID(each) for each in keys)
    assert retried.signature_of("alice") == banking.Signature(signer="alice", attempt=2)
    bare = payment.build_authorization_request("alice", context=banking.ApiContext(consent_id="c"))
    assert (bare.json, bare.headers["Consent-ID"]) == ({}, "c")


def test_a_creation_is_not_repeated_blindly():
    """Another body, a key that may be forgotten, or a payment that exists: nothing is sent."""
    begun = PendingPayment.generate().begin_creation(BODY, now=NOW)

    with pytest.raises(aa.ConfigurationError, match="body must be the one"):
        begun.begin_creation(BODY | {"more": 1}, now=NOW)
    for later in (NOW + 300, NOW - 1):
        with pytest.raises(aa.ConfigurationError, match="may exist"):
            begun.begin_creation(BODY, now=later)
    assert begun.begin_creation(BODY, now=NOW + 3000, replay_window=3600) == begun
    found = begun.created(made(), environment=ENVIRONMENT)
    with pytest.raises(aa.ConfigurationError, match="this payment exists"):
        found.begin_creation(BODY, now=NOW)
    with pytest.raises(aa.ConfigurationError, match="begin_creation must be called first"):
        PendingPayment.generate().build_creation_request(BODY)


@pytest.mark.parametrize("path", ["", "/api", "https://evil.example", "a/../b", None])
def test_the_path_is_relative(path):
    """A payment is created at the API's base URL, wherever a path comes from."""
    with pytest.raises(aa.ConfigurationError, match="path must be"):
        PendingPayment.generate(path)


def test_a_basket_is_signed_like_a_payment():
    """A basket has an identifier of another name, and all else is the same."""
    basket = PendingPayment.generate("signing-baskets").begin_creation(
        {"paymentIds": ["p1"]}, now=NOW
    )
    url = "https://banking.example/api/signing-baskets/b1"
    basket = basket.created(
        {"basketId": "b1", "_links": {"self": url}}, environment=ENVIRONMENT
    ).begin_authorization("alice")

    assert basket.payment_id == "b1"
    assert basket.build_authorization_request("alice").path == f"{url}/authorizations"


def test_a_baskets_signatures_come_with_its_payments_events():
    """An event names a payment of the basket, and the authorization is the basket's."""
    basket = PendingPayment.generate("signing-baskets").begin_creation({}, now=NOW)
    basket = basket.created(
        made(paymentId=None, basketId="b1"), environment=ENVIRONMENT
    ).begin_authorization("alice")
    basket = basket.authorization_started("alice", started(1), environment=ENVIRONMENT)

    assert basket.merge_event(signed(2)) == basket
    assert basket.merge_event(updated("acsc")) == basket
    merged = basket.merge_event(signed(1, "user-alice", remainingAuthorizations=1))
    assert (merged.signed_by, merged.remaining) == (("alice",), 1)


def test_relative_links_are_joined():
    """A link may be relative to the URL that was called."""
    payment = PendingPayment.generate().created(
        made(_links={"self": "/api/x/p1"}),
        environment=ENVIRONMENT,
        base_url="https://banking.example/api/x",
    )

    assert payment.url == "https://banking.example/api/x/p1"


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"_links": {"self": "https://evil.example/p1"}}, aa.VerificationError),
        ({"_links": {"self": "http://banking.example/p1"}}, aa.VerificationError),
        ({"_links": {"self": "https://banking.example:8443/p1"}}, aa.VerificationError),
        ({"_links": {}}, aa.InvalidResponseError),
        ({"paymentId": 5}, aa.InvalidResponseError),
    ],
)
def test_a_creation_without_a_trusted_link_is_refused(members, error):
    """No token is ever sent to a host that a response names."""
    with pytest.raises(error):
        PendingPayment.generate().created(made(**members), environment=ENVIRONMENT)


# Its signers


def test_a_signer_has_a_step():
    """The step has the link and the classes of the response, also after a restart."""
    payment = created().begin_authorization("alice")
    payment = payment.authorization_started(
        "alice", started(1), environment=ENVIRONMENT, acr_values="mfa"
    )
    step = read(payment.to_json()).step("alice", environment=ENVIRONMENT)

    assert step == banking.ScaStep(
        confirmation=f"{PAYMENT}/authorizations/1/confirmation",
        acr_values=("mfa",),
        authorization_id="a1",
    )


@pytest.mark.parametrize("name", ["scaOauth", "confirmation", "self"])
def test_a_foreign_link_is_refused(name):
    """Nothing of a response with a foreign link is kept."""
    payment = created().begin_authorization("alice")
    links = started(1)["_links"] | {name: "https://evil.example/a"}
    with pytest.raises(aa.VerificationError):
        payment.authorization_started("alice", started(1, _links=links), environment=ENVIRONMENT)


@pytest.mark.parametrize(
    "link",
    [
        PAYMENT,
        f"{PAYMENT}/authorizations/1",
        f"{PAYMENT}/authorizations/1/confirmation",
    ],
)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "banking.example.evil.example",
        "banking.example:8443",
        "banking.example.",
        "banking.example@evil.example",
    ],
)
def test_a_link_that_was_tampered_with_is_refused(link, host):
    """What comes back from a database is checked against the environment when it is read."""
    foreign = json.dumps(link.replace("banking.example", host, 1))
    text = authorized("alice").to_json().replace(json.dumps(link), foreign)
    assert foreign in text
    with pytest.raises((aa.VerificationError, aa.ConfigurationError)):
        read(text)


def test_a_link_is_refused_by_another_environment():
    """A value that was read for one environment gives no step in another."""
    other = aa.Environment("https://id.example", api_origins=["https://other.example"])
    with pytest.raises(aa.VerificationError):
        authorized("alice").step("alice", environment=other)


def test_an_authorization_without_self_link_is_taken():
    """Only the confirmation is needed to sign."""
    links = {name: link for name, link in started(1)["_links"].items() if name != "self"}
    payment = created().begin_authorization("alice")
    payment = payment.authorization_started(
        "alice", started(1, _links=links), environment=ENVIRONMENT
    )

    assert payment.signature_of("alice").url is None
    assert payment.action_for("alice") is PaymentAction.SIGN


def test_an_exemption_needs_no_confirmation():
    """A response without links is a signature if it says so."""
    payment = created().begin_authorization("alice")
    payment = payment.authorization_started(
        "alice", {"scaStatus": "Exempted"}, environment=ENVIRONMENT
    )

    assert payment.signed_by == ("alice",)


def test_what_a_payment_needs_next():
    """From each state there is one next thing to do, for each signer."""
    payment = PendingPayment.generate()
    assert payment.action_for("alice") is PaymentAction.CREATE
    payment = created()
    assert payment.action_for("alice") is PaymentAction.AUTHORIZE
    payment = payment.begin_authorization("alice")
    assert payment.action_for("alice") is PaymentAction.AUTHORIZE
    assert payment.unsigned == ("alice",)
    payment = payment.authorization_started("alice", started(1), environment=ENVIRONMENT)
    assert payment.action_for("alice") is PaymentAction.SIGN
    failed = payment.merge_authorization("alice", {"scaStatus": "failed"})
    assert failed.action_for("alice") is PaymentAction.AUTHORIZE
    payment = payment.merge_authorization("alice", {"scaStatus": "Finalised"})
    assert payment.action_for("alice") is PaymentAction.WAIT
    assert payment.action_for("bob") is PaymentAction.AUTHORIZE
    payment = payment.merge_payment({"remainingAuthorizations": 0}, now=NOW)
    assert payment.action_for("bob") is PaymentAction.WAIT
    for status in ("acsp", "ACWC", "acwp"):
        assert not payment.merge_event(updated(status)).is_ended
    for status in ("ACSC", "accc", "rjct", "canc"):
        assert payment.merge_event(updated(status)).action_for("bob") is PaymentAction.DONE


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (lambda: PendingPayment.generate().begin_authorization("a"), "must be created before"),
        (lambda: created().begin_authorization(5), "signer must be a name"),
        (lambda: created().build_authorization_request("a"), "begin_authorization must be called"),
        (lambda: created().step("a", environment=ENVIRONMENT), "begin_authorization must be"),
        (
            lambda: created().begin_authorization("a").step("a", environment=ENVIRONMENT),
            "must have an authorization",
        ),
        (
            lambda: (
                authorized("a")
                .merge_authorization("a", {"scaStatus": "finalised"})
                .begin_authorization("a")
            ),
            "'a' has signed",
        ),
    ],
)
def test_steps_out_of_order_are_refused(act, problem):
    """A step that cannot be is refused before anything is sent."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        act()


def test_beginning_twice_changes_nothing():
    """A signer whose authorization is under way keeps it."""
    payment = authorized("alice")

    assert payment.begin_authorization("alice") == payment


# News


def test_the_apis_counts_win():
    """What the API says is left counts; without it the signatures are counted."""
    payment = authorized("alice", "bob").merge_authorization("alice", {"scaStatus": "finalised"})
    assert payment.remaining == 2
    assert payment.merge_payment({"remainingAuthorizations": 1}, now=NOW).remaining == 1

    silent = PendingPayment.generate().begin_creation(BODY, now=NOW)
    silent = silent.created(
        made(requiredAuthorizations=None, remainingAuthorizations=None), environment=ENVIRONMENT
    )
    assert silent.remaining is None
    silent = silent.merge_payment({"requiredAuthorizations": 2}, now=NOW)
    assert silent.remaining == 2
    silent = silent.merge_event(signed(7))
    assert (silent.remaining, silent.signed_by) == (1, ("user-x",))
    assert silent.merge_event(signed(7)) == silent


@pytest.mark.parametrize("odd", [-1, True, "1", 10**6, None, 1.5])
def test_an_odd_count_is_none(odd):
    """A count that is none changes nothing."""
    payment = created()

    assert payment.merge_payment({"remainingAuthorizations": odd}, now=NOW).remaining == 2


def test_an_old_event_takes_nothing_back():
    """Of two counts and of two statuses the later one stays, and what is final stays for ever."""
    payment = created().merge_payment(
        {"transactionStatus": "PDNG", "remainingAuthorizations": 1}, now=3000
    )

    payment = payment.merge_event(signed(1, time=2000, remainingAuthorizations=2))
    assert payment.remaining == 1
    payment = payment.merge_event(updated("rcvd", time=2000))
    assert payment.has_status("pdng")
    payment = payment.merge_event(updated("acsc", time=2000))
    assert payment.is_executed
    assert payment.merge_event(updated("pdng", time=9000)).is_executed


def test_a_signature_is_never_taken_back():
    """A late poll that says "started" does not undo what was finalised."""
    payment = authorized("alice").merge_event(signed(1))

    assert payment.signed_by == ("alice",)
    assert payment.merge_authorization("alice", {"scaStatus": "started"}) == payment
    assert payment.merge_authorization("alice", {}) == payment


def test_an_event_may_come_before_the_response():
    """The signature that an event told of is the signer's own, as soon as the response is there."""
    payment = created().begin_authorization("alice").merge_event(signed(1, user="user-alice"))
    assert payment.signed_by == ("user-alice",)

    payment = payment.authorization_started("alice", started(1), environment=ENVIRONMENT)

    assert payment.signed_by == ("alice",)
    assert len(payment.signatures) == 1


def test_another_payments_events_change_nothing():
    """An event is merged into its own payment alone."""
    payment = created()

    assert payment.merge_event(updated("acsc", payment_id="p2")) == payment
    assert payment.merge_event(signed(1, paymentId="p2")) == payment


NEWS = [
    lambda payment: payment.merge_event(signed(1, "user-alice", 2001, remainingAuthorizations=1)),
    lambda payment: payment.merge_event(signed(2, "user-bob", 2002, remainingAuthorizations=0)),
    lambda payment: payment.merge_authorization("alice", {"scaStatus": "finalised"}),
    lambda payment: payment.merge_authorization("bob", {"scaStatus": "started"}),
    lambda payment: payment.merge_payment(
        {"transactionStatus": "pdng", "remainingAuthorizations": 1}, now=2001.5
    ),
    lambda payment: payment.merge_event(updated("ACSC", 2003)),
    lambda payment: read(payment.to_json()),
]


@hypothesis.given(order=st.permutations(range(len(NEWS))), repeated=st.lists(st.sampled_from(NEWS)))
def test_news_may_come_in_any_order_and_twice(order, repeated):
    """Whatever order deliveries and polls have, the payment ends up the same."""
    payment = authorized("alice", "bob")
    for news in itertools.chain(repeated, (NEWS[number] for number in order), repeated):
        payment = news(payment)

    assert set(payment.signed_by) == {"alice", "bob"}
    assert payment.remaining == 0
    assert payment.is_executed


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"path": 5, "idempotency_key": "a"}', "\udcff", '{"path":"a"}']
)
def test_what_to_json_did_not_write_is_refused(text):
    """A text of another kind raises, and its values do not show."""
    with pytest.raises(aa.ConfigurationError, match="what to_json returned"):
        read(text)
    with pytest.raises(aa.ConfigurationError, match="text must be"):
        read(b"{}")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"idempotency_key": "a"}, "idempotency_key must be a UUID"),
        ({"idempotency_key": "a\r\nAuthorization: b"}, "idempotency_key must be a UUID"),
        ({"idempotency_key": "{12345678-1234-1234-1234-123456789012}"}, "must be a UUID"),
        ({"path": "https://evil.example/"}, "path must be relative to the API"),
        ({"url": "javascript:alert"}, "url must"),
        ({"url": "http://banking.example/p1"}, "url must use https"),
        (
            {"signatures": [{"signer": "a", "status": 5}]},
            r"signatures\[0\].status must be a string",
        ),
        ({"sent_at": "1"}, "sent_at must be a number"),
        ({"left": -1}, "left must be a small number"),
        ({"signatures": [{"signer": "a"}, {"signer": "a"}]}, "each of another signer"),
        (
            {"signatures": [{"signer": "a", "attempt": 0}]},
            "attempt must be a whole number, 1 or more",
        ),
        ({"path": None}, "path is missing"),
    ],
)
def test_a_row_that_was_tampered_with_is_refused(changes, problem):
    """What comes back from a database is checked when it is read, and the member is named."""
    kept = json.loads(created().to_json()) | changes
    with pytest.raises(aa.ConfigurationError, match=problem) as caught:
        read(json.dumps(kept))

    assert str(caught.value).startswith("text must be what to_json returned: ")


def test_a_row_of_a_later_version_is_read():
    """Members that this version does not know are left out, so that versions can run side by side."""
    payment = created()
    kept = json.loads(payment.to_json()) | {"later": 1}

    assert read(json.dumps(kept)) == payment


@pytest.mark.parametrize("body", [{"a": object()}, {"a": float("nan")}, {"a": 1, 2: 3}])
def test_a_body_that_json_cannot_hold_is_refused(body):
    """No TypeError of json leaves the package, before anything is sent."""
    with pytest.raises(aa.ConfigurationError, match="body must be what JSON can hold"):
        PendingPayment.generate().begin_creation(body, now=NOW)


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (lambda: PendingPayment.generate().begin_creation([], now=NOW), "body must be the JSON"),
        (
            lambda: PendingPayment.generate().begin_creation(BODY, now=NOW, replay_window="5"),
            "replay_window must be a number of seconds",
        ),
        (
            lambda: (
                PendingPayment.generate()
                .begin_creation(BODY, now=NOW)
                .build_creation_request(BODY | {"more": 1})
            ),
            "the body must be the one that begin_creation got",
        ),
        (lambda: created().created("text", environment=ENVIRONMENT), "members must be a JSON"),
        (lambda: created().created(made(), environment=None), "environment must be an Environment"),
        (
            lambda: created().created(made(), environment=ENVIRONMENT, base_url=5),
            "base_url must be a URL",
        ),
        (lambda: created().merge_payment({}, now=None), "now must be a number"),
        (lambda: created().merge_event("news"), "event must be a PaymentAuthorized"),
        (lambda: authorized("a").step("a", environment="id"), "environment must be an Environment"),
        (lambda: created().begin_authorization(""), "signer must be a name of visible"),
        (lambda: created().begin_authorization("\ud800"), "signer must be a name of visible"),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(act, problem):
    """No AttributeError or TypeError of ours leaves the package."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        act()


@pytest.mark.parametrize("sent", [[], None, 5])
def test_what_a_server_sends_in_the_place_of_an_object_is_nothing(sent):
    """A poll that has an odd response changes nothing, and the other responses are the server's fault."""
    payment = authorized("alice")

    assert payment.merge_payment(sent, now=NOW) == payment
    assert payment.merge_authorization("alice", sent) == payment
    with pytest.raises(aa.InvalidResponseError):
        payment.authorization_started("alice", sent, environment=ENVIRONMENT)
    with pytest.raises(aa.InvalidResponseError):
        payment.created(sent, environment=ENVIRONMENT)


def test_a_refused_authorization_is_begun_anew():
    """The API replays a refusal to its key: another attempt has another key, and loses no signature."""
    payment = created().begin_authorization("alice")
    refused = payment.build_authorization_request("alice")
    again = payment.begin_authorization("alice", anew=True)
    request = again.build_authorization_request("alice")

    assert again.signature_of("alice").attempt == 2
    assert request.headers["Idempotency-Key"] != refused.headers["Idempotency-Key"]
    signed_once = authorized("alice").merge_authorization("alice", {"scaStatus": "finalised"})
    with pytest.raises(aa.ConfigurationError, match="'alice' has signed"):
        signed_once.begin_authorization("alice", anew=True)
    forgotten = authorized("alice").begin_authorization("alice", anew=True)
    assert forgotten.merge_event(signed(1)).signed_by == ("user-x",)


def test_a_link_with_a_slash_at_its_end_has_one():
    """The place of authorizations is below the payment's, however its link is written."""
    members = made(_links={"self": PAYMENT + "/"})
    payment = PendingPayment.generate().begin_creation(BODY, now=NOW)
    payment = payment.created(members, environment=ENVIRONMENT).begin_authorization("alice")

    assert payment.build_authorization_request("alice").path == f"{PAYMENT}/authorizations"
