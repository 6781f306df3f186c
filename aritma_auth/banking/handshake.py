"""
The handshake with which Aritma makes sure that a receiver wants its events.

Aritma's pages say that the receiver must GET a URL "provided in the handshake headers"; the step
that names the field is cut in every public copy. Both forms are accepted: the OPTIONS request of
CloudEvents' web hooks, and a POST with the URL in a field of its own. A sender that can reach the
receiver may send one, so the URL is opened only at origins that were allowed beforehand.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from aritma_auth.errors import AritmaAuthError, ConfigurationError, VerificationError
from aritma_auth.network.transport import Transport
from aritma_auth.protocol.http_messages import HttpRequest
from aritma_auth.protocol.urls import Origin, origin_of, require_secure_url
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    import aiohttp

VALIDATION_HEADERS = ("WebHook-Request-Callback", "validationUrl", "validation-url")
"""Fields that may hold the URL to open; a guess, since the page that names it is cut."""

_URL_LIMIT = 2048


@attrs.frozen(eq=False, repr=False)
class Handshake(Value):
    """
    One handshake, as it came.

    Attributes:
        validation_url: The URL to open, or None if the request names none.

        origin: What the sender calls itself (``WebHook-Request-Origin``), or None.
    """

    validation_url: str | None = attrs.field(default=None, repr=False)
    origin: str | None = None


def parse_handshake(
    method: str,
    headers: Iterable[tuple[str, str]],
    names: Iterable[str] = VALIDATION_HEADERS,
) -> Handshake | None:
    """
    Parse a request that may be a handshake.

    Args:
        method: The request's method.

        headers: Its header fields as pairs.

        names: Fields that may hold the validation URL.

    Returns:
        The handshake, or None if the request is none.

    Raises:
        VerificationError: It names several URLs.

    Spec: CloudEvents HTTP 1.1 Web Hooks 1.0.2 §4.1.
    """
    wanted = {name.lower() for name in names}
    fields = [(name.lower(), value) for name, value in headers]
    urls = {value for name, value in fields if name in wanted}
    if len(urls) > 1:
        raise VerificationError("the handshake names several validation URLs")
    if not urls and method.upper() != "OPTIONS":
        return None
    origins = [value for name, value in fields if name == "webhook-request-origin"]
    return Handshake(next(iter(urls), None), origins[0] if len(origins) == 1 else None)


async def open_validation_url(
    handshake: Handshake,
    origins: frozenset[Origin],
    *,
    timeout: float,
    session: "aiohttp.ClientSession | None" = None,
) -> bool:
    """
    GET the URL of a handshake: no redirect is followed, no cookie kept, at most 1 MiB read.

    Args:
        handshake: What came.

        origins: Where the URL may be.

        timeout: Seconds for the request.

        session: The session whose connections are used.

    Returns:
        The server has responded with a status of success.

    Raises:
        VerificationError: The URL is at none of the origins; nothing was sent.
    """
    url = handshake.validation_url or ""
    if not is_allowed(url, origins):
        raise VerificationError("the handshake's validation URL is at no allowed origin")
    try:
        response = await Transport(session, timeout=timeout).send(HttpRequest("GET", url))
    except ConfigurationError:
        raise
    except AritmaAuthError:
        return False
    return 200 <= response.status < 300


def is_allowed(url: str, origins: frozenset[Origin]) -> bool:
    """
    Tell whether a URL is https (http on loopback), without user name, and at an allowed origin.

    Args:
        url: What a request names.

        origins: Where it may be.
    """
    if len(url) > _URL_LIMIT:
        return False
    try:
        return origin_of(require_secure_url(url, "the validation URL")) in origins
    except ConfigurationError:
        return False
