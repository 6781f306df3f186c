"""TLS as the security profiles want it: version 1.2 or later, and few cipher suites."""

import ssl
from typing import TYPE_CHECKING

from aritma_auth.certificate import ClientCertificate, create_context
from aritma_auth.errors import ConfigurationError
from aritma_auth.network.transport import require_context

if TYPE_CHECKING:
    import aiohttp

# RFC 9325 §4.2 recommends these four for TLS 1.2; those of TLS 1.3 are all good.
_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
)


def create_tls_context(cafile: str | None = None) -> ssl.SSLContext:
    """
    Create a TLS context that the security profiles allow.

    Give it to the session that calls the APIs, too: ``TCPConnector(ssl=create_tls_context())``.
    Load a client certificate with its ``load_cert_chain``.

    Args:
        cafile: File of a private authority's certificates, in PEM; None trusts the system's.

    Raises:
        ConfigurationError: The file cannot be read, or has no certificates.

    Spec: FAPI 2.0 Security Profile §5.2.1; RFC 9325 §3.1, §4.2.
    """
    context = create_context("cafile", cafile)
    _restrict(context)
    return context


def require_strict_tls(context: ssl.SSLContext, what: str) -> None:
    """
    Require a TLS context to be one that the security profiles allow.

    Args:
        context: The context.

        what: Its name in the error.

    Raises:
        ConfigurationError: It allows an older version or another cipher suite.

    Spec: FAPI 2.0 Security Profile §5.2.1.
    """
    allowed = frozenset(_SUITES)
    older = context.minimum_version < ssl.TLSVersion.TLSv1_2
    others = [
        str(cipher["name"])
        for cipher in context.get_ciphers()
        if cipher["protocol"] != "TLSv1.3" and cipher["name"] not in allowed
    ]
    if older or others:
        raise ConfigurationError(
            f"{what} must allow TLS 1.2 or later alone, and of TLS 1.2 four cipher suites (RFC "
            "9325 §4.2): make it with aritma_auth.create_tls_context()"
        )


def choose_tls_context(
    session: "aiohttp.ClientSession | None", certificate: object
) -> ssl.SSLContext | None:
    """
    Choose the context of a client with a security profile.

    Args:
        session: The caller's session, or None.

        certificate: The client's certificate, which comes with a context, or None.

    Returns:
        The context of each request; None leaves it to the session's connector.

    Raises:
        ConfigurationError: The one that would be used is not strict enough.
    """
    if certificate is not None:
        return _tighten(certificate)
    # aiohttp has no public name for the connector's TLS settings.
    own = getattr(getattr(session, "connector", None), "_ssl", True)
    if own is True:
        return create_tls_context()
    if isinstance(own, ssl.SSLContext):
        require_strict_tls(own, "the session's connector")
        return None
    raise ConfigurationError(
        "the session's connector must have a TLS context with a security profile: make it with "
        "aritma_auth.create_tls_context()"
    )


def _tighten(certificate: object) -> ssl.SSLContext:
    """Restrict a context that was made of files; one of the caller's must be strict already."""
    context = require_context(certificate)
    if isinstance(certificate, ClientCertificate):
        _restrict(context)
    require_strict_tls(context, "certificate")
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.set_ciphers(":".join(_SUITES))
