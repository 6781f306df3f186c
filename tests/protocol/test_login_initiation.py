"""A sign-in that a third party initiates."""

import pytest

from aritma_auth.errors import (
    ConfigurationError,
    IssuerMismatchError,
    VerificationError,
)
from aritma_auth.protocol.login_initiation import parse_login_initiation

ISSUERS = ["https://idp.example", "https://old.example"]
APP = ["https://app.example/anything"]


def read(pairs, origins=APP):
    return parse_login_initiation(pairs, issuers=ISSUERS, target_origins=origins)


def test_a_proposal_is_read():
    """The request is read as a URL, as a form and as pairs."""
    query = (
        "iss=https%3A%2F%2Fidp.example&login_hint=al%20ice"
        "&target_link_uri=https%3A%2F%2Fapp.example%2Forders%3Fid%3D1"
    )
    proposals = [
        read(f"https://app.example/start?{query}"),
        read(query),
        read(
            {
                "iss": "https://idp.example",
                "login_hint": "al ice",
                "target_link_uri": "https://app.example/orders?id=1",
            }
        ),
    ]

    assert proposals[0] == proposals[1] == proposals[2]
    assert proposals[0].issuer == "https://idp.example"
    assert proposals[0].login_hint == "al ice"
    assert proposals[0].target_link_uri == "https://app.example/orders?id=1"
    assert "al ice" not in repr(proposals[0])


def test_only_the_issuer_is_needed():
    """The issuer or an alias is enough, and unknown parameters are ignored."""
    proposal = read({"iss": "https://old.example", "utm_source": "mail"}, [])

    assert (proposal.login_hint, proposal.target_link_uri) == (None, None)


@pytest.mark.parametrize("issuer", [None, "", "https://evil.example", "https://idp.example/"])
def test_another_server_is_refused(issuer):
    """Another issuer, or none, is refused, since a mix-up would begin there."""
    with pytest.raises(IssuerMismatchError):
        read({} if issuer is None else {"iss": issuer})


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "https://app.example.evil.example/",
        "https://app.example@evil.example/",
        "https://app.example:8443/",
        "http://app.example/",
        "//app.example/",
        "/orders",
        "javascript:alert(1)",
        "https://evil.example\\@app.example/",
        "https://app.example\\.evil.example/",
        "https://[::",
        " https://app.example/",
        "https://app.example/\\a b",
    ],
)
def test_nobody_is_led_elsewhere(target):
    """A target at another origin is refused, so that the application is no open redirector."""
    with pytest.raises(VerificationError, match="elsewhere"):
        read({"iss": "https://idp.example", "target_link_uri": target})


def test_without_listed_origins_nobody_is_led_anywhere():
    """Without listed origins every target is refused."""
    with pytest.raises(VerificationError, match="elsewhere"):
        read({"iss": "https://idp.example", "target_link_uri": "https://app.example/"}, [])


def test_the_target_is_written_as_it_was_understood():
    """The target is returned as it was parsed, so that no browser opens another address."""
    proposal = read({"iss": "https://idp.example", "target_link_uri": "HTTPS://APP.example/a"})

    assert proposal.target_link_uri == "https://app.example/a"


def test_a_parameter_counts_once():
    """A request with two issuers is refused."""
    with pytest.raises(VerificationError):
        read([("iss", "https://idp.example"), ("iss", "https://evil.example")])


def test_listed_origins_are_secure():
    """A listed origin that is not secure is refused at once."""
    with pytest.raises(ConfigurationError, match="https"):
        read({"iss": "https://idp.example"}, ["http://app.example"])
