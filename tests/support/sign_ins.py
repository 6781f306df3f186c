"""Sign-ins by browser as values: an authorization request, and the response to it."""

from urllib.parse import urlencode

from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.authorization_response import validate_authorization_response

NOW = 1_700_000_000.0
ISSUER = "https://id.aritma.io"
REDIRECT_URI = "https://me.example/cb"


def make_request(response_type="code", **changes):
    """Make an authorization request whose secrets are known, begun at NOW."""
    fields = {
        "authorization_endpoint": f"{ISSUER}/connect/authorize",
        "issuers": [ISSUER],
        "client_id": "me",
        "redirect_uri": REDIRECT_URI,
        "scope": "api" if response_type in {"token", "code token"} else "openid api",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_verifier": "v" * 43,
        "created_at": NOW,
    }
    return AuthorizationRequest(**(fields | changes), response_type=response_type)


def good_callback(request, **changes):
    """Give the parameters of a good authorization response; None leaves one out."""
    wanted = request.response_type.split()
    parameters = {"state": request.state.text, "iss": ISSUER}
    if "code" in wanted:
        parameters["code"] = "the-code"
    if "token" in wanted:
        parameters |= {"access_token": "the-token", "token_type": "Bearer", "expires_in": "60"}
    if "id_token" in wanted:
        parameters["id_token"] = "e30.e30.e30"
    return {name: value for name, value in (parameters | changes).items() if value is not None}


def make_response(response_type="code", *, now=NOW, callback=None, **changes):
    """Make an AuthorizationResponse, by the only way there is."""
    request = make_request(response_type, **changes)
    return validate_authorization_response(
        request, good_callback(request, **(callback or {})), now=now
    )


def callback_url(request, **changes):
    """Write a good authorization response as the URL that the browser opens."""
    joint = "#" if request.response_mode == "fragment" else "?"
    return f"{request.redirect_uri}{joint}{urlencode(good_callback(request, **changes))}"
