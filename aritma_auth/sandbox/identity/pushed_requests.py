"""
Pushed authorization requests: validated, kept, and used once.

Source: IdentityServer's PushedAuthorizationService. Spec: RFC 9126.
"""

import secrets
from collections.abc import Container, Mapping, Sequence

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.authorization_request import (
    Parameters,
    parse_authorization_request,
)
from aritma_auth.sandbox.identity.parameters import ErrorResponse, leave_out_done
from aritma_auth.sandbox.identity.proofs import INVALID
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.request_objects import RequestObjects
from aritma_auth.sandbox.identity.server_versions import ServerVersion

_LIFETIME = 600
_PREFIX = "urn:ietf:params:oauth:request_uri:"
_AUTHENTICATION = frozenset({"client_assertion", "client_assertion_type", "client_secret"})


@attrs.define
class _Pushed:
    client_id: str
    parameters: dict[str, list[str]]
    expires_at: float


class PushedRequests:
    """
    Keeps pushed authorization requests.

    Attributes:
        is_required: Every client must push; the metadata says so.
    """

    def __init__(
        self,
        clients: Mapping[str, SandboxClient],
        clock: SandboxClock,
        server_version: ServerVersion,
        request_objects: RequestObjects,
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._server_version = server_version
        self._request_objects = request_objects
        self._pushed: dict[str, _Pushed] = {}
        self.is_required = False

    def push(
        self,
        client: SandboxClient,
        parameters: Mapping[str, Sequence[str]],
        thumbprint: str | None = None,
    ) -> dict[str, object]:
        """
        Keep a client's request, if it is valid.

        Args:
            client: The client.

            parameters: The form.

            thumbprint: That of the key that the request has proven, or None. The code is bound to
                it (RFC 9449 §10.1).

        Returns:
            The response's members.

        Raises:
            ErrorResponse: The request is invalid, or names another client or key.
        """
        kept = {
            name: list(values) for name, values in parameters.items() if name not in _AUTHENTICATION
        }
        kept.setdefault("client_id", [client.client_id])
        if kept["client_id"] != [client.client_id]:
            raise ErrorResponse("invalid_request", "Invalid client_id")
        if "request_uri" in kept:
            raise ErrorResponse("invalid_request", "request_uri must not be pushed")
        return {"request_uri": self._keep(kept, thumbprint), "expires_in": _LIFETIME}

    def _keep(self, parameters: Parameters, thumbprint: str | None = None) -> str:
        opened = self._request_objects.open(parameters)
        if thumbprint is not None and opened.setdefault("dpop_jkt", [thumbprint]) != [thumbprint]:
            raise ErrorResponse(INVALID, "dpop_jkt must be the key of the proof.")
        parse_authorization_request(opened, self._clients, self._server_version)
        request_uri = f"{_PREFIX}{secrets.token_hex(32).upper()}"
        expires_at = self._clock.time() + _LIFETIME
        self._pushed[request_uri] = _Pushed(opened["client_id"][0], opened, expires_at)
        return request_uri

    def refer(self, parameters: Parameters) -> Parameters:
        """
        Keep a signed request that the browser has brought, so that its pages carry a reference.

        Raises:
            ErrorResponse: Its signature or a parameter is invalid, or the client must push.
        """
        if "request" not in parameters:
            return parameters
        self._require_pushed(parameters)
        client_id = list(parameters.get("client_id", ()))
        return {"client_id": client_id, _URI: [self._keep(parameters)]}

    def _require_pushed(self, parameters: Parameters) -> None:
        client = self._clients.get(_single(parameters, "client_id") or "")
        if self.is_required or (client is not None and client.requires_par):
            raise ErrorResponse("invalid_request", "Pushed authorization is required.")

    def resolve(self, parameters: Parameters) -> Parameters:
        """
        Give the parameters of an authorization request, pushed or not.

        Raises:
            ErrorResponse: The reference is spent, expired or another client's; or there is none
                although the client must push.
        """
        client_id, request_uri = _single(parameters, "client_id"), _single(parameters, _URI)
        if request_uri is None:
            self._require_pushed(parameters)
            return self._request_objects.open(parameters)
        pushed = self._pushed.get(request_uri)
        if (
            pushed is None
            or pushed.client_id != client_id
            or self._clock.time() >= pushed.expires_at
        ):
            raise ErrorResponse("invalid_request_uri", "invalid or reused PAR request uri")
        return pushed.parameters

    def consume(self, parameters: Parameters) -> None:
        """Spend the reference of an authorization request that gets its response."""
        self._pushed.pop(_single(parameters, _URI) or "", None)

    def forget_done(
        self, parameters: Parameters, prompts: Container[str], names: Container[str]
    ) -> None:
        """Remove from a pushed request what has been done and must not be asked for again."""
        pushed = self._pushed.get(_single(parameters, _URI) or "")
        if pushed is not None:
            pushed.parameters = leave_out_done(pushed.parameters, prompts, names)

    def expire_all(self) -> None:
        """Let every reference expire at once."""
        for pushed in self._pushed.values():
            pushed.expires_at = self._clock.time()


_URI = "request_uri"


def _single(parameters: Parameters, name: str) -> str | None:
    values = parameters.get(name, ())
    return values[0] if len(values) == 1 else None
