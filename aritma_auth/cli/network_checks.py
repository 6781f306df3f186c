"""What the doctor finds on the way to a server: the proxy, the name, the port, the certificate."""

import asyncio
import contextlib
import socket
import ssl
import time
import urllib.request

from yarl import URL

from aritma_auth.cli.findings import Finding
from aritma_auth.cli.times import format_duration

_TIMEOUT = 10.0
_DAYS_LEFT = 14


async def examine_network(
    url: URL, *, proxy: str | None = None, context: ssl.SSLContext | None = None
) -> list[Finding]:
    """
    Examine the way to a server.

    Args:
        url: The server's issuer.

        proxy: The proxy of the settings; by default that of the environment.

        context: Trusted authorities; by default the machine's.
    """
    proxy = find_proxy(url) if proxy is None or url.scheme != "https" else proxy
    findings = [Finding("proxy", "none" if proxy is None else _without_credentials(proxy))]
    if url.scheme != "https":
        findings.append(Finding("TLS", "none: the server is on this machine"))
    elif proxy is not None:
        findings.append(Finding("TLS", "by way of the proxy: not examined"))
    else:
        findings.append(await _examine_tls(url, context or ssl.create_default_context()))
    return findings


def find_proxy(url: URL) -> str | None:
    """
    Find the proxy that requests to a URL go through, in HTTPS_PROXY and NO_PROXY.

    Args:
        url: The URL.
    """
    if url.scheme != "https" or urllib.request.proxy_bypass(url.host or ""):
        return None
    return urllib.request.getproxies().get("https")


def _without_credentials(proxy: str) -> str:
    try:
        return str(URL(proxy).with_user(None).origin())
    except ValueError:
        return "not an URL: check HTTPS_PROXY"


async def _examine_tls(url: URL, context: ssl.SSLContext) -> Finding:
    place = f"{url.host}:{url.port}"
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(url.host, url.port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        return Finding(
            "TLS",
            f"the certificate is not trusted: {error.verify_message}",
            "check the clock; trust a private authority with SSL_CERT_FILE",
        )
    except ssl.SSLError as error:
        return Finding("TLS", f"no handshake ({error.reason})", f"is {place} an https server?")
    except socket.gaierror:
        return Finding("TLS", f"no address for {url.host}", "check the name, the resolver, the VPN")
    except TimeoutError:
        problem = "check the firewall, and whether this network needs HTTPS_PROXY"
        return Finding("TLS", f"no connection to {place} within {_TIMEOUT:g} s", problem)
    except OSError as error:
        return Finding(
            "TLS", f"no connection to {place} ({type(error).__name__})", "try again later"
        )
    try:
        return _describe(writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_TIMEOUT):
                await writer.wait_closed()


def _describe(writer: asyncio.StreamWriter) -> Finding:
    connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
    certificate = connection.getpeercert() or {}
    left = ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()
    found = f"{connection.version()}, the certificate lasts {format_duration(left)}"
    soon = "the server's owner must renew it soon" if left < _DAYS_LEFT * 86_400 else None
    return Finding("TLS", found, note=soon)
