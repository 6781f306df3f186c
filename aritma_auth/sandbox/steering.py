"""What a test can do to a running sandbox: clients, revocation, and everything that goes wrong."""

from collections.abc import Mapping

from aritma_auth.errors import ConfigurationError
from aritma_auth.sandbox import faults
from aritma_auth.sandbox.clients import SandboxClient
from aritma_auth.sandbox.faults import Gate
from aritma_auth.sandbox.state import SandboxState

_HTML = "<!doctype html><title>Bad Gateway</title><h1>502 Bad Gateway</h1>"


class Steering(SandboxState):
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
        if username is not None and username not in self.people:
            raise ConfigurationError(f"the sandbox's people are {', '.join(self.people)}")
        self.automatic_person = None if username is None else self.people[username]

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
        subject = None if username is None else self.people[username].subject
        if not self.sign_ins.answer_device(user_code, subject):
            raise ConfigurationError("no device shows that code")

    def trust_external_token(self, provider: str, token: str, subject: str) -> None:
        """
        Let an external provider's token be delegated.

        Args:
            provider: The provider's id.

            token: Its token.

            subject: The person whom it is for.
        """
        self.token_endpoint.external_tokens[provider, token] = subject

    def revoke_all(self) -> None:
        """Make every access token issued so far worthless: the APIs answer 401."""
        self.issuer.revoke_all()

    def hold(self, where: str = "token") -> Gate:
        """
        Hold requests until the gate is released.

        Args:
            where: ``token`` or ``api``.
        """
        return self._place(where).hold()

    def set_latency(self, seconds: float, where: str = "token") -> None:
        """
        Make every answer late.

        Args:
            seconds: How late.

            where: ``token`` or ``api``.
        """
        self._place(where).latency = seconds

    def delay_next(self, seconds: float, *, times: int = 1, where: str = "token") -> None:
        """
        Make the next answers late.

        Args:
            seconds: How late.

            times: How many answers.

            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.delay(seconds), times)

    def fail_next(
        self,
        status: int,
        *,
        retry_after: float | str | None = None,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Answer the next requests with a gateway's error page.

        Args:
            status: HTTP status.

            retry_after: ``Retry-After`` as seconds or as a date.

            times: How many requests.

            where: ``token`` or ``api``.
        """
        headers = {"Content-Type": "text/html"}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        self._place(where).add(faults.answer(status, _HTML.encode(), headers), times)

    def answer_next(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Answer the next requests with anything at all.

        Args:
            body: The body as it is.

            status: HTTP status.

            headers: Header fields; JSON's media type by default.

            times: How many requests.

            where: ``token`` or ``api``.
        """
        fields = {"Content-Type": "application/json"} if headers is None else headers
        self._place(where).add(faults.answer(status, body, fields), times)

    def redirect_next(self, location: str, *, status: int = 307, where: str = "token") -> None:
        """
        Redirect the next request.

        Args:
            location: Where to.

            status: HTTP status.

            where: ``token`` or ``api``.
        """
        self.answer_next(b"", status=status, headers={"Location": location}, where=where)

    def drop_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Close the connection before the next requests are worked on.

        Args:
            times: How many requests.

            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.drop(processed=False), times)

    def lose_answer_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Close the connection after the next requests were worked on: the answer is lost.

        Args:
            times: How many requests.

            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.drop(processed=True), times)

    def truncate_next(self, *, where: str = "token") -> None:
        """
        Break the next answer off in its middle.

        Args:
            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.truncate())

    def flood_next(self, *, where: str = "token") -> None:
        """
        Answer the next request with a body that never ends.

        Args:
            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.endless(0, b" " * 65536))

    def drip_next(self, interval: float = 0.05, *, where: str = "token") -> None:
        """
        Answer the next request byte by byte, for ever.

        Args:
            interval: Seconds between two bytes.

            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.endless(interval, b" "))

    def bomb_next(self, size: int = 1 << 26, *, where: str = "token") -> None:
        """
        Answer the next request with a small body that unpacks to a large one.

        Args:
            size: Bytes when unpacked.

            where: ``token`` or ``api``.
        """
        self._place(where).add(faults.gzip_bomb(size))
