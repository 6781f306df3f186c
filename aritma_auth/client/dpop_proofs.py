"""
DPoP proofs as requests need them: signed, fresh, with the latest nonce of the server they go to.

A server may give another nonce with every response, so the newest one counts (RFC 9449 §8.2).
Nonces are remembered by origin, for a bounded number of origins.
"""

from collections.abc import Callable

import attrs
from yarl import URL

from aritma_auth.client.signatures import sign_jwt
from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.client_auth import generate_jti
from aritma_auth.protocol.dpop import DPoP, build_proof, parse_nonce
from aritma_auth.protocol.http_messages import HttpRequest
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import Origin, origin_of
from aritma_auth.runtime.lock import fork_safe_lock

_MAX_ORIGINS = 256
"""Origins whose nonces are remembered: a hostile redirect could name any number."""


class ProofMaker:
    """
    Makes the proofs of one client.

    Args:
        dpop: The key.

        server_time: Tells POSIX seconds by the authorization server's clock.

        timeout: Seconds that a remote signer may take.
    """

    __slots__ = ("_lock", "_nonces", "_server_time", "_timeout", "dpop")

    def __init__(self, dpop: DPoP, server_time: Callable[[], float], timeout: float) -> None:
        self.dpop = dpop
        self._server_time = server_time
        self._timeout = timeout
        self._nonces: dict[Origin, str] = {}
        self._lock = fork_safe_lock()

    async def prove(self, method: str, url: URL, access_token: str | None = None) -> HiddenStr:
        """
        Make the proof of one request.

        Args:
            method: The request's method.

            url: Where it goes.

            access_token: The token that it carries; None at the token endpoint.

        Raises:
            TransportError: A remote signer failed; nothing was sent.
        """
        proof = build_proof(
            self.dpop.key,
            method,
            url,
            now=self._server_time(),
            jti=generate_jti(),
            nonce=self.nonce_for(url),
            access_token=access_token,
        )
        return await sign_jwt(proof, within=self._timeout)

    async def add_to(self, request: HttpRequest, access_token: str | None = None) -> HttpRequest:
        """
        Return a protocol request with its proof.

        Args:
            request: The request.

            access_token: The token that it carries; None at the token endpoint.

        Raises:
            TransportError: A remote signer failed; nothing was sent.
        """
        proof = await self.prove(request.method, URL(request.url), access_token)
        return attrs.evolve(
            request,
            headers={**request.headers, "DPoP": proof},
            secrets=(*request.secrets, proof),
        )

    def nonce_for(self, url: URL) -> str:
        """
        Return the newest nonce of a server; empty if none is known.

        Args:
            url: Any address there.
        """
        return self._nonces.get(origin_of(url), "")

    def learn(self, url: URL, field: str | None) -> None:
        """
        Remember the nonce of a response, which any response may carry.

        Args:
            url: Where the request went.

            field: The response's ``DPoP-Nonce``, or None.
        """
        nonce = parse_nonce(field)
        if not nonce:
            return
        origin, nonces = origin_of(url), self._nonces
        if nonces.get(origin) == nonce:
            return
        with self._lock:
            # Newest last: what was learned longest ago makes room.
            nonces.pop(origin, None)
            while len(nonces) >= _MAX_ORIGINS:
                del nonces[next(iter(nonces))]
            nonces[origin] = nonce

    def require_bound(self, token: Token) -> None:
        """
        Require a token to be bound to a key before it is sent: nothing is downgraded silently.

        Args:
            token: The token.

        Raises:
            ConfigurationError: It is a bearer token.
        """
        if token.token_type != "DPoP":
            raise ConfigurationError(
                f"the token must be of type DPoP, since its client has a DPoP key, not "
                f"{token.token_type}: get it by this client, or remove dpop from the client"
            )

    def __repr__(self) -> str:
        return f"<ProofMaker with {self.dpop!r}>"
