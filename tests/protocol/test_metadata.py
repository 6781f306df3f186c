"""Server metadata: where it is, whose it is, and which endpoints are believed."""

import json

import pytest
from yarl import URL

from aritma_auth.errors import ConfigurationError, InvalidResponseError, IssuerMismatchError
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.metadata import (
    ServerMetadata,
    build_metadata_urls,
    parse_metadata_response,
)
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.urls import origin_of

ISSUER = "https://id.aritma.io"
LEGACY = "https://id.zdata.no"
DOCUMENT = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/connect/token",
    "jwks_uri": f"{ISSUER}/.well-known/openid-configuration/jwks",
    "authorization_endpoint": f"{ISSUER}/connect/authorize",
}


def parse(changes=None, *, issuers=(ISSUER,), status=200, trusted=frozenset(), body=None):
    document = {k: v for k, v in (DOCUMENT | (changes or {})).items() if v is not ...}
    body = json.dumps(document).encode() if body is None else body
    response = HttpResponse(status, {"Content-Type": "application/json"}, body)
    return parse_metadata_response(response, issuers=issuers, trusted=trusted, now=0.0)


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        (
            ISSUER,
            [
                f"{ISSUER}/.well-known/openid-configuration",
                f"{ISSUER}/.well-known/oauth-authorization-server",
            ],
        ),
        (
            f"{ISSUER}/",
            [
                f"{ISSUER}/.well-known/openid-configuration",
                f"{ISSUER}/.well-known/oauth-authorization-server",
            ],
        ),
        (
            f"{ISSUER}/acme",
            [
                f"{ISSUER}/acme/.well-known/openid-configuration",
                f"{ISSUER}/.well-known/oauth-authorization-server/acme",
                f"{ISSUER}/.well-known/openid-configuration/acme",
            ],
        ),
        (
            f"{ISSUER}:8443/a/b/",
            [
                f"{ISSUER}:8443/a/b/.well-known/openid-configuration",
                f"{ISSUER}:8443/.well-known/oauth-authorization-server/a/b",
                f"{ISSUER}:8443/.well-known/openid-configuration/a/b",
            ],
        ),
        (
            f"{ISSUER}/blå",
            [
                f"{ISSUER}/blå/.well-known/openid-configuration",
                f"{ISSUER}/.well-known/oauth-authorization-server/bl%C3%A5",
                f"{ISSUER}/.well-known/openid-configuration/bl%C3%A5",
            ],
        ),
    ],
)
def test_metadata_stands_at_these_addresses(issuer, urls):
    """OpenID Connect's address comes first, then those of RFC 8414, each of them once."""
    assert list(build_metadata_urls(issuer)) == urls


def test_a_servers_document_is_read():
    """The endpoints are there by name, and the document as it came."""
    metadata = parse({"scopes_supported": ["openid"], "token_endpoint_auth_methods": None})

    assert metadata.issuer == ISSUER
    assert metadata.endpoint("token_endpoint") == f"{ISSUER}/connect/token"
    assert metadata.members["scopes_supported"] == ["openid"]
    assert metadata.foreign_endpoints == {}


@pytest.mark.parametrize(
    "issuer", [f"{ISSUER}/", "https://ID.aritma.io", "http://id.aritma.io", LEGACY]
)
def test_a_document_of_another_issuer_is_not_used(issuer):
    """The issuer is compared exactly (RFC 8414 §3.3), and the message names the received one."""
    with pytest.raises(IssuerMismatchError) as caught:
        parse({"issuer": issuer})

    assert repr(issuer) in str(caught.value)


def test_an_alias_is_listed():
    """With an alias listed, endpoints may be on either host."""
    metadata = parse({"issuer": LEGACY}, issuers=(ISSUER, LEGACY))

    assert metadata.issuer == LEGACY
    assert metadata.endpoint("token_endpoint").startswith(ISSUER)


@pytest.mark.parametrize("issuer", [..., None, 5, [ISSUER]])
def test_a_document_names_its_issuer(issuer):
    """A document without an issuer is refused."""
    with pytest.raises(InvalidResponseError, match="no issuer"):
        parse({"issuer": issuer})


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (404, b""), (200, b"[]"), (500, b'{"a": 1}')]
)
def test_what_is_no_document_is_an_error(status, body):
    """A page, a list or another status is an error."""
    with pytest.raises(InvalidResponseError, match="metadata's address"):
        parse(status=status, body=body)


INSECURE = "must be an absolute https URL"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://evil.example/connect/token", "endpoint_origins"),
        (f"{ISSUER}.evil.example/connect/token", "endpoint_origins"),
        (f"{ISSUER}:8443/connect/token", "endpoint_origins"),
        ("https://169.254.169.254/latest", "endpoint_origins"),
        ("http://id.aritma.io/connect/token", INSECURE),
        ("https://user@id.aritma.io/connect/token", INSECURE),
        ("/connect/token", INSECURE),
        ("file:///etc/passwd", INSECURE),
        ("https://id.aritma.io\\@evil.example/", INSECURE),
        ("", INSECURE),
    ],
)
def test_an_endpoint_elsewhere_is_never_used(url, problem):
    """Listing an origin helps where there is a secure one, and the other endpoints are used."""
    metadata = parse({"token_endpoint": url})

    assert list(metadata.foreign_endpoints) == ["token_endpoint"]
    assert url == "" or url not in repr(metadata)
    with pytest.raises(ConfigurationError, match=problem):
        metadata.endpoint("token_endpoint")
    assert metadata.endpoint("jwks_uri")


def test_a_listed_origin_may_have_endpoints():
    """An endpoint on a listed origin is used, as large providers spread theirs."""
    url = "https://keys.example/jwks"
    metadata = parse({"jwks_uri": url}, trusted=frozenset({origin_of(URL("https://keys.example"))}))

    assert metadata.endpoint("jwks_uri") == url


@pytest.mark.parametrize("value", [..., None, 5, [f"{ISSUER}/connect/token"]])
def test_a_missing_endpoint_is_named(value):
    """The error names the endpoint that the server does not offer."""
    with pytest.raises(ConfigurationError, match="must have token_endpoint"):
        parse({"token_endpoint": value}).endpoint("token_endpoint")


def test_clients_with_a_certificate_have_their_own_endpoints():
    """A client with a certificate uses the alias, else the usual endpoint (RFC 8705 §5)."""
    metadata = parse({"mtls_endpoint_aliases": {"token_endpoint": f"{ISSUER}/mtls/token"}})

    assert metadata.endpoint("token_endpoint", by_certificate=True) == f"{ISSUER}/mtls/token"
    assert metadata.endpoint("token_endpoint") == f"{ISSUER}/connect/token"
    assert metadata.endpoint("jwks_uri", by_certificate=True) == DOCUMENT["jwks_uri"]
    assert parse({"mtls_endpoint_aliases": [1]}).mtls_endpoints == {}


def test_an_alias_elsewhere_is_named_to_clients_with_a_certificate():
    """The usual endpoint would not ask for the certificate; listed, the alias is used."""
    members = {"mtls_endpoint_aliases": {"token_endpoint": "https://mtls.example/token"}}
    metadata = parse(members)
    with pytest.raises(ConfigurationError, match=r"https://mtls\.example:443.*endpoint_origins"):
        metadata.endpoint("token_endpoint", by_certificate=True)
    listed = parse(members, trusted=frozenset({origin_of(URL("https://mtls.example"))}))

    assert metadata.endpoint("token_endpoint") == f"{ISSUER}/connect/token"
    assert listed.endpoint("token_endpoint", by_certificate=True) == "https://mtls.example/token"


@pytest.mark.parametrize(
    "name", ["authorization_endpoint", "check_session_iframe", "end_session_endpoint"]
)
def test_a_browser_has_no_certificate(name):
    """An alias is never used for what the browser opens (RFC 8705 §5)."""
    metadata = parse({name: f"{ISSUER}/page", "mtls_endpoint_aliases": {name: f"{ISSUER}/mtls"}})

    assert metadata.endpoint(name, by_certificate=True) == f"{ISSUER}/page"


@pytest.mark.parametrize(
    ("value", "is_so"), [(True, True), (False, False), ("true", False), (..., False)]
)
def test_a_server_says_that_it_names_itself(value, is_so):
    """Only an exact true announces iss in authorization responses (RFC 9207 §3)."""
    metadata = parse({"authorization_response_iss_parameter_supported": value})

    assert metadata.names_issuer_in_responses is is_so


def test_equal_documents_are_equal_keys():
    """Documents with the same members in another order are equal."""
    one = ServerMetadata(ISSUER, members=Members({"a": 1, "b": 2}))
    other = ServerMetadata(ISSUER, members=Members({"b": 2, "a": 1}))

    assert one == other
    assert hash(one) == hash(other)
