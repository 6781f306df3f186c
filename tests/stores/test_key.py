"""Keys of stored tokens: every part of an identity counts, and none shows."""

import re
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth.stores.key import token_key
from support.rig import GRANT

CONTEXT = ssl.create_default_context()


def client(issuer="https://idp.example", client_id="client", auth="secret", **environment):
    """Make a client registration; discovery leaves its token endpoint open."""
    settings = {"discover": True} | environment
    return aa.OAuthClient(client_id, auth, environment=aa.Environment.at(issuer, **settings))


CLIENTS = [
    client(),
    client("https://idp.example/acme"),
    client(endpoints={"token_endpoint": "https://idp.example/other"}),
    client(client_id="other"),
    client(client_id="clientclient_secret_post"),
    client(auth=aa.PrivateKeyJwt(aa.Secret("key"))),
    client(auth=aa.TlsClientAuth(CONTEXT)),
    client(auth=aa.TlsClientAuth(CONTEXT, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2Hg")),
    client(auth=None),
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
    aa.SignedInGrant("alice", scope="a"),
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
    """Each part of an identity counts, and no scope differs from an empty one."""
    keys = {token_key(registered, grant) for registered in CLIENTS for grant in GRANTS}

    assert len(keys) == len(CLIENTS) * len(GRANTS)


def test_a_key_is_the_same_in_every_process():
    """A process that starts tomorrow finds what was kept today."""
    assert token_key(CLIENTS[0], GRANTS[3]) == "ee2c76a33727f4b38227bf41ff8133d2"


def test_a_grant_without_an_identity_has_no_key():
    """The error names the grant and says what it lacks."""
    for grant in (aa.SignedInGrant(), aa.CustomGrant("password", {"username": "alice"})):
        with pytest.raises(
            aa.ConfigurationError, match=f"{type(grant).__name__}.*whose its tokens"
        ):
            token_key(CLIENTS[0], grant)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"scope": "a b"}, {"scope": "b a"}),
        ({"resource": ["urn:a", "urn:b"]}, {"resource": ["urn:b", "urn:a"]}),
        ({"extra": {"a": "1", "b": "2"}}, {"extra": {"b": "2", "a": "1"}}),
    ],
    ids=["scope", "resource", "extra"],
)
def test_the_order_of_parameters_does_not_matter(one, other):
    """Scope, resources and extra parameters are sets to the server."""
    keys = {token_key(CLIENTS[0], aa.ClientCredentialsGrant(**asked)) for asked in (one, other)}

    assert len(keys) == 1


def test_a_key_outlives_a_rotated_secret():
    """A secret that was changed, or loaded from another place, finds the stored token again."""
    one, other = client(auth="old"), client(auth=aa.Secret.from_env("UNSET"))

    assert token_key(one, GRANT) == token_key(other, GRANT)


names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1)


@given(names, names)
def test_keys_are_equal_only_for_equal_clients(one, other):
    """No client id runs into what stands beside it in the digest."""
    keys = [token_key(client(client_id=name), GRANT) for name in (one, other)]

    assert (keys[0] == keys[1]) is (one == other)


@given(names)
def test_a_key_is_a_plain_word(name):
    """A key has 32 hex digits, which fit into a file's name and into a server's key."""
    assert re.fullmatch("[0-9a-f]{32}", token_key(client(client_id=name), GRANT))


def test_a_key_tells_nothing(canary):
    """A key is a digest: neither the client id nor the grant's secret can be read in it."""
    grant = aa.RefreshTokenGrant(canary.text)

    assert canary.text not in token_key(client(client_id=canary.text), grant)
