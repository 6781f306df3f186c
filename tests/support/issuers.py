"""
Look-alikes of well-known issuers: one server on loopback, and what makes each its own as data.

The data is in ``tests/issuers``, a TOML file an issuer: what it publishes, what is peculiar to it,
where that is documented, what of it was seen published (``evidence``), and what a program says to
it. ``{origin}`` is where its issuer is,
``{other}`` a second host of the same server, and ``{issuer}`` the issuer itself. An API beside it
takes the tokens that it has issued.
"""

import base64
import contextlib
import secrets
import time
import tomllib
from pathlib import Path
from urllib.parse import parse_qsl, unquote_plus, urlencode

import attrs
from aiohttp import web
from yarl import URL

import aritma_auth as aa
from aritma_auth.protocol.pkce import build_code_challenge
from support.loopback import serving
from support.signing import RSA, jwk, sign

FOLDER = Path(__file__).parents[1] / "issuers"
CLIENT_ID, CLIENT_SECRET = "client-id", "s3cret +%"
CLIENT_PEM = RSA.as_pem(private=True).decode()
CLIENT_KEY = aa.SigningKey(CLIENT_PEM, algorithm="RS256", key_id="k1")


@attrs.frozen
class IssuerData:
    """What one file says."""

    slug: str
    title: str
    issuer: str
    sources: list[str]
    evidence: str
    notes: list[str]
    server: dict
    metadata: dict
    is_fixed: bool = False
    environment: dict = attrs.field(factory=dict)
    client: dict = attrs.field(factory=dict)
    service: dict | None = None
    sign_in: dict | None = None
    sign_out: dict = attrs.field(factory=dict)

    @classmethod
    def load(cls, file):
        return cls(file.stem, **tomllib.loads(file.read_text()))


ISSUERS = [IssuerData.load(file) for file in sorted(FOLDER.glob("*.toml"))]


class LookAlike:
    """Serves one issuer; keeps what it was sent."""

    def __init__(self, data):
        self.data = data
        self.origin = self.other = self.api = ""
        self.asked = []
        self.access_tokens = set()
        self.calls = []
        self.shown = []
        self.codes = {}
        self.refresh_tokens = {}

    @property
    def issuer(self):
        return f"{self.origin}{self.data.server['path']}"

    def fill(self, value):
        if isinstance(value, str):
            places = {"origin": self.origin, "other": self.other, "issuer": self.issuer}
            for name, url in places.items():
                value = value.replace(f"{{{name}}}", url)
        elif isinstance(value, dict):
            value = {name: self.fill(each) for name, each in value.items()}
        return value

    @property
    def endpoint_origins(self):
        return [self.other] if self.data.environment.get("endpoint_origins") else []

    @property
    def issuer_aliases(self):
        is_named = self.data.environment.get("issuer_aliases")
        return [self.fill(self.data.server["names_itself"])] if is_named else []

    def metadata(self):
        named = self.fill(self.data.server.get("names_itself", "{issuer}"))
        return {"issuer": named, **self.fill(self.data.metadata)}

    async def serve(self, request):
        url = f"http://{request.host}{request.path}"
        self.asked.append(request.path)
        if request.headers.get("Authorization", "").startswith("Bearer "):
            self.shown.append(request.path)
        base = self.issuer.rstrip("/")
        at = self.fill(self.data.server.get("metadata_at"))
        if url == (f"{self.origin}{at}" if at else f"{base}/.well-known/openid-configuration"):
            return web.json_response(self.metadata())
        for name, endpoint in self.fill(self.data.metadata).items():
            if url == endpoint:
                return await getattr(self, f"serve_{name}")(request)
        return web.Response(status=404, text="default backend - 404")

    async def serve_api(self, request):
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.access_tokens:
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        self.calls.append(request.path)
        return web.json_response([])

    async def serve_jwks_uri(self, _request):
        lacks = self.data.server.get("key_lacks", ())
        return web.json_response(
            {"keys": [jwk(RSA, lacks, **self.fill(self.data.server.get("key", {})))]}
        )

    async def serve_authorization_endpoint(self, request):
        query, server = dict(request.query), self.data.server
        assert query["client_id"] == CLIENT_ID
        assert len(query["state"]) >= server.get("state_length", 1)
        assert "code_challenge" in query or not server.get("requires_pkce")
        code = secrets.token_urlsafe(8)
        self.codes[code] = query
        back = {"code": code, "state": query["state"]}
        if server.get("sends_iss"):
            back["iss"] = self.metadata()["issuer"]
        return web.Response(
            status=302, headers={"Location": f"{query['redirect_uri']}?{urlencode(back)}"}
        )

    async def serve_token_endpoint(self, request):
        form = dict(parse_qsl((await request.read()).decode()))
        method = self.authenticate(request, form)
        offered = self.data.metadata["token_endpoint_auth_methods_supported"]
        if method not in self.data.server.get("accepts", offered):
            return self.refuse("invalid_client", 401)
        match form["grant_type"].rpartition(":")[2]:
            case "client_credentials":
                return self.serve_service(form)
            case "authorization_code":
                return self.serve_code(form)
            case "refresh_token":
                return self.serve_refresh(form)
            case "jwt-bearer":
                return self.serve_assertion(form)
        return self.refuse("unsupported_grant_type")

    def authenticate(self, request, form):
        header = request.headers.get("Authorization")
        if header is not None:
            pair = base64.b64decode(header.removeprefix("Basic ")).decode()
            right = [CLIENT_ID, CLIENT_SECRET]
            return "client_secret_basic" if [*map(unquote_plus, pair.split(":"))] == right else ""
        if "client_assertion" in form:
            claims = aa.parse_unverified_claims(form["client_assertion"])
            is_right = (claims["sub"], claims["aud"]) == (CLIENT_ID, self.issuer)
            return "private_key_jwt" if is_right else ""
        if "client_secret" in form:
            is_right = (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
            return "client_secret_post" if is_right else ""
        return "none"

    def serve_service(self, form):
        wanted = self.data.server.get("wants", {})
        if self.data.service is None or any(form.get(n) != v for n, v in wanted.items()):
            return self.refuse("invalid_request")
        return self.respond(form)

    def serve_assertion(self, form):
        claims = aa.parse_unverified_claims(form["assertion"])
        wanted = self.fill(self.data.server.get("assertion", {}))
        if claims["iss"] != CLIENT_ID or any(claims.get(n) != v for n, v in wanted.items()):
            return self.refuse("invalid_grant")
        return self.respond(form)

    def serve_code(self, form):
        asked = self.codes.pop(form["code"], None)
        challenge = build_code_challenge(form["code_verifier"])
        if asked is None or challenge != asked["code_challenge"]:
            return self.refuse("invalid_grant")
        offline = self.data.server.get("offline")
        wants = self.data.server.get("offline_wants", {})
        has_refresh = (offline is None or offline in asked["scope"].split()) and all(
            asked.get(name) == value for name, value in wants.items()
        )
        members = self.fill(self.data.server.get("claims", {}))
        token = {"id_token": self.sign_id_token(nonce=asked["nonce"], **members)}
        if has_refresh:
            token["refresh_token"] = self.issue_refresh_token(members)
        return self.respond(asked, **token)

    def issue_refresh_token(self, members):
        refresh_token = secrets.token_urlsafe(16)
        self.refresh_tokens[refresh_token] = members
        return refresh_token

    def serve_refresh(self, form):
        members = self.refresh_tokens.get(form["refresh_token"])
        if members is None:
            return self.refuse("invalid_grant")
        token = {}
        if self.data.server.get("refresh_has_id_token"):
            token["id_token"] = self.sign_id_token(**members)
        if self.data.server.get("rotates"):
            del self.refresh_tokens[form["refresh_token"]]
            token["refresh_token"] = self.issue_refresh_token(members)
        return self.respond(form, **token)

    def sign_id_token(self, **claims):
        now = int(time.time())
        issuer = self.fill(self.data.server.get("signs_as") or self.metadata()["issuer"])
        times = {"iat": now, "exp": now + 3600}
        return sign({"iss": issuer, "sub": "alice", "aud": CLIENT_ID, **times, **claims})

    def respond(self, asked, **members):
        server = self.data.server
        scope = server.get("grants_scope") or asked.get("scope")
        said = {} if server.get("omits_scope") or scope is None else {"scope": scope}
        token = {
            "access_token": secrets.token_urlsafe(8),
            "token_type": "Bearer",
            "expires_in": 3600,
        }
        self.access_tokens.add(token["access_token"])
        return web.json_response(token | said | members | server.get("token", {}))

    def refuse(self, error, status=400):
        return web.json_response({"error": error}, status=status)

    async def serve_userinfo_endpoint(self, request):
        assert request.headers["Authorization"].startswith("Bearer ")
        return web.json_response({"sub": "alice", **self.data.server.get("userinfo", {})})

    async def serve_revocation_endpoint(self, request):
        self.refresh_tokens.pop((await request.post())["token"], None)
        return web.Response()

    async def serve_end_session_endpoint(self, request):
        query, server = request.query, self.data.server
        assert all(name in query for name in server.get("sign_out_wants", ()))
        back = URL(query[server.get("sign_out_returns_by", "post_logout_redirect_uri")])
        if "sign_out_returns_by" not in server:
            back = back.update_query(state=query["state"])
        return web.Response(status=302, headers={"Location": str(back)})


@contextlib.asynccontextmanager
async def look_alike(data):
    """Serve an issuer's look-alike, and give it."""
    server = LookAlike(data)
    async with (
        serving(server.serve) as server.origin,
        serving(server.serve) as server.other,
        serving(server.serve_api) as server.api,
    ):
        yield server
