"""Banking v4: payments, their confirmation by an end-user, repeated responses, and step-up."""

import uuid

import aiohttp
import pytest

from support.sandbox_wire import post, tokens_of

pytestmark = pytest.mark.usefixtures("no_leftovers")

SERVICE = {"client_id": "sandbox-service", "client_secret": "sandbox-secret"}
SPECIAL = {"client_id": "sandbox-special", "client_secret": "s3cr3tV@lue!+%"}
PAYMENTS = "api/bulk-payments/credit-transfer"


class Bank:
    """Calls the API with one token."""

    def __init__(self, sandbox, http, token):
        self.sandbox = sandbox
        self.http = http
        self.headers = {"Authorization": f"Bearer {token}"}

    async def __call__(self, method, path, json=None, **headers):
        url = path if path.startswith("http") else self.sandbox.banking_url + path
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(
            method, url, json=json, headers=self.headers | fields
        ) as response:
            return response.status, await response.json(content_type=None), response.headers


async def bank_of(sandbox, http, client=SERVICE):
    form = {**client, "grant_type": "client_credentials"}
    token = (await post(sandbox, "/connect/token", form))[1]["access_token"]
    return Bank(sandbox, http, token)


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as http:
        yield http


@pytest.fixture
async def bank(sandbox, http):
    return await bank_of(sandbox, http)


async def test_an_end_user_confirms_a_payment(sandbox, bank):
    """
    An authorization is started, the end-user signs in as required, and the token finalises it.
    """
    status, payment, _ = await bank("POST", PAYMENTS, {"payments": []})
    start = payment["_links"]["startAuthorization"]
    assert (status, payment["status"], start["verb"]) == (201, "received", "POST")

    wanted = {"authenticationMethodAcrValues": ["mfa"]}
    status, step, _ = await bank("POST", start["href"], wanted)
    assert (status, step["scaStatus"]) == (201, "started")
    assert step["authenticationMethodAcrValues"] == ["mfa"]
    assert step["_links"]["scaOauth"]["href"] == sandbox.identity_url
    assert step["authorizationId"] in step["_links"]["self"]["href"]

    weak = (await tokens_of(sandbox))["access_token"]
    strong = (await tokens_of(sandbox, acr_values="mfa"))["access_token"]
    link = step["_links"]["confirmation"]["href"]
    assert (await bank("PUT", link, {"accessToken": weak}))[0] == 400
    assert (await bank("GET", step["_links"]["self"]["href"]))[1]["scaStatus"] == "started"
    status, done, _ = await bank("PUT", link, {"accessToken": strong})
    assert (status, done["scaStatus"]) == (200, "finalised")
    assert (await bank("GET", payment["_links"]["self"]["href"]))[1]["status"] == "accepted"
    assert (await bank("PUT", link, {"accessToken": strong}))[0] == 409


async def started(bank, body=None):
    _, payment, _ = await bank("POST", PAYMENTS)
    return await bank("POST", payment["_links"]["startAuthorization"]["href"], body)


@pytest.mark.parametrize(
    ("wanted", "status", "shown"),
    [
        (None, 201, []),
        ("mfa verify", 201, ["mfa", "verify"]),
        (["verify"], 201, ["verify"]),
        (7, 400, None),
        (["mfa", 7], 400, None),
    ],
)
async def test_the_wanted_sign_in_is_a_list_or_a_text(bank, wanted, status, shown):
    """Any other type of authenticationMethodAcrValues is a problem."""
    body = {} if wanted is None else {"authenticationMethodAcrValues": wanted}
    got, answer, _ = await started(bank, body)

    assert (got, answer.get("authenticationMethodAcrValues")) == (status, shown)


async def test_only_an_end_users_valid_token_confirms(sandbox, bank):
    """A missing, a forged and a client-credentials token do not confirm."""
    _, step, _ = await started(bank)
    link = step["_links"]["confirmation"]["href"]
    machine = bank.headers["Authorization"].removeprefix("Bearer ")
    bodies = [{}, {"accessToken": 7}, {"accessToken": "forged"}, {"accessToken": machine}]
    answers = [await bank("PUT", link, body) for body in bodies]

    assert [status for status, _, _ in answers] == [400] * 4
    assert [problem["detail"] for _, problem, _ in answers] == [
        "accessToken: It must be a string.",
        "accessToken: It must be a string.",
        "accessToken: The signature is invalid.",
        "accessToken: No end-user has signed in.",
    ]


async def test_what_is_not_there_is_a_problem(sandbox, http, bank):
    """A missing resource is a problem with five members, and another client's payment counts as missing."""
    _, payment, _ = await bank("POST", PAYMENTS)
    mine = payment["_links"]["self"]["href"]
    other = await bank_of(sandbox, http, SPECIAL)
    status, problem, headers = await other("GET", mine)

    assert status == 404
    assert headers["Content-Type"].startswith("application/problem+json")
    assert problem == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such payment.",
        "instance": mine.removeprefix(sandbox.banking_url.rstrip("/")),
    }
    assert (await bank("GET", f"{mine}/authorizations/x"))[0] == 404
    assert (await bank("POST", "api/bulk-payments/cash"))[0] == 404
    assert (await bank("POST", PAYMENTS, ["no object"]))[0] == 400
    async with http.post(
        sandbox.banking_url + PAYMENTS, data=b"{oops", headers=bank.headers
    ) as response:
        assert response.status == 400


@pytest.mark.parametrize("path", [PAYMENTS, "api/accounts"])
async def test_versions_are_told_and_unknown_ones_refused(bank, path):
    """Every response of v4 names the versions in its headers."""
    method = "POST" if path == PAYMENTS else "GET"
    for version, refused in ((None, False), ("1.0", False), ("0.9", False), ("7", True)):
        given = {} if version is None else {"api_version": version}
        status, _, headers = await bank(method, path, **given)
        assert (status == 400) is refused
        assert headers["api-supported-versions"] == "1.0"
        assert headers["api-deprecated-versions"] == "0.9"


async def test_version_3_has_no_versions(bank):
    """Responses of v3 name no versions."""
    _, _, headers = await bank("GET", "api/v3/accounts/42")

    assert "api-supported-versions" not in headers


async def test_a_payment_is_made_once_for_a_key(bank):
    """The same key gets the first response again, as 200 and marked; another key makes another payment."""
    key = str(uuid.uuid4())
    first = await bank("POST", PAYMENTS, Idempotency_Key=key)
    second = await bank("POST", PAYMENTS, Idempotency_Key=key)
    other = await bank("POST", PAYMENTS, Idempotency_Key=str(uuid.uuid4()))

    assert (first[0], second[0], other[0]) == (201, 200, 201)
    assert second[1] == first[1] != other[1]
    assert second[2]["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first[2]
    assert second[2]["Content-Type"] == first[2]["Content-Type"]


async def test_failures_are_replayed_too(bank):
    """A kept failure is repeated, however valid the second body is."""
    key = str(uuid.uuid4())
    first = await bank("POST", PAYMENTS, [], Idempotency_Key=key)
    second = await bank("POST", PAYMENTS, {}, Idempotency_Key=key)

    assert (first[0], second[0]) == (400, 400)
    assert second[1] == first[1]
    assert second[2]["Idempotent-Replayed"] == "true"


async def test_keys_are_uuids_and_belong_to_a_client_for_a_while(sandbox, http, bank):
    """Another client's keys are others, and after ten minutes a key is forgotten."""
    key = str(uuid.uuid4())
    other = await bank_of(sandbox, http, SPECIAL)
    first = await bank("POST", PAYMENTS, Idempotency_Key=key)
    theirs = await other("POST", PAYMENTS, Idempotency_Key=key)
    sandbox.clock.advance(600)
    later = await bank("POST", PAYMENTS, Idempotency_Key=key)

    assert (first[0], theirs[0], later[0]) == (201, 201, 201)
    assert (await bank("POST", PAYMENTS, Idempotency_Key="mine"))[0] == 400


async def test_a_refused_token_is_not_kept_under_the_key(sandbox, http, bank):
    """The token is validated before the key counts."""
    key = str(uuid.uuid4())
    sandbox.faults.revoke_all()
    refused = await bank("POST", PAYMENTS, Idempotency_Key=key)
    again = await (await bank_of(sandbox, http))("POST", PAYMENTS, Idempotency_Key=key)

    assert (refused[0], again[0]) == (401, 201)


async def test_payments_want_their_own_scope(sandbox, http):
    """A token for bankservice does not pay."""
    form = {**SERVICE, "grant_type": "client_credentials", "scope": "bankservice"}
    token = (await post(sandbox, "/connect/token", form))[1]["access_token"]
    status, _, headers = await Bank(sandbox, http, token)("POST", PAYMENTS)

    assert status == 403
    assert headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="api"'


SAID = 'error_description="A different authentication level is required"'
WANTED = f'Bearer error="insufficient_user_authentication", {SAID}'


@pytest.mark.parametrize(
    ("query", "acr_values", "age", "challenge"),
    [
        ("", None, 0, f'{WANTED}, acr_values="mfa"'),
        ("", "mfa", 0, None),
        ("?acr_values=verify+mfa", "mfa", 0, None),
        ("?acr_values=verify+mfa", None, 0, f'{WANTED}, acr_values="verify mfa"'),
        ("?max_age=60", None, 61, f'{WANTED}, max_age="60"'),
        ("?max_age=60", None, 59, None),
        ("?acr_values=mfa&max_age=9", "mfa", 10, f'{WANTED}, acr_values="mfa", max_age="9"'),
        ("?scope=api", None, 0, None),
    ],
)
async def test_a_stronger_or_fresher_sign_in_is_asked_for(
    sandbox, http, query, acr_values, age, challenge
):
    """The API challenges until the token's sign-in is strong and fresh enough (RFC 9470)."""
    token = (await tokens_of(sandbox, acr_values=acr_values))["access_token"]
    sandbox.clock.advance(age)
    status, _, headers = await Bank(sandbox, http, token)("GET", f"api/step-up{query}")

    assert headers.get("WWW-Authenticate") == challenge
    assert status == (200 if challenge is None else 401)


async def test_client_credentials_never_satisfy_a_step_up(bank):
    """
    A client-credentials token never satisfies a step-up; a missing scope is named in the challenge.
    """
    status, _, headers = await bank("GET", "api/step-up?max_age=60")
    assert (status, "max_age" in headers["WWW-Authenticate"]) == (401, True)
    status, _, headers = await bank("GET", "api/step-up?scope=zam")
    assert (status, headers["WWW-Authenticate"]) == (
        403,
        'Bearer error="insufficient_scope", scope="zam"',
    )


# Several signers, and baskets


async def confirm(sandbox, bank, resource, username):
    """Let an end-user confirm; give the status of the confirmation."""
    start = resource["_links"]["startAuthorization"]["href"]
    _, step, _ = await bank("POST", start, {})
    token = (await tokens_of(sandbox, user=username))["access_token"]
    link = step["_links"]["confirmation"]["href"]
    return (await bank("PUT", link, {"accessToken": token}))[0]


async def test_a_payment_may_need_two_end_users(sandbox, bank):
    """It is executed once, when the second has confirmed; nobody confirms twice, or after that."""
    sandbox.payments.required_authorizations = 2
    _, payment, _ = await bank("POST", PAYMENTS)
    link = payment["_links"]["self"]["href"]
    assert payment["remainingAuthorizations"] == 2

    assert await confirm(sandbox, bank, payment, "alice") == 200
    assert await confirm(sandbox, bank, payment, "alice") == 409
    shown = (await bank("GET", link))[1]
    assert (shown["transactionStatus"], shown["remainingAuthorizations"]) == ("pdng", 1)
    assert await confirm(sandbox, bank, payment, "bob") == 200
    assert (await bank("GET", link))[1]["transactionStatus"] == "acsc"
    assert await confirm(sandbox, bank, payment, "bob") == 409
    assert sandbox.payments.executed == sandbox.payments.initiated == [payment["paymentId"]]


async def test_a_payment_says_itself_how_many_confirm(bank):
    """The sandbox takes the number from the payment, which is made up."""
    shown = [await bank("POST", PAYMENTS, {"requiredAuthorizations": n}) for n in (3, 0, "3")]

    assert [payment["requiredAuthorizations"] for _, payment, _ in shown] == [3, 1, 1]


async def test_a_basket_executes_its_payments(sandbox, bank):
    """One confirmation is for all of them, each once."""
    payments = [(await bank("POST", PAYMENTS))[1] for _ in range(2)]
    ids = [payment["paymentId"] for payment in payments]
    status, basket, _ = await bank("POST", "api/signing-baskets", {"paymentIds": [*ids, ids[0]]})

    assert status == 201
    assert await confirm(sandbox, bank, basket, "alice") == 200
    assert (await bank("GET", basket["_links"]["self"]["href"]))[1]["basketId"] == basket[
        "basketId"
    ]
    assert sandbox.payments.executed == ids
    for payment in payments:
        link = payment["_links"]["self"]["href"]
        assert (await bank("GET", link))[1]["status"] == "accepted"


@pytest.mark.parametrize("ids", [None, [], "x", ["unknown"], [5], [[]]])
async def test_a_basket_is_of_payments(bank, ids):
    """An empty basket, or one of what is no payment, is a problem."""
    assert (await bank("POST", "api/signing-baskets", {"paymentIds": ids}))[0] == 400
