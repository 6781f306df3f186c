"""Introspection (RFC 7662) and revocation (RFC 7009)."""

import json

import pytest

from aritma_auth.errors import (
    InvalidClientError,
    InvalidResponseError,
    OAuthError,
    VerificationError,
)
from aritma_auth.protocol.http_messages import HttpResponse, encode_form
from aritma_auth.protocol.token_management import (
    Introspection,
    build_token_parameters,
    parse_introspection_response,
    parse_revocation_response,
)


def response(body, status=200):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpResponse(status, {"Content-Type": "application/json"}, body)


def test_a_token_is_named_in_a_form(canary):
    """The form names the token and shows it in no repr (RFC 7009 §2.1)."""
    assert encode_form(build_token_parameters("a/b", None)) == b"token=a%2Fb"
    assert (
        encode_form(build_token_parameters("t", "refresh_token"))
        == b"token=t&token_type_hint=refresh_token"
    )
    assert canary.text not in repr(build_token_parameters(canary.text, "access_token"))


def test_what_the_server_says_of_a_good_token():
    """The known members are there by name, and the whole response as claims."""
    members = {"active": True, "scope": "a b", "client_id": "me", "sub": "alice", "exp": 5.5}
    said = parse_introspection_response(response(members | {"tid": "acme"}), now=0.0)

    assert (said.active, said.scope, said.client_id) == (True, ("a", "b"), "me")
    assert (said.subject, said.expires_at) == ("alice", 5.5)
    assert said.claims["tid"] == "acme"


@pytest.mark.parametrize("scope", [["a", "b"], "a b", " a  b "])
def test_a_scope_is_a_list_or_a_text(scope):
    """A scope may be a string or a list, since servers differ."""
    assert parse_introspection_response(
        response({"active": True, "scope": scope}), now=0
    ).scope == (
        "a",
        "b",
    )


@pytest.mark.parametrize("members", [{}, {"scope": "a"}, {"sub": "alice", "exp": 9}])
def test_of_a_token_that_is_not_active_nothing_else_counts(members):
    """Of an inactive token no other member counts (RFC 7662 §2.2)."""
    assert parse_introspection_response(
        response({"active": False} | members), now=0.0
    ) == Introspection(active=False)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({}, "active is missing"),
        ({"active": None}, "active is missing"),
        ({"active": "true"}, "active must be true or false"),
        ({"active": 1}, "active must be true or false"),
        ({"active": True, "exp": "soon"}, "exp"),
        ({"active": True, "sub": 5}, "sub"),
    ],
)
def test_a_response_that_does_not_say_active_is_refused(members, problem):
    """A response in which active is not a boolean is refused."""
    with pytest.raises(InvalidResponseError, match=problem) as caught:
        parse_introspection_response(response(members), now=0.0)

    assert caught.value.problems


def test_an_empty_401_means_the_asker():
    """A 401 without a body refuses the client, since IdentityServer says no more."""
    with pytest.raises(InvalidClientError) as caught:
        parse_introspection_response(response(b"", 401), now=0.0)

    assert caught.value.status == 401


@pytest.mark.parametrize("body", [b"", b"{}", b"OK", b"<html>", b'{"error": "x"}'])
def test_a_200_means_that_the_token_is_dead(body):
    """A 200 says that the token has ended, whatever the body says (RFC 7009 §2.2)."""
    assert parse_revocation_response(response(body), now=0.0) is None


def test_a_204_means_so_too():
    """Some servers have no body to send, and say so."""
    assert parse_revocation_response(response(b"", 204), now=0.0) is None


def test_a_refused_revocation_is_raised():
    """A refusal is raised, and the token stays valid."""
    with pytest.raises(OAuthError, match="unsupported_token_type"):
        parse_revocation_response(response({"error": "unsupported_token_type"}, 400), now=0.0)


@pytest.mark.parametrize(("status", "is_permanent"), [(503, False), (404, False), (302, False)])
def test_another_status_means_that_the_token_lives(status, is_permanent):
    """
    After another status the token is still valid, and after a 503 it can be tried again (RFC
    7009 §2.2.1).
    """
    with pytest.raises(InvalidResponseError) as caught:
        parse_revocation_response(response(b"", status), now=0.0)

    assert caught.value.is_permanent is is_permanent


def test_an_active_token_of_another_tenant_is_refused():
    """Where tenants share an issuer, the server's statement must name the tenant."""
    acme = frozenset({"acme"})

    def parse(members):
        return parse_introspection_response(response(members), now=0.0, tenants=acme)

    assert parse({"active": True, "tid": "acme"}).active
    assert not parse({"active": False}).active
    for members in ({"active": True, "tid": "other"}, {"active": True}):
        with pytest.raises(VerificationError, match="another tenant's: tid must be acme"):
            parse(members)
