"""What a service that only asks for tokens loads of the specifications, and what it leaves alone."""

import subprocess
import sys

import pytest

NEEDED = ["grants", "client_auth", "token_endpoint", "tokens", "json_response"]
LEFT_ALONE = [
    "authorization_request",
    "authorization_response",
    "callback",
    "ciba",
    "ciba_request",
    "device_authorization",
    "dpop",
    "echoes",
    "id_token",
    "jarm",
    "jwe",
    "jws",
    "jwt",
    "logout",
    "metadata",
    "par",
    "pkce",
    "profiles",
    "request_object",
    "sign_in",
    "signing",
    "token_binding",
    "token_management",
    "userinfo",
    "www_authenticate",
]


def loaded_after(code):
    """Run a program in a process of its own; return what it has loaded, a coverage tool included."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    "used",
    [
        "",
        "aa.ClientCredentialsGrant('bankservice').parameters()",
        "aa.ClientSecretPost('secret'); aa.ClientSecretBasic('secret'); aa.RefreshTokenGrant('r')",
    ],
)
def test_a_service_that_asks_for_tokens_loads_no_sign_in(used):
    """Grants, client authentication and the token endpoint load neither a sign-in nor what signs."""
    modules = "; ".join(f"import aritma_auth.protocol.{name}" for name in NEEDED)
    loaded = loaded_after(f"import aritma_auth as aa; {modules}; {used}") - loaded_after("")

    assert not [name for name in LEFT_ALONE if f"aritma_auth.protocol.{name}" in loaded]
    assert not {"cattrs", "joserfc", "cryptography", "aiohttp", "html"} & loaded


def test_what_signs_is_loaded_when_something_is_signed():
    """A private key loads the signature algorithms, and no sign-in."""
    loaded = loaded_after("import aritma_auth as aa; aa.PrivateKeyJwt('key')")

    assert "aritma_auth.protocol.jws" in loaded
    assert "aritma_auth.protocol.authorization_request" not in loaded
