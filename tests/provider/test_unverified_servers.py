"""A token goes to no server whose certificate is not verified."""

import contextlib
import ssl
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

import aritma_auth as aa
from aritma_auth.testing import FakeClient
from support.internals import remembered_by
from support.loopback import serving
from support.tls import any_host, certificates, unverified

pytestmark = pytest.mark.usefixtures("no_leftovers")

API = "https://api.example"


class SentError(Exception):
    """The request would have gone out with these headers."""


async def stop(request, handler):
    """Stand where the connection begins: no test asks a foreign server."""
    raise SentError(request.headers.get("Authorization"))


async def call(*, connector_ssl=True, url=API, **settings):
    """Call an API through the middleware."""
    async with (
        aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=connector_ssl),
            middlewares=[tokens.middleware([API]), stop],
        ) as session,
    ):
        await session.get(url, **settings)


@pytest.mark.parametrize("scheme", ["https", "wss"])
@pytest.mark.parametrize(
    "settings",
    [
        {"ssl": False},
        {"ssl": unverified()},
        {"ssl": any_host()},
        {"connector_ssl": False},
        {"connector_ssl": unverified()},
        {"connector_ssl": any_host()},
    ],
    ids=lambda settings: f"{settings}"[:24],
)
async def test_an_unverified_server_gets_no_token(settings, scheme):
    """Neither the request nor its session may switch verification off."""
    with pytest.raises(aa.ConfigurationError, match="must verify certificates and host names"):
        await call(url=API.replace("https", scheme), **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ssl": ssl.create_default_context(), "connector_ssl": False},
        {"ssl": aiohttp.Fingerprint(bytes(32)), "connector_ssl": False},
        {"connector_ssl": aiohttp.Fingerprint(bytes(32))},
    ],
    ids=["default", "own context", "own fingerprint", "the session's fingerprint"],
)
async def test_a_verified_server_gets_it(settings):
    """What a request says itself comes before its session; a fingerprint pins one certificate."""
    with pytest.raises(SentError, match="Bearer "):
        await call(**settings)


async def test_what_needs_no_token_may_go_anywhere():
    """A request that is not signed is the caller's own."""
    with pytest.raises(SentError, match="None"):
        await call(url="https://elsewhere.example", ssl=False)


async def test_https_on_loopback_may_be_unverified():
    """It is no worse than http on loopback, and local servers have certificates of their own."""
    seen = []

    async def note(request):
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    async with (
        serving(note, ssl_context=certificates()[0]) as url,
        aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens,
        aiohttp.ClientSession(middlewares=[tokens.middleware([url])]) as session,
        session.get(url, ssl=False),
    ):
        assert len(seen) == 1
        assert seen[0].startswith("Bearer ")


async def test_a_session_of_the_provider_is_looked_at_too():
    """The context of its certificate may have been changed since."""
    context = ssl.create_default_context()
    client = aa.OAuthClient("id", aa.TlsClientAuth(context))
    tokens = aa.TokenProvider(client, aa.ClientCredentialsGrant())
    await tokens.set_token(aa.Token("t", expires_at=9e9))
    async with tokens, tokens.session(origins=[API]) as session:
        context.check_hostname = False
        with pytest.raises(aa.ConfigurationError, match="must verify certificates"):
            await session.get(API)


class Calls:
    """Calls of one middleware through sessions of all kinds, and what they would have sent."""

    def __init__(self, middleware):
        self.middleware = middleware
        self.headers = []

    async def note(self, request, handler):
        """Stand where the connection begins."""
        self.headers.append(request.headers.copy())
        raise SentError

    @contextlib.asynccontextmanager
    async def session(self, connector_ssl=True):
        """Open a session."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=connector_ssl),
            middlewares=[self.middleware, self.note],
        ) as session:
            yield session

    async def get(self, session, url=API, **settings):
        """Call an API; return the headers that would have gone out."""
        with pytest.raises(SentError):
            await session.get(url, **settings)
        return self.headers[-1]


@pytest.fixture
async def calls():
    """Calls of a middleware that has signed a request and verified its server."""
    async with aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens:
        calls = Calls(tokens.middleware([API, "https://127.0.0.1:8443"]))
        async with calls.session() as session:
            assert "Authorization" in await calls.get(session)
        yield calls


async def test_a_request_of_a_verified_session_may_not_switch_verification_off(calls):
    """A session that was seen to verify says nothing of a request's own settings."""
    async with calls.session() as session:
        for _ in range(2):
            assert "Authorization" in await calls.get(session)
        with pytest.raises(aa.ConfigurationError, match="the request's ssl must verify"):
            await session.get(API, ssl=False)


async def test_another_session_is_looked_at_too(calls):
    """A session that was seen to verify says nothing of another one."""
    async with calls.session(connector_ssl=False) as session:
        with pytest.raises(aa.ConfigurationError, match="must verify certificates"):
            await session.get(API)


async def test_a_context_is_looked_at_each_time(calls):
    """It may be changed after the first request."""
    context = ssl.create_default_context()
    async with calls.session(connector_ssl=context) as session:
        assert "Authorization" in await calls.get(session)
        context.check_hostname = False
        with pytest.raises(aa.ConfigurationError, match="must verify certificates"):
            await session.get(API)


async def test_a_session_that_verifies_nothing_on_loopback_is_not_taken_for_verified(calls):
    """What loopback is allowed holds for loopback alone."""
    async with calls.session(connector_ssl=False) as session:
        for _ in range(2):
            assert "Authorization" in await calls.get(session, "https://127.0.0.1:8443")
        with pytest.raises(aa.ConfigurationError, match="must verify certificates"):
            await session.get(API)


async def test_a_host_that_is_known_by_https_is_no_origin_by_http(calls):
    """The scheme belongs to the origin, however often the host was signed for."""
    async with calls.session() as session:
        for _ in range(2):
            assert "Authorization" in await calls.get(session)
        assert "Authorization" not in await calls.get(session, API.replace("https", "http"))


async def test_a_header_is_kept_on_a_known_host_too():
    """With keep_authorization each request is looked into."""
    async with aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens:
        calls = Calls(tokens.middleware([API], keep_authorization=True))
        async with calls.session() as session:
            for _ in range(2):
                own = await calls.get(session, headers={"Authorization": "Basic own"})
                assert own["Authorization"] == "Basic own"
                assert (await calls.get(session))["Authorization"].startswith("Bearer ")


async def test_a_header_is_replaced_on_a_known_host_and_reported():
    """However often the host was signed for, and with both of two headers."""
    seen = []
    client = FakeClient([API])
    async with aa.TokenProvider(
        client, aa.ClientCredentialsGrant(), on_event=seen.append
    ) as tokens:
        calls = Calls(tokens.middleware([API]))
        async with calls.session() as session:
            await calls.get(session)
            seen.clear()
            twice = [("Authorization", "Basic own"), ("authorization", "Basic other")]
            sent = await calls.get(session, headers=twice)
    assert [value[:7] for value in sent.getall("Authorization")] == ["Bearer "]
    assert [type(event).__name__ for event in seen][:1] == ["AuthorizationReplaced"]


async def test_a_copy_of_the_header_is_taken_away_too():
    """A middleware behind this one may have written the token a second time."""
    seen = []

    async def double(request, handler):
        seen.append(request)
        request.headers.add("Authorization", request.headers["Authorization"])
        return await handler(request)

    async with aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens:
        calls = Calls(tokens.middleware([API]))
        async with calls.session() as session:
            chain = [calls.middleware, double, calls.note]
            sent = await calls.get(session, middlewares=chain)
    assert len(sent.getall("Authorization")) == 2
    assert "Authorization" not in seen[0].headers


async def test_a_header_that_is_gone_already_is_no_error():
    """A middleware behind this one may have taken the token away itself."""

    async def clear(request, handler):
        try:
            return await handler(request)
        finally:
            request.headers.clear()

    async with aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens:
        calls = Calls(tokens.middleware([API]))
        async with calls.session() as session:
            chain = [calls.middleware, clear, calls.note]
            assert "Authorization" in await calls.get(session, middlewares=chain)


async def test_bound_and_bearer_tokens_share_a_middlewares_origins():
    """A host that bearer tokens may go to gets proofs with the tokens of another key's source."""

    class Proofs:
        """Fails where a proof would be made."""

        def require_bound(self, token):
            raise aa.ConfigurationError("a proof is needed")

    async with aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens:
        bearer = tokens.middleware([API])

        class Bound:
            """A source of tokens that are bound to a key."""

            proofs = Proofs()
            peek = staticmethod(tokens.peek)
            get_token = staticmethod(tokens.get_token)

        bound = bearer.with_source(Bound())
        both = Calls(bearer), Calls(bound)
        async with both[0].session() as plain, both[1].session() as proven:
            for _ in range(2):
                with pytest.raises(aa.ConfigurationError, match="a proof is needed"):
                    await proven.get(API)
                assert "Authorization" in await both[0].get(plain)


async def test_a_provider_that_peeks_elsewhere_is_asked():
    """The middleware reads the cache of a provider itself only if nothing overrides its look."""

    class Watched(aa.TokenProvider):
        """Counts the looks at its token."""

        __slots__ = ("looks",)

        def peek(self):
            self.looks += 1
            return super().peek()

    async with Watched(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens:
        tokens.looks = 0
        calls = Calls(tokens.middleware([API]))
        async with calls.session() as session:
            for _ in range(2):
                assert "Authorization" in await calls.get(session)
        assert tokens.looks == 2


async def test_many_spellings_of_a_host_are_not_all_remembered():
    """A request of another kind than aiohttp's may spell an allowed origin in any number of ways."""
    connector = SimpleNamespace(_ssl=True)
    session = SimpleNamespace(connector=connector, _connector=connector)
    sent = []

    async def note(request):
        sent.append(request.headers["Authorization"])
        return SimpleNamespace(status=200)

    async with aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens:
        middleware = tokens.middleware([API])
        for number in range(80):
            url = URL(f"https://user{number}@api.example", encoded=True)
            request = SimpleNamespace(
                url=url, headers=CIMultiDict(), ssl=True, _ssl=True, session=session
            )
            request._session = session
            await middleware(request, note)
    assert len(sent) == 80
    assert len(remembered_by(middleware)) == 64


class OtherUrl:
    """A URL of a yarl that has not all of its private names."""

    def __init__(self, url, missing):
        self.url, self.missing = URL(url), missing

    def __getattr__(self, name):
        if name == self.missing:
            raise AttributeError(name)
        return getattr(self.url, name)


@pytest.mark.parametrize("missing", ["_scheme", "_netloc"])
async def test_a_url_without_private_names_is_looked_at_by_its_public_ones(missing):
    """What the short way reads is used only if it says the same as the properties."""
    connector = SimpleNamespace(_ssl=True)
    session = SimpleNamespace(connector=connector, _connector=connector)

    async def note(request):
        sent.append(request.headers.get("Authorization", ""))
        return SimpleNamespace(status=200)

    sent = []
    async with aa.TokenProvider(FakeClient([API]), aa.ClientCredentialsGrant()) as tokens:
        middleware = tokens.middleware([API])
        for url in (API, API, "https://elsewhere.example"):
            request = SimpleNamespace(
                url=OtherUrl(url, missing),
                headers=CIMultiDict(),
                ssl=True,
                _ssl=True,
                session=session,
                _session=session,
            )
            await middleware(request, note)
    assert [header[:7] for header in sent] == ["Bearer ", "Bearer ", ""]
