"""Tests of the conventions of Aritma's APIs: header fields, problem details, confirmation."""

import json
import uuid

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

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


def response(sca_oauth="https://id.example", confirmation=CONFIRMATION, **members):
    """Build the JSON object that "start authorization" responds with."""
    links = {"scaOauth": sca_oauth, "confirmation": confirmation}
    return {"scaStatus": "started", "authorizationId": "2", "_links": links, **members}


def parse(members, **settings):
    return banking.parse_sca_step(members, environment=ENVIRONMENT, **settings)


# Headers


def test_an_idempotency_key_is_a_fresh_uuid():
    """Each call of generate_idempotency_key gives another UUID of version 4, as the API asks."""
    one, two = banking.generate_idempotency_key(), banking.generate_idempotency_key()

    assert uuid.UUID(one).version == 4
    assert one != two


def test_a_calls_headers_are_aritmas():
    """Each value has the field name of the API's pages; what is not given is not sent."""
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
        "Channel-Type": "psd2",
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
    """One text is one scope and not a list of letters; several scopes share one field."""
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
        {"tenant_id": 42},
        {"scopes": [None]},
        {"scopes": 5},
        {"psu_ip_address": 1},
    ],
)
def test_a_context_that_cannot_be_sent_is_refused(wrong):
    """A value that is no header field value, such as one with a line break, raises at once."""
    with pytest.raises(aa.ConfigurationError):
        banking.ApiContext(**wrong)


@pytest.mark.parametrize("wrong", [{"version": "1\n0"}, {"version": 1.0}, {"idempotency_key": " "}])
def test_a_version_or_key_that_cannot_be_sent_is_refused(wrong):
    """A version or an idempotency key that is no header field value raises at once."""
    with pytest.raises(aa.ConfigurationError):
        banking.build_api_headers(**wrong)


@pytest.mark.parametrize("kind", [dict, CIMultiDict])
def test_a_responses_headers_tell_versions_and_replays(kind):
    """The field names and the value ``true`` are read without regard to case."""
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


@pytest.mark.parametrize("wrong", [None, "api-version: 1.0", [("api-version", "1.0")]], ids=repr)
@pytest.mark.parametrize("parse", [banking.parse_api_versions, banking.was_replayed])
def test_headers_are_a_mapping(parse, wrong):
    """Header fields of the wrong kind are refused by name."""
    with pytest.raises(aa.ConfigurationError, match="headers must be a mapping"):
        parse(wrong)


def test_a_context_is_an_api_context():
    """A mapping in the place of the context is refused by name."""
    with pytest.raises(aa.ConfigurationError, match="context must be an ApiContext"):
        banking.build_api_headers(context={"Consent-ID": "consent"})


# Problems


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/problem+json; charset=utf-8", "Application/JSON", ""],
)
def test_problem_details_are_read_under_either_media_type(content_type):
    """Problem details are read as application/json too, as Aritma's pages show them."""
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
    # The status of HTTP counts, not the member; no line break reaches a log.
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
def test_whatever_a_gateway_sends_is_a_problem(body, content_type):
    """A body that cannot be read gives a problem with the HTTP status alone."""
    problem = banking.parse_problem(502, body, content_type)

    assert problem == banking.ApiProblem(status=502)
    assert str(problem) == "502"
    assert problem.type == "about:blank"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((404, "{}"), "body"), ((404, None), "body"), ((404, b"{}", None), "content_type")],
)
def test_a_problem_is_read_from_bytes(arguments, name):
    """A body that was decoded already, or no media type, is refused by name."""
    with pytest.raises(aa.ConfigurationError, match=f"{name} must be"):
        banking.parse_problem(*arguments)


@pytest.mark.parametrize(
    ("value", "is_expected"),
    [
        ("Authorized", True),
        ("authorized", True),
        ("FINALISED", True),
        ("awaitingApproval", False),
        ("", False),
        (None, False),
        (4, False),
        (["authorized"], False),
    ],
)
def test_statuses_are_compared_without_case(value, is_expected):
    """Aritma's pages write Created and created for the same status; other types match none."""
    assert banking.is_status(value, "authorized", "Finalised") is is_expected


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
    """scaOauth may be at the origin of the issuer, of an alias, or of a configured endpoint."""
    step = parse(response(authority, authenticationMethodAcrValues="mfa verify"))

    assert step == banking.ScaStep(
        confirmation=CONFIRMATION, acr_values=("mfa", "verify"), authorization_id="2"
    )


def test_an_endpoint_may_stand_elsewhere_by_configuration():
    """An authorization endpoint that was configured is trusted at its own origin."""
    environment = aa.Environment.at(
        "https://id.example",
        api_origins=["https://banking.example"],
        endpoints={"authorization_endpoint": "https://sso.example/authorize"},
    )

    assert banking.parse_sca_step(response("https://sso.example"), environment=environment)


@pytest.mark.parametrize(
    "foreign",
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
def test_a_foreign_authority_is_refused(foreign):
    """A response must not send end-users to a sign-in page of its choice."""
    with pytest.raises(aa.VerificationError, match="scaOauth must be at an origin of the"):
        parse(response(foreign))


@pytest.mark.parametrize(
    "foreign",
    [
        "https://evil.example/api",
        "https://id.example/",
        "http://banking.example/api",
        "https://banking.example@evil.example",
        "/api/confirmation",
        "https://[",
    ],
)
def test_a_foreign_confirmation_is_refused(foreign):
    """The access token goes to confirmation, so that must be at an API of the environment."""
    with pytest.raises(aa.VerificationError, match="confirmation must be at an origin"):
        parse(response(confirmation=foreign))


@pytest.mark.parametrize("kind", [str, URL])
def test_a_relative_confirmation_is_joined_to_what_was_called(kind):
    """A relative link is joined to the URL called and then checked like any other."""
    base_url = kind("https://banking.example/api/payments/1/authorizations")

    step = parse(response(confirmation="authorizations/2"), base_url=base_url)

    assert step.confirmation == CONFIRMATION
    for foreign in ("//evil.example/", "https://[", "https://evil.example/"):
        with pytest.raises(aa.VerificationError):
            parse(response(confirmation=foreign), base_url=base_url)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        (["mfa", "idp:bankid"], ("mfa", "idp:bankid")),
        ("mfa", ("mfa",)),
        (None, ("verify",)),
        ([], ("verify",)),
        ("", ("verify",)),
        ([5], ("verify",)),
        (["two words"], ("verify",)),
        ({"mfa": True}, ("verify",)),
    ],
)
def test_the_response_names_the_acr_values(said, asked):
    """The response's list or text wins; the caller's acr_values count if it has neither."""
    step = parse(response(authenticationMethodAcrValues=said), acr_values="verify")

    assert step.acr_values == asked


def test_links_may_be_objects():
    """A link may be an object with href, as HAL has it."""
    linked = response({"href": "https://id.example"}, {"href": CONFIRMATION}, authorizationId=2)

    assert parse(linked) == banking.ScaStep(confirmation=CONFIRMATION)


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
        None,
        5,
    ],
    ids=[
        *("nothing", "null", "list", "redirect", "no confirmation", "no texts"),
        *("no object", "null alone", "a number"),
    ],
)
def test_a_step_without_aritma_id_is_told_apart(other):
    """A bank's own page, or nothing to confirm, raises an error that names scaStatus."""
    with pytest.raises(aa.InvalidResponseError, match="scaStatus is not there") as caught:
        parse(other)
    assert caught.value.status == 201


@pytest.mark.parametrize("members", ["{}", b"{}", object(), aiohttp.ClientResponse], ids=type)
def test_a_response_must_have_been_parsed(members):
    """A body, or a response that was not awaited, is the caller's mistake and not the server's."""
    with pytest.raises(aa.ConfigurationError, match="members must be a JSON object"):
        parse(members)


@pytest.mark.parametrize("base_url", [None, 5, b"https://banking.example"], ids=repr)
def test_a_base_url_is_a_url(base_url):
    """A base URL of the wrong kind is refused by name."""
    with pytest.raises(aa.ConfigurationError, match="base_url must be a URL"):
        parse(response(), base_url=base_url)


@pytest.mark.parametrize("environment", ["production", None], ids=repr)
def test_an_environment_is_needed_to_trust_links(environment):
    """A name in the place of the environment is refused."""
    with pytest.raises(aa.ConfigurationError, match="environment must be an Environment"):
        banking.parse_sca_step(response(), environment=environment)


async def test_a_step_takes_a_client_and_a_token():
    """An argument of the wrong kind is refused by name, without its value."""
    step = parse(response())
    with pytest.raises(aa.ConfigurationError, match="client must be an OAuthClient"):
        await step.begin_sign_in("client", CALLBACK)
    with pytest.raises(
        aa.ConfigurationError, match=r"token must be a Token, .* of type str"
    ) as told:
        step.confirmation_body("secret-token")
    assert "secret-token" not in str(told.value)


@pytest.mark.parametrize("status", ["finalised", "\x1b[2Jfailed\u202e"])
def test_the_status_found_is_named(status):
    """The error tells the scaStatus that came, and no control character of it."""
    with pytest.raises(aa.InvalidResponseError, match=r"scaStatus is .*(finalised|failed)") as told:
        parse({"scaStatus": status})
    assert str(told.value).isprintable()


def test_the_confirmations_body_hides_the_token(canary):
    """The body can be sent as JSON, and its repr shows no token."""
    step = parse(response())

    body = step.confirmation_body(aa.Token(canary.text))

    assert json.loads(json.dumps(body)) == {"accessToken": canary.text}
    assert list(step.confirmation_body(aa.Token("t"), member="access_token")) == ["access_token"]
    canary.assert_hidden(step, body)


async def test_a_payment_is_confirmed_by_the_end_user():
    """A payment is confirmed with the token of a sign-in for that confirmation alone."""
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
            request = await step.begin_sign_in(client, CALLBACK, acr_values="verify", max_age=0)
            body = step.confirmation_body((await sign_in(request)).token)
            async with bank.put(step.confirmation, json=body) as response:
                assert banking.is_status((await response.json())["scaStatus"], "finalised")
            async with bank.put(step.confirmation, json=body) as response:
                problem = banking.parse_problem(
                    response.status, await response.read(), response.content_type
                )

    assert (step.acr_values, request.acr_values) == (("mfa",), ("mfa", "verify"))
    assert request.max_age == 0
    assert request.url.startswith(f"{sandbox.identity_url}/connect/authorize?")
    assert str(problem) == "409: Conflict: The authorization is finalised."
