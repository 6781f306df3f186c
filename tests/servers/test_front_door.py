"""Any of these servers is found in one word, and its mistaken spellings are told."""

import re

import pytest

import aritma_auth as aa

pytestmark = [pytest.mark.timeout(360), pytest.mark.usefixtures("no_leftovers")]
CLIENTS = {"oidc_provider": "post", "nanoidp": "post", "django_oauth_toolkit": "machine"}


@pytest.fixture(params=CLIENTS)
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def client_id(request, server):
    return CLIENTS[request.node.callspec.params["server"]]


async def test_the_issuer_is_enough(server, client_id):
    """A text names the server, and its metadata says how the client authenticates."""
    async with aa.TokenProvider.client_credentials(
        client_id, server.secret, scope="bankservice", environment=server.issuer
    ) as tokens:
        assert (await tokens.get_token()).scope == ("bankservice",)


async def test_what_it_published_is_given_back(server):
    """An exported environment has the server's own metadata and keys."""
    environment = await aa.Environment.discover(server.issuer)
    client = aa.OAuthClient("id", environment=aa.Environment.from_json(environment.to_json()))

    assert (await client.fetch_metadata()).issuer == server.issuer
    assert tuple(await client.fetch_keys()) == environment.published.keys != ()


async def test_a_token_endpoint_in_its_place_is_told(server):
    """The address of an endpoint leads to the issuer that it belongs to."""
    metadata = (await aa.Environment.discover(server.issuer)).published.metadata
    spelled = re.escape(f"the issuer there is '{server.issuer}'")
    with pytest.raises(aa.InvalidResponseError, match=spelled):
        await aa.Environment.discover(metadata["token_endpoint"])
