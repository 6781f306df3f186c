"""
The OpenID Foundation's plan of FAPI 2.0, Final, for clients without end-users, by its modules' names.

Its modules are those of the other plan with the client credentials grant, in each combination of
client authentication and sender constraint.
"""

import pytest

import aritma_auth as aa
from support.fapi import COMBINATIONS, fapi_server
from support.sandbox_wire import read_jwt

pytestmark = pytest.mark.usefixtures("no_leftovers")

GRANT = aa.ClientCredentialsGrant("bankservice")
MODULES = [
    "fapi2-security-profile-final-client-test-happy-path",
    "fapi2-security-profile-final-client-test-happy-path-no-dpop-nonce",
    "fapi2-security-profile-final-client-test-token-type-case-insensitivity",
]


@pytest.fixture(params=COMBINATIONS)
async def server(request, tmp_path):
    """Start a server for one combination of client authentication and sender constraint."""
    async with fapi_server(request.param, tmp_path) as server:
        yield server


@pytest.mark.parametrize("module", MODULES)
async def test_a_service_gets_to_an_api(server, module):
    """Discovery, token and API call succeed, with a nonce for each request, or without."""
    sandbox, kind = server.sandbox, server.token_type
    if module.endswith("happy-path"):
        for where in ("token", "api"):
            sandbox.faults.require_dpop_nonces(uses=1, where=where)
    if module.endswith("case-insensitivity"):
        sandbox.overrides.token_response = {"token_type": kind.swapcase()}
    client = server.client(aa.FAPI2)
    seen = server.record_requests(client)
    async with aa.TokenProvider(client, GRANT, clock=sandbox.clock, on_event=None) as tokens:
        token = await tokens.get_token()
        async with server.api_session(tokens) as bank, bank.get("api/v3/accounts/42") as response:
            assert response.status == 200

    assert token.token_type == kind
    assert server.is_bound(read_jwt(token.access_token)[1]["cnf"])
    assert sandbox.requests_at("par") == sandbox.requests_at("authorize") == 0
    for form, headers in seen:
        assert form["grant_type"] == "client_credentials"
        assert ("DPoP" in headers) is server.has_dpop
        if "client_assertion" in form:
            assert read_jwt(form["client_assertion"])[1]["aud"] == sandbox.identity_url
