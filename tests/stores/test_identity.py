"""
What makes two tokens the same: a property over grants, clients, keys, environments and people.

Two providers share an entry if and only if the authorization server could not distinguish their token
requests, or both hold the sign-in of the same named end-user. The requests are compared here as a
server reads them, without a look at how the key is made.
"""

import asyncio
import json
import ssl

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth.stores.key import token_key
from support.clock import FakeClock
from support.fakes import FakeClient
from support.sign_ins import make_response
from support.stores import kept_in

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"

names = st.sampled_from(["alice", "bob", "a", "a b"])
secrets = st.sampled_from(["a", "b", "alice"])
scopes = st.none() | st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3)
resources = st.lists(st.sampled_from(["urn:a", "urn:b"]), max_size=3)
members = st.dictionaries(
    st.sampled_from(["tenant", "acr_values", "end_user", "x"]),
    st.sampled_from(["1", "2", "alice"]),
    max_size=2,
)
details = st.lists(
    st.builds(
        lambda kind, actions, extra: {"type": kind, "actions": actions, **dict(extra)},
        st.sampled_from(["payment", "account"]),
        st.lists(st.sampled_from(["read", "pay"]), max_size=1),
        st.permutations([("amount", 5), ("creditor", {"iban": "1", "name": "x"})]),
    ),
    max_size=2,
)
asked = st.fixed_dictionaries(
    {"scope": scopes, "resource": resources, "extra": members},
    optional={"authorization_details": details},
)
RESPONSES = [make_response(), make_response()]


def grants_of(kind, *arguments, **settings):
    return st.builds(
        lambda given, own, named: kind(*given, **named, **own),
        st.tuples(*arguments),
        asked,
        st.fixed_dictionaries({}, optional=settings),
    )


class Person:
    """A provider's token of one end-user, or of nobody in particular."""

    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return isinstance(other, Person) and self.name == other.name

    def __hash__(self):
        return hash(self.name)

    def identity(self):
        return self.name

    def peek(self):
        return None

    async def get_token(self, min_ttl=0.0, timeout=None):
        return aa.Token(f"token of {self.name}", id_token="i", refresh_token="r")

    def report_rejected(self, token):
        return False


KEYS = [aa.SigningKey.generate("ES256") for _ in range(2)]
people = names.map(Person)
assertions = st.builds(
    lambda key, subject, claims: aa.JwtAssertion(key, subject, claims=claims),
    st.sampled_from(KEYS),
    st.sampled_from(["alice", "bob"]),
    st.dictionaries(st.sampled_from(["scope", "pid"]), st.sampled_from(["1", "2"]), max_size=2),
)
sourced = st.one_of(
    grants_of(aa.DelegationGrant, people, provider=st.sampled_from(["idp", "other"])),
    grants_of(aa.TokenExchangeGrant, people, actor_token=secrets | people),
    grants_of(aa.TokenExchangeGrant, secrets, actor_token=people),
    grants_of(aa.TokenExchangeGrant, assertions),
    grants_of(aa.JwtBearerGrant, people | assertions, end_user=names),
    grants_of(aa.JwtBearerGrant, st.just(aa.Secret("a.b.c"))).map(
        lambda grant: attrs.evolve(grant, end_user="alice")
    ),
)
"""Grants that present what another gives anew for each request."""

grants = st.one_of(
    st.builds(lambda own: aa.ClientCredentialsGrant(**own), asked),
    grants_of(aa.RefreshTokenGrant, secrets),
    grants_of(aa.DeviceCodeGrant, secrets),
    grants_of(aa.BackchannelGrant, secrets),
    grants_of(aa.DelegationGrant, secrets, provider=st.sampled_from(["idp", "other"])),
    grants_of(
        aa.TokenExchangeGrant,
        secrets,
        actor_token=secrets,
        actor_token_type=st.sampled_from(["urn:x"]),
        requested_token_type=st.sampled_from(["urn:y"]),
        audience=st.lists(st.sampled_from(["api", "bank"]), max_size=2, unique=True).map(tuple),
    ),
    grants_of(aa.AuthorizationCodeGrant, st.sampled_from(RESPONSES)),
    grants_of(aa.SignedInGrant, names),
    grants_of(aa.JwtBearerGrant, secrets, end_user=names),
    sourced,
    grants_of(
        aa.CustomGrant,
        st.sampled_from(
            [
                "urn:one",
                "client_credentials",
                "refresh_token",
                "delegation",
                "signed_in",
                EXCHANGE,
                JWT_BEARER,
            ]
        ),
        st.dictionaries(
            st.sampled_from(["token", "refresh_token", "subject_token", "provider", "assertion"]),
            secrets,
            max_size=2,
        ),
    ),
)
environments = st.builds(
    lambda issuer, settings, tenant: (
        aa.Environment.at(issuer, **settings)
        if tenant is None or "endpoints" in settings
        else aa.Environment.at(issuer, **settings).for_tenant(tenant)
    ),
    st.sampled_from(
        [
            "https://idp.example",
            "https://IDP.example:443",
            "https://idp.example/acme",
            "https://b.example",
        ]
    ),
    st.sampled_from(
        [
            {},
            {"discover": True},
            {"name": "mine", "api_origins": ["https://api.example"]},
            {"endpoints": {"token_endpoint": "https://idp.example/connect/token"}},
            {"endpoints": {"token_endpoint": "https://idp.example/mtls/token"}},
        ]
    ),
    st.none() | st.sampled_from(["acme", "b"]),
)
authentications = st.sampled_from(
    [
        lambda: None,
        lambda: "secret",
        lambda: aa.Secret("another"),
        lambda: aa.ClientSecretBasic(aa.Secret("secret")),
        lambda: aa.PrivateKeyJwt(aa.Secret("key")),
        lambda: aa.PrivateKeyJwt(KEYS[0]),
        lambda: aa.ClientSecretJwt(aa.Secret("s" * 32)),
        lambda: aa.ClientAssertion(aa.Secret("a.b.c")),
        lambda: aa.SelfSignedTlsClientAuth(SSL, "one"),
        lambda: aa.TlsClientAuth(SSL),
        lambda: aa.TlsClientAuth(SSL, "one"),
        lambda: aa.TlsClientAuth(SSL, "two"),
    ]
)
SSL = ssl.create_default_context()
bindings = st.sampled_from([None, *(aa.DPoP(key) for key in KEYS)])
parts = st.tuples(st.sampled_from(["client", "other"]), authentications, environments, bindings)


def client_of(parts):
    client_id, auth, environment, dpop = parts
    return aa.OAuthClient(client_id, auth(), environment=environment, dpop=dpop)


clients = parts.map(client_of)


def respelled(grant, draw):
    """Return a grant that makes the same request, in other words."""
    form = list(draw(st.permutations(grant.parameters())))
    kind = next(value for name, value in form if name == "grant_type")
    scope = next((value.split() for name, value in form if name == "scope"), None)
    apart = {"grant_type", "scope", "resource", "authorization_details"}
    own = [pair for pair in form if pair[0] not in apart]
    # The same members in another order.
    narrowed = {
        "authorization_details": [
            dict(sorted(detail.to_members().items(), reverse=True))
            for detail in grant.authorization_details
        ]
    }
    if not grant.is_requestable:
        # No client can send this by itself; the other grant can be sent.
        return draw(
            st.sampled_from([grant, attrs.evolve(grant, **narrowed)])
            | st.just(aa.CustomGrant("signed_in", {"end_user": grant.end_user}))
        )
    if len(dict(own)) < len(own):
        return grant
    if grant.sources():
        # No text says the same: one that spells whose the source is, is another request.
        spelled = dict(own) | {name: whose(source) for name, source in grant.sources().items()}
        custom = aa.CustomGrant(kind, spelled, scope=scope, **narrowed)
        return draw(st.sampled_from([grant, custom]))
    cut = draw(st.integers(0, len(own)))
    return aa.CustomGrant(
        kind,
        dict(own[:cut]),
        scope=draw(st.permutations(scope)) if scope else scope,
        resource=[value for name, value in form if name == "resource"],
        extra=dict(own[cut:]),
        **narrowed,
    )


@st.composite
def pairs(draw):
    """Draw two providers, of which often one part alone differs, or the words of the request."""
    one, grant = list(draw(parts)), draw(grants)
    other = list(one)
    if draw(st.booleans()):
        part = draw(st.integers(0, len(one) - 1))
        other[part] = draw(parts)[part]
    second = respelled(grant, draw) if draw(st.booleans()) else draw(grants)
    return (client_of(one), grant), (client_of(other), second)


def whose(source):
    """Return whose a source's tokens are, as nothing else of it counts."""
    if isinstance(source, aa.JwtAssertion):
        claims = dict(source.claims.items())
        return json.dumps([source.issuer, source.subject, source.audience, claims], sort_keys=True)
    return source.name if isinstance(source, Person) else "a secret"


def as_the_server_reads(client, grant):
    """Return what the authorization server can tell of a provider's token request."""
    environment = client.environment
    form = sorted(
        (name, tuple(sorted(value.split())) if name == "scope" else value)
        for name, value in grant.parameters()
    )
    return (
        # Nothing of a SignedInGrant is sent: it is its end-user's.
        None if grant.is_requestable else grant.end_user,
        # What a source gives is another text each time: it is the same end-user's.
        sorted((name, whose(source)) for name, source in grant.sources().items()),
        getattr(grant, "end_user", None) if grant.sources() else None,
        environment.token_endpoint.lower().replace(":443/", "/"),
        environment.issuer.lower().replace(":443", ""),
        client.client_id,
        client.client_auth.method,
        client.client_auth.thumbprint,
        "" if client.dpop is None else client.dpop.thumbprint,
        json.dumps(form),
    )


@settings(max_examples=400)
@given(pairs())
def test_two_providers_have_one_key_exactly_if_the_server_cannot_distinguish_them(pair):
    """Whatever the grants, clients and environments are, and in whatever words they are written."""
    one, other = pair
    assert (token_key(*one) == token_key(*other)) is (
        as_the_server_reads(*one) == as_the_server_reads(*other)
    )


@settings(max_examples=60)
@given(pairs())
def test_two_providers_share_an_entry_exactly_if_they_have_one_key(pair):
    """The second provider adopts the first one's token, or the store has an entry for each."""
    store, clock = aa.MemoryTokenStore(), FakeClock()

    async def use(client, grant):
        fake = FakeClient(clock)
        fake.client_id, fake.client_auth = client.client_id, client.client_auth
        fake.environment, fake.dpop = client.environment, client.dpop
        provider = aa.TokenProvider(fake, grant, store=store, clock=clock, on_event=None)
        if not grant.is_requestable and (await present(provider)) is None:
            await provider.set_token(fake.make_token(refresh_token="r"))
        await provider.get_token()
        return fake.made

    async def present(provider):
        try:
            return await provider.get_token()
        except aa.ReauthenticationRequiredError:
            return None

    made = [asyncio.run(use(*provider)) for provider in pair]
    is_shared = as_the_server_reads(*pair[0]) == as_the_server_reads(*pair[1])

    assert made == [1, 0 if is_shared else 1]
    assert len(kept_in(store)) == (1 if is_shared else 2)


NOBODY = [None, "", " ", "\n", "\u200b", "None", " null", "undefined"]


@given(clients, asked, st.sampled_from(NOBODY), st.sampled_from(["alice", "Nonette"]))
@example(aa.OAuthClient("a", None), {"scope": None, "resource": [], "extra": {}}, None, "alice")
def test_an_unnamed_end_user_has_no_key(client, own, nobody, somebody):
    """Not even the scope, the resources or further parameters make an unnamed end-user a named one."""
    with pytest.raises(aa.ConfigurationError):
        token_key(client, aa.SignedInGrant(nobody, **own))
    assert token_key(client, aa.SignedInGrant(somebody, **own))


@pytest.mark.parametrize("nobody", NOBODY)
def test_an_assertion_of_an_unnamed_end_user_has_no_key(nobody):
    """What a program makes of a missing subject is the same for every end-user."""
    client = aa.OAuthClient("a", None)
    assertion = aa.Secret("made-elsewhere")
    with pytest.raises(aa.ConfigurationError):
        token_key(client, aa.JwtBearerGrant(assertion, end_user=nobody))
    with pytest.raises(aa.ConfigurationError):
        token_key(client, aa.JwtBearerGrant(Source(nobody)))
    assert token_key(client, aa.JwtBearerGrant(assertion, end_user="alice"))
    assert token_key(client, aa.JwtBearerGrant(Source("alice")))


class Source:
    """A caller's own source of tokens, which says whose they are."""

    def __init__(self, whose):
        self.identity = lambda: whose

    async def get_token(self, min_ttl=0.0, timeout=None):
        return aa.Token("t")

    def report_rejected(self, _token):
        return False

    def peek(self):
        return None


@given(clients, asked, st.sampled_from(["right", "wrong"]))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_password_has_no_key(client, own, password):
    """Only the server can check a password, in whichever class and words it comes."""
    fields = {"username": "alice", "password": password}
    for grant in (
        aa.PasswordGrant("alice", password, **own),
        aa.CustomGrant("password", fields),
        aa.CustomGrant("password", {"username": "alice", "pin": password}),
        aa.CustomGrant("http://auth0.com/oauth/grant-type/password-realm", fields),
        aa.CustomGrant("urn:example:direct", {"Password": password}),
        aa.ClientCredentialsGrant(extra=fields),
    ):
        with pytest.raises(aa.ConfigurationError):
            token_key(client, grant)
