"""
Every setting of a client without code, in one table.

The variables, the keys of the file, their table in the docs and ``aritma-auth config check`` are
all made of it.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from aritma_auth.runtime.values import Value

PREFIX = "ARITMA_"

Kind: TypeAlias = Literal["text", "list", "command", "flag", "seconds", "pairs"]
Found: TypeAlias = str | float | bool | tuple[str, ...] | Mapping[str, str]
"""A setting's value: of the Python type that its kind says."""

CLIENT_AUTH_METHODS = (
    "client_secret_post",
    "client_secret_basic",
    "private_key_jwt",
    "client_assertion",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
)


@attrs.frozen(eq=False, repr=False)
class Setting(Value):
    """
    One setting.

    Attributes:
        name: Its key in the file; its variable is ``ARITMA_`` and the same in capitals.

        kind: How its value is written.

        summary: What it means, for the docs.

        default: What holds without it, for the docs.

        is_in_file: It may stand in the file; a secret may not.

        is_variable: There is a variable for it.

        is_hidden: Its value is never shown.

        topic: What it is about: of one topic there is one setting, and a variable replaces
            whichever the file has.
    """

    name: str
    kind: Kind
    summary: str
    default: str = ""
    is_in_file: bool = attrs.field(default=True, kw_only=True)
    is_variable: bool = attrs.field(default=True, kw_only=True)
    is_hidden: bool = attrs.field(default=False, kw_only=True)
    topic: str = attrs.field(
        default=attrs.Factory(lambda self: self.name, takes_self=True), kw_only=True
    )

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"{PREFIX}{self.name.upper()}"


def _secret(name: str, what: str) -> tuple[Setting, ...]:
    """Return the ways to give one secret."""
    return (
        Setting(name, "text", what, is_in_file=False, is_hidden=True, topic=name),
        Setting(
            f"{name}_file",
            "text",
            f"a file with {what}, read anew for each token request",
            topic=name,
        ),
        Setting(
            f"{name}_variable",
            "text",
            f"the environment variable that holds {what}",
            is_variable=False,
            topic=name,
        ),
        Setting(
            f"{name}_command",
            "command",
            f"a command that prints {what}, run anew for each token request, within 10 seconds",
            topic=name,
        ),
    )


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("client_id", "text", "the client id", "required"),
        Setting(
            "client_auth",
            "text",
            f"how the client authenticates: {', '.join(CLIENT_AUTH_METHODS)}",
            "by what is given",
        ),
        *_secret("client_secret", "the client secret"),
        *_secret("private_key", "the private key, in PEM or as a JSON Web Key"),
        Setting("key_id", "text", "the `kid` of the private key"),
        Setting(
            "signing_algorithm",
            "text",
            "what the private key signs with",
            "by the key, `RS256` of RSA",
        ),
        Setting(
            "assertion_names_issuer",
            "flag",
            "a signed assertion is for the issuer alone",
            "`false`: for the token endpoint",
        ),
        Setting(
            "client_assertion_file",
            "text",
            "a file with an assertion that the platform makes, read anew for each token request",
            topic="client_assertion",
        ),
        Setting(
            "client_assertion_command",
            "command",
            "a command that prints such an assertion",
            topic="client_assertion",
        ),
        Setting("client_assertion_type", "text", "its type", "a JWT (RFC 7523)"),
        Setting(
            "certificate_file",
            "text",
            "the client certificate in PEM, with its chain, loaded anew when it changes; beside "
            "another credential it binds the tokens",
            topic="certificate",
        ),
        Setting(
            "certificate_key_file",
            "text",
            "its private key in PEM, without a password",
            "in the same file",
        ),
        Setting(
            "dpop_key_file",
            "text",
            "a file with the key that tokens are bound to (DPoP), in PEM or as a JSON Web Key",
            "bearer tokens",
        ),
        Setting(
            "request_key_file",
            "text",
            "a file with the key that signs authorization requests, in PEM or as a JSON Web Key",
            "none: requests are not signed",
        ),
        Setting(
            "request_encryption",
            "list",
            "what signed authorization requests are encrypted with, as registered: the `alg`, and "
            "the `enc` if it is not `A128CBC-HS256`",
            "none: requests are not encrypted",
        ),
        Setting(
            "decryption_key_file",
            "text",
            "a file with the key to which the server encrypts tokens, in PEM or as a JSON Web Key",
            "none",
        ),
        Setting(
            "profile",
            "text",
            "the security profile to keep to: `fapi2` or `fapi2-message-signing`",
            "none",
        ),
        Setting(
            "environment",
            "text",
            "`production`, `development`, or the issuer's URL",
            "`production`",
            topic="server",
        ),
        Setting(
            "issuer", "text", "the issuer's URL: its metadata decides the rest", topic="server"
        ),
        Setting("tenant", "text", "the tenant in the path of the issuer"),
        Setting(
            "shares_issuer",
            "flag",
            "all tenants have one issuer: `tid` must be the tenant",
            "`false`",
        ),
        Setting("tenants", "list", "values of `tid` to accept, of an issuer for many tenants"),
        Setting("issuer_aliases", "list", "further issuers that the server may name"),
        Setting("api_origins", "list", "URLs of the APIs that tokens may go to", "Aritma's APIs"),
        Setting("endpoint_origins", "list", "origins on which endpoints may be, too"),
        Setting("endpoints", "pairs", "endpoints by metadata name, such as `token_endpoint`"),
        Setting("scope", "text", "the scope, space-separated", "`bankservice` at Aritma"),
        Setting("audience", "text", "the parameter `audience` of the token request"),
        Setting("resource", "list", "URIs of the APIs that the token is for (RFC 8707)"),
        Setting(
            "proxy",
            "text",
            "the proxy for the client's own requests; may hold a password",
            is_hidden=True,
        ),
        Setting("timeout", "seconds", "seconds for one request", "`10`"),
        Setting("leeway", "seconds", "seconds that clocks may differ", "`30`"),
        Setting(
            "id_token_algorithms",
            "list",
            "signature algorithms of ID tokens",
            "`ES256 PS256 RS256`",
        ),
        Setting("trusted_audiences", "list", "further audiences that ID tokens may name"),
        Setting("base_url", "text", "the API that `aritma-auth call` sends requests to"),
    )
}
"""The settings by name, in the order of the docs."""

OTHER_NAMES: Mapping[str, str] = {
    "authority": "issuer",
    "cert_file": "certificate_file",
    "client_scope": "scope",
    "discovery_url": "issuer",
    "issuer_uri": "issuer",
    "issuer_url": "issuer",
    "key_file": "private_key_file",
    "kid": "key_id",
    "private_key_path": "private_key_file",
    "secret": "client_secret",
    "secret_file": "client_secret_file",
    "tenant_id": "tenant",
    "token_endpoint": "endpoints",
    "token_endpoint_auth_method": "client_auth",
    "token_uri": "endpoints",
    "token_url": "endpoints",
    "well_known_url": "issuer",
}
"""
What other software calls a setting. An issuer that is not read would let the secret go to Aritma.
"""
