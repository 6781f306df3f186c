"""The sandbox's registered clients and end-users, all made up and public."""

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs

from aritma_auth.errors import wrong_kind
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.sandbox.arguments import (
    flag,
    optional_flag,
    optional_text,
    seconds,
    text,
    texts,
)
from aritma_auth.sandbox.identity.keys import encrypt

API_SCOPES = (
    "api",
    "banking.ais.read",
    "banking.channel.psd2",
    "bankservice",
    "reconcile",
    "services.erphub",
    "services.iam",
    "services.settlement",
    "zam",
)
CIBA = "urn:openid:params:grant-type:ciba"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
IDENTITY_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
RESOURCES = {
    "urn:aritma:banking": frozenset({"api"}),
    "urn:aritma:bankservice": frozenset({"bankservice"}),
}
"""Resource indicators (RFC 8707), each with its scopes."""


def _tuple(values: str | Iterable[str]) -> tuple[str, ...]:
    """Make a tuple of one text or several; what is neither is left to the validator."""
    given: Any = values
    is_several = isinstance(given, Iterable) and not isinstance(given, str | bytes)
    return tuple(given) if is_several else (given,)


def _as_encryption_key(given: str | Mapping[str, object] | None) -> str | None:
    return as_key(given, "encryption_key")


def _require_encryptable(_client: object, _field: object, key: str | None) -> None:
    if key is not None:
        encrypt("", key)


def as_key(given: str | Mapping[str, object] | None, name: str = "public_key") -> str | None:
    """
    Make the text of a public key that may be a JSON Web Key.

    Args:
        given: The key as text or mapping, or None.

        name: The argument, for the error.

    Raises:
        ConfigurationError: It is a mapping that JSON cannot hold, or something else.
    """
    if isinstance(given, Mapping):
        with contextlib.suppress(TypeError, ValueError, RecursionError):
            return json.dumps(dict(given))
    if isinstance(given, str | None):
        return given
    raise wrong_kind(name, "a key in PEM, or a JSON Web Key as text or mapping", given)


@with_hidden_arguments
@attrs.frozen(kw_only=True)
class SandboxClient:
    """
    A client registered at the sandbox.

    Attributes:
        client_id: Its identifier.

        secrets: The valid secrets; a client without secrets and key is public.

        expired_secrets: Secrets that were valid once.

        public_key: The key that verifies its assertions and signed requests: in PEM, or as a JSON
            Web Key, as text or mapping; or None.

        encryption_key: The key to which its ID tokens, signed UserInfo and signed authorization
            responses are encrypted: a public JSON Web Key, as text or mapping; or None.

        certificate_name: The DNS name, or the CN, of the certificate by which it authenticates (RFC
            8705 §2.1.2), or None.

        certificate_thumbprint: The thumbprint of its self-signed certificate (§2.2), or None.

        grant_types: Grants that it may use.

        scopes: Scopes that it may request.

        lifetime: Seconds that its access tokens live.

        refresh_tokens_rotate: Each refresh token is for one use, or None for the server version's
            default.

        redirect_uris: Registered redirect URIs; a loopback address without a port stands for every
            port (RFC 8252 §7.3).

        post_logout_redirect_uris: The same for the redirect after sign-out.

        requires_pkce: An authorization request must carry a code challenge.

        requires_dpop: Its token requests must carry a DPoP proof.

        requires_par: Its authorization requests must be pushed.

        userinfo_is_signed: Its UserInfo responses are signed.

        requires_consent: The end-user sees a consent page.

        back_channel_logout_uri: The address that logout tokens are posted to, or None.

        backchannel_notification_uri: The address that is told of an end-user's decision (CIBA's
            ping mode), or None.

        front_channel_logout_uri: The address that the signed-out page loads in a frame, or None.
    """

    client_id: str = attrs.field(validator=text)
    secrets: tuple[str, ...] = attrs.field(default=(), converter=_tuple, validator=texts)
    expired_secrets: tuple[str, ...] = attrs.field(default=(), converter=_tuple, validator=texts)
    public_key: str | None = attrs.field(default=None, converter=as_key)
    encryption_key: str | None = attrs.field(
        default=None, converter=_as_encryption_key, validator=_require_encryptable
    )
    certificate_name: str | None = attrs.field(default=None, validator=optional_text)
    certificate_thumbprint: str | None = attrs.field(default=None, validator=optional_text)
    grant_types: tuple[str, ...] = attrs.field(
        default=("client_credentials",), converter=_tuple, validator=texts
    )
    scopes: tuple[str, ...] = attrs.field(
        default=("bankservice",), converter=_tuple, validator=texts
    )
    lifetime: int = attrs.field(default=3600, validator=seconds)
    refresh_tokens_rotate: bool | None = attrs.field(default=None, validator=optional_flag)
    redirect_uris: tuple[str, ...] = attrs.field(default=(), converter=_tuple, validator=texts)
    post_logout_redirect_uris: tuple[str, ...] = attrs.field(
        default=(), converter=_tuple, validator=texts
    )
    requires_pkce: bool = attrs.field(default=True, validator=flag)
    requires_dpop: bool = attrs.field(default=False, validator=flag)
    requires_par: bool = attrs.field(default=False, validator=flag)
    userinfo_is_signed: bool = attrs.field(default=False, validator=flag)
    requires_consent: bool = attrs.field(default=False, validator=flag)
    back_channel_logout_uri: str | None = attrs.field(default=None, validator=optional_text)
    backchannel_notification_uri: str | None = attrs.field(default=None, validator=optional_text)
    front_channel_logout_uri: str | None = attrs.field(default=None, validator=optional_text)

    @property
    def client_secret(self) -> str:
        """The first secret that is valid now; empty for a client without any."""
        return self.secrets[0] if self.secrets else ""

    @property
    def is_public(self) -> bool:
        """Whether it cannot authenticate."""
        return not self.secrets and self.public_key is None and not self.has_certificate

    @property
    def has_certificate(self) -> bool:
        """Whether it authenticates by a certificate."""
        return (self.certificate_name or self.certificate_thumbprint) is not None

    def may_redirect_to(self, uri: str, registered: Iterable[str] | None = None) -> bool:
        """Tell whether an end-user may be redirected to an address."""
        registered = self.redirect_uris if registered is None else registered
        # IdentityServer ignores case here, and nothing else.
        known = {address.lower() for address in registered}
        return not known.isdisjoint({uri.lower(), _without_port(uri).lower()})


@attrs.frozen
class User:
    """
    An end-user who can sign in.

    Attributes:
        subject: The ``sub`` of tokens.

        username: The name that the sign-in page asks for.

        password: The password.

        name: The full name.

        one_time_code: The second factor, which stands for BankID too.
    """

    subject: str = attrs.field(validator=text)
    username: str = attrs.field(validator=text)
    password: str = attrs.field(repr=False, validator=text)
    name: str = attrs.field(default="", validator=text)
    one_time_code: str = attrs.field(default="123456", repr=False, validator=text)

    @property
    def claims(self) -> dict[str, str]:
        """The claims that UserInfo returns."""
        return {
            "sub": self.subject,
            "name": self.name or self.username,
            "preferred_username": self.username,
            "email": f"{self.username}@sandbox.example",
        }


def _without_port(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:
        return uri
    # "127.0.0.1@evil.example" is a user name and another host.
    if parts.scheme != "http" or host not in {"127.0.0.1", "::1"} or "@" in parts.netloc:
        return uri
    return parts._replace(netloc=f"[{host}]" if ":" in host else host).geturl()


_EVERYTHING = ("openid", "profile", "email", "offline_access", "bankservice", "api")

SAMPLE_CLIENTS = (
    SandboxClient(
        client_id="sandbox-service",
        secrets="sandbox-secret",
        scopes=("bankservice", "api"),
    ),
    # "+", "%" and "@" show whether a client encodes secrets in forms and in Basic.
    SandboxClient(
        client_id="sandbox-special", secrets="s3cr3tV@lue!+%", scopes=("bankservice", "api")
    ),
    SandboxClient(
        client_id="sandbox-rotating", secrets=("new-secret", "old-secret"), scopes="bankservice"
    ),
    SandboxClient(
        client_id="sandbox-expired",
        secrets="refreshed-secret",
        expired_secrets="expired-secret",
        scopes="bankservice",
    ),
    SandboxClient(
        client_id="sandbox-app",
        secrets="app-secret",
        grant_types=("password", "refresh_token"),
        scopes=("bankservice", "api", "openid", "profile", "offline_access"),
    ),
    SandboxClient(client_id="sandbox-admin", secrets="admin-secret", scopes="services.iam"),
    SandboxClient(
        client_id="sandbox-settlement",
        secrets="settlement-secret",
        scopes=("services.settlement", "zam"),
    ),
    SandboxClient(
        client_id="sandbox-web",
        secrets="web-secret",
        grant_types=("authorization_code", "refresh_token"),
        scopes=_EVERYTHING,
        redirect_uris="http://127.0.0.1/callback",
        post_logout_redirect_uris="http://127.0.0.1/signed-out",
    ),
    # A native app: public, with PKCE, on the loopback interface or on another device.
    SandboxClient(
        client_id="sandbox-cli",
        grant_types=("authorization_code", "refresh_token", DEVICE_CODE),
        scopes=_EVERYTHING,
        redirect_uris=("http://127.0.0.1/callback", "http://127.0.0.1/"),
        requires_consent=True,
    ),
    SandboxClient(
        client_id="sandbox-implicit",
        grant_types="implicit",
        scopes=("openid", "profile", "bankservice", "api"),
        redirect_uris="http://127.0.0.1/callback",
    ),
    SandboxClient(
        client_id="sandbox-hybrid",
        secrets="hybrid-secret",
        grant_types=("hybrid", "authorization_code", "refresh_token"),
        scopes=_EVERYTHING,
        redirect_uris="http://127.0.0.1/callback",
    ),
    SandboxClient(
        client_id="sandbox-delegate",
        secrets="delegate-secret",
        grant_types="delegation",
        scopes=("bankservice", "api"),
    ),
    SandboxClient(
        client_id="sandbox-exchange",
        secrets="exchange-secret",
        grant_types="urn:ietf:params:oauth:grant-type:token-exchange",
        scopes=("bankservice", "api"),
    ),
    SandboxClient(
        client_id="sandbox-assertion",
        secrets="assertion-secret",
        grant_types="urn:ietf:params:oauth:grant-type:jwt-bearer",
        scopes=("bankservice", "api"),
    ),
)

SAMPLE_USERS = (
    User("user-alice", "alice", "alice-password", "Alice Almås"),
    User("user-bob", "bob", "bob-password", "Bob Berg"),
)
