"""Dynamic client registration: the requests to the letter, and what responses may say."""

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aritma_auth as aa
from aritma_auth.protocol.client_registration import (
    build_configuration_request,
    build_registration_request,
    parse_client_metadata,
    parse_deletion_response,
    parse_registration_response,
)
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.redaction import Members, SecretText

NOW = 1_000_000.0
ENDPOINT = "https://id.example/register"
URI = "https://id.example/register/s6BhdRkqt3"
CLIENT = aa.RegisteredClient(
    client_id="s6BhdRkqt3",
    client_secret="the-secret",
    client_secret_expires_at=NOW + 60,
    registration_access_token="the-token",
    registration_client_uri=URI,
    metadata={"client_name": "Payments", "scope": "read"},
)
RESPONSE = {
    "client_id": "s6BhdRkqt3",
    "client_secret": "another-secret",
    "client_id_issued_at": 2_893_256_800,
    "client_secret_expires_at": 2_893_276_800,
    "registration_access_token": "another-token",
    "registration_client_uri": URI,
    "client_name": "Payments",
}


def response(members, status=201, **headers):
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    return HttpResponse(status, {"Content-Type": "application/json", **headers}, body)


def parse(members, status=201, known=None, **headers):
    return parse_registration_response(response(members, status, **headers), now=NOW, known=known)


def test_the_registration_request_is_that_of_the_specification():
    """The metadata are posted as JSON, and the initial access token goes in the header."""
    metadata = parse_client_metadata({"redirect_uris": ["https://app.example/cb"]})
    request = build_registration_request(ENDPOINT, metadata, SecretText("the-initial-token"))

    assert (request.method, request.url) == ("POST", ENDPOINT)
    assert request.headers["Content-Type"] == request.headers["Accept"] == "application/json"
    assert str(request.headers["Authorization"]) == "Bearer the-initial-token"
    assert bytes(request.body) == b'{"redirect_uris": ["https://app.example/cb"]}'
    assert "the-initial-token" not in repr(request)


def test_without_an_initial_token_no_header_is_sent():
    """Where anyone may register, nothing authenticates the request."""
    request = build_registration_request(ENDPOINT, Members({"client_name": "Payments"}))

    assert "Authorization" not in request.headers


def test_an_update_sends_the_whole_registration():
    """What is left out would be removed; what the server alone gives is not sent (RFC 7592 §2.2)."""
    request = build_configuration_request(
        "PUT", CLIENT, Members({"scope": None, "client_uri": "https://app.example"})
    )

    assert (request.method, request.url) == ("PUT", URI)
    assert str(request.headers["Authorization"]) == "Bearer the-token"
    assert json.loads(bytes(request.body)) == {
        "client_id": "s6BhdRkqt3",
        "client_secret": "the-secret",
        "client_name": "Payments",
        "client_uri": "https://app.example",
    }
    assert {str(secret) for secret in request.secrets} == {"the-token", "the-secret"}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_reading_and_deleting_send_no_body(method):
    """The address and the token say which client it is."""
    request = build_configuration_request(method, CLIENT)

    assert (request.method, bytes(request.body)) == (method, b"")
    assert "Content-Type" not in request.headers


@pytest.mark.parametrize(
    "missing", ["registration_client_uri", "registration_access_token"], ids=str
)
def test_a_registration_that_is_not_managed_says_so(missing):
    """Without an address or a token there is nothing to ask."""
    client = attrs.evolve(CLIENT, **{missing: None})
    with pytest.raises(aa.ConfigurationError, match="has given none"):
        build_configuration_request("GET", client)


def test_a_token_that_no_header_can_carry_is_refused():
    """A line break would begin another header field."""
    client = attrs.evolve(CLIENT, registration_access_token="a\r\nX: y")
    with pytest.raises(aa.ConfigurationError, match="visible ASCII") as told:
        build_configuration_request("GET", client)

    assert "X: y" not in str(told.value)


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"client_id": "x", "client_secret": "y"}, "without client_id, client_secret"),
        ({"registration_access_token": "x"}, "registration_access_token"),
        ({"redirect_uris": "https://app.example/cb"}, "a list of texts as redirect_uris"),
        ({"jwks": {"keys": []}, "jwks_uri": "https://app.example/jwks"}, "either jwks or jwks_uri"),
        ({"jwks": {"keys": [{"kty": "EC", "d": "the-private-part"}]}}, "public keys alone"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "the-private-part"}]}}, "public keys alone"),
        ({"client_name": "\ud800"}, "lone surrogate"),
        ({"client_name": object()}, "must be JSON"),
        ({1: "x"}, "must be JSON"),
        (["client_name"], "a mapping"),
        (None, "a mapping"),
    ],
)
def test_unusable_metadata_are_refused_before_anything_is_sent(metadata, problem):
    """The message names what is wrong and shows no private key."""
    with pytest.raises(aa.ConfigurationError, match=problem) as told:
        parse_client_metadata(metadata)

    assert "the-private-part" not in str(told.value)


@pytest.mark.parametrize("jwks", [None, "text", {"keys": None}, {"keys": ["text"]}, {}])
def test_keys_of_another_shape_are_left_to_the_server(jwks):
    """Only a private key must not leave; all else is the server's to validate."""
    assert parse_client_metadata({"jwks": jwks})["jwks"] == jwks


@pytest.mark.parametrize("status", [200, 201])
def test_the_response_is_the_client(status):
    """The specification's own example is read; some servers respond with 200."""
    client = parse(RESPONSE, status)

    assert client.client_id == "s6BhdRkqt3"
    assert client.client_secret == "another-secret"
    assert client.client_id_issued_at == 2_893_256_800
    assert client.client_secret_expires_at == 2_893_276_800
    assert client.registration_access_token == "another-token"
    assert client.registration_client_uri == URI
    assert dict(client.metadata.items()) == {"client_name": "Payments"}
    for secret in ("another-secret", "another-token"):
        assert secret not in repr(client)


def test_a_secret_that_never_ends_has_no_end():
    """0 stands for never (RFC 7591 §3.2.1)."""
    assert parse(RESPONSE | {"client_secret_expires_at": 0}).client_secret_expires_at is None


@pytest.mark.parametrize("odd", ["soon", [], True, {}, None])
def test_an_odd_time_loses_neither_secret_nor_token(odd):
    """The token before it may be good no more: what came with it is kept."""
    names = ("client_id_issued_at", "client_secret_expires_at")
    client = parse(RESPONSE | dict.fromkeys(names, odd), 200, CLIENT)

    assert client.client_id_issued_at is client.client_secret_expires_at is None
    assert client.client_secret == "another-secret"
    assert client.registration_access_token == "another-token"


def test_a_client_without_secret_and_management_is_one():
    """A client with a key gets neither, from a server that implements RFC 7591 alone."""
    client = parse({"client_id": "x"})

    assert client == aa.RegisteredClient(client_id="x")
    assert client.client_secret is client.registration_access_token is None


@pytest.mark.parametrize("empty", [None, "", "absent"])
def test_what_a_response_leaves_out_stays_as_it_was_known(empty):
    """The server need not repeat the secret, and some repeat nothing (RFC 7592 §2.1, §3)."""
    names = ("client_secret", "registration_access_token", "registration_client_uri")
    members = {"client_id": "s6BhdRkqt3"} | {n: empty for n in names if empty != "absent"}
    client = parse(members, 200, CLIENT)

    assert client.client_secret == "the-secret"
    assert client.client_secret_expires_at == NOW + 60
    assert client.registration_access_token == "the-token"
    assert client.registration_client_uri == URI


def test_a_replaced_secret_and_token_replace_the_known_ones():
    """The ones before them may be good no more."""
    client = parse(RESPONSE, 200, CLIENT)

    assert client.client_secret == "another-secret"
    assert client.client_secret_expires_at == 2_893_276_800
    assert client.registration_access_token == "another-token"


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({}, "client_id is missing"),
        ({"client_id": ""}, "client_id must be printable"),
        ({"client_id": "a\x1b[2J"}, "client_id must be printable"),
        ({"client_id": 1}, "client_id must be a string"),
        (RESPONSE | {"client_secret": 1}, "client_secret must be a string"),
        (RESPONSE | {"registration_access_token": ["x"]}, "registration_access_token"),
        (RESPONSE | {"client_id": "another"}, "that of the registration"),
    ],
)
def test_an_unusable_response_is_an_error_of_the_server(members, problem):
    """The message names the member, and no secret."""
    with pytest.raises(aa.InvalidResponseError, match=problem) as told:
        parse(members, 200, CLIENT)

    assert "secret" not in str(told.value).replace("client_secret", "")


@pytest.mark.parametrize("code", ["invalid_redirect_uri", "invalid_client_metadata"])
def test_a_refusal_is_an_oauth_error(code):
    """The server's own codes are kept (RFC 7591 §3.2.2)."""
    with pytest.raises(aa.OAuthError) as told:
        parse({"error": code, "error_description": "why"}, 400)

    assert (told.value.error, told.value.description) == (code, "why")


@pytest.mark.parametrize("parse_it", [parse_registration_response, parse_deletion_response])
def test_a_refused_token_is_read_from_the_header(parse_it):
    """A server that refuses the token says so in a challenge alone (RFC 6750 §3.1)."""
    refused = HttpResponse(401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    with pytest.raises(aa.OAuthError) as told:
        parse_it(refused, now=NOW)

    assert (told.value.error, told.value.status) == ("invalid_token", 401)


@pytest.mark.parametrize("parse_it", [parse_registration_response, parse_deletion_response])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, aa.OAuthError), (404, aa.InvalidResponseError), (302, aa.InvalidResponseError)],
)
def test_a_bare_status_is_an_error_too(parse_it, status, kind):
    """A server that has no such client any more, or redirects, gives no registration."""
    with pytest.raises(kind) as told:
        parse_it(HttpResponse(status), now=NOW)

    assert told.value.status == status


@pytest.mark.parametrize("status", [200, 204])
def test_a_deletion_needs_no_body(status):
    """204 says that the client is no more; some servers respond with 200 (RFC 7592 §2.3)."""
    assert parse_deletion_response(HttpResponse(status), now=NOW) is None


def test_a_registration_survives_a_restart():
    """What `to_json` writes is the same client again."""
    assert aa.RegisteredClient.from_json(CLIENT.to_json()) == CLIENT
    assert "the-secret" in CLIENT.to_json()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        '{"format": 1}',
        '{"format": 1, "client_id": ""}',
        '{"format": 1, "client_id": "x", "client_secret": 5}',
        '{"format": 1, "client_id": "x", "another": "the-secret"}',
        '{"format": 1, "client_id": "x", "registration_client_uri": 1}',
        "\ud800",
    ],
)
def test_a_text_that_is_no_registration_is_refused(text):
    """The message quotes nothing of it."""
    with pytest.raises(aa.StoreError, match="register anew") as told:
        aa.RegisteredClient.from_json(text)

    assert told.value.__context__ is None


def test_a_text_of_another_kind_is_a_mistake_of_the_caller():
    """Bytes are no text, and the error says so."""
    with pytest.raises(aa.ConfigurationError, match="text must be"):
        aa.RegisteredClient.from_json(b"{}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*RESPONSE, "jwks"]), JSON) | st.binary(max_size=64))
def test_any_response_is_a_client_or_an_error_of_ours(members):
    """No member of any kind makes another exception."""
    for known in (None, CLIENT):
        try:
            parse(members, 200, known)
        except aa.AritmaAuthError:
            continue
