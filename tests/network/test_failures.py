"""Tests of how the reason of a failed connection is named."""

import errno
import socket
import ssl
from types import SimpleNamespace

import aiohttp
import pytest

from aritma_auth.network.failures import name_failure

KEY = SimpleNamespace(host="id.example", port=443, ssl=True, is_ssl=True)


def untrusted(message="certificate has expired"):
    """Give the error of a certificate as OpenSSL makes it."""
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] secret")
    error.verify_message = message
    return error


def broken(reason):
    error = ssl.SSLError(1, "secret")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (
            aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "secret")),
            "ClientConnectorError: ECONNREFUSED",
        ),
        (aiohttp.ClientConnectorError(KEY, OSError("secret")), "ClientConnectorError"),
        (aiohttp.ClientConnectorError(KEY, OSError(70_000, "secret")), "ClientConnectorError"),
        (
            aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "secret")),
            "ClientConnectorDNSError",
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, untrusted()),
            "ClientConnectorCertificateError: certificate has expired",
        ),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ValueError("secret")),
            "ClientConnectorCertificateError",
        ),
        (
            aiohttp.ClientConnectorSSLError(KEY, broken("WRONG_VERSION_NUMBER")),
            "ClientConnectorSSLError: WRONG_VERSION_NUMBER",
        ),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError("secret")), "ClientConnectorSSLError"),
        (aiohttp.ClientConnectorSSLError(KEY, broken(7)), "ClientConnectorSSLError"),
        (ConnectionResetError(errno.ECONNRESET, "secret"), "ConnectionResetError: ECONNRESET"),
        (aiohttp.ServerDisconnectedError("secret"), "ServerDisconnectedError"),
        (untrusted("x\n" + "y" * 200), "SSLCertVerificationError: x\ufffd" + "y" * 98 + "…"),
    ],
    ids=[
        "refused", "no number", "an unknown number", "no name", "certificate", "another check",
        "no TLS", "no reason", "a reason that is no text", "reset", "closed", "long",
    ],
)  # fmt: skip
def test_a_failure_is_named_by_class_and_reason(error, named):
    """The reason is the system's or OpenSSL's own word; the error's text never shows."""
    assert name_failure(error) == named
