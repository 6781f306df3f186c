"""The sandbox as a test holds it: its parts, and what a test registers, approves and counts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from aritma_auth.errors import (
    ConfigurationError,
    require_count,
    require_flag,
    require_instance,
    require_seconds,
)
from aritma_auth.runtime.closing import AsyncCloseable
from aritma_auth.sandbox.arguments import (
    LOOPBACK,
    require_known,
    require_members,
    require_optional_text,
    require_text,
)
from aritma_auth.sandbox.identity.notifications import notify
from aritma_auth.sandbox.identity.registrations import SandboxClient, User, as_key
from aritma_auth.sandbox.server import LoopbackServers
from aritma_auth.sandbox.state import SandboxState

if TYPE_CHECKING:
    import ssl

    from aritma_auth.environment import Environment

_MAX_PORT = 65535


class Sandbox(AsyncCloseable):
    """
    A local stand-in for Aritma ID and Aritma's Banking APIs. It is not Aritma.

    Args:
        host: Address to listen on; loopback only.

        identity_port: Port of the identity server; 0 takes a free one.

        banking_port: Port of the Banking APIs; 0 takes a free one.

        lifetime: Seconds that the sample clients' access tokens live.

        server_version: The IdentityServer to behave like: ``is4``, ``duende-6.3``, ``duende-7.4``,
            ``duende-8``, or ``fapi`` for what the FAPI 2.0 profiles want.

        ssl_context: A server's certificate, to serve https. With ``verify_mode`` ``CERT_OPTIONAL``
            clients may authenticate by a certificate, and tokens are bound to it.

    Attributes:
        clock: The sandbox's time, which is a client's and a provider's clock too.

        faults: What goes wrong: on the wire, and with tokens and keys.

        server_version: Name of the IdentityServer that the sandbox behaves like.

        overrides: What the identity server's responses and tokens say instead of the truth.

        clients: The registered clients by id; `client` is the default one.

        users: The end-users by username.

        issuer: Makes the tokens and knows which are valid; it rolls its keys.

        refresh_tokens: Keeps refresh tokens, and counts those presented twice.

        events: The subscriptions of the Events API, what they get, and dead letters.

        consents: The consents, and what their end-users decide.

        payments: How many end-users confirm a payment, and which were executed.

        backchannel_requests: Keeps the backchannel authentication requests, with their interval.

        client_registrations: Registers the clients that register themselves, and says what that
            needs.

        token_requests: The token requests that got a response, oldest first.

        uploads: Bytes of each upload that arrived, oldest first.

        logout_responses: Statuses of the clients' responses to logout tokens; None for no response.

    Raises:
        ConfigurationError: ``host`` is not loopback, a port is out of range, the version is
            unknown, or an argument is of the wrong type.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        identity_port: int = 0,
        banking_port: int = 0,
        lifetime: int = 3600,
        server_version: str = "is4",
        ssl_context: "ssl.SSLContext | None" = None,
    ) -> None:
        require_text("host", host)
        if host not in LOOPBACK:
            raise ConfigurationError(
                "host must be 127.0.0.1, ::1 or localhost, since the sandbox's secrets are public, "
                f"not {host!r}"
            )
        require_seconds("lifetime", lifetime, above_zero=True)
        for name, port in (("identity_port", identity_port), ("banking_port", banking_port)):
            require_count(name, port, most=_MAX_PORT)
        _require_tls(ssl_context)
        self._state = state = SandboxState(lifetime, server_version)
        state.ssl_context = ssl_context
        self._servers = LoopbackServers(state, host, (identity_port, banking_port), ssl_context)
        self.server_version = server_version
        self.clock = state.clock
        self.faults = state.faults
        self.overrides = state.overrides
        self.clients = state.clients
        self.users = state.users
        self.issuer = state.issuer
        self.refresh_tokens = state.refresh_tokens
        self.backchannel_requests = state.backchannel_requests
        self.client_registrations = state.client_registrations
        self.events = state.events
        self.consents = state.consents
        self.payments = state.payments
        self.token_requests = state.token_requests
        self.uploads = state.uploads
        self.logout_responses = state.logout_responses

    async def start(self) -> None:
        """
        Start listening.

        Raises:
            ConfigurationError: joserfc is not installed.
        """
        _ = self.issuer.keys
        await self._servers.start()

    async def aclose(self) -> None:
        """Stop: held requests are released, and no task or socket is left."""
        await self._servers.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    @property
    def environment(self) -> "Environment":
        """The sandbox as an environment, with its Banking APIs as the only origin."""
        from aritma_auth.environment import Environment  # the client's side

        return Environment.at(self.identity_url, api_origins=[self.banking_url], name="sandbox")

    @property
    def identity_url(self) -> str:
        """The identity server's issuer, without trailing slash."""
        return self._state.identity_url

    @property
    def banking_url(self) -> str:
        """The Banking APIs' base URL, with trailing slash."""
        return self._state.banking_url

    @property
    def client(self) -> SandboxClient:
        """The default client, confidential and for client_credentials."""
        return self.clients["sandbox-service"]

    def add_client(self, client: SandboxClient) -> SandboxClient:
        """
        Register a client, or replace one.

        Args:
            client: The client.

        Raises:
            ConfigurationError: ``client`` is of another type.
        """
        require_instance("client", "a SandboxClient", client, SandboxClient)
        self.clients[client.client_id] = client
        return client

    def sign_in_automatically(self, username: str | None) -> None:
        """
        Let authorization requests succeed at once, as if an end-user had signed in.

        Args:
            username: The end-user, or None to show pages again.

        Raises:
            ConfigurationError: No end-user has that name.
        """
        self._state.automatic_user = None if username is None else self._user(username)
        self._state.automatic_session = None

    def approve_device(self, user_code: str, username: str | None) -> None:
        """
        Decide for the end-user who signs in on another device.

        Args:
            user_code: The code that the device shows.

            username: The end-user who agrees, or None to deny.

        Raises:
            ConfigurationError: No device waits with that code, or no end-user has that name.
        """
        require_text("user_code", user_code)
        subject = None if username is None else self._user(username).subject
        if not self._state.device_codes.decide(user_code, subject):
            raise ConfigurationError("user_code must be one that a device shows and waits with")

    async def decide_backchannel(self, username: str, *, agrees: bool = True) -> int | None:
        """
        Decide for the end-user whom a client has asked for on the end-user's own device (CIBA).

        A client that asked for a notification gets one.

        Args:
            username: The end-user.

            agrees: False denies.

        Returns:
            The status of the client's response to the notification; None without one.

        Raises:
            ConfigurationError: Nothing waits for that end-user, or no end-user has that name.
        """
        require_flag("agrees", agrees)
        name = self._user(username).username
        decided = self._state.backchannel_requests.decide(name, agrees=agrees)
        if decided is None:
            raise ConfigurationError("username must be an end-user whom a client has asked for")
        return await notify(decided)

    def trust_external_token(self, provider: str, token: str, subject: str) -> None:
        """
        Let an external provider's token be delegated.

        Args:
            provider: The provider's id.

            token: Its token.

            subject: The end-user whom the token is for.
        """
        for name, given in (("provider", provider), ("token", token), ("subject", subject)):
            require_text(name, given)
        self._state.token_endpoint.subject_tokens.external_tokens[provider, token] = subject

    def issue_assertion(
        self, username: str, *, audience: str | None = None, claims: Mapping[str, object] = {}
    ) -> str:
        """
        Issue an assertion about an end-user, by an issuer that the sandbox trusts.

        Args:
            username: The end-user.

            audience: Whom it is for; None means the sandbox's issuer.

            claims: Further claims, or others in place of its own.

        Raises:
            ConfigurationError: No end-user has that name.

        Spec: RFC 7523 §3.
        """
        require_optional_text("audience", audience)
        require_members("claims", claims)
        subject = self._user(username).subject
        assertions = self._state.token_endpoint.assertions
        return assertions.issue(subject, audience or self._state.issuer_of(None), claims)

    def trust_issuer(self, issuer: str, public_key: str | Mapping[str, object]) -> None:
        """
        Let another issuer's assertions be presented, such as those of a second sandbox.

        Args:
            issuer: Their ``iss``.

            public_key: What verifies them: in PEM, or a JSON Web Key as text or mapping.
        """
        require_text("issuer", issuer)
        key = as_key(public_key)
        require_text("public_key", key)
        self._state.token_endpoint.assertions.trusted[issuer] = key or ""

    def requests_at(self, where: str) -> int:
        """
        Count the requests that arrived.

        Args:
            where: One of the places where faults may happen, such as ``api`` or ``token``.
        """
        return self.faults.at(where).count

    @property
    def peak_token_requests(self) -> int:
        """The most token requests that were in flight at the same time."""
        return self.faults.at("token").peak

    @property
    def session_id(self) -> str | None:
        """The ``sid`` of the automatic sign-ins' session, or None while there is none."""
        session = self._state.automatic_session
        return None if session is None else session.session_id

    def _user(self, username: str) -> User:
        return self.users[require_known("username", username, self.users)]


def _require_tls(given: object) -> None:
    # What no TLS needs does not load ssl.
    if given is not None:
        import ssl

        require_instance("ssl_context", "an ssl.SSLContext or None", given, ssl.SSLContext)
