"""What a grant loads for each request, and every way in which that can fail."""

import asyncio
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

import aritma_auth as aa
from support.clock import FakeClock
from support.fakes import FakeClient
from support.loopback import serving

pytestmark = pytest.mark.usefixtures("no_leftovers")

TOKEN = aa.Token("subject")


class Giver:
    """A source of tokens that does what a test says."""

    def __init__(self, result=TOKEN):
        self.result = result

    async def get_token(self, min_ttl=0.0, timeout=None):
        if isinstance(self.result, BaseException):
            raise self.result
        if self.result == "hang":
            await asyncio.Event().wait()
        return self.result

    def peek(self):
        return None

    def report_rejected(self, token):
        return False

    def identity(self):
        return "alice"


def client(timeout=30.0):
    return aa.OAuthClient("id", "secret", timeout=timeout)


@pytest.mark.parametrize(
    ("result", "kind", "problem"),
    [
        (aa.TransportError("down"), aa.TransportError, "down"),
        (aa.ReauthenticationRequiredError("sign in"), aa.ReauthenticationRequiredError, "sign in"),
        ("hang", aa.TransportError, "did not return within 0.02 seconds"),
        (OSError("canary"), aa.ConfigurationError, "raised OSError"),
        (asyncio.CancelledError(), aa.ConfigurationError, "raised CancelledError"),
        ("a token", aa.ConfigurationError, "must give a Token"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.parametrize("make", [aa.TokenExchangeGrant, aa.DelegationGrant, aa.JwtBearerGrant])
async def test_a_source_that_fails_is_a_typed_error(make, result, kind, problem, canary):
    """Nothing is sent, and the error is the subject's own or says what is wrong with its source."""
    timeout = 0.02 if result == "hang" else 30
    with pytest.raises(kind, match=problem) as failed:
        await client(timeout).fetch_token(make(Giver(result)))

    assert "canary" not in str(failed.value)
    assert failed.value.__context__ is None or isinstance(result, aa.AritmaAuthError)


async def test_a_secret_that_does_not_load_is_the_secrets_error():
    """The source of an assertion is a Secret like any other."""

    async def fetch():
        raise OSError("canary")

    grant = aa.JwtBearerGrant(aa.Secret.from_callable(fetch))
    with pytest.raises(aa.ConfigurationError, match="OSError"):
        await client().fetch_token(grant)


@pytest.mark.parametrize(
    "given", [None, 1, b"x", Giver, {"a": "b"}], ids=["None", "1", "bytes", "a class", "a mapping"]
)
def test_what_is_no_source_is_named(given):
    """A grant is made of a text or of something that gives one."""
    for make, name in (
        (aa.TokenExchangeGrant, "subject_token"),
        (aa.DelegationGrant, "token"),
        (aa.JwtBearerGrant, "assertion"),
    ):
        with pytest.raises(aa.ConfigurationError, match=f"{name} must be a string such as"):
            make(given)
        with pytest.raises(aa.ConfigurationError, match=f"{name} must not be empty"):
            make("")


@pytest.mark.parametrize(
    "make",
    [
        lambda source: aa.TokenExchangeGrant(source, extra={"subject_token": "x"}),
        lambda source: aa.DelegationGrant(source, extra={"token": "x"}),
        lambda source: aa.JwtBearerGrant(source, extra={"assertion": "x"}),
    ],
)
def test_a_source_is_replaced_by_no_further_parameter(make):
    """The name is the grant's own before its text is loaded."""
    with pytest.raises(aa.ConfigurationError, match="extra must not replace"):
        make(Giver())


async def test_two_assertions_of_one_request_have_two_identifiers(http_mock):
    """A server that accepts each identifier once would refuse the second."""
    http_mock.post(
        "https://id.aritma.io/connect/token",
        payload={"access_token": "abc", "token_type": "Bearer"},
    )
    key = aa.SigningKey.generate("ES256")
    signing = aa.OAuthClient("id", aa.PrivateKeyJwt(key))
    await signing.fetch_token(aa.JwtBearerGrant(aa.JwtAssertion(key)))
    ((call,),) = http_mock.requests.values()
    form = dict(parse_qsl(call.kwargs["data"].decode()))
    identifiers = {
        aa.parse_unverified_claims(form[name])["jti"] for name in ("assertion", "client_assertion")
    }

    assert len(identifiers) == 2


@pytest.mark.parametrize("error", ["server_error", "invalid_client", "invalid_scope"])
async def test_a_refusal_that_is_not_about_the_subject_reports_no_token(http_mock, error):
    """The subject's provider keeps its token: another one would not help."""
    http_mock.post(
        "https://id.aritma.io/connect/token", status=400, payload={"error": error}, repeat=True
    )
    reported = []
    giver = Giver()
    giver.report_rejected = reported.append
    with pytest.raises(aa.OAuthError):
        await client().fetch_token(aa.TokenExchangeGrant(giver))

    assert reported == []


async def test_the_same_token_is_not_presented_again(http_mock):
    """A provider that has no other token gets the server's refusal."""
    http_mock.post(
        "https://id.aritma.io/connect/token", status=400, payload={"error": "invalid_grant"}
    )
    giver = Giver()
    giver.report_rejected = lambda token: True
    with pytest.raises(aa.InvalidGrantError):
        await client().fetch_token(aa.TokenExchangeGrant(giver))


async def refuse_twice(provider, fake, error):
    """Let the server refuse two refreshes, so that the pause is longer than a look at the sources."""
    for _ in range(2):
        fake.answers = [error]
        with pytest.raises(type(error)):
            await provider.get_token()
        fake.clock.advance(1)
    with pytest.raises(type(error)):
        await provider.get_token()
    fake.clock.advance(0.9)
    return fake.requests


def provider_of(grant):
    fake = FakeClient(FakeClock())
    return fake, aa.TokenProvider(fake, grant, clock=fake.clock, draw=lambda: 0.5, on_event=None)


async def test_a_new_token_of_the_subject_is_presented_at_once():
    """A permanent refusal is dropped when the subject's provider has another token."""
    subject = Giver()
    fake, provider = provider_of(aa.TokenExchangeGrant(subject))
    requests = await refuse_twice(provider, fake, aa.ReauthenticationRequiredError("sign in"))
    subject.peek = lambda: aa.Token("newer")
    fake.clock.advance(0.1)
    token = await provider.get_token()

    assert requests == 2
    assert token.access_token == "token-1"


async def test_a_new_key_signs_at_once():
    """The key of an assertion counts like the client's own secret."""
    keys = ["one"]
    fake, provider = provider_of(
        aa.JwtBearerGrant(aa.JwtAssertion(aa.Secret.from_callable(lambda: keys[-1])))
    )
    refused = aa.InvalidGrantError("invalid_grant", status=400)
    requests = await refuse_twice(provider, fake, refused)
    keys.append("two")
    fake.clock.advance(0.1)

    assert requests == 2
    assert (await provider.get_token()).access_token == "token-1"


@pytest.mark.parametrize(
    ("result", "found"), [(KeyError("canary"), "raised KeyError"), (5, "of type int")]
)
def test_a_source_that_cannot_say_whose_its_tokens_are_is_named(result, found):
    """Its own error is not the caller's; a store could not tell the end-users apart."""

    class Odd(Giver):
        def identity(self):
            if isinstance(result, BaseException):
                raise result
            return result

    problem = (
        rf"identity\(\) of subject_token must return whose its tokens are, or None; it .*{found}"
    )
    with pytest.raises(aa.ConfigurationError, match=problem):
        aa.TokenProvider(client(), aa.TokenExchangeGrant(Odd()), store=aa.MemoryTokenStore())


async def test_a_source_that_fails_to_be_told_leaves_the_refusal(caplog):
    """The server's own error is what the caller needs."""

    class Deaf(Giver):
        def report_rejected(self, token):
            raise KeyError("canary")

    async def refuse(_request):
        return web.json_response({"error": "invalid_grant"}, status=400)

    async with serving(refuse) as url:
        client = aa.OAuthClient("id", "secret", environment=aa.Environment.at(url))
        with pytest.raises(aa.InvalidGrantError):
            await client.fetch_token(aa.TokenExchangeGrant(Deaf()))

    assert "report_rejected of a grant's source raised KeyError" in caplog.text


@pytest.mark.parametrize("given", ["canary", None, 5])
async def test_a_source_that_gives_no_secret_text_is_named(given):
    """A caller's own class of secrets must wrap them."""

    class Plain:
        async def load(self):
            return given

    client = aa.OAuthClient("id", aa.ClientAssertion(Plain()), timeout=30.0)
    with pytest.raises(aa.ConfigurationError, match=r"load.. .* must be a SecretText") as failed:
        await client.fetch_token(aa.ClientCredentialsGrant())

    assert "canary" not in str(failed.value)


async def test_a_signer_that_is_not_async_is_named():
    """It would sign on the event loop; and what it returned cannot be awaited."""
    auth = aa.PrivateKeyJwt(aa.RemoteSigner("ES256", lambda _octets: b"x"))
    with pytest.raises(aa.ConfigurationError, match="RemoteSigner must be an async function"):
        await aa.OAuthClient("id", auth, timeout=30.0).fetch_token(aa.ClientCredentialsGrant())
