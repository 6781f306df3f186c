"""A server that takes its newest nonce alone, and once."""

import collections

from aiohttp import web

from support.sandbox_wire import read_jwt


class NewestNonceOnce:
    """
    Its handler; each response, good or bad, has the next nonce.

    Attributes:
        count: Requests to each path.
    """

    def __init__(self):
        self.count = collections.Counter()
        self._newest = None

    async def __call__(self, request):
        self.count[request.path] += 1
        claims = read_jwt(request.headers["DPoP"])[1]
        is_good = self._newest is not None and claims.get("nonce") == self._newest
        self._newest = f"nonce-{self.count.total()}"
        headers = {"DPoP-Nonce": self._newest}
        if request.path.endswith("/token"):
            token = {"access_token": "a", "token_type": "DPoP", "expires_in": 60}
            body = token if is_good else {"error": "use_dpop_nonce"}
            return web.json_response(body, status=200 if is_good else 400, headers=headers)
        challenge = {} if is_good else {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"'}
        return web.Response(status=200 if is_good else 401, headers=headers | challenge)
