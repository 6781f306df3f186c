"""
Signed authorization requests, whose claims are the request's parameters.

Source: IdentityServer's JwtRequestValidator. Spec: RFC 9101.
"""

import json
from collections.abc import Callable, Mapping, Sequence

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.keys import decrypt
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.signed_jwts import is_signed_by, parse_jwt

_OF_THE_JWT = frozenset({"aud", "exp", "iat", "iss", "jti", "nbf"})
_LEEWAY = 300
_ENCRYPTED = 4
"""Dots in the compact serialisation of what is encrypted (RFC 7516 §3.1)."""


class RequestObjects:
    """
    Verifies request objects.

    Attributes:
        is_required: Every client must sign its requests; the metadata says so.
    """

    def __init__(
        self,
        clients: Mapping[str, SandboxClient],
        clock: SandboxClock,
        identity_url: Callable[[], str],
        *,
        decrypts: bool = False,
    ) -> None:
        self._decrypts = decrypts
        self._clients = clients
        self._clock = clock
        self._identity_url = identity_url
        self.is_required = False

    def open(self, parameters: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """
        Give the parameters of a request, signed or not; of a signed one nothing else counts.

        Raises:
            ErrorResponse: ``invalid_request_object``, or a signature is required and there is none.
        """
        given = {name: list(values) for name, values in parameters.items()}
        texts = given.get("request")
        if texts is None:
            if self.is_required:
                raise ErrorResponse("invalid_request", "Request object is required.")
            return given
        client_id = given.get("client_id", [""])[0]
        text = texts[0]
        if self._decrypts and text.count(".") == _ENCRYPTED:
            text = decrypt(text)
        opened = self.verify(text, client_id)
        if opened.get("client_id") != [client_id]:
            raise ErrorResponse("invalid_request_object", "Invalid JWT request")
        return opened

    def verify(self, text: str, client_id: str) -> dict[str, list[str]]:
        """
        Verify a JWT of a client, and give the parameters in it.

        Raises:
            ErrorResponse: ``invalid_request_object``.
        """
        header, claims = parse_jwt(text)
        client = self._clients.get(client_id)
        if (
            client is None
            or not client.public_key
            or not is_signed_by(text, client.public_key)
            or not self._are_valid(header, claims, client_id)
        ):
            raise ErrorResponse("invalid_request_object", "Invalid JWT request")
        return {
            name: _as_values(value) for name, value in claims.items() if name not in _OF_THE_JWT
        }

    def _are_valid(
        self, header: Mapping[str, object], claims: Mapping[str, object], client_id: str
    ) -> bool:
        now, expires_at = self._clock.time(), claims.get("exp")
        audience = claims.get("aud")
        return (
            header.get("typ") in {None, "JWT", "oauth-authz-req+jwt"}
            and claims.get("iss") == client_id
            and isinstance(audience, str)
            and f"{audience}/".startswith(f"{self._identity_url()}/")
            and isinstance(expires_at, int)
            and now < expires_at + _LEEWAY
            and not {"request", "request_uri"} & claims.keys()
        )


def _as_values(value: object) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return [value if isinstance(value, str) else json.dumps(value)]
