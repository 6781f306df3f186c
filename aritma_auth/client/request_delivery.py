"""How an authorization request gets to its server: signed, pushed, or by the browser as it is."""

from typing import TYPE_CHECKING

import attrs

from aritma_auth.client.connection import ServerConnection
from aritma_auth.errors import AritmaAuthError, ConfigurationError, wrong_kind
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.client_auth import PrivateKeyJwt, generate_jti
from aritma_auth.protocol.par import (
    build_pushed_authorization_request,
    next_push_delay,
    parse_pushed_authorization_response,
)
from aritma_auth.protocol.redaction import HiddenStr, Members
from aritma_auth.protocol.signing import RemoteSigner, Signer, SigningKey

if TYPE_CHECKING:
    from aritma_auth.protocol.jwe import RequestEncryption

_PAR = "pushed_authorization_request_endpoint"


class RequestDelivery:
    """
    Signs and pushes the authorization requests of one client.

    Args:
        connection: The way to the server.

        signer: The key that signs requests, or None: then that of the client assertions.

        encryption: How signed requests are encrypted to the server, or None.

    Spec: RFC 9101; RFC 9126.
    """

    def __init__(
        self,
        connection: ServerConnection,
        signer: Signer | None,
        encryption: "RequestEncryption | None" = None,
    ) -> None:
        self._connection = connection
        self._signer = signer
        self._encryption = encryption

    async def must_sign(self, wanted: object) -> bool:
        """Tell whether a request is signed: by the caller's wish, or on demand."""
        profile, discovery = self._connection.profile, self._connection.discovery
        demands = "the profile" if profile is not None and profile.signs_requests else None
        if demands is None and self._encryption is not None:
            demands = "request_encryption"
        if demands is None and await discovery.requires_signed_requests():
            demands = "the server"
        return _decide("sign", wanted, demands, "signed requests (RFC 9101)")

    def must_sign_backchannel(self, wanted: object) -> bool:
        """
        Tell whether a backchannel authentication request is signed.

        It is never encrypted: CIBA Core 1.0 §7.1.1 has no encrypted requests, and a client may be
        registered for those of its authorization requests.
        """
        profile = self._connection.profile
        demands = "the profile" if profile is not None and profile.signs_requests else None
        return _decide("sign", wanted, demands, "signed requests (CIBA Core 1.0 §7.1.1)")

    async def must_push(self, wanted: object) -> bool:
        """Tell whether a request is pushed: by the caller's wish, or on demand."""
        profile, discovery = self._connection.profile, self._connection.discovery
        demands = None if profile is None else "the profile"
        if demands is None and await discovery.requires_par():
            demands = "the server"
        if profile is not None and not _names_par((await discovery.fetch_metadata()).members):
            # The usual advice, to configure the endpoint, would break the profile.
            raise ConfigurationError(
                f"the server must have {_PAR} in its metadata, since the profile {profile.name} "
                "pushes each authorization request (RFC 9126), and it has none: let it be switched "
                "on at the server, or make a client without the profile"
            )
        return _decide("push", wanted, demands, "pushed requests (RFC 9126)")

    async def sign(self, request: AuthorizationRequest) -> AuthorizationRequest:
        """Put a request into a JWT that the client has signed, and encrypted if it is to be."""
        # Imported here: few servers want signed requests.
        from aritma_auth.protocol.request_object import build_request_object

        connection = self._connection
        unsigned = build_request_object(
            request,
            self.require_signer(),
            issuer=await connection.discovery.issuer(),
            now=connection.server_time,
            jti=generate_jti(),
        )
        signed = await connection.sign(unsigned)
        if self._encryption is not None:
            signed = await self._encrypt(signed, self._encryption)
        return attrs.evolve(request, request_object=signed)

    async def _encrypt(self, jwt: HiddenStr, encryption: "RequestEncryption") -> HiddenStr:
        discovery = self._connection.discovery
        for fetch in (discovery.fetch_keys, discovery.reload_keys):
            encrypted = encryption.encrypt(jwt, await fetch())
            if encrypted is not None:
                return encrypted
        raise ConfigurationError(
            f"the server must publish a key for {encryption.algorithm}, to which requests are "
            "encrypted, and publishes none: leave request_encryption out, or give the algorithm "
            "that the client is registered with"
        )

    def require_signer(self) -> Signer:
        """
        Return the key that signs requests.

        Raises:
            ConfigurationError: The client has none.
        """
        auth = self._connection.client_auth
        key = auth.key if isinstance(auth, PrivateKeyJwt) else None
        signer = self._signer or key
        if not isinstance(signer, SigningKey | RemoteSigner):
            raise ConfigurationError(
                "request_signer must be given to sign a request: a SigningKey or a RemoteSigner, "
                "unless PrivateKeyJwt has one"
            )
        return signer

    async def push(self, request: AuthorizationRequest) -> AuthorizationRequest:
        """Push a request; a server that is away for a moment is asked again."""
        connection, attempts = self._connection, 0
        while True:
            attempts += 1
            try:
                pushed = await connection.post_authenticated(
                    _PAR,
                    build_pushed_authorization_request(request),
                    lambda response, sent_at: parse_pushed_authorization_response(
                        response, sent_at=sent_at
                    ),
                )
            except AritmaAuthError as error:
                delay = next_push_delay(error, attempts)
                if delay is None:
                    raise
            else:
                return attrs.evolve(
                    request,
                    request_uri=pushed.request_uri,
                    request_uri_expires_at=pushed.expires_at,
                )
            await connection.clock.sleep(delay)


def _names_par(members: Members) -> bool:
    aliases = members.get("mtls_endpoint_aliases")
    places = (members, aliases) if isinstance(aliases, dict) else (members,)
    return any(isinstance(place.get(_PAR), str) for place in places)


def _decide(name: str, wanted: object, demands: str | None, what: str) -> bool:
    if wanted is not None and not isinstance(wanted, bool):
        raise wrong_kind(name, "True, False or None", wanted)
    if demands is not None and wanted is False:
        raise ConfigurationError(f"{name} must not be False: {demands} requires {what}")
    return demands is not None or wanted is True
