"""
The certificates of clients, as the TLS handshake has shown them.

The handshake verifies them with the authorities of the sandbox's ``ssl_context``, whose
``verify_mode`` must be ``CERT_OPTIONAL``; what is left is whose they are.

Spec: RFC 8705 §2, §3.
"""

import ssl
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import attrs
from aiohttp import web

from aritma_auth.sandbox.identity.base64url import encode_base64url
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.registrations import SandboxClient


@attrs.frozen
class PresentedCertificate:
    """
    A client's certificate.

    Attributes:
        thumbprint: ``x5t#S256``.

        dns_names: The DNS names that it is for, and the CN of its subject.
    """

    thumbprint: str
    dns_names: frozenset[str] = frozenset()


_OTHER_CLIENTS = PresentedCertificate(encode_base64url(bytes(32)))


class ClientCertificates:
    """Finds a request's certificate, and compares it with what is registered or bound."""

    def __init__(self) -> None:
        self._swapped: Counter[str] = Counter()

    def swap_next(self, where: str, times: int) -> None:
        """Let the next requests to a place look as if another client had sent them."""
        self._swapped[where] += times

    def presented(self, request: web.Request, where: str) -> PresentedCertificate | None:
        """Find the certificate of a request's connection."""
        handshake = request.get_extra_info("ssl_object")
        der = None if handshake is None else handshake.getpeercert(binary_form=True)
        if der is None:
            return None
        if self._swapped[where]:
            self._swapped[where] -= 1
            return _OTHER_CLIENTS
        return _describe(handshake, der)

    def confirm(self, request: web.Request, client: SandboxClient) -> dict[str, object]:
        """
        Return the certificate that a token request has proved to hold; empty if there is none.

        Raises:
            ErrorResponse: The client is registered with another one.
        """
        presented = self.presented(request, "token")
        is_expected = presented is not None and (
            client.certificate_thumbprint in {None, presented.thumbprint}
            and client.certificate_name in {None, *presented.dns_names}
        )
        if client.has_certificate and not is_expected:
            raise ErrorResponse("invalid_client")
        return {} if presented is None else {"x5t#S256": presented.thumbprint}

    def is_bound_elsewhere(
        self, request: web.Request, confirmation: dict[str, object], where: str
    ) -> bool:
        """Tell whether a token is bound to another certificate than its request shows."""
        bound_to = confirmation.get("x5t#S256")
        presented = None if bound_to is None else self.presented(request, where)
        return bound_to is not None and (presented is None or presented.thumbprint != bound_to)


def _describe(handshake: ssl.SSLObject, der: bytes) -> PresentedCertificate:
    verified: Mapping[str, Any] = handshake.getpeercert() or {}
    alternative = [str(name) for kind, name in verified.get("subjectAltName", ()) if kind == "DNS"]
    subject = [str(v) for part in verified.get("subject", ()) for n, v in part if n == "commonName"]
    return PresentedCertificate(
        encode_base64url(sha256(der).digest()),
        frozenset([*alternative, *subject]),
    )
