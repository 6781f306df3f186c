"""Requests of the sandbox's tests, and how they read the responses, without a client of ours."""

import base64
import hashlib
import json
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp

CALLBACK = "http://127.0.0.1:5000/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:-1]
WEB = {"client_id": "sandbox-web", "client_secret": "web-secret"}
ALICE = {"username": "alice", "password": "alice-password"}
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


REQUEST = {
    "redirect_uri": CALLBACK,
    "response_type": "code",
    "scope": "openid api",
    "state": "the-state",
    "nonce": "the-nonce",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


def authorize_url(sandbox, *, tenant="", **parameters):
    """Give the address of an authorization request; None leaves a parameter out."""
    usual = {"client_id": "sandbox-web"} | REQUEST
    given = {name: value for name, value in (usual | parameters).items() if value is not None}
    return f"{sandbox.identity_url}{tenant}/connect/authorize?{urlencode(given, doseq=True)}"


def response_of(page):
    """Give the parameters that reached the callback, in whatever way."""
    if page.posted is not None:
        return dict(page.posted)
    parts = urlsplit(page.callback)
    return dict(parse_qsl(parts.query or parts.fragment))


async def post(sandbox, path, form, **kwargs):
    """Post a form to the identity server; give the status, the JSON or text, and the headers."""
    return await _send(sandbox, "POST", path, data=form, **kwargs)


async def get(sandbox, path, **kwargs):
    """Get something from the identity server; give the same."""
    return await _send(sandbox, "GET", path, **kwargs)


async def _send(sandbox, method, path, **kwargs):
    async with aiohttp.ClientSession() as http:
        async with http.request(method, f"{sandbox.identity_url}{path}", **kwargs) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(text) if is_json else text, response.headers


async def sign_in(sandbox, *, tenant="", user="alice", **parameters):
    """Sign an end-user in at once; give the callback's parameters."""
    sandbox.sign_in_automatically(user)
    url = authorize_url(sandbox, tenant=tenant, **parameters)
    async with aiohttp.ClientSession() as http:
        async with http.get(url, allow_redirects=False) as response:
            parts = urlsplit(response.headers["Location"])
    return dict(parse_qsl(parts.query or parts.fragment))


async def redeem(sandbox, code, client=WEB, *, tenant="", **form):
    """Redeem a code; give the status and the JSON."""
    usual = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code": code}
    given = {**client, **usual, "code_verifier": VERIFIER, **form}
    sent = {name: value for name, value in given.items() if value is not None}
    return (await post(sandbox, f"{tenant}/connect/token", sent))[:2]


async def tokens_of(sandbox, **parameters):
    """Sign an end-user in and redeem the code; give the token endpoint's response."""
    answer = await sign_in(sandbox, **parameters)
    return (await redeem(sandbox, answer["code"]))[1]


def read_jwt(text):
    """Give a token's header and claims, unverified."""
    return [
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in text.split(".")[:2]
    ]
