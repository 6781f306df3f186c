"""Who is registered at the sandbox: clients and people, made up and public."""

from collections.abc import Iterable

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
IDENTITY_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


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

        refresh_tokens_rotate: A refresh token can be used once (IdentityServer before 7.0).
    """

    client_id: str
    secrets: tuple[str, ...] = attrs.field(default=(), converter=_tuple)
    expired_secrets: tuple[str, ...] = attrs.field(default=(), converter=_tuple)
    public_key: str | None = None
    grant_types: tuple[str, ...] = attrs.field(default=("client_credentials",), converter=_tuple)
    scopes: tuple[str, ...] = attrs.field(default=("bankservice",), converter=_tuple)
    lifetime: int = 3600
    refresh_tokens_rotate: bool = True

    @property
    def client_secret(self) -> str:
        """The first secret that is valid now."""
        return self.secrets[0]


@attrs.frozen
class Person:
    """
    Somebody who can sign in.

    Attributes:
        subject: The identifier that tokens name.

        username: What to type.

        password: What to type next.
    """

    subject: str
    username: str
    password: str = attrs.field(repr=False)


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
        secrets="renewed-secret",
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
)

SAMPLE_PEOPLE = (
    Person("user-alice", "alice", "alice-password"),
    Person("user-bob", "bob", "bob-password"),
)
