"""
A FAPI 2.0 server that is not the sandbox: small, strict, and as odd as the specifications allow.

Each endpoint wants nonces of its own, takes its newest alone and once, and gives the next with each
response. Everything is signed with ES256 by the second of two keys, which is published late.
"""

import collections
import hashlib
import secrets
import time
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import web
from joserfc.jwk import ECKey

from support.sandbox_wire import read_jwt
from support.signing import encode, jwk, sign

CALLBACK = "http://127.0.0.1/callback"
_OLD, _NEW = (ECKey.generate_key("P-256", auto_kid=False) for _ in range(2))


class FapiLookAlike:
    """
    Its handler.

    Attributes:
        count: Requests by path.

        spent: Refresh tokens that were presented a second time.

        shows_new_key: The key set has the key that signs.
    """

    def __init__(self):
        self.count = collections.Counter()
        self.spent = []
        self.shows_new_key = False
        self._nonces = {}
        self._seen = set()
        self._pushed, self._codes = {}, {}
        self._refresh_token = None

    async def __call__(self, request):
        self.count[request.path] += 1
        base = f"http://{request.host}"
        if request.path == "/.well-known/openid-configuration":
            return web.json_response(self._metadata(base))
        if request.path == "/jwks":
            keys = [jwk(_OLD, kid="old", alg="ES256")]
            keys += [jwk(_NEW, kid="new", alg="ES256")] if self.shows_new_key else []
            return web.json_response({"keys": keys})
        form = dict(await request.post())
        is_good = self._takes(request)
        if "client_assertion" in form:
            self._require_fresh(read_jwt(form["client_assertion"])[1]["jti"])
        headers = {"DPoP-Nonce": self._nonces[request.path]}
        if request.path in {"/par", "/token"}:
            if not is_good:
                body = {"error": "use_dpop_nonce"}
                return web.json_response(body, status=400, headers=headers)
            status, body = self._push(form) if request.path == "/par" else self._issue(form, base)
            return web.json_response(body, status=status, headers=headers)
        if not is_good:
            headers["WWW-Authenticate"] = 'Bearer realm="x", DPoP error="use_dpop_nonce"'
            return web.Response(status=401, headers=headers)
        return web.json_response({"sub": "user-1"}, headers=headers)

    def _metadata(self, base):
        names = ("authorization", "token", "userinfo", "pushed_authorization_request")
        paths = ("authorize", "token", "userinfo", "par")
        return {f"{n}_endpoint": f"{base}/{p}" for n, p in zip(names, paths, strict=True)} | {
            "issuer": base,
            "jwks_uri": f"{base}/jwks",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "require_pushed_authorization_requests": True,
        }

    def _takes(self, request):
        claims = read_jwt(request.headers["DPoP"])[1]
        self._require_fresh(claims["jti"])
        newest = self._nonces.get(request.path)
        self._nonces[request.path] = f"{request.path}!#[]~{self.count.total()}"
        return newest is not None and claims.get("nonce") == newest

    def _require_fresh(self, jti):
        assert jti not in self._seen
        self._seen.add(jti)

    def _push(self, form):
        uri = f"urn:example:{secrets.token_hex(8)}"
        self._pushed[uri] = read_jwt(form["request"])[1] if "request" in form else form
        return 201, {"request_uri": uri, "expires_in": 60}

    def _issue(self, form, base):
        nonce = {}
        if form["grant_type"] == "authorization_code":
            asked = self._codes.pop(form["code"])
            challenge = encode(hashlib.sha256(form["code_verifier"].encode()).digest())
            assert challenge == asked["code_challenge"]
            nonce = {"nonce": asked["nonce"]}
        elif form["refresh_token"] != self._refresh_token:
            self.spent.append(form["refresh_token"])
            return 400, {"error": "invalid_grant"}
        self._refresh_token = f"refresh-{self.count.total()}"
        now = int(time.time())
        claims = {"iss": base, "aud": "fapi-app", "sub": "user-1", "iat": now, "exp": now + 60}
        return 200, {
            "access_token": f"access-{self.count.total()}",
            "token_type": "dpop",
            "expires_in": "300",
            "refresh_token": self._refresh_token,
            "id_token": sign(claims | nonce, _NEW, alg="ES256", kid="new"),
        }

    def visit(self, request):
        """Let the end-user agree; give the address that the browser comes back to."""
        query = dict(parse_qsl(urlsplit(request.url).query))
        asked = self._pushed.pop(query["request_uri"])
        code, base = secrets.token_hex(8), request.url.partition("/authorize")[0]
        self._codes[code] = asked
        given = {"code": code, "state": asked["state"], "iss": base}
        if asked.get("response_mode") == "jwt":
            given |= {"aud": "fapi-app", "exp": int(time.time()) + 60}
            given = {"response": sign(given, _NEW, alg="ES256", kid="new")}
        return f"{CALLBACK}?{urlencode(given)}"
