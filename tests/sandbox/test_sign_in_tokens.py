"""What the token endpoint issues for sign-ins, refreshes, devices, delegation and exchange."""

import hashlib
from base64 import urlsafe_b64encode

import attrs
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox import Sandbox, SandboxClient
from support.sandbox_wire import (
    ALICE,
    DEVICE_CODE,
    TOKEN_EXCHANGE,
    WEB,
    get,
    post,
    read_jwt,
    redeem,
    sign_in,
    tokens_of,
)

pytestmark = pytest.mark.usefixtures("no_leftovers")

CLI = {"client_id": "sandbox-cli"}
DELEGATE = {"client_id": "sandbox-delegate", "client_secret": "delegate-secret"}
EXCHANGE = {"client_id": "sandbox-exchange", "client_secret": "exchange-secret"}
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
EVERYTHING = "openid profile api offline_access"


async def ask(sandbox, form):
    return (await post(sandbox, "/connect/token", form))[:2]


async def refresh(sandbox, handle, client=WEB, **form):
    return await ask(
        sandbox, {**client, "grant_type": "refresh_token", "refresh_token": handle, **form}
    )


async def published_keys(sandbox):
    return KeySet.import_key_set((await get(sandbox, "/.well-known/openid-configuration/jwks"))[1])


async def test_a_code_brings_everything_in_order(every):
    """The response's members come in IdentityServer's order, with an ID token that verifies."""
    answer = await tokens_of(every, scope=EVERYTHING)
    token = jwt.decode(answer["id_token"], await published_keys(every), algorithms=["RS256"])
    digest = hashlib.sha256(answer["access_token"].encode()).digest()[:16]

    assert list(answer) == (
        ["id_token", "access_token", "expires_in", "token_type", "refresh_token", "scope"]
    )
    assert token.header["typ"] == "JWT"
    assert list(token.claims) == (
        [
            "iss",
            "nbf",
            "iat",
            "exp",
            "aud",
            "nonce",
            "at_hash",
            "sid",
            "sub",
            "auth_time",
            "idp",
            "amr",
        ]
    )
    assert token.claims["at_hash"] == urlsafe_b64encode(digest).decode().rstrip("=")
    assert token.claims["exp"] - token.claims["iat"] == 300
    assert (token.claims["nonce"], token.claims["sub"]) == ("the-nonce", "user-alice")


@pytest.mark.parametrize(
    ("version", "first"),
    [
        ("is4", ["nbf", "exp", "iss", "aud", "client_id", "iat"]),
        ("duende-6.3", ["iss", "nbf", "iat", "exp", "aud", "client_id"]),
        ("duende-8", ["iss", "nbf", "iat", "exp", "aud", "client_id"]),
    ],
)
async def test_access_tokens_begin_as_the_versions_do(version, first):
    """
    Claims come in the version's order, the tenant is a claim, and a single audience is a string.
    """
    async with Sandbox(server_version=version) as sandbox:
        text = (await sign_in(sandbox, tenant="/acme"))["code"]
        _, answer = await redeem(sandbox, text, tenant="/acme")
        header, claims = read_jwt(answer["access_token"])
        sandbox.add_client(attrs.evolve(sandbox.clients["sandbox-web"], scopes="openid"))
        alone = read_jwt((await tokens_of(sandbox, scope="openid"))["access_token"])[1]

    assert header["typ"] == "at+jwt"
    assert list(claims)[:6] == first
    assert claims["tid"] == "acme"
    assert claims["aud"] == ["api", f"{claims['iss']}/resources"]
    assert alone["aud"] == f"{alone['iss']}/resources"
    assert "tid" not in alone


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": "forged"}, "invalid_grant"),
        ({"code": None}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:6000/callback"}, "invalid_grant"),
        ({"redirect_uri": None}, "unauthorized_client"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_grant"),
    ],
    ids=str,
)
async def test_a_code_fits_its_request_alone(sandbox, changes, error):
    """A code needs its own redirect URI and its own code verifier."""
    code = (await sign_in(sandbox))["code"]

    assert await redeem(sandbox, **({"code": code} | changes)) == (400, {"error": error})


async def test_a_code_is_used_once(sandbox):
    """A code is spent by its first use, even if that failed."""
    code = (await sign_in(sandbox))["code"]
    assert (await redeem(sandbox, code))[0] == 200
    assert (await redeem(sandbox, code))[1] == {"error": "invalid_grant"}
    other = (await sign_in(sandbox))["code"]
    await redeem(sandbox, other, code_verifier="wrong")

    assert (await redeem(sandbox, other))[1] == {"error": "invalid_grant"}


async def test_another_clients_code_stays_good(sandbox):
    """A code presented by another client stays valid for its own."""
    code = (await sign_in(sandbox))["code"]
    stolen = await redeem(
        sandbox, code, {"client_id": "sandbox-hybrid", "client_secret": "hybrid-secret"}
    )

    assert stolen == (400, {"error": "invalid_grant"})
    assert (await redeem(sandbox, code))[0] == 200


@pytest.mark.parametrize(("age", "status"), [(299, 200), (300, 400)])
async def test_a_code_lives_for_five_minutes(sandbox, age, status):
    """A code is valid for five minutes and not a second longer."""
    code = (await sign_in(sandbox))["code"]
    sandbox.clock.advance(age)

    assert (await redeem(sandbox, code))[0] == status


async def test_a_verifier_without_a_challenge_is_refused(sandbox):
    """
    A verifier without a challenge may be an attack that removed the challenge (RFC 9700 §4.8).
    """
    sandbox.add_client(attrs.evolve(sandbox.clients["sandbox-web"], requires_pkce=False))
    first = (await sign_in(sandbox, code_challenge=None))["code"]
    second = (await sign_in(sandbox, code_challenge=None))["code"]

    assert (await redeem(sandbox, first))[1] == {"error": "invalid_grant"}
    assert (await redeem(sandbox, second, code_verifier=None))[0] == 200


async def test_a_hybrid_sign_in_is_hashed(sandbox):
    """The ID token of the authorization response has c_hash and at_hash, and the code brings its own tokens."""
    hybrid = {"client_id": "sandbox-hybrid", "client_secret": "hybrid-secret"}
    answer = await sign_in(sandbox, client_id="sandbox-hybrid", response_type="code id_token token")
    claims = read_jwt(answer["id_token"])[1]
    status, tokens = await redeem(sandbox, answer["code"], hybrid)

    assert {"c_hash", "at_hash"} <= claims.keys()
    assert status == 200
    assert "c_hash" not in read_jwt(tokens["id_token"])[1]


@pytest.mark.parametrize(
    ("version", "rotates"),
    [("is4", True), ("duende-6.3", True), ("duende-7.4", False), ("duende-8", False)],
)
@pytest.mark.parametrize("registered", [None, True, False])
async def test_refresh_tokens_rotate_by_version_or_registration(version, rotates, registered):
    """Refresh tokens are for one use until version 6 and for many since; the registration decides first."""
    async with Sandbox(server_version=version) as sandbox:
        sandbox.add_client(
            attrs.evolve(sandbox.clients["sandbox-web"], refresh_tokens_rotate=registered)
        )
        first = await tokens_of(sandbox, scope=EVERYTHING)
        _, second = await refresh(sandbox, first["refresh_token"])
        status, _ = await refresh(sandbox, first["refresh_token"])
    expected = rotates if registered is None else registered

    assert (second["refresh_token"] != first["refresh_token"]) is expected
    assert status == (400 if expected else 200)


async def test_a_refresh_brings_an_id_token_of_the_same_sign_in(sandbox):
    """
    A refresh brings an ID token without the first one's nonce (OpenID Connect Core 1.0 §12.2).
    """
    first = await tokens_of(sandbox, scope=EVERYTHING)
    sandbox.clock.advance(60)
    _, second = await refresh(sandbox, first["refresh_token"], scope="ignored")
    old, new = read_jwt(first["id_token"])[1], read_jwt(second["id_token"])[1]

    assert second["scope"] == EVERYTHING
    assert "nonce" not in new
    assert {n: new[n] for n in ("sub", "sid", "auth_time", "iss", "aud")} == {
        n: old[n] for n in ("sub", "sid", "auth_time", "iss", "aud")
    }
    assert new["iat"] == old["iat"] + 60


@pytest.mark.parametrize("rotates", [True, False])
async def test_refresh_tokens_end_after_thirty_days(sandbox, rotates):
    """The thirty days count from the sign-in, however often the tokens were used."""
    sandbox.add_client(attrs.evolve(sandbox.clients["sandbox-web"], refresh_tokens_rotate=rotates))
    handle = (await tokens_of(sandbox, scope=EVERYTHING))["refresh_token"]
    for _ in range(2):
        sandbox.clock.advance(14 * 86400)
        status, answer = await refresh(sandbox, handle)
        assert status == 200
        handle = answer["refresh_token"]
    sandbox.clock.advance(2 * 86400)

    assert await refresh(sandbox, handle) == (400, {"error": "invalid_grant"})
    assert sandbox.refresh_tokens.reuse_events == 0


async def test_a_refresh_needs_a_token(sandbox):
    """
    A refresh without a token is invalid_request, and one of a password sign-in brings an ID token.
    """
    app = {"client_id": "sandbox-app", "client_secret": "app-secret"}
    form = {**app, **ALICE, "grant_type": "password", "scope": "openid offline_access"}
    _, first = await ask(sandbox, form)
    _, second = await refresh(sandbox, first["refresh_token"], app)

    assert await refresh(sandbox, "") == (400, {"error": "invalid_request"})
    assert "id_token" not in first
    assert read_jwt(second["id_token"])[1]["sub"] == "user-alice"


async def test_everything_can_be_revoked_at_once(sandbox):
    """revoke_all ends access tokens, and refresh tokens on request."""
    first = await tokens_of(sandbox, scope=EVERYTHING)
    sandbox.faults.revoke_all()
    status, second = await refresh(sandbox, first["refresh_token"])
    sandbox.faults.revoke_all(refresh_tokens=True)

    assert status == 200
    assert (await refresh(sandbox, second["refresh_token"]))[1] == {"error": "invalid_grant"}


async def test_keys_roll_over_in_the_middle_of_a_sign_in(sandbox):
    """The new key signs the ID token first, and the old key stays published or not."""
    code = (await sign_in(sandbox))["code"]
    sandbox.issuer.roll_keys(at_next_id_token=True)
    before = sandbox.issuer.keys[0].kid
    _, answer = await redeem(sandbox, code)
    kids = [read_jwt(answer[name])[0]["kid"] for name in ("access_token", "id_token")]

    assert kids == [before, sandbox.issuer.keys[0].kid]
    assert kids[0] != kids[1]
    jwt.decode(answer["id_token"], await published_keys(sandbox), algorithms=["RS256"])
    sandbox.issuer.roll_keys(keep_old=False)
    assert len((await published_keys(sandbox)).keys) == 1


async def start(sandbox, **changes):
    return await post(
        sandbox, "/connect/deviceauthorization", {**CLI, "scope": "openid api", **changes}
    )


async def poll(sandbox, started, client=CLI):
    form = {**client, "grant_type": DEVICE_CODE, "device_code": started["device_code"]}
    _, answer = await ask(sandbox, form)
    return answer.get("error", "granted")


async def test_a_device_waits_as_long_as_it_is_told(sandbox):
    """An early poll restarts the interval, however often it comes."""
    status, started, headers = await start(sandbox)
    page = f"{sandbox.identity_url}/device"
    assert status == 200
    assert headers["Cache-Control"] == "no-store, no-cache, max-age=0"
    assert len(started["user_code"]) == 9
    assert started["verification_uri"] == page
    assert started["verification_uri_complete"] == f"{page}?user_code={started['user_code']}"
    assert (started["expires_in"], started["interval"]) == (300, 5)

    seen = []
    for wait in (0, 4, 4, 5):
        sandbox.clock.advance(wait)
        seen.append(await poll(sandbox, started))
    sandbox.approve_device(started["user_code"], "alice")
    for wait in (4, 5, 5):
        sandbox.clock.advance(wait)
        seen.append(await poll(sandbox, started))
    assert seen == [
        "authorization_pending",
        "slow_down",
        "slow_down",
        "authorization_pending",
        "slow_down",
        "granted",
        "invalid_grant",
    ]


async def test_a_devices_wait_outranks_its_end(sandbox):
    """An early poll of an expired code is slow_down first and expired_token then, as at IdentityServer."""
    _, started, _ = await start(sandbox)
    sandbox.clock.advance(299)
    await poll(sandbox, started)
    sandbox.clock.advance(1)
    early = await poll(sandbox, started)
    sandbox.clock.advance(5)

    assert [early, await poll(sandbox, started)] == ["slow_down", "expired_token"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "sandbox-web", "client_secret": "web-secret"}, "unauthorized_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"scope": "zam"}, "invalid_scope"),
    ],
    ids=str,
)
async def test_a_device_that_may_not_begin_is_told_so(sandbox, changes, error):
    """A device authorization request is refused by the token endpoint's rules."""
    status, answer, _ = await start(sandbox, **changes)

    assert (status, answer) == (400, {"error": error})


async def test_an_end_user_denies_a_device(sandbox):
    """approve_device denies with None; an unknown code or name is an error of the test."""
    _, started, _ = await start(sandbox)
    sandbox.approve_device(started["user_code"], None)

    assert await poll(sandbox, started) == "access_denied"
    with pytest.raises(ConfigurationError, match="user_code must be one"):
        sandbox.approve_device(started["user_code"], "alice")
    with pytest.raises(ConfigurationError, match="username must be"):
        sandbox.approve_device(started["user_code"], "carol")


async def test_a_device_code_belongs_to_its_client(sandbox):
    """Another client's device code is invalid_grant."""
    sandbox.add_client(SandboxClient(client_id="o", grant_types=DEVICE_CODE, scopes="openid"))
    _, started, _ = await start(sandbox)

    assert await poll(sandbox, started, {"client_id": "o"}) == "invalid_grant"


async def delegate(sandbox, **form):
    return await ask(sandbox, {**DELEGATE, "grant_type": "delegation", "scope": "api", **form})


async def test_a_token_is_delegated(sandbox):
    """An end-user's, a client's and a trusted provider's token are delegated, without a scope in the response."""
    token = (await tokens_of(sandbox))["access_token"]
    service = {"client_id": "sandbox-service", "client_secret": "sandbox-secret"}
    _, machine = await ask(sandbox, {**service, "grant_type": "client_credentials"})
    sandbox.trust_external_token("softrig", "theirs", "user-bob")
    answers = [
        await delegate(sandbox, token=token),
        await delegate(sandbox, token=machine["access_token"]),
        await delegate(sandbox, token="theirs", provider="softrig"),
    ]

    assert [status for status, _ in answers] == [200] * 3
    assert [list(answer) for _, answer in answers] == [
        ["access_token", "expires_in", "token_type"]
    ] * 3
    claims = [read_jwt(answer["access_token"])[1] for _, answer in answers]
    assert [c["sub"] for c in claims] == ["user-alice", "sandbox-service", "user-bob"]
    assert [c["idp"] for c in claims] == ["local", "local", "softrig"]
    assert all(c["client_id"] == "sandbox-delegate" for c in claims)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_grant"),
        ({"token": "forged"}, "invalid_grant"),
        ({"token": "theirs"}, "invalid_grant"),
        ({"token": "theirs", "provider": "other"}, "invalid_grant"),
        ({"token": "theirs", "provider": "softrig", "scope": "zam"}, "invalid_scope"),
        ({"client_id": "sandbox-web", "client_secret": "web-secret"}, "unsupported_grant_type"),
    ],
    ids=str,
)
async def test_what_cannot_be_delegated_is_refused(sandbox, form, error):
    """An invalid delegation gets IdentityServer's error code."""
    sandbox.trust_external_token("softrig", "theirs", "user-bob")

    assert await delegate(sandbox, **form) == (400, {"error": error})


async def exchange(sandbox, **form):
    usual = {"grant_type": TOKEN_EXCHANGE, "subject_token_type": ACCESS_TOKEN, "scope": "api"}
    return await ask(sandbox, {**EXCHANGE, **usual, **form})


@pytest.mark.parametrize("has_actor", [True, False])
async def test_a_token_is_exchanged(sandbox, has_actor):
    """Another client gets a token for the same end-user that names the actor."""
    token = (await tokens_of(sandbox))["access_token"]
    service = {"client_id": "sandbox-service", "client_secret": "sandbox-secret"}
    _, machine = await ask(sandbox, {**service, "grant_type": "client_credentials"})
    actor = {"actor_token": machine["access_token"], "actor_token_type": ACCESS_TOKEN}
    status, answer = await exchange(sandbox, subject_token=token, **(actor if has_actor else {}))
    claims = read_jwt(answer["access_token"])[1]

    assert status == 200
    assert answer["issued_token_type"] == ACCESS_TOKEN
    assert answer["scope"] == "api"
    assert (claims["sub"], claims["client_id"]) == ("user-alice", "sandbox-exchange")
    assert claims.get("act") == ({"sub": "sandbox-service"} if has_actor else None)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"subject_token": "forged"}, "invalid_request"),
        ({"subject_token_type": "urn:x"}, "invalid_request"),
        ({"requested_token_type": "urn:x"}, "invalid_request"),
        ({"actor_token": "x"}, "invalid_request"),
        ({"scope": "zam"}, "invalid_scope"),
        ({"client_id": "sandbox-web", "client_secret": "web-secret"}, "unsupported_grant_type"),
    ],
    ids=str,
)
async def test_what_cannot_be_exchanged_is_refused(sandbox, form, error):
    """An invalid exchange is invalid_request (RFC 8693 §2.2.2)."""
    token = (await tokens_of(sandbox))["access_token"]
    usual = {"subject_token": token} if form else {}
    status, answer = await exchange(sandbox, **(usual | form))

    assert (status, answer["error"]) == (400, error)


async def resource_answer(sandbox, **form):
    resources = ["urn:aritma:banking", "urn:aritma:bankservice"]
    code = (await sign_in(sandbox, scope="api offline_access", resource=resources))["code"]
    return await redeem(sandbox, code, **form)


async def test_one_resource_may_be_named(every):
    """A resource becomes the token's only audience; IdentityServer 4 ignores the parameter."""
    status, first = await resource_answer(every, resource="urn:aritma:banking")
    _, second = await refresh(every, first["refresh_token"], resource="urn:aritma:banking")
    service = {"client_id": "sandbox-service", "client_secret": "sandbox-secret"}
    form = {**service, "grant_type": "client_credentials", "resource": "urn:aritma:bankservice"}
    _, third = await ask(every, form)
    audiences = [read_jwt(a["access_token"])[1]["aud"] for a in (first, second, third)]

    assert status == 200
    if every.server_version == "is4":
        assert all(isinstance(audience, list) for audience in audiences)
    else:
        assert audiences == ["urn:aritma:banking"] * 2 + ["urn:aritma:bankservice"]


@pytest.mark.parametrize("sandbox", ["duende-6.3", "duende-8"], indirect=True)
@pytest.mark.parametrize(
    "resource",
    [
        "urn:x",
        "urn:aritma:bankservice",
        pytest.param(["urn:aritma:banking", "urn:aritma:banking"], id="two"),
    ],
)
async def test_a_bad_resource_is_refused(sandbox, resource):
    """An unknown resource, one outside the scope, and several are invalid_target."""
    status, answer = await resource_answer(sandbox, resource=resource)

    assert status == 400
    assert answer == {
        "error": "invalid_target",
        "error_description": "Invalid resource indicator",
    }


async def test_the_token_endpoint_knows_its_grants(sandbox):
    """The metadata names every grant, the extension grants too."""
    _, metadata, _ = await get(sandbox, "/.well-known/openid-configuration")

    assert {"delegation", TOKEN_EXCHANGE, DEVICE_CODE, "implicit", "refresh_token"} <= set(
        metadata["grant_types_supported"]
    )
