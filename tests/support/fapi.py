"""Clients that keep to the FAPI 2.0 profiles, at the sandbox's server for them."""

import aritma_auth as aa
from aritma_auth.sandbox import SandboxClient

KEY = aa.SigningKey.generate("ES256", key_id="client-key")
DPOP_KEY = aa.SigningKey.generate("ES256")


def register(sandbox, key=KEY, client_id="fapi-app", **changes):
    """Register a client whose requests must be pushed, authenticated by a key."""
    fields = {
        "client_id": client_id,
        "public_key": key.public_jwk,
        "grant_types": ("authorization_code", "refresh_token", "client_credentials"),
        "scopes": ("openid", "profile", "offline_access", "bankservice", "api"),
        "redirect_uris": "http://127.0.0.1/callback",
        "requires_par": True,
    }
    return sandbox.add_client(SandboxClient(**(fields | changes)))


def fapi_client(sandbox, profile=aa.FAPI2, auth=None, **settings):
    """Make the client of that registration: the profile is one value."""
    usual = {"dpop": aa.DPoP(DPOP_KEY), "clock": sandbox.clock, "environment": sandbox.environment}
    return aa.OAuthClient(
        "fapi-app", auth or aa.PrivateKeyJwt(KEY), profile=profile, **(usual | settings)
    )
