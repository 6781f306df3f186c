"""What a test can do to a running sandbox: clients, people, keys and tokens."""

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox.faults.network import Meddling
from aritma_auth.sandbox.identity.keys import DECOY, signing_key
from aritma_auth.sandbox.identity.registrations import SandboxClient, User


class Steering(Meddling):
    """The sandbox's state, and the levers that a test pulls."""

    def add_client(self, client: SandboxClient) -> SandboxClient:
        """
        Register a client, or replace one.

        Args:
            client: The client.
        """
        self.clients[client.client_id] = client
        return client

    def sign_in_automatically(self, username: str | None) -> None:
        """
        Answer authorization requests at once, as if somebody had signed in; no page is shown.

        Args:
            username: Who, or None for pages again.

        Raises:
            ConfigurationError: Nobody has that name.
        """
        self.automatic_person = None if username is None else self._person(username)
        self.automatic_session = None

    def deny_next(self, error: str = "access_denied", description: str | None = None) -> None:
        """
        Refuse the next authorization request.

        Errors that IdentityServer never sends back are shown on its own page instead.

        Args:
            error: Its code.

            description: Its text, or None.
        """
        self._denials.append((error, description))

    def approve_device(self, user_code: str, username: str | None) -> None:
        """
        Answer for the person who signs in on another device.

        Args:
            user_code: What the device shows.

            username: Who agrees, or None for no.

        Raises:
            ConfigurationError: There is no such code, or nobody has that name.
        """
        subject = None if username is None else self._person(username).subject
        if not self.devices.answer(user_code, subject):
            raise ConfigurationError("no device shows that code")

    def _person(self, username: str) -> User:
        if username not in self.people:
            raise ConfigurationError(f"the sandbox's people are {', '.join(self.people)}")
        return self.people[username]

    def trust_external_token(self, provider: str, token: str, subject: str) -> None:
        """
        Let an external provider's token be delegated.

        Args:
            provider: The provider's id.

            token: Its token.

            subject: The person whom it is for.
        """
        self.token_endpoint.reader.external_tokens[provider, token] = subject

    def revoke_all(self, *, refresh_tokens: bool = False) -> None:
        """
        Make every access token issued so far worthless: the APIs answer 401.

        Args:
            refresh_tokens: The refresh tokens too; refreshing is then ``invalid_grant``.
        """
        self.issuer.revoke_all()
        if refresh_tokens:
            self.refresh_tokens.revoke_all()

    def publish_decoys(self) -> None:
        """
        Publish keys that look like the good one and are not.

        They have its id, and another kind, algorithm or use, or they are broken.
        """
        good = self.issuer.keys[0].public
        other = signing_key(DECOY).public["n"]
        curve = {"crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}
        point = {"y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
        self.overrides.keys += [
            {"kty": "EC", "kid": good["kid"], "use": "sig", "alg": "ES256", **curve, **point},
            {**good, "n": other, "use": "enc", "alg": "RSA-OAEP"},
            {**good, "n": other, "alg": "RS512"},
            {"kty": "XYZ", "kid": good["kid"]},
            {"kty": "RSA", "kid": good["kid"], "use": "sig", "alg": "RS256"},
        ]
