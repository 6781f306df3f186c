"""Tests of tenants: issuers that are a template, and the claim tid."""

import pytest

import aritma_auth as aa
from aritma_auth.protocol.tenants import (
    find_tenant_problem,
    is_issuer_of,
    is_possible_issuer,
    is_template_for,
    is_tenant,
)

TEMPLATE = "https://login.example/{tenantid}/v2.0"
ACME = "https://login.example/acme/v2.0"


@pytest.mark.parametrize(
    ("template", "issuer", "expected"),
    [
        (TEMPLATE, "https://login.example/common/v2.0", True),
        (TEMPLATE, "https://login.example/common/v2.0/", False),
        (TEMPLATE, "https://login.example/a/b/v2.0", False),
        (TEMPLATE, "https://login.example//v2.0", False),
        (TEMPLATE, "https://login.example/v2.0", False),
        (TEMPLATE, "https://evil.example/common/v2.0", False),
        ("https://evil.example/{tenantid}/v2.0", "https://login.example/common/v2.0", False),
        ("https://login.example{tenantid}", "https://login.example.evil", False),
        ("https://login.example/{tenantid}", "https://login.example/acme", True),
        ("https://login.example/{tenant}/v2.0", "https://login.example/common/v2.0", False),
        ("https://login.example/acme", "https://login.example/acme", False),
        ("{tenantid}", "https://login.example/acme", False),
    ],
)
def test_a_template_is_an_issuer_with_one_open_segment(template, issuer, expected):
    """Only one whole segment of the path may differ, so host and scheme are those that were asked."""
    assert is_template_for(template, {issuer}) is expected
    assert is_possible_issuer(issuer, {template}) is (expected or template == issuer)


@pytest.mark.parametrize(
    ("issuer", "tenant", "expected"),
    [
        (ACME, "acme", True),
        (ACME, "other", False),
        (ACME, None, False),
        (ACME, 7, False),
        ("https://login.example/a/../acme/v2.0", "a/../acme", False),
        (TEMPLATE, "acme", False),
        (TEMPLATE, "{tenantid}", False),
        ("https://idp.example", None, True),
        ("https://idp.example", "acme", True),
        (None, "acme", False),
        ([ACME], "acme", False),
    ],
)
def test_a_token_names_its_issuer_and_its_tenant_alike(issuer, tenant, expected):
    """A template is filled with tid, and the placeholder itself is no issuer."""
    assert is_issuer_of(issuer, {TEMPLATE, "https://idp.example"}, tenant) is expected


@pytest.mark.parametrize("tenant", ["", ".", "..", "a/b", "å", None, 7])
def test_what_could_change_the_path_is_no_tenant(tenant):
    """A tenant is one plain segment of the path."""
    assert not is_tenant(tenant)


@pytest.mark.parametrize(
    ("claims", "tenants", "problem"),
    [
        ({}, frozenset(), None),
        ({"tid": "acme"}, frozenset(), None),
        ({"tid": "acme"}, frozenset({"acme", "globex"}), None),
        (
            {"tid": "other"},
            frozenset({"globex", "acme"}),
            "tid must be acme or globex, not 'other'",
        ),
        ({"tid": 7}, frozenset({"acme"}), "tid must be acme, not none"),
        ({}, frozenset({"acme"}), "tid must be acme, not none"),
    ],
)
def test_claims_are_of_a_tenant_by_tid(claims, tenants, problem):
    """Without tenants to accept nothing is compared."""
    assert find_tenant_problem(claims, tenants) == problem


def test_an_event_is_of_the_tenant_or_refused():
    """validate_tenant returns nothing, or raises an error that names both tenants."""
    aa.validate_tenant({"tid": "acme", "id": "e1"}, "acme")
    with pytest.raises(
        aa.VerificationError, match=r"tid must be acme, not 'other'.*another tenant"
    ):
        aa.validate_tenant({"tid": "other"}, "acme")
