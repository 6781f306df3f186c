"""What a server has signed: verified with its keys, by its clock, and once where once is meant."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

import attrs

from aritma_auth.client.connection import ServerConnection
from aritma_auth.errors import IdTokenError, VerificationError, require_instance, require_seconds
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.id_token import DEFAULT_ALGORITHMS, IdTokenExpectation, verify_id_token
from aritma_auth.protocol.jwt import JsonWebKey
from aritma_auth.protocol.logout import LogoutExpectation, LogoutToken, verify_logout_token
from aritma_auth.protocol.redaction import HiddenStr, Members
from aritma_auth.protocol.userinfo import (
    parse_decrypted_userinfo,
    signed_userinfo_of,
    verify_userinfo_response,
)
from aritma_auth.runtime.lock import fork_safe_lock

if TYPE_CHECKING:
    from aritma_auth.protocol.jarm import VerifiedResponse

T = TypeVar("T")

MAX_LOGOUTS = 10_000
"""Logout tokens remembered at most; each is valid for minutes only."""


class TokenVerifier:
    """
    Verifies one client's ID tokens and logout tokens.

    Args:
        connection: Knows the client, the server's keys and its clock.

        algorithms: Signature algorithms that the client accepts, or None for the default ones.

        leeway: Seconds that the clocks may differ.

        trusted_audiences: Further audiences that the client trusts with its tokens.
    """

    def __init__(
        self,
        connection: ServerConnection,
        algorithms: frozenset[str] | None,
        leeway: float,
        trusted_audiences: frozenset[str],
    ) -> None:
        self._connection = connection
        self._algorithms = DEFAULT_ALGORITHMS if algorithms is None else algorithms
        self._leeway = leeway
        self._trusted_audiences = trusted_audiences
        self._lock = fork_safe_lock()
        self._logouts: dict[str, None] = {}

    async def verify_id_token(
        self,
        id_token: str,
        expected: IdTokenExpectation,
        keys: Iterable[JsonWebKey] | None = None,
    ) -> Members:
        """
        Verify an ID token and give its claims.

        Args:
            id_token: The compact serialisation.

            expected: What it must prove; algorithms, leeway and audiences are the client's.

            keys: The server's keys; by default they are fetched and kept.

        Spec: OpenID Connect Core 1.0 §3.1.3.7, §3.2.2.11, §3.3.2.12.
        """
        id_token = self._decrypted_id_token(HiddenStr(id_token))
        expected = attrs.evolve(
            expected,
            algorithms=self._algorithms,
            leeway=self._leeway,
            trusted_audiences=self._trusted_audiences,
            tenants=self._connection.environment.tenants,
        )

        def verify(known: Iterable[JsonWebKey]) -> Members:
            return verify_id_token(id_token, known, expected, now=self._connection.server_time)

        return await self._verify(id_token, verify) if keys is None else verify(keys)

    async def verify_received_id_token(
        self,
        id_token: str,
        *,
        nonce: str | None,
        max_age: int | None,
        access_token: str | None,
        keys: Iterable[JsonWebKey] | None,
    ) -> Members:
        """Verify an ID token that came by no sign-in of ours; `OAuthClient` documents it."""
        if nonce is not None:
            require_instance("nonce", "the request's nonce, or None", nonce, str)
        if max_age is not None:
            require_seconds("max_age", max_age)
        if keys is not None:
            keys = _require_keys(keys)
        expected = IdTokenExpectation(
            issuers=await self._connection.discovery.issuers(),
            client_id=self._connection.client_id,
            nonce=nonce,
            max_age=max_age,
            access_token=access_token,
        )
        return await self.verify_id_token(id_token, expected, keys)

    def _decrypted(self, text: HiddenStr) -> HiddenStr:
        key = self._connection.decryption_key
        if key is None:
            return text
        from aritma_auth.protocol.jwe import is_encrypted  # few clients have a key

        return key.decrypt(text) if is_encrypted(text) else text

    def _decrypted_id_token(self, text: HiddenStr) -> HiddenStr:
        problem: str
        try:
            return self._decrypted(text)
        except VerificationError as error:
            problem = str(error)
        raise IdTokenError(problem)

    async def verify_response(self, jwt: str, issuers: frozenset[str]) -> "VerifiedResponse":
        """
        Verify a signed authorization response.

        Spec: JARM §2.4.
        """
        # Imported here: few servers sign their responses.
        from aritma_auth.protocol.jarm import VerifiedResponse, verify_response_jwt

        jwt = HiddenStr(jwt)
        connection = self._connection

        def verify(keys: Iterable[JsonWebKey]) -> VerifiedResponse:
            return verify_response_jwt(
                jwt,
                keys,
                issuers=issuers,
                client_id=connection.client_id,
                algorithms=self._algorithms,
                now=connection.server_time,
                leeway=self._leeway,
            )

        return await self._verify(jwt, verify)

    async def verify_userinfo(self, response: HttpResponse, subject: str) -> Members:
        """
        Verify a signed UserInfo response; one that is encrypted alone has no signature.

        Spec: OpenID Connect Core 1.0 §5.3.2.
        """
        connection = self._connection
        issuers = await connection.discovery.issuers()
        sent = signed_userinfo_of(response)
        text = self._decrypted(sent)
        if text != sent and text.startswith("{"):
            # As believable as plain claims are: TLS has shown whose response it is.
            return parse_decrypted_userinfo(text, subject)

        def verify(keys: Iterable[JsonWebKey]) -> Members:
            return verify_userinfo_response(
                text,
                keys,
                subject=subject,
                issuers=issuers,
                client_id=connection.client_id,
                algorithms=self._algorithms,
            )

        return await self._verify(text, verify)

    async def verify_logout_token(self, logout_token: str) -> LogoutToken:
        """
        Verify a logout token, which counts once.

        Spec: OpenID Connect Back-Channel Logout 1.0 §2.6.
        """
        logout_token = HiddenStr(logout_token)
        expected = LogoutExpectation(
            issuers=await self._connection.discovery.issuers(),
            client_id=self._connection.client_id,
            algorithms=self._algorithms,
            leeway=self._leeway,
            trusted_audiences=self._trusted_audiences,
            tenants=self._connection.environment.tenants,
        )

        def verify(keys: Iterable[JsonWebKey]) -> LogoutToken:
            return verify_logout_token(
                logout_token, keys, expected, now=self._connection.server_time
            )

        logout = await self._verify(logout_token, verify)
        if not self._is_first(logout):
            raise VerificationError("the logout token was accepted before: it counts once")
        return logout

    async def _verify(self, token: str, verify: Callable[[Iterable[JsonWebKey]], T]) -> T:
        """
        Verify with the cached keys, and once more with newer ones.

        A server that was set up anew may sign with a new key under the old ``kid``.
        """
        discovery = self._connection.discovery
        keys = await discovery.keys_for(token)
        try:
            return verify(keys)
        except VerificationError as error:
            refusal = error
        # At most once a minute, so that forged tokens do not become requests.
        newer = await discovery.reload_keys()
        if newer == keys:
            raise refusal.copy()
        return verify(newer)

    def _is_first(self, logout: LogoutToken) -> bool:
        with self._lock:
            is_first = logout.token_id not in self._logouts
            self._logouts[logout.token_id] = None
            # Only tokens that the server has signed are counted, so nobody else can fill this.
            if len(self._logouts) > MAX_LOGOUTS:
                del self._logouts[next(iter(self._logouts))]
            return is_first


def _require_keys(keys: object) -> tuple[JsonWebKey, ...]:
    required = "a list of JSON Web Keys"
    require_instance("keys", required, keys, Iterable)
    known = tuple(keys) if isinstance(keys, Iterable) else ()
    for key in known:
        require_instance("each of keys", "a JSON Web Key, as a mapping", key, Mapping)
    return known
