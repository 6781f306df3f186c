"""
Wrong use of the whole public surface: each argument gets something of each wrong kind.

Some kinds are right for some arguments. Whatever is wrong must end in an error of the package,
never in an AttributeError, a TypeError or a UnicodeEncodeError from its inside, now or later.
"""

import asyncio
import contextlib
import inspect
import math
import operator
import ssl

import pytest

import aritma_auth as aa
from aritma_auth.protocol.redaction import Members
from aritma_auth.runtime.clock import SYSTEM_CLOCK
from aritma_auth.testing import FakeClient
from support.sign_ins import make_request, make_response
from support.wrong_kinds import sign, try_all, try_method, try_name

pytestmark = pytest.mark.filterwarnings("ignore:the password grant")

ISSUER, API = "https://id.example", "https://api.example"
NOWHERE = aa.Environment.at("http://127.0.0.1:1")
KEY = aa.SigningKey.generate()
KEYS = aa.EncryptionKeys.generate()
CONTEXT = ssl.create_default_context()
REQUEST = make_request()
REGISTERED = aa.RegisteredClient(
    client_id="c", registration_access_token="t", registration_client_uri=API
)
DETAILS = [aa.AuthorizationDetail("t")]
OF_ANY_GRANT = {"scope": "a", "resource": API, "authorization_details": (), "extra": {}}


def client():
    return aa.OAuthClient("id", "secret", environment=NOWHERE, timeout=1.0)


def provider():
    return aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant())


def pool():
    return aa.TokenProviderPool(lambda _key: provider())


async def keep_alive(**arguments):
    run = asyncio.create_task(pool().keep_alive(**arguments))
    await asyncio.wait([run], timeout=0.001)
    run.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await run


def pending(**arguments):
    return aa.BackchannelAuthentication(auth_req_id="a", expires_at=1.0, interval=1.0, **arguments)


def defaults_of(kind):
    return {name: p.default for name, p in inspect.signature(kind).parameters.items()}


SERVER = {
    "api_origins": (),
    "issuer_aliases": (),
    "endpoint_origins": (),
    "tenants": (),
    "name": "n",
}
MIDDLEWARE = {"origins": [API], "strict": False, "keep_authorization": False, "on_event": None}
FOR_TENANTS = {"client_id": "c", "client_auth": "s", "scope": "x", "environment": "production"}

CALLS = {
    "ClientCredentialsGrant": OF_ANY_GRANT,
    "AuthorizationCodeGrant": {**OF_ANY_GRANT, "response": make_response()},
    "AuthorizationDetail": {
        "type": "t",
        "actions": (),
        "datatypes": (),
        "identifier": "i",
        "locations": (),
        "privileges": (),
        "extra": {},
    },
    "AuthorizationDetail.from_members": {"members": {"type": "t"}},
    "find_ungranted_details": {"requested": DETAILS, "token": aa.Token("t")},
    "parse_granted_details": {"token": aa.Token("t")},
    "BackchannelGrant": {**OF_ANY_GRANT, "auth_req_id": "x"},
    "CustomGrant": {**OF_ANY_GRANT, "name": "n", "fields": {"a": "b"}, "is_reusable": True},
    "DelegationGrant": {**OF_ANY_GRANT, "token": "t", "provider": "p"},
    "DeviceCodeGrant": {**OF_ANY_GRANT, "device_code": "t"},
    "JwtBearerGrant": {**OF_ANY_GRANT, "assertion": "t", "end_user": "p"},
    "PasswordGrant": {**OF_ANY_GRANT, "username": "t", "password": "p"},
    "RefreshTokenGrant": {**OF_ANY_GRANT, "refresh_token": "t"},
    "SignedInGrant": {**OF_ANY_GRANT, "end_user": "t"},
    "TokenExchangeGrant": {
        **OF_ANY_GRANT,
        "subject_token": "t",
        "subject_token_type": "urn:x",
        "actor_token": "a",
        "actor_token_type": "urn:a",
        "requested_token_type": "urn:b",
        "audience": "a",
    },
    "JwtAssertion": {
        "key": KEY,
        "subject": "s",
        "issuer": "i",
        "audience": "a",
        "claims": {},
        "header": {},
        "algorithm": None,
        "key_id": "k",
        "lifetime": 60,
    },
    "PrivateKeyJwt": {
        "key": KEY,
        "algorithm": None,
        "key_id": "k",
        "audience": "a",
        "names_issuer": False,
        "lifetime": 60,
    },
    "ClientSecretJwt": {"secret": "s" * 40, "algorithm": "HS256", "audience": "a", "lifetime": 60},
    "ClientSecretBasic": {"secret": "s", "is_form_encoded": True},
    "ClientSecretPost": {"secret": "s"},
    "ClientAssertion": {"secret": "s", "type": "urn:x"},
    "TlsClientAuth": {"certificate": CONTEXT, "thumbprint": "x"},
    "SelfSignedTlsClientAuth": {"certificate": CONTEXT, "thumbprint": "x"},
    "ClientCertificate": {
        "cert_file": "/nowhere",
        "key_file": None,
        "ca_file": None,
        "password": None,
        "check_interval": 30.0,
    },
    "create_tls_context": {"cafile": None},
    "DPoP": {"key": KEY},
    "RequestEncryption": {"algorithm": "RSA-OAEP", "encryption": "A256GCM"},
    "DecryptionKey": {"key": "no key"},
    "SigningKey": {"key": KEY.to_jwk(), "algorithm": None, "key_id": None},
    "SigningKey.generate": {"algorithm": "ES256", "key_id": None},
    "RemoteSigner": {
        "algorithm": "ES256",
        "sign": sign,
        "key_id": "k",
        "public_jwk": KEY.public_jwk,
    },
    "Token": {
        "access_token": "t",
        "token_type": "Bearer",
        "expires_at": 1.0,
        "scope": "a",
        "refresh_token": "r",
        "id_token": "i",
        "issued_at": 0.0,
        "extra": Members(),
    },
    "Token.from_json": {"text": "{}"},
    "Secret": {"value": "x"},
    "Secret.from_callable": {"source": sign},
    "Secret.from_command": {"command": ["true"], "timeout": 1.0},
    "Secret.from_env": {"name": "x"},
    "Secret.from_file": {"path": "x"},
    "RefreshPolicy": defaults_of(aa.RefreshPolicy),
    "SharingPolicy": defaults_of(aa.SharingPolicy),
    "RefreshTokenUsage": {"reusable": False, "grace": 0.0},
    "Api": {"name": "n", "scope": "s", "production": API, "development": API},
    "Environment": {
        **SERVER,
        "issuer": ISSUER,
        "tenant": None,
        "endpoints": {},
        "discovers": False,
        "published": None,
    },
    "Environment.discover": {
        **SERVER,
        "issuer": "http://127.0.0.1:1",
        "endpoints": {},
        "session": None,
        "timeout": 1.0,
        "clock": SYSTEM_CLOCK,
    },
    "Environment.at": {**SERVER, "url": ISSUER, "endpoints": None, "discover": False},
    "Environment.named": {"name": "production"},
    "Environment.of": {"given": "production"},
    "Environment.from_json": {"text": "x"},
    "ClientRegistrar": {
        "environment": aa.PRODUCTION,
        "session": None,
        "timeout": 1.0,
        "clock": SYSTEM_CLOCK,
        "certificate": None,
    },
    "RegisteredClient": {
        "client_id": "c",
        "client_secret": "s",
        "client_id_issued_at": 1.0,
        "client_secret_expires_at": 1.0,
        "registration_access_token": "t",
        "registration_client_uri": API,
        "metadata": {},
    },
    "RegisteredClient.from_json": {"text": "x"},
    "OAuthClient": {
        "client_id": "c",
        "client_auth": "s",
        "environment": aa.PRODUCTION,
        "session": None,
        "proxy": None,
        "timeout": 1.0,
        "clock": SYSTEM_CLOCK,
        "id_token_algorithms": None,
        "leeway": 30.0,
        "trusted_audiences": (),
        "request_signer": None,
        "request_encryption": None,
        "dpop": None,
        "profile": None,
        "certificate": None,
        "requires_bound_tokens": False,
        "decryption_key": None,
    },
    "BearerMiddleware": {**MIDDLEWARE, "source": provider()},
    "KeyedBearerMiddleware": {**MIDDLEWARE, "pool": pool(), "key": lambda _request: 1},
    "TokenProvider": {
        "client": FakeClient([API]),
        "grant": aa.ClientCredentialsGrant(),
        "store": None,
        "policy": aa.RefreshPolicy(),
        "sharing": aa.SharingPolicy(),
        "clock": SYSTEM_CLOCK,
        "on_event": None,
        "on_token": None,
        "refresh_tokens": aa.RefreshTokenUsage(),
        "draw": lambda: 0.5,
    },
    "TokenProvider.client_credentials": {**FOR_TENANTS, "session": None},
    "TokenProviderPool": {"factory": lambda _key: None, "max_size": 5, "label": str},
    "TokenProviderPool.for_tenants": {
        **FOR_TENANTS,
        "session": None,
        "store": None,
        "policy": aa.RefreshPolicy(),
        "max_size": 4,
        "on_event": None,
    },
    "EncryptionKeys": {"keys": {"1": bytes(32)}},
    "EncryptionKeys.generate": {"name": "1"},
    "KeyringTokenStore": {
        "service": "s",
        "keyring": None,
        "lock_folder": "/nowhere",
        "clock": SYSTEM_CLOCK,
    },
    "MemoryTokenStore": {"clock": SYSTEM_CLOCK},
    "RedisTokenStore": {
        **defaults_of(aa.RedisTokenStore),
        "server": "redis://127.0.0.1",
        "keys": KEYS,
        "password": "x",
    },
    "PendingSignIns": {"limit": 5, "clock": SYSTEM_CLOCK},
    "build_acr_values": {"mfa": False, "verify": False, "idp": "i", "tenant": "t"},
    "parse_challenges": {"fields": ["Bearer"], "sent": ()},
    "parse_unverified_claims": {"access_token": "x"},
    "validate_tenant": {"claims": {"tid": "x"}, "tenant": "x"},
    "validate_backchannel_notification": {"pending": (), "authorization": "x", "body": b"x"},
    "validate_logout_callback": {"callback": "state=s", "state": "s"},
    "validate_front_channel_logout": {"callback": "sid=s", "issuers": ISSUER, "session_id": "s"},
    "parse_login_initiation": {"callback": "iss=i", "issuers": "i", "target_origins": ()},
    "BackchannelAuthentication": {
        "auth_req_id": "x",
        "expires_at": 1.0,
        "interval": 5.0,
        "notification_token": "t",
        "expected_claims": {},
    },
    "BackchannelAuthentication.from_json": {"text": "x"},
    "AuthorizationRequest.from_json": {"text": "x"},
    "build_session_page": {
        "check_session_iframe": f"{API}/f",
        "client_id": "c",
        "session_state": "s",
        "interval": 5.0,
    },
}

METHODS = {
    "for_tenant": (lambda: aa.PRODUCTION, {"tenant": "a", "shares_issuer": False}),
    "endpoint": (lambda: aa.PRODUCTION, {"name": "token_endpoint"}),
    "base_url": (lambda: aa.PRODUCTION, {"api": "bankservice"}),
    "is_by": (lambda: REQUEST, {"client_id": "c", "issuer": "i"}),
    "is_for": (lambda: aa.RefreshTokenGrant("r"), {"client_id": "c", "issuer": "i"}),
    "is_notification": (pending, {"auth_req_id": "a", "token": "t"}),
    "with_source": (lambda: provider().middleware([API]), {"source": provider()}),
    "encrypt": (lambda: KEYS, {"body": b"x", "place": "p"}),
    "decrypt": (lambda: KEYS, {"encrypted": b"x", "place": "p"}),
    "add": (aa.PendingSignIns, {"request": REQUEST, "return_to": "/"}),
    "take": (aa.PendingSignIns, {"cookies": {}, "state": "s"}),
    "allows": (lambda: provider().middleware([API]), {"url": API}),
    "get_token": (provider, {"min_ttl": 0.0, "timeout": 1.0}),
    "report_rejected": (provider, {"token": aa.Token("t")}),
    "set_token": (provider, {"token": aa.Token("t")}),
    "is_ready": (provider, {"timeout": 1.0}),
    "refresh_if_idle": (provider, {"seconds": 1.0}),
    "middleware": (provider, {"origins": None, "strict": False, "keep_authorization": False}),
    "session": (
        provider,
        {
            "base_url": API,
            "origins": [API],
            "strict": False,
            "timeout": None,
            "middlewares": (),
            "proxy": None,
        },
    ),
    "provider": (pool, {"key": 1}),
    "forget": (pool, {"key": 1}),
    "fetch_token": (client, {"grant": aa.SignedInGrant(), "timeout": 1.0}),
    "begin_sign_in": (
        client,
        {
            "redirect_uri": f"{API}/back",
            "scope": "openid",
            **dict.fromkeys(aa.AuthorizationParameters.__annotations__),
        },
    ),
    "complete_sign_in": (client, {"request": REQUEST, "callback": "code=a"}),
    "exchange_code": (client, {"response": None}),
    "begin_device_sign_in": (client, {"scope": "api"}),
    "complete_device_sign_in": (client, {"authorization": None}),
    "begin_backchannel_sign_in": (
        client,
        {"scope": "openid", **dict.fromkeys(aa.BackchannelParameters.__annotations__)},
    ),
    "complete_backchannel_sign_in": (
        client,
        {
            "authentication": aa.BackchannelAuthentication(
                auth_req_id="a", expires_at=0.0, interval=0.0
            ),
            "is_notified": False,
        },
    ),
    "register": (
        lambda: aa.ClientRegistrar(NOWHERE, timeout=1.0),
        {"metadata": {}, "initial_access_token": "t"},
    ),
    "fetch": (lambda: aa.ClientRegistrar(NOWHERE, timeout=1.0), {"client": REGISTERED}),
    "update": (
        lambda: aa.ClientRegistrar(NOWHERE, timeout=1.0),
        {"client": REGISTERED, "changes": {}},
    ),
    "delete": (lambda: aa.ClientRegistrar(NOWHERE, timeout=1.0), {"client": REGISTERED}),
    "assess_profile": (client, {"profile": aa.FAPI2}),
    "fetch_userinfo": (client, {"token": aa.Token("t"), "subject": "s", "in_body": False}),
    "verify_id_token": (
        client,
        {"id_token": "a.b.c", "nonce": "n", "max_age": None, "access_token": None, "keys": []},
    ),
    "verify_logout_token": (client, {"logout_token": "a.b.c"}),
    "revoke": (client, {"token": "t", "token_type_hint": None}),
    "introspect": (client, {"token": "t", "token_type_hint": None}),
    "end_session_url": (
        client,
        dict.fromkeys(
            ("id_token_hint", "post_logout_redirect_uri", "state", "ui_locales", "extra")
        ),
    ),
}


def test_every_public_function_and_class_is_tried():
    """What is new and public comes into the table, or among those that no caller makes."""
    made_by_us = {
        *("AuthorizationRequest", "AuthorizationResponse", "Challenge", "ClientAuth", "Clock"),
        *("DeviceAuthorization", "Event", "FileTokenStore", "Grant", "Introspection"),
        *("LoginInitiation", "LogoutToken", "NoClientAuth", "PendingSignIn", "PoolStatus"),
        *("Profile", "ProfileReport", "ProviderStatus", "Record", "ServerMetadata", "SessionPage"),
        *("SignIn", "SubjectTokenSource", "TokenSource", "TokenStore", "login_with_browser"),
        *("login_with_device", "signed_in_provider", "validate_authorization_response"),
    }
    public = {
        name
        for name in aa.__all__
        if callable(getattr(aa, name)) and not name.endswith(("Error", "Parameters", "Options"))
    }

    assert public - made_by_us <= {name.partition(".")[0] for name in CALLS}


def named(call):
    """Give the names of a call's arguments, but for those of another call that it passes on."""
    variadic = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    return {
        name for name, p in inspect.signature(call).parameters.items() if p.kind not in variadic
    }


def test_every_argument_is_tried():
    """A new argument comes into the table of its call."""
    calls = {name: (operator.attrgetter(name)(aa), right) for name, right in CALLS.items()}
    methods = {name: (getattr(make(), name), right) for name, (make, right) in METHODS.items()}
    missing = {
        name: named(call) - set(right)
        for name, (call, right) in (calls | methods).items()
        if named(call) - set(right)
    }

    assert missing == {}


@pytest.mark.parametrize("name", CALLS)
async def test_a_wrong_kind_is_an_error_of_the_package(name):
    """Constructors and functions refuse it, or it was right."""
    await try_name(aa, name, CALLS[name])


@pytest.mark.parametrize("name", METHODS)
async def test_a_wrong_kind_given_to_a_method_is_an_error_of_the_package(name):
    """Methods refuse it before they send, or find that it was right."""
    make, right = METHODS[name]

    await try_method(make, name, right)


async def test_a_wrong_kind_among_several_is_an_error_of_the_package():
    """Origins are given one by one."""
    await try_all(lambda url: aa.PRODUCTION.with_api_origins(API, url), {"url": API})


async def test_a_wrong_kind_given_to_keep_alive_is_an_error_of_the_package():
    """It ends the run at its start."""
    await try_all(keep_alive, {"keys": [1], "idle": 1.0, "concurrency": 4, "clock": SYSTEM_CLOCK})


FLAGS = [
    lambda flag: aa.ClientSecretBasic("s", is_form_encoded=flag),
    lambda flag: aa.Environment.at(ISSUER, discover=flag),
    lambda flag: aa.Environment(ISSUER, discovers=flag),
    lambda flag: aa.PRODUCTION.for_tenant("a", shares_issuer=flag),
    lambda flag: aa.OAuthClient("id", requires_bound_tokens=flag),
    lambda flag: provider().middleware([API], strict=flag),
    lambda flag: provider().middleware([API], keep_authorization=flag),
    lambda flag: provider().session(API, origins=[API], strict=flag),
    lambda flag: pool().middleware(str, [API], strict=flag),
    lambda flag: aa.RedisTokenStore("rediss://r.example", keys=KEYS, allow_plaintext=flag),
    lambda flag: aa.build_acr_values(mfa=flag),
    lambda flag: aa.build_acr_values(verify=flag),
    lambda flag: make_request(requires_iss=flag),
    lambda flag: make_request(requires_acr=flag),
]


@pytest.mark.parametrize("make", FLAGS)
@pytest.mark.parametrize("flag", ["false", 0, 1, None])
def test_a_flag_is_true_or_false(make, flag):
    """A text from a variable, ``"false"`` above all, would count as true."""
    with pytest.raises(aa.ConfigurationError, match="must be True or False; it is"):
        make(flag)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: aa.Environment.at(ISSUER, api_origins=5), "api_origins"),
        (
            lambda: aa.Environment.at(ISSUER, api_origins=["http://a.example"]),
            "each of api_origins",
        ),
        (lambda: aa.Environment.at(ISSUER, endpoint_origins="x"), "endpoint_origins"),
        (lambda: aa.OAuthClient("id", id_token_algorithms=5), "id_token_algorithms"),
        (lambda: aa.OAuthClient("id", id_token_algorithms="none"), "id_token_algorithms"),
        (lambda: aa.OAuthClient("id", id_token_algorithms=()), "id_token_algorithms"),
        (lambda: aa.TokenProviderPool.for_tenants("id", 5), "client_auth"),
        (lambda: aa.TokenProviderPool.for_tenants(5, "s"), "client_id"),
        (lambda: aa.TokenProviderPool.for_tenants("id", "s", session=5), "session"),
        (lambda: aa.TokenProviderPool.for_tenants("id", "s", policy=5), "policy"),
        (lambda: pool().provider([]), "key"),
        (lambda: provider().middleware([API]).allows(5), "url"),
        (lambda: provider().session(5, origins=[API]), "base_url"),
        (lambda: provider().session(API, origins=[API], timeout=5), "timeout"),
        (lambda: provider().session(API, origins=[API], middlewares=5), "middlewares"),
        (lambda: provider().session(API, origins=[API], middlewares=[5]), "each of middlewares"),
        (
            lambda: provider().session(API, origins=[API], proxy="proxy:3128"),
            "the proxy",
        ),
        (lambda: provider().session(API, origins=[API], proxy=5), "proxy"),
        (lambda: aa.Token("t", expires_at=math.nan), "expires_at"),
        (lambda: aa.Token("t", issued_at=10**400), "issued_at"),
        (lambda: aa.Token("t", token_type=5), "token_type"),
        (lambda: aa.Token("t", scope=5), "scope"),
        (lambda: aa.Token("t", scope=("a", 5)), "each word of scope"),
        (lambda: aa.Token("t", extra=[5]), "extra"),
        (lambda: aa.RefreshTokenGrant("\ud800"), "refresh_token"),
        (lambda: aa.ClientSecretPost("\ud800"), "secret"),
        (lambda: aa.AuthorizationDetail.from_members("type"), "members"),
        (lambda: aa.parse_granted_details({}), "token"),
        (lambda: aa.validate_tenant(None, "a"), "claims"),
        (lambda: aa.validate_tenant({}, "a/b"), "tenant"),
        (lambda: aa.validate_backchannel_notification([5], authorization="x", body=b""), "each of"),
        (lambda: aa.validate_backchannel_notification((), authorization=5, body=b""), "authoriz"),
        (lambda: aa.validate_backchannel_notification((), authorization="x", body="{}"), "body"),
        (lambda: aa.build_session_page(f"{API}/f", client_id="c", session_state=None), "session"),
        (lambda: aa.build_acr_values(idp=5), "idp"),
        (lambda: KEYS.encrypt(5, place="p"), "body"),
        (lambda: KEYS.decrypt("x", place="p"), "encrypted"),
        (lambda: KEYS.encrypt(b"x", place=5), "place"),
        (lambda: aa.EncryptionKeys.generate(5), "name"),
        (lambda: aa.ClientCredentialsGrant({"api": True}), "scope"),
        (lambda: aa.TokenExchangeGrant("t", audience={"a": 1}), "audience"),
        (lambda: aa.OAuthClient("id", trusted_audiences={"a": "b"}), "trusted_audiences"),
        (lambda: aa.Environment.at(ISSUER, issuer_aliases={"a": "b"}), "issuer_aliases"),
        (lambda: aa.AuthorizationDetail("t", actions={"read": True}), "actions"),
        (lambda: aa.create_tls_context(0), "cafile"),
        (lambda: aa.create_tls_context(""), "cafile"),
        (lambda: aa.create_tls_context(["ca.pem"]), "cafile"),
        (lambda: aa.OAuthClient("  "), "client_id"),
        (lambda: aa.Secret(" \t"), "the secret"),
        (lambda: aa.ClientSecretPost("hunter2\n"), "secret"),
        (lambda: aa.ClientSecretBasic("\ufeffhunter2"), "secret"),
        (lambda: aa.ClientSecretJwt("  "), "secret"),
        (lambda: aa.ClientAssertion("a.b.c\r\n"), "secret"),
        (lambda: pending(notification_token=5), "notification_token"),
        (lambda: pending(notification_token=""), "notification_token"),
        (lambda: pending(notification_token=["t"]), "notification_token"),
        (lambda: aa.PendingSignIns().add(REQUEST, None), "return_to"),
        (lambda: aa.OAuthClient("id", timeout=10**400), "timeout"),
        (lambda: aa.RefreshPolicy(max_lifetime=10**400), "RefreshPolicy: max_lifetime"),
    ],
)
def test_the_error_names_the_argument(call, name):
    """A wrong argument is refused where it is given, by its own name."""
    with pytest.raises(aa.ConfigurationError, match=f"^{name}.* must"):
        call()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: client().complete_sign_in("x", "code=a"), "request"),
        (lambda: client().exchange_code("code"), "response"),
        (lambda: client().complete_device_sign_in("code"), "authorization"),
        (lambda: client().fetch_userinfo("token"), "token"),
        (lambda: client().fetch_userinfo(aa.Token("t"), subject=5), "subject"),
        (lambda: client().fetch_userinfo(aa.Token("t"), subject="s", in_body="no"), "in_body"),
        (lambda: client().fetch_token(aa.ClientCredentialsGrant(), timeout="5"), "timeout"),
        (lambda: client().fetch_token(aa.CustomGrant("x", {"a": "\ud800"})), "a"),
        (lambda: client().verify_id_token("a.b.c", nonce=5), "nonce"),
        (lambda: client().verify_id_token("a.b.c", nonce=None, max_age="60"), "max_age"),
        (lambda: client().verify_id_token("a.b.c", nonce=None, keys=5), "keys"),
        (lambda: client().verify_id_token("a.b.c", nonce=None, keys=["k"]), "each of keys"),
        (lambda: client().revoke("t", token_type_hint=5), "token_type_hint"),
        (lambda: client().end_session_url(state=5), "state"),
        (lambda: client().end_session_url(ui_locales="\ud800"), "ui_locales"),
        (lambda: provider().is_ready(timeout="1"), "timeout"),
        (lambda: provider().set_token("t"), "token"),
        (lambda: keep_alive(keys=[1], idle=1.0, clock=5), "clock"),
    ],
)
async def test_a_method_names_the_argument_before_anything_is_sent(call, name):
    """Nobody listens at the server's address: a request would be another error."""
    with pytest.raises(aa.ConfigurationError, match=f"^{name} must be"):
        await call()


@pytest.mark.parametrize(
    ("token", "name"),
    [
        (aa.Token("t\n"), "access_token"),
        (aa.Token(""), "access_token"),
        (aa.Token("tökén"), "access_token"),
        (aa.Token("t\x00"), "access_token"),
        (aa.Token("t", token_type="Bearer\r\nX-Evil: 1"), "token_type"),
        (aa.Token("t", token_type=""), "token_type"),
        (aa.Token("t", refresh_token="r\n"), "refresh_token"),
        (aa.Token("t", id_token="\u202ei"), "id_token"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
async def test_a_token_that_no_header_can_carry_is_refused(token, name):
    """aiohttp would refuse it in its own words, at the first request to an API."""
    with pytest.raises(aa.ConfigurationError, match=f"token must have {name} of printable ASCII"):
        await provider().set_token(token)


async def test_a_token_without_a_refresh_token_may_say_so_by_an_empty_text():
    """Some callers keep an empty text for what the server has not sent."""
    tokens = provider()
    await tokens.set_token(aa.Token("t", refresh_token="", id_token="", expires_at=9e9))

    assert (await tokens.get_token()).access_token == "t"


def test_bytes_of_another_kind_are_decrypted_all_the_same():
    """A driver may give what it has read as a bytearray."""
    encrypted = bytearray(KEYS.encrypt(b"x", place="p"))

    assert KEYS.decrypt(encrypted, place="p") == b"x"


def test_what_is_no_url_is_not_signed():
    """A text that is no URL has no origin."""
    assert not provider().middleware([API]).allows("https://[")
