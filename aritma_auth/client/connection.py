"""How a client's requests travel: authenticated, and timed by the server's clock."""

from collections.abc import Callable
from typing import TypeVar

import attrs

from aritma_auth.client.transport import Transport
from aritma_auth.errors import InvalidClientError
from aritma_auth.protocol.client_auth import ClientAuth, ClientCredential, generate_jti
from aritma_auth.protocol.http_messages import (
    HttpRequest,
    HttpResponse,
    Parameters,
    parse_http_date,
)
from aritma_auth.protocol.redaction import HiddenStr, SecretText
from aritma_auth.protocol.token_endpoint import build_authenticated_request

T = TypeVar("T")


class ServerConnection:
    """
    One client's way to its authorization server.

    Args:
        transport: Sends the requests.

        client_id: The client's identifier.

        client_auth: How the client authenticates.

        issuer: The authorization server.

        clock: Gives POSIX seconds.
    """

    def __init__(
        self,
        transport: Transport,
        client_id: str,
        client_auth: ClientAuth,
        issuer: str,
        clock: Callable[[], float],
    ) -> None:
        self.transport = transport
        self.client_id = client_id
        self.client_auth = client_auth
        self.clock = clock
        self.clock_skew = 0.0
        self._issuer = issuer

    @property
    def server_time(self) -> float:
        """POSIX seconds by the server's clock, as its answers have shown it."""
        return self.clock() + self.clock_skew

    async def send(self, request: HttpRequest, *, timeout: float | None = None) -> HttpResponse:
        """
        Send a request and take the server's time from its answer.

        Args:
            request: What to send.

            timeout: Seconds, or None for the transport's own.

        Raises:
            TransportError: No answer came.
        """
        response = await self.transport.send(request, timeout=timeout)
        date = parse_http_date(response.headers.get("date", ""))
        # A cache's answer says when it was made, not what time it is.
        if date is not None and "age" not in response.headers:
            self.clock_skew = date - self.clock()
        credential = request.headers.get("Authorization", "").partition(" ")[2]
        return attrs.evolve(response, sent=(HiddenStr(credential),)) if credential else response

    async def post_authenticated(
        self,
        url: str,
        parameters: Parameters,
        read: Callable[[HttpResponse, float], T],
        *,
        token_endpoint: str,
        timeout: float | None = None,
    ) -> T:
        """
        Post a form with client authentication and read the answer.

        A refused secret is loaded once more, and the request repeated if it has changed.

        Args:
            url: Where to.

            parameters: The form, without the client's authentication.

            read: Makes a value of the answer and the POSIX seconds when the request left.

            token_endpoint: Whom an assertion is for, whatever endpoint it goes to.

            timeout: Seconds for one request, or None for the transport's own.

        Raises:
            ConfigurationError: The secret is missing.

            TransportError: No answer came.
        """

        async def post(secret: SecretText | None) -> T:
            sent_at = self.clock()
            credential = ClientCredential(
                self.client_id,
                secret,
                token_endpoint=token_endpoint,
                issuer=self._issuer,
                now=self.server_time,
                jti=generate_jti(),
            )
            request = build_authenticated_request(
                url, parameters, client_auth=self.client_auth, credential=credential
            )
            response = await self.send(request, timeout=timeout)
            sent = (*response.sent, *_secrets(parameters, secret))
            return read(attrs.evolve(response, sent=sent), sent_at)

        secret = await self._load_secret()
        refusal: InvalidClientError
        try:
            return await post(secret)
        except InvalidClientError as error:
            refusal = error
        # Aritma rotates by adding a secret, switching, deleting the old one: look for the new one.
        fresher = await self._load_secret()
        if fresher == secret:
            raise refusal.copy()
        return await post(fresher)

    async def credential_fingerprint(self) -> str:
        """Give eight hex digits that change when the client's secret does."""
        secret = await self._load_secret()
        return "" if secret is None else secret.fingerprint

    async def _load_secret(self) -> SecretText | None:
        source = self.client_auth.secret
        return None if source is None else await source.load()


def _secrets(parameters: Parameters, secret: SecretText | None) -> tuple[HiddenStr, ...]:
    # Whatever hides itself is one.
    sent = tuple(value for _, value in parameters if isinstance(value, HiddenStr))
    return sent if secret is None else (*sent, secret.text)
