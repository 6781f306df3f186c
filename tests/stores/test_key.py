"""Keys of stored tokens: every part of an identity counts, and none shows."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth.stores.key import token_key
from support.rig import GRANT

IDENTITIES = [
    ("https://idp.example", "", "client", "client_secret_post"),
    ("https://idp.example/acme", "", "client", "client_secret_post"),
    ("https://idp.example", "/other", "client", "client_secret_post"),
    ("https://idp.example", "", "other", "client_secret_post"),
    ("https://idp.example", "", "client", "private_key_jwt"),
    ("https://idp.example", "", "clientclient_secret_post", ""),
    ("https://idp.example", "", "client", "client_secret_post", ""),
    ("https://idp.example", "", "client", "client_secret_post", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2Hg"),
]
GRANTS = [
    aa.ClientCredentialsGrant(),
    aa.ClientCredentialsGrant(scope=""),
    aa.ClientCredentialsGrant(scope="a"),
    aa.ClientCredentialsGrant(scope="a b"),
    aa.ClientCredentialsGrant(scope="ab"),
    aa.ClientCredentialsGrant(resource="urn:a"),
    aa.ClientCredentialsGrant(resource=["urn:a", "urn:b"]),
    aa.ClientCredentialsGrant(extra={"a": "b"}),
    aa.ClientCredentialsGrant(extra={"acr_values": "tenant:acme"}),
    aa.RefreshTokenGrant("a"),
    aa.RefreshTokenGrant("b"),
    aa.SignedInGrant(),
    aa.SignedInGrant("alice"),
    aa.SignedInGrant("bob"),
    aa.DeviceCodeGrant("a"),
    aa.DelegationGrant("a"),
    aa.DelegationGrant("a", provider="idp"),
    aa.TokenExchangeGrant("a"),
    aa.TokenExchangeGrant("a", audience=("api",)),
    aa.TokenExchangeGrant("a", actor_token="b"),
    aa.CustomGrant("urn:one"),
    aa.CustomGrant("urn:two"),
    aa.CustomGrant("urn:one", {"a": "b"}),
]


def test_no_two_identities_share_a_key():
    """Each part counts: no scope differs from an empty one."""
    keys = {token_key(identity, grant) for identity in IDENTITIES for grant in GRANTS}

    assert len(keys) == len(IDENTITIES) * len(GRANTS)


def test_a_key_is_the_same_in_every_process():
    """Whoever starts tomorrow finds what was kept today."""
    assert token_key(IDENTITIES[0], GRANTS[3]) == "31e26d6dd2ac2c185c8b1b9cacec9a88"


def test_a_password_is_no_part_of_a_key():
    """A digest of it could be guessed; the person's name tells people apart."""
    with pytest.warns(DeprecationWarning):
        grants = [aa.PasswordGrant(*who) for who in [("a", "x"), ("a", "y"), ("b", "x")]]
    one, same, other = (token_key(["i"], grant) for grant in grants)

    assert one == same != other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"scope": "a b"}, {"scope": "b a"}),
        ({"resource": ["urn:a", "urn:b"]}, {"resource": ["urn:b", "urn:a"]}),
        ({"extra": {"a": "1", "b": "2"}}, {"extra": {"b": "2", "a": "1"}}),
    ],
    ids=["scope", "resource", "extra"],
)
def test_the_order_of_what_is_asked_for_does_not_matter(one, other):
    """They are sets to the server."""
    keys = {token_key(["x"], aa.ClientCredentialsGrant(**asked)) for asked in (one, other)}

    assert len(keys) == 1


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_keys_are_equal_only_for_equal_identities(one, other):
    """Whatever the texts, none runs into the next."""
    assert (token_key(one, GRANT) == token_key(other, GRANT)) is (one == other)


@given(st.lists(st.text(), max_size=4))
def test_a_key_is_a_plain_word(identity):
    """It fits into a file's name and a server's."""
    assert re.fullmatch("[0-9a-f]{32}", token_key(identity, GRANT))


def test_a_key_tells_nothing(canary):
    """It is a digest."""
    grant = aa.RefreshTokenGrant(canary.text)

    assert canary.text not in token_key([canary.text], grant)
