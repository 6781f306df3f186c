"""Who is registered at the sandbox: clients and people, made up and public."""

from collections.abc import Iterable
from urllib.parse import urlsplit

import attrs

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
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
IDENTITY_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
RESOURCES = {
    "urn:aritma:banking": frozenset({"api"}),
    "urn:aritma:bankservice": frozenset({"bankservice"}),
}
"""APIs that may be asked for by name (RFC 8707), each with its scopes."""


def _tuple(values: str | Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


@attrs.frozen(kw_only=True)
class SandboxClient:
    """
    A client registered at the sandbox.

    Attributes:
        client_id: Its identifier.

        secrets: The secrets that are valid now; neither these nor a key makes a public client.

        expired_secrets: Secrets that were valid once.

        public_key: The key that its assertions are signed with, in PEM, or None.

        grant_types: Grants that it may use.

        scopes: Scopes that it may ask for.

        lifetime: Seconds that its access tokens live.

        refresh_tokens_rotate: A refresh token can be used once, or None for what the server
            version does.

        redirect_uris: Where people may be sent back to, exactly; a loopback address without a
            port stands for every port (RFC 8252 §7.3).

        post_logout_redirect_uris: The same after signing out.

        requires_pkce: A code needs a verifier.

        requires_consent: People are asked whether they agree.

        back_channel_logout_uri: Where logout tokens are posted to, or None.

        front_channel_logout_uri: What the signed-out page shows in a frame, or None.
    """

    client_id: str
    secrets: tuple[str, ...] = attrs.field(default=(), converter=_tuple)
    expired_secrets: tuple[str, ...] = attrs.field(default=(), converter=_tuple)
    public_key: str | None = None
    grant_types: tuple[str, ...] = attrs.field(default=("client_credentials",), converter=_tuple)
    scopes: tuple[str, ...] = attrs.field(default=("bankservice",), converter=_tuple)
    lifetime: int = 3600
    refresh_tokens_rotate: bool | None = None
    redirect_uris: tuple[str, ...] = attrs.field(default=(), converter=_tuple)
    post_logout_redirect_uris: tuple[str, ...] = attrs.field(default=(), converter=_tuple)
    requires_pkce: bool = True
    requires_consent: bool = False
    back_channel_logout_uri: str | None = None
    front_channel_logout_uri: str | None = None

    @property
    def client_secret(self) -> str:
        """The first secret that is valid now; empty for a client without any."""
        return self.secrets[0] if self.secrets else ""

    def may_return_to(self, uri: str, registered: Iterable[str] | None = None) -> bool:
        """
        Tell whether people may be sent to an address.

        Args:
            uri: The address.

            registered: The addresses to compare with; the redirect URIs by default.
        """
        registered = self.redirect_uris if registered is None else registered
        # IdentityServer compares without regard to case, and in nothing else generously.
        known = {address.lower() for address in registered}
        return not known.isdisjoint({uri.lower(), _without_port(uri).lower()})


@attrs.frozen
class User:
    """
    Somebody who can sign in.

    Attributes:
        subject: The identifier that tokens name.

        username: What to type.

        password: What to type next.

        name: The person's full name.

        one_time_code: What to type when a second factor or BankID is asked for.
    """

    subject: str
    username: str
    password: str = attrs.field(repr=False)
    name: str = ""
    one_time_code: str = attrs.field(default="123456", repr=False)

    @property
    def claims(self) -> dict[str, str]:
        """What UserInfo says of the person."""
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
    # Before "@" there is a user name, whatever it looks like.
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
    # "+", "%" and "@" tell apart who encodes them in forms and in Basic, and who does not.
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
)

SAMPLE_USERS = (
    User("user-alice", "alice", "alice-password", "Alice Almås"),
    User("user-bob", "bob", "bob-password", "Bob Berg"),
)
