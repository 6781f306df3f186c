"""Wrong use of the sandbox: each argument of its constructors and levers gets every wrong kind."""

import inspect
import ssl

import attrs
import pytest

from aritma_auth.sandbox import (
    ResponseOverrides,
    Sandbox,
    SandboxClient,
    SandboxPayments,
    Subscription,
    User,
)
from aritma_auth.testing import FakeClient, ManualClock
from support.wrong_kinds import refuse_all

MAYBE, NUMBER = (str, type(None)), (int, float)
HEADERS = (dict, type(None))
HOOK = Subscription(subscription_id="s", url="http://127.0.0.1:1", authorization="a")
SUBSCRIBED = {"subscription": (HOOK, Subscription)}
WHERE = {"where": ("token", str)}
TIMES = {"times": (1, int)}
IS_ON = {"is_on": (True, bool)}
EVENT = {"kind": ("banking.event", str), "data": ({}, dict)}

CONSTRUCTORS = {
    Sandbox: {
        "host": ("127.0.0.1", str),
        "identity_port": (0, int),
        "banking_port": (0, int),
        "lifetime": (60, NUMBER),
        "server_version": ("is4", str),
        "ssl_context": (None, (ssl.SSLContext, type(None))),
    },
    SandboxClient: {
        "client_id": ("c", str),
        **dict.fromkeys(("certificate_name", "certificate_thumbprint"), (None, MAYBE)),
        **dict.fromkeys(
            ("secrets", "expired_secrets", "grant_types", "scopes"), ("a", (str, list, dict))
        ),
        **dict.fromkeys(("redirect_uris", "post_logout_redirect_uris"), ("a", (str, list, dict))),
        "public_key": (None, (str, dict, type(None))),
        "encryption_key": (None, type(None)),
        "lifetime": (60, NUMBER),
        "refresh_tokens_rotate": (None, (bool, type(None))),
        **dict.fromkeys(("requires_pkce", "requires_dpop", "requires_par"), (False, bool)),
        **dict.fromkeys(("userinfo_is_signed", "requires_consent"), (False, bool)),
        **dict.fromkeys(("back_channel_logout_uri", "front_channel_logout_uri"), (None, MAYBE)),
        "backchannel_notification_uri": (None, MAYBE),
    },
    User: dict.fromkeys(("subject", "username", "password", "name", "one_time_code"), ("a", str)),
    Subscription: {
        **dict.fromkeys(("subscription_id", "url", "authorization", "tenant"), ("a", str)),
        "types": ((), tuple),
        "max_attempts": (3, int),
        **dict.fromkeys(("dead_letters", "is_active"), (True, bool)),
    },
    SandboxPayments: {"required_authorizations": (1, int)},
    ResponseOverrides: {
        **{
            field.name: ({}, dict)
            for field in attrs.fields(ResponseOverrides)
            if field.name not in {"signature", "response_signature", "keys"}
        },
        **dict.fromkeys(("signature", "response_signature"), ("good", str)),
        "keys": ([], list),
    },
    ManualClock: {"now": (1.0, NUMBER)},
    FakeClient: {
        "api_origins": ((), (str, list, dict)),
        "lifetime": (60.0, NUMBER),
        "environment": (None, type(None)),
        "clock": (ManualClock(), ManualClock),
    },
}


@pytest.fixture(scope="module")
def sandbox():
    """Make a sandbox that is not started: its levers need no server."""
    return Sandbox()


LEVERS = {
    "add_client": {"client": (SandboxClient(client_id="c"), SandboxClient)},
    "sign_in_automatically": {"username": ("alice", MAYBE)},
    "approve_device": {"user_code": ("x", str), "username": ("alice", MAYBE)},
    "decide_backchannel": {"username": ("alice", str), "agrees": (True, bool)},
    "trust_external_token": dict.fromkeys(("provider", "token", "subject"), ("a", str)),
    "issue_assertion": {
        "username": ("alice", str),
        "audience": ("a", MAYBE),
        "claims": ({}, dict),
    },
    "trust_issuer": {"issuer": ("a", str), "public_key": ("k", (str, dict))},
    "requests_at": WHERE,
    "clock.advance": {"seconds": (1.0, NUMBER)},
    "clock.sleep": {"seconds": (0.0, NUMBER)},
    "issuer.roll_keys": {"at_next_id_token": (True, bool), "keep_old": (True, bool)},
    "consents.add": {"client_id": ("c", str)},
    "consents.decide": {"consent_id": ("c", str), "status": ("authorized", str)},
    "events.subscribe": SUBSCRIBED,
    "events.shake_hands": {**SUBSCRIBED, "validation_url": (None, MAYBE)},
    "events.publish": EVENT,
    "events.envelope": {**SUBSCRIBED, **EVENT},
    "events.deliver": {
        **SUBSCRIBED,
        "events": ([{"id": "1", "data": {}}], list),
        "mode": ("structured", str),
        "method": ("POST", str),
        "authorization": (None, MAYBE),
        **TIMES,
    },
    "faults.at": WHERE,
    "faults.hold": WHERE,
    "faults.set_latency": {"seconds": (0.0, NUMBER), **WHERE},
    "faults.delay_next": {"seconds": (0.0, NUMBER), **TIMES, **WHERE},
    "faults.fail_next": {
        "status": (503, int),
        "page": ("empty", str),
        "retry_after": (1, (str, *NUMBER, type(None))),
        **TIMES,
        **WHERE,
    },
    "faults.respond_next": {
        "body": (b"", bytes),
        "status": (200, int),
        "headers": (None, HEADERS),
        **TIMES,
        **WHERE,
    },
    "faults.send_raw_next": {"octets": (b"", bytes), **TIMES, **WHERE},
    "faults.redirect_next": {"location": ("/", str), "status": (307, int), **WHERE},
    "faults.echo_next": {
        "spelling": ("raw", str),
        "place": ("error", str),
        "status": (400, int),
        **TIMES,
        **WHERE,
    },
    "faults.drop_kept_alive": {**WHERE, **IS_ON},
    "faults.hang_next": {**TIMES, **WHERE},
    "faults.stall_next": {"status": (200, int), "headers": (None, HEADERS), **WHERE},
    "faults.drop_next": {**TIMES, **WHERE},
    "faults.lose_response_next": {**TIMES, **WHERE},
    "faults.truncate_next": WHERE,
    "faults.flood_next": WHERE,
    "faults.drip_next": {"interval": (0.1, NUMBER), **WHERE},
    "faults.bomb_next": {"size": (9, int), **WHERE},
    "faults.deny_next": {"error": ("a", str), "description": (None, MAYBE)},
    "faults.revoke_all": {"refresh_tokens": (False, bool)},
    "faults.require_pushed_requests": IS_ON,
    "faults.require_signed_requests": IS_ON,
    "faults.require_dpop_nonces": {
        "uses": (None, (int, type(None))),
        "are_single": (True, bool),
        "only_newest": (True, bool),
        **WHERE,
        **IS_ON,
    },
    "faults.expire_dpop_nonce": WHERE,
    "faults.refuse_proof_next": {
        "error": ("use_dpop_nonce", str),
        "offers_nonce": (True, bool),
        **TIMES,
        **WHERE,
    },
    "faults.swap_certificate_next": {**TIMES, **WHERE},
    "faults.bind_next_to_another_key": TIMES,
}


def levers_of(part, prefix=""):
    """Name the public methods of a part that take arguments."""
    return {
        f"{prefix}{name}"
        for name in dir(type(part))
        if not name.startswith("_")
        and inspect.isfunction(method := getattr(type(part), name))
        and len(inspect.signature(method).parameters) > 1
    }


def test_every_lever_is_tried(sandbox):
    """What is new comes into the table."""
    parts = ("faults", "clock", "events", "consents")
    levers = levers_of(sandbox).union(
        *(levers_of(getattr(sandbox, part), f"{part}.") for part in parts)
    )

    assert levers - {"consents.status_of", "consents.shown", "events.validate"} <= LEVERS.keys()


@pytest.mark.parametrize("kind", CONSTRUCTORS, ids=lambda kind: kind.__name__)
async def test_a_constructor_refuses_a_wrong_kind_by_the_arguments_name(kind):
    """Whatever is wrong is refused where it is given."""
    await refuse_all(kind, CONSTRUCTORS[kind])


@pytest.mark.parametrize("name", LEVERS)
async def test_a_lever_refuses_a_wrong_kind_by_the_arguments_name(sandbox, name):
    """Whatever is wrong is refused when the lever is pulled, and not when a request comes."""
    lever = sandbox
    for part in name.split("."):
        lever = getattr(lever, part)

    # A sleep of seven seconds is right, and long.
    await refuse_all(lever, LEVERS[name], tries_right=name != "clock.sleep")
