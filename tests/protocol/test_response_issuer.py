"""The issuer of a callback, where an ID token names it in place of the parameter ``iss``."""

import json
from base64 import urlsafe_b64encode

import pytest

import aritma_auth as aa
from aritma_auth.protocol.authorization_parameters import generate_authorization_request
from aritma_auth.protocol.authorization_response import validate_authorization_response

ISSUER = "https://id.example"


def id_token(**claims):
    head, body = ({"alg": "RS256"}, claims)
    parts = (
        urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (head, body)
    )
    return ".".join((*parts, "c2ln"))


def request(response_type="code id_token", issuers=(ISSUER,)):
    return generate_authorization_request(
        authorization_endpoint=f"{ISSUER}/authorize",
        issuers=issuers,
        requires_iss=True,
        client_id="web",
        redirect_uri="https://app.example/callback",
        response_type=response_type,
        response_mode="form_post",
        scope="openid",
        now=0.0,
    )


def respond(request, **parameters):
    pairs = {"state": request.state.text, "code": "a-code", **parameters}
    return validate_authorization_response(request, pairs, now=1.0)


def test_an_id_token_names_the_server_where_iss_is_left_out():
    """
    The ID token's iss shows a mix-up as well as the parameter would; its signature is verified
    later.
    """
    assert respond(request(), id_token=id_token(iss=ISSUER)).code is not None


@pytest.mark.parametrize(
    "parameters",
    [
        {"id_token": id_token(iss="https://other.example")},
        {"id_token": id_token(sub="alice")},
        {"id_token": id_token(iss=[ISSUER])},
        {"id_token": "opaque"},
        {"id_token": id_token(iss=ISSUER), "iss": "https://other.example"},
        {},
    ],
    ids=["another", "none", "a-list", "no-jwt", "parameter", "nothing"],
)
def test_another_server_or_none_is_a_mix_up(parameters):
    """A callback that names another server, or none where the server announces it, is refused."""
    with pytest.raises(aa.IssuerMismatchError):
        respond(request(), **parameters)


def test_an_id_token_that_was_not_asked_for_names_nobody():
    """An ID token that response_type did not ask for names no issuer."""
    with pytest.raises(aa.IssuerMismatchError):
        respond(request("code"), id_token=id_token(iss=ISSUER))


def test_two_names_for_the_server_must_be_one():
    """Two names in one response are a mix-up, even if both are known."""
    parameters = {"id_token": id_token(iss=ISSUER), "iss": "https://old.example"}
    with pytest.raises(aa.IssuerMismatchError, match="different servers"):
        respond(request(issuers=[ISSUER, "https://old.example"]), **parameters)
