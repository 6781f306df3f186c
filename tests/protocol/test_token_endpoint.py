"""The token request, byte for byte."""

from base64 import b64decode
from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.environment import DEVELOPMENT, PRODUCTION
from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.client_auth import (
    ClientCredential,
    ClientSecretBasic,
    ClientSecretPost,
    NoClientAuth,
)
from aritma_auth.protocol.grants import ClientCredentialsGrant, RefreshTokenGrant
from aritma_auth.protocol.redaction import SecretText
from aritma_auth.protocol.token_endpoint import build_authenticated_request


def build(grant, client_auth, client_id="my-client", secret="my-secret", endpoint=None):
    return build_authenticated_request(
        endpoint or PRODUCTION.token_endpoint,
        grant.parameters(),
        client_auth=client_auth,
        credential=ClientCredential(client_id, SecretText(secret)),
    )


def test_client_credentials_equal_aritmas_curl_sample():
    """The request of the authentication page's curl sample, byte for byte."""
    request = build(ClientCredentialsGrant(), ClientSecretPost("unused"))

    assert request.method == "POST"
    assert request.url == "https://id.aritma.io/connect/token"
    assert request.headers == {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    assert (
        bytes(request.body)
        == b"grant_type=client_credentials&client_id=my-client&client_secret=my-secret"
    )


def test_development_has_the_pages_endpoint():
    """The development endpoint is the one of the page's note."""
    request = build(ClientCredentialsGrant(), NoClientAuth(), endpoint=DEVELOPMENT.token_endpoint)

    assert request.url == "https://id.dev.aritma.io/connect/token"


def test_reserved_characters_are_form_encoded_in_the_body():
    """A secret with reserved characters survives the form."""
    request = build(
        ClientCredentialsGrant(scope="bankservice api"),
        ClientSecretPost("unused"),
        secret="s3cr3tV@lue!+% å",
    )

    assert bytes(request.body) == (
        b"grant_type=client_credentials&scope=bankservice+api&client_id=my-client"
        b"&client_secret=s3cr3tV%40lue%21%2B%25+%C3%A5"
    )


def test_basic_is_form_encoded_before_base64():
    """Both halves of Basic are form-encoded first, as RFC 6749 §2.3.1 demands."""
    request = build(
        ClientCredentialsGrant(), ClientSecretBasic("unused"), "my client:%", "s3cr3tV@lue!+%"
    )

    scheme, encoded = request.headers["Authorization"].split()
    assert scheme == "Basic"
    assert b64decode(encoded) == b"my+client%3A%25:s3cr3tV%40lue%21%2B%25"
    assert bytes(request.body) == b"grant_type=client_credentials"


def test_basic_can_leave_id_and_secret_as_they_are():
    """For servers that decode nothing, the form encoding can be switched off."""
    raw = ClientSecretBasic("unused", is_form_encoded=False)
    request = build(ClientCredentialsGrant(), raw, "my client%", "s3cr3tV@lue!+:% å")

    scheme, encoded = request.headers["Authorization"].split()
    assert scheme == "Basic"
    assert b64decode(encoded).decode() == "my client%:s3cr3tV@lue!+:% å"
    with pytest.raises(ConfigurationError, match="colon"):
        build(ClientCredentialsGrant(), raw, "my:client")


def test_a_public_client_only_names_itself():
    """Without authentication the client id alone goes into the form."""
    request = build(RefreshTokenGrant("the-handle"), NoClientAuth())

    assert bytes(request.body) == (
        b"grant_type=refresh_token&refresh_token=the-handle&client_id=my-client"
    )


def test_resources_and_extra_parameters_follow_the_scope():
    """Resource indicators repeat, and a server's own parameters come last."""
    request = build(
        ClientCredentialsGrant(
            scope=("api",), resource=["https://a.example", "urn:b"], extra={"audience": "x&y"}
        ),
        NoClientAuth(),
    )

    assert bytes(request.body) == (
        b"grant_type=client_credentials&scope=api&resource=https%3A%2F%2Fa.example"
        b"&resource=urn%3Ab&audience=x%26y&client_id=my-client"
    )


@pytest.mark.parametrize("name", ["client_id", "client_secret", "grant_type", "scope", "resource"])
def test_extra_parameters_cannot_replace_protected_ones(name):
    """A protected parameter in ``extra`` is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match=name):
        ClientCredentialsGrant(extra={name: "x"})


@pytest.mark.parametrize("resource", ["relative", "https://a.example/#part"])
def test_a_resource_must_be_absolute_without_fragment(resource):
    """A resource that is relative or has a fragment is refused (RFC 8707 §2)."""
    with pytest.raises(ConfigurationError, match="resource"):
        ClientCredentialsGrant(resource=resource)


@pytest.mark.parametrize("scope", ["openid", "api profile", "api offline_access"])
def test_a_refusal_of_identity_scopes_is_explained(scope):
    """IdentityServer refuses them in client_credentials with invalid_scope; the error names them."""
    grant = ClientCredentialsGrant(scope=scope)

    assert grant.problems() == ()
    assert scope.split()[-1] in grant.explain("invalid_scope")


def test_other_grants_are_not_known_to_be_refused():
    """A grant of which nothing is known is left to the server."""
    assert RefreshTokenGrant("handle", scope="openid").problems() == ()


@pytest.mark.parametrize("client_auth", [ClientSecretPost("unused"), ClientSecretBasic("unused")])
def test_a_secret_method_without_a_secret_is_refused(client_auth):
    """A missing secret is the caller's error, not an empty one on the wire."""
    with pytest.raises(ConfigurationError, match="needs a secret"):
        client_auth.prove(ClientCredential("id"))


def test_no_repr_shows_the_secret(canary):
    """Neither request, proof, credential nor grant shows what it carries."""
    credential = ClientCredential("id", SecretText(canary.text))
    grant = RefreshTokenGrant(canary.text, extra={"x": canary.text})
    for method in (ClientSecretPost("unused"), ClientSecretBasic("unused")):
        request = build_authenticated_request(
            PRODUCTION.token_endpoint, grant.parameters(), client_auth=method, credential=credential
        )

        canary.assert_hidden(
            credential, grant, request, request.headers, request.body, method.prove(credential)
        )


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_credential_survives_form_and_basic(client_id, secret):
    """Whatever the characters, a server that decodes correctly reads the same credential."""
    try:
        f"{client_id}{secret}".encode()
    except UnicodeEncodeError:
        return
    credential = ClientCredential(client_id, SecretText(secret))
    posted = build_authenticated_request(
        PRODUCTION.token_endpoint,
        ClientCredentialsGrant().parameters(),
        client_auth=ClientSecretPost("unused"),
        credential=credential,
    )
    header = ClientSecretBasic("unused").prove(credential).headers["Authorization"]

    form = dict(parse_qsl(bytes(posted.body).decode(), keep_blank_values=True))
    name, _, value = b64decode(header.removeprefix("Basic ")).decode().partition(":")
    assert (form["client_id"], form["client_secret"]) == (client_id, secret)
    assert (unquote_plus(name), unquote_plus(value)) == (client_id, secret)
