"""Tests of what the client adds to a refusal, and of when it loads its secret again."""

import pytest

import aritma_auth as aa

ISSUER = "https://idp.example"
URL = f"{ISSUER}/connect/token"
GRANT = aa.ClientCredentialsGrant("api")
TOKEN = {"access_token": "abc", "token_type": "Bearer"}


def client_of(*auth, **settings):
    return aa.OAuthClient("id", *auth, environment=aa.Environment.at(ISSUER, **settings))


def rotating():
    """Give a secret that is another one each time it is loaded."""
    values = iter(["old", "new", "newer"])
    return aa.Secret.from_callable(lambda: next(values))


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 401, "body": b""},
        {"status": 401, "body": b"", "headers": {"WWW-Authenticate": "Basic realm=x"}},
        {"status": 401, "body": b"<html>no</html>", "content_type": "text/html"},
        {"status": 401, "body": b"{}"},
        {"status": 401, "payload": {"error": "invalid_client"}},
        {"status": 400, "payload": {"error": "invalid_client"}},
    ],
    ids=["no body", "a challenge alone", "a page", "an empty object", "RFC 6749", "Aritma"],
)
async def test_a_refused_client_is_invalid_client_however_it_is_told(http_mock, refusal):
    """The error is typed, permanent, and names the method that was used."""
    http_mock.post(URL, **refusal)
    with pytest.raises(aa.InvalidClientError, match="authenticated by client_secret_post") as told:
        await client_of("secret").fetch_token(GRANT)

    assert told.value.is_permanent
    assert told.value.error == "invalid_client"
    assert told.value.status == refusal["status"]


@pytest.mark.parametrize(
    ("auth", "method"),
    [((aa.ClientSecretBasic(aa.Secret("s")),), "client_secret_basic"), ((), "none")],
)
async def test_an_invalid_request_names_the_method(http_mock, auth, method):
    """Some servers find the client's id missing when it comes by another method than theirs."""
    http_mock.post(URL, status=400, payload={"error": "invalid_request"})
    with pytest.raises(aa.OAuthError, match=f"method, which was {method}") as told:
        await client_of(*auth).fetch_token(GRANT)

    assert told.value.error == "invalid_request"


async def test_a_refused_client_without_a_secret_is_told_to_give_one(http_mock):
    """A secret that was forgotten is named, and not a secret to compare."""
    http_mock.post(URL, status=401, payload={"error": "invalid_client"})
    with pytest.raises(aa.InvalidClientError, match="sent neither secret nor key"):
        await client_of(None).fetch_token(GRANT)


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 401, "body": b""},
        {"status": 403, "body": b""},
        {"status": 401, "payload": {"error": "invalid_client"}},
    ],
    ids=["401 alone", "403 alone", "invalid_client"],
)
async def test_a_refused_secret_is_loaded_again_and_tried_once(http_mock, refusal):
    """A secret that was rotated meanwhile works without a restart."""
    http_mock.post(URL, **refusal)
    http_mock.post(URL, payload=TOKEN)

    assert (await client_of(rotating()).fetch_token(GRANT)).access_token == "abc"


@pytest.mark.parametrize("refusal", [{"status": 404}, {"status": 500}, {"status": 200}])
async def test_another_failure_does_not_load_the_secret_again(http_mock, refusal):
    """Only a response that may concern the secret is worth a second request."""
    http_mock.post(URL, body=b"", **refusal)
    http_mock.post(URL, payload=TOKEN)
    with pytest.raises(aa.InvalidResponseError):
        await client_of(rotating()).fetch_token(GRANT)


@pytest.mark.parametrize(
    ("auth", "method"),
    [
        (("secret",), "client_secret_post"),
        ((aa.ClientSecretBasic(aa.Secret("s")),), "client_secret_basic"),
        ((), "none"),
    ],
)
async def test_an_empty_403_speaks_of_the_credential(http_mock, auth, method):
    """A firewall may have sent the response, so the error is not permanent."""
    http_mock.post(URL, status=403, body=b"")
    with pytest.raises(aa.InvalidResponseError, match=f"client's credential .{method}") as told:
        await client_of(*auth).fetch_token(GRANT)

    assert not told.value.is_permanent


@pytest.mark.parametrize(
    ("second", "kind", "words"),
    [
        ({"status": 401}, aa.InvalidClientError, "authenticated by client_secret_post"),
        ({"status": 403}, aa.InvalidResponseError, "client's credential .client_secret_post"),
        ({"status": 404}, aa.InvalidResponseError, "Environment.discover"),
    ],
)
async def test_a_refusal_of_the_newer_secret_is_explained_as_the_first_was(
    http_mock, second, kind, words
):
    """A callable that makes another secret each time gets no barer message."""
    http_mock.post(URL, status=401, body=b"")
    http_mock.post(URL, body=b"", **second)
    with pytest.raises(kind, match=words):
        await client_of(rotating()).fetch_token(GRANT)


@pytest.mark.parametrize("status", [404, 405])
async def test_a_missing_endpoint_speaks_of_discovery(http_mock, status):
    """The fixed paths are IdentityServer's; the message says what another server needs."""
    http_mock.post(URL, status=status, body=b"<html>not found</html>")
    with pytest.raises(aa.InvalidResponseError, match=rf"{URL} is .*Environment.discover"):
        await client_of("secret").fetch_token(GRANT)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (404, "Not Found", aa.InvalidResponseError),
        (404, "Unable to find matching target resource method", aa.InvalidResponseError),
        (405, "method_not_allowed", aa.InvalidResponseError),
        (404, "no_such_route", aa.OAuthError),
    ],
)
async def test_a_missing_endpoint_in_json_speaks_of_discovery_too(http_mock, status, error, kind):
    """Frameworks write their own 404 and 405 into the member that an OAuth error has."""
    http_mock.post(URL, status=status, payload={"error": error, "path": "/connect/token"})
    with pytest.raises(kind, match=rf"{URL} is .*Environment.discover") as told:
        await client_of("secret").fetch_token(GRANT)

    assert told.value.status == status


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"error": "no_such_route"}'])
async def test_a_missing_userinfo_endpoint_speaks_of_discovery(http_mock, body):
    """UserInfo has a fixed path as well; one that was configured gets no such advice."""
    token, url = aa.Token("abc"), f"{ISSUER}/connect/userinfo"
    for address, endpoints in ((url, {}), (f"{ISSUER}/me", {"userinfo_endpoint": f"{ISSUER}/me"})):
        http_mock.get(address, status=404, body=body)
        with pytest.raises(aa.AritmaAuthError) as told:
            await client_of("secret", endpoints=endpoints).fetch_userinfo(token, subject="alice")

        assert ("is IdentityServer's path" in str(told.value)) is (not endpoints)
        assert ("Environment.discover" in str(told.value)) is (not endpoints)


@pytest.mark.parametrize("body", [b"", b'{"error": "Not Found"}'])
async def test_a_missing_key_set_speaks_of_discovery(http_mock, body):
    """The first request of a device sign-in is for the keys, whose path is fixed as well."""
    url = f"{ISSUER}/.well-known/openid-configuration/jwks"
    http_mock.get(url, status=404, body=body)
    with pytest.raises(aa.AritmaAuthError, match=rf"{url} is .*Environment.discover"):
        await client_of("secret").begin_device_sign_in("openid")


async def test_a_missing_key_set_that_was_configured_does_not(http_mock):
    """A configured address of the keys gets no advice about discovery."""
    http_mock.get("https://idp.example/keys", status=404, body=b"")
    client = client_of("secret", endpoints={"jwks_uri": "https://idp.example/keys"})
    with pytest.raises(aa.InvalidResponseError) as told:
        await client.fetch_keys()

    assert "discover" not in str(told.value)


async def test_a_missing_endpoint_that_was_configured_does_not(http_mock):
    """A configured endpoint gets no advice about discovery."""
    http_mock.post("https://idp.example/t", status=404, body=b"")
    client = client_of("secret", endpoints={"token_endpoint": "https://idp.example/t"})
    with pytest.raises(aa.InvalidResponseError) as told:
        await client.fetch_token(GRANT)

    assert "discover" not in str(told.value)


async def test_the_missing_endpoint_of_another_kind_speaks_of_its_own_url(http_mock):
    """Introspection and revocation have fixed paths too."""
    http_mock.post(f"{ISSUER}/connect/introspect", status=404, body=b"")
    with pytest.raises(aa.InvalidResponseError, match="connect/introspect is IdentityServer's"):
        await client_of("secret").introspect("token")


@pytest.mark.parametrize("required", [False, "true", None])
async def test_only_a_clear_demand_makes_a_request_pushed(http_mock, required):
    """The browser carries the request unless the metadata's member is true (RFC 9126 §5)."""
    metadata = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "require_pushed_authorization_requests": required,
    }
    http_mock.get(f"{ISSUER}/.well-known/openid-configuration", payload=metadata)
    begin = client_of(discover=True).begin_sign_in("https://app.example/callback")

    assert (await begin).url.startswith(f"{ISSUER}/authorize?")
