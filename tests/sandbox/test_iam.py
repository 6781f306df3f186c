"""The sandbox's IAM: the secrets of a client."""

from datetime import UTC, datetime

import aiohttp
import pytest

from support.sandbox_wire import post

pytestmark = pytest.mark.usefixtures("no_leftovers")

PLACE = "core/iam/v1/clients/sandbox-service/secrets"


@pytest.fixture
async def iam(sandbox):
    """Call IAM with the token of the client that manages the others."""
    form = {"client_id": "sandbox-admin", "client_secret": "admin-secret"}
    answer = await post(sandbox, "/connect/token", form | {"grant_type": "client_credentials"})
    headers = {"Authorization": f"Bearer {answer[1]['access_token']}"}
    async with aiohttp.ClientSession(sandbox.banking_url, headers=headers) as iam:
        yield iam


async def status_with(sandbox, secret):
    form = {"client_id": "sandbox-service", "client_secret": secret}
    return (await post(sandbox, "/connect/token", form | {"grant_type": "client_credentials"}))[0]


async def test_a_secret_is_added_and_deleted(sandbox, iam):
    """Each secret has an identifier that stays; the list has no secret in it."""
    body = {"value": "another-secret", "description": "new", "expiration": "2027-01-01T00:00:00Z"}
    async with iam.post(PLACE, json=body) as response:
        created = await response.json()
    assert response.status == 201
    assert created["value"] == "another-secret"
    assert await status_with(sandbox, "another-secret") == 200
    async with iam.get(PLACE) as response:
        listed = (await response.json())["items"]
    assert {each["description"] for each in listed} == {None, "new"}
    assert not any("value" in each for each in listed)

    async with iam.delete(f"{PLACE}/{created['id']}") as response:
        assert response.status == 204
    async with iam.delete(f"{PLACE}/{created['id']}") as response:
        assert response.status == 404
    assert await status_with(sandbox, "another-secret") == 400
    assert await status_with(sandbox, "sandbox-secret") == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"value": "short"}', b'{"value": 12345678}'])
async def test_a_secret_has_8_to_32_characters(iam, body):
    """Any other is a problem."""
    async with iam.post(PLACE, data=body) as response:
        assert response.status == 400
    async with iam.post(PLACE, json={"value": "a" * 33}) as response:
        assert response.status == 400


async def test_a_secret_ends(sandbox, iam):
    """At its expiration the server refuses it, and no other secret of the client."""
    end = datetime.fromtimestamp(sandbox.clock.time() + 60, UTC).isoformat()
    async with iam.post(PLACE, json={"value": "a-short-life", "expiration": end}) as response:
        assert (await response.json())["expiration"] == end
    assert await status_with(sandbox, "a-short-life") == 200
    sandbox.clock.advance(61)

    assert await status_with(sandbox, "a-short-life") == 400
    assert await status_with(sandbox, "sandbox-secret") == 200
    for odd in ("soon", 5):
        async with iam.post(PLACE, json={"value": "a-short-life", "expiration": odd}) as response:
            assert response.status == 400


async def test_only_known_clients_have_secrets(sandbox, iam):
    """A client that is not there is a problem, and so is a token of another scope."""
    async with iam.get("core/iam/v1/clients/unknown/secrets") as response:
        assert response.status == 404
    form = {"client_id": "sandbox-service", "client_secret": "sandbox-secret"}
    answer = await post(sandbox, "/connect/token", form | {"grant_type": "client_credentials"})
    headers = {"Authorization": f"Bearer {answer[1]['access_token']}"}
    async with iam.get(PLACE, headers=headers) as response:
        assert response.status == 403
