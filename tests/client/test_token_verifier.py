"""Tests of which keys verify a signed token, and of when they are fetched anew."""

import json

import pytest

import aritma_auth as aa
from support.clock import FakeClock
from support.signing import OTHER_RSA, RSA, ec_key, jwk, sign

ISSUER = "https://idp.example"
KEYS_URL = f"{ISSUER}/.well-known/openid-configuration/jwks"


class Keys:
    """Serves key sets in turn, the last one for good, and counts the requests."""

    def __init__(self, http_mock, *sets):
        self.sets = list(sets)
        self.requests = 0
        http_mock.get(KEYS_URL, callback=self.respond, repeat=True)

    def respond(self, _url, **_settings):
        from aioresponses import CallbackResult

        self.requests += 1
        keys = self.sets.pop(0) if len(self.sets) > 1 else self.sets[0]
        return CallbackResult(body=json.dumps({"keys": keys}))


def client_of(clock):
    return aa.OAuthClient("id", environment=aa.Environment.at(ISSUER), clock=clock)


def id_token(clock, key=RSA, **header):
    now = clock.time()
    claims = {"iss": ISSUER, "aud": "id", "sub": "alice", "iat": now, "exp": now + 60}
    return sign(claims, key, **header)


def logout_token(clock, key=RSA, jti="1"):
    now = clock.time()
    event = {"http://schemas.openid.net/event/backchannel-logout": {}}
    claims = {"iss": ISSUER, "aud": "id", "sub": "alice", "iat": now, "exp": now + 60}
    return sign(claims | {"jti": jti, "events": event}, key, typ="logout+jwt")


@pytest.mark.parametrize("kid", ["k1", None])
async def test_a_new_key_under_the_old_kid_is_found(http_mock, kid):
    """A server that was set up anew signs with another key of the same name."""
    clock = FakeClock()
    keys = Keys(http_mock, [jwk(RSA)], [jwk(OTHER_RSA)])
    client = client_of(clock)
    await client.verify_id_token(id_token(clock), nonce=None)
    clock.advance(61)
    claims = await client.verify_id_token(id_token(clock, OTHER_RSA, kid=kid), nonce=None)

    assert claims["sub"] == "alice"
    assert keys.requests == 2


async def test_a_new_key_of_another_type_under_the_old_kid_is_found(http_mock):
    """A server that goes from RSA to elliptic curves may keep the name of its key."""
    clock, key = FakeClock(), ec_key()
    keys = Keys(http_mock, [jwk(RSA)], [jwk(key, alg="ES256")])
    client = client_of(clock)
    await client.verify_id_token(id_token(clock), nonce=None)
    clock.advance(61)
    claims = await client.verify_id_token(id_token(clock, key, alg="ES256"), nonce=None)

    assert claims["sub"] == "alice"
    assert keys.requests == 2


async def test_a_new_key_under_the_old_kid_signs_logout_tokens_too(http_mock):
    """One mechanism serves every signed token."""
    clock = FakeClock()
    Keys(http_mock, [jwk(RSA)], [jwk(OTHER_RSA)])
    client = client_of(clock)
    await client.verify_logout_token(logout_token(clock))
    clock.advance(61)

    assert await client.verify_logout_token(logout_token(clock, OTHER_RSA, "2"))


async def test_forged_tokens_do_not_become_requests(http_mock):
    """Keys are fetched anew once a minute at most, however many tokens fail."""
    clock = FakeClock()
    keys = Keys(http_mock, [jwk(RSA)])
    client = client_of(clock)
    for _ in range(50):
        with pytest.raises(aa.IdTokenError, match="no key"):
            await client.verify_id_token(id_token(clock, OTHER_RSA), nonce=None)

    assert keys.requests == 2


async def test_a_failed_fetch_leaves_the_first_refusal(http_mock):
    """If the keys cannot be fetched anew, the cached keys decide."""
    clock = FakeClock()
    client = client_of(clock)
    http_mock.get(KEYS_URL, body=json.dumps({"keys": [jwk(RSA)]}))
    http_mock.get(KEYS_URL, status=503, repeat=True)
    with pytest.raises(aa.IdTokenError, match="no key"):
        await client.verify_id_token(id_token(clock, OTHER_RSA), nonce=None)


async def test_given_keys_are_not_replaced(http_mock):
    """Given keys are used as they are, and nothing is fetched."""
    clock = FakeClock()
    with pytest.raises(aa.IdTokenError, match="no key"):
        await client_of(clock).verify_id_token(
            id_token(clock, OTHER_RSA), nonce=None, keys=[jwk(RSA)]
        )

    assert http_mock.requests == {}
