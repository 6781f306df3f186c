"""Aritma's API conventions: headers, problem details, and the confirmation of a payment."""

import json
import uuid

import aiohttp
import pytest
from multidict import CIMultiDict

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.sandbox import Sandbox

ENVIRONMENT = aa.Environment(
    "https://id.example/acme",
    issuer_aliases=["https://id.old.example"],
    api_origins=["https://banking.example/api"],
    endpoint_origins=["https://login.example"],
)
CALLBACK = "http://127.0.0.1/callback"
CONFIRMATION = "https://banking.example/api/payments/1/authorizations/2"


def answer(sca_oauth="https://id.example", confirmation=CONFIRMATION, **members):
    """What "start authorization" answers."""
    links = {"scaOauth": sca_oauth, "confirmation": confirmation}
    return {"scaStatus": "started", "authorizationId": "2", "_links": links, **members}


def read(given, **settings):
    return banking.parse_sca_step(given, environment=ENVIRONMENT, **settings)


# Headers


def test_an_idempotency_key_is_a_fresh_uuid():
    """As the API asks for."""
    one, two = banking.generate_idempotency_key(), banking.generate_idempotency_key()

    assert uuid.UUID(one).version == 4
    assert one != two


def test_a_calls_headers_are_aritmas():
    """Each under the name that the API's pages give it; what is not given is not sent."""
    everything = banking.ApiContext(
        consent_id="consent",
        channel_type="psd2",
        subscription_id="subscription",
        resource_group_name="group",
        psu_ip_address="2001:db8::1",
        resource_uri="/subscriptions/1",
        tenant_id="7e57d004-2b97-0e7a-b45f-5387367791cd",
    )

    assert banking.build_api_headers(context=everything, idempotency_key="key") == {
        "api-version": "1.0",
        "Idempotency-Key": "key",
        "Consent-ID": "consent",
        "ServerConnection-Type": "psd2",
        "Subscription-Id": "subscription",
        "Resource-Group-Name": "group",
        "PSU-IP-Address": "2001:db8::1",
        "ResourceUri": "/subscriptions/1",
        "TenantId": "7e57d004-2b97-0e7a-b45f-5387367791cd",
    }
    assert banking.build_api_headers(version=None) == {}
    assert banking.build_api_headers(version="2.0") == {"api-version": "2.0"}


@pytest.mark.parametrize(
    ("scopes", "field"),
    [
        (["/subscriptions/1", "/subscriptions/2"], "/subscriptions/1,/subscriptions/2"),
        ("/subscriptions/1", "/subscriptions/1"),
    ],
)
def test_resource_scopes_take_one_field(scopes, field):
    """One text is one scope, not a list of letters."""
    assert banking.ApiContext(scopes=scopes).headers() == {"Scopes": field}


@pytest.mark.parametrize(
    "wrong",
    [
        {"channel_type": "openbanking"},
        {"scopes": ["/subscriptions/1"], "subscription_id": "1"},
        {"psu_ip_address": "localhost"},
        {"psu_ip_address": "192.0.2.1, 192.0.2.2"},
        {"consent_id": "a\r\nAuthorization: Bearer b"},
        {"consent_id": ""},
        {"tenant_id": "Ålesund"},
    ],
)
def test_what_cannot_be_sent_is_refused_before(wrong):
    """A line break in a header would be another header."""
    with pytest.raises(aa.ConfigurationError):
        banking.ApiContext(**wrong)


@pytest.mark.parametrize("wrong", [{"version": "1\n0"}, {"idempotency_key": " "}])
def test_what_cannot_be_a_calls_header_is_refused(wrong):
    """As above, for version and key."""
    with pytest.raises(aa.ConfigurationError):
        banking.build_api_headers(**wrong)


@pytest.mark.parametrize("kind", [dict, CIMultiDict])
def test_an_answers_headers_tell_of_versions_and_replays(kind):
    """Whatever the letters' case."""
    headers = kind(
        {
            "API-Supported-Versions": "1.0, 2.0",
            "api-deprecated-versions": "1.0",
            "Idempotent-Replayed": "True",
        }
    )

    assert banking.parse_api_versions(headers) == banking.ApiVersions(("1.0", "2.0"), ("1.0",))
    assert banking.was_replayed(headers)
    assert banking.parse_api_versions(kind()) == banking.ApiVersions()
    assert not banking.was_replayed(kind())
    assert not banking.was_replayed(kind({"Idempotent-Replayed": "false"}))


# Problems


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/problem+json; charset=utf-8", "Application/JSON", ""],
)
def test_problem_details_are_read_under_either_media_type(content_type):
    """Aritma's pages show the members under application/json."""
    body = json.dumps(
        {
            "type": "https://banking.example/problems/limit",
            "title": "Forbidden",
            "status": 418,
            "detail": "The limit\nis reached",
            "instance": "/payments/1",
            "reason": "verify",
        }
    )

    problem = banking.parse_problem(403, body.encode(), content_type)

    assert problem.type == "https://banking.example/problems/limit"
    assert problem.instance == "/payments/1"
    # The answer's own status counts, and no line break reaches a log.
    assert str(problem) == "403: Forbidden: The limit�is reached"
    assert dict(problem.extra.items()) == {"reason": "verify"}
    assert "verify" not in repr(problem)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", ""),
        (b"", "application/json"),
        (b"<html>Bad Gateway</html>", "text/html"),
        (b'{"title": "hidden"}', "text/html"),
        (b'{"title": 5, "detail": null, "type": []}', "application/json"),
        (b'"a text"', "application/json"),
        (b'{"title": "cut off', "application/problem+json"),
        (b'{"title": "a", "title": "b"}', "application/problem+json"),
        (b"\xff\xfe", "application/json"),
    ],
)
def test_whatever_a_gateway_answers_is_a_problem(body, content_type):
    """What cannot be read costs nobody the status."""
    problem = banking.parse_problem(502, body, content_type)

    assert problem == banking.ApiProblem(status=502)
    assert str(problem) == "502"
    assert problem.type == "about:blank"


# The confirmation of a payment


@pytest.mark.parametrize(
    "authority",
    [
        "https://id.example",
        "https://id.example:443/other",
        "https://id.old.example/connect/authorize",
        "https://login.example/",
    ],
)
def test_the_authority_is_the_clients_own(authority):
    """By origin: the issuer's, an alias's, or that of its endpoints."""
    step = read(answer(authority, authenticationMethodAcrValues="mfa verify"))

    assert step == banking.ScaStep(
        confirmation=CONFIRMATION, acr_values=("mfa", "verify"), authorization_id="2"
    )


def test_an_endpoint_may_stand_elsewhere_by_configuration():
    """Whoever configured it trusts it."""
    environment = aa.Environment.at(
        "https://id.example",
        api_origins=["https://banking.example"],
        endpoints={"authorization_endpoint": "https://sso.example/authorize"},
    )

    assert banking.parse_sca_step(answer("https://sso.example"), environment=environment)


@pytest.mark.parametrize(
    "stranger",
    [
        "https://evil.example",
        "https://id.example.evil.example",
        "https://id.example@evil.example",
        "https://id.example:8443",
        "http://id.example",
        "https://banking.example",
        "//id.example",
        "id.example",
        "javascript:alert(1)",
        "https://id.example#fragment",
        "https://[",
        "",
    ],
)
def test_a_foreign_authority_is_refused(stranger):
    """An answer must not send people to a sign-in page of its choice."""
    with pytest.raises(aa.VerificationError, match="scaOauth leads to a stranger"):
        read(answer(stranger))


@pytest.mark.parametrize(
    "stranger",
    [
        "https://evil.example/api",
        "https://id.example/",
        "http://banking.example/api",
        "https://banking.example@evil.example",
        "/api/confirmation",
        "https://[",
    ],
)
def test_a_foreign_confirmation_is_refused(stranger):
    """The access token goes there: only to an API of the environment."""
    with pytest.raises(aa.VerificationError, match="confirmation leads to a stranger"):
        read(answer(confirmation=stranger))


def test_a_relative_confirmation_is_joined_to_what_was_called():
    """And judged then; a base URL makes no stranger a friend."""
    base_url = "https://banking.example/api/payments/1/authorizations"

    step = read(answer(confirmation="authorizations/2"), base_url=base_url)

    assert step.confirmation == CONFIRMATION
    for stranger in ("//evil.example/", "https://[", "https://evil.example/"):
        with pytest.raises(aa.VerificationError):
            read(answer(confirmation=stranger), base_url=base_url)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        (["mfa", "idp:bankid"], ("mfa", "idp:bankid")),
        ("mfa", ("mfa",)),
        (None, ("verify",)),
        ([], ("verify",)),
        ("", ("verify",)),
        ([5], ("verify",)),
        ({"mfa": True}, ("verify",)),
    ],
)
def test_how_to_sign_in_is_as_the_answer_says(said, asked):
    """A list or a text; else what the caller knows."""
    step = read(answer(authenticationMethodAcrValues=said), acr_values=["verify"])

    assert step.acr_values == asked


def test_links_may_be_objects():
    """As HAL writes them."""
    linked = answer({"href": "https://id.example"}, {"href": CONFIRMATION}, authorizationId=2)

    assert read(linked) == banking.ScaStep(confirmation=CONFIRMATION)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"_links": None},
        {"_links": []},
        {"_links": {"scaRedirect": "https://bank.example", "confirmation": CONFIRMATION}},
        {"_links": {"scaOauth": "https://id.example"}},
        {"_links": {"scaOauth": 5, "confirmation": {"href": 5}}},
        [],
    ],
    ids=["nothing", "null", "list", "redirect", "no confirmation", "no texts", "no object"],
)
def test_other_ways_to_confirm_are_told_apart(other):
    """A bank's own page, or nothing left to confirm."""
    with pytest.raises(aa.InvalidResponseError, match="scaStatus") as caught:
        read(other)
    assert caught.value.status == 201


def test_the_confirmations_body_hides_the_token(canary):
    """It can be sent, and shown in a log by mistake."""
    step = read(answer())

    body = step.confirmation_body(aa.Token(canary.text))

    assert json.loads(json.dumps(body)) == {"accessToken": canary.text}
    assert list(step.confirmation_body(aa.Token("t"), member="access_token")) == ["access_token"]
    canary.assert_hidden(step, body)


async def test_a_payment_is_confirmed_by_the_person():
    """From the payment to its confirmation, with the token of a sign-in for it alone."""
    async with Sandbox() as sandbox:
        sandbox.sign_in_automatically("alice")
        client = aa.OAuthClient("sandbox-web", "web-secret", environment=sandbox.environment)

        async def sign_in(request):
            async with aiohttp.ClientSession() as browser:
                async with browser.get(request.url, allow_redirects=False) as response:
                    return await client.complete_sign_in(request, response.headers["Location"])

        first = await client.begin_sign_in(CALLBACK, "openid api")
        tokens = aa.TokenProvider(client, aa.SignedInGrant("alice"))
        await tokens.set_token((await sign_in(first)).token)
        async with aiohttp.ClientSession(
            sandbox.banking_url, middlewares=[tokens.middleware()]
        ) as bank:
            headers = banking.build_api_headers(idempotency_key=banking.generate_idempotency_key())
            async with bank.post(
                "api/bulk-payments/credit-transfer", headers=headers, json={}
            ) as r:
                payment = await r.json()
            wanted = {"authenticationMethodAcrValues": ["mfa"]}
            start = payment["_links"]["startAuthorization"]["href"]
            async with bank.post(start, json=wanted) as response:
                step = banking.parse_sca_step(
                    await response.json(), environment=sandbox.environment
                )
            request = await step.begin_sign_in(client, CALLBACK)
            body = step.confirmation_body((await sign_in(request)).token)
            async with bank.put(step.confirmation, json=body) as response:
                assert (await response.json())["scaStatus"] == "finalised"
            async with bank.put(step.confirmation, json=body) as response:
                problem = banking.parse_problem(
                    response.status, await response.read(), response.content_type
                )

    assert (step.acr_values, request.acr_values) == (("mfa",), ("mfa",))
    assert request.url.startswith(f"{sandbox.identity_url}/connect/authorize?")
    assert str(problem) == "409: Conflict: The authorization is finalised."
