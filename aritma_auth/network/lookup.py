"""
What an authorization server publishes about itself, fetched once: its metadata and its keys.

`Environment.discover` and a client's `Discovery` stand on the same two requests. Nothing here keeps
anything: the one makes a value of what was found, the other caches it.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypedDict, TypeVar

import aiohttp
from yarl import URL

from aritma_auth.caller_code import require_clock
from aritma_auth.errors import AritmaAuthError, InvalidResponseError, OAuthError
from aritma_auth.network.transport import Transport
from aritma_auth.protocol.http_messages import HttpRequest, HttpResponse
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.protocol.jwt import JsonWebKey, parse_key_set
from aritma_auth.protocol.metadata import (
    ServerMetadata,
    build_metadata_urls,
    parse_metadata,
    parse_metadata_response,
)
from aritma_auth.protocol.published import MAX_KEYS, Published
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.urls import Origin, describe_issuer
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")

Send = Callable[[HttpRequest], Awaitable[HttpResponse]]

_SUCCESSFUL = range(200, 300)

_MAX_PARENTS = 5
"""Addresses above a wrong issuer at which the right one is looked for."""


class LookupSettings(TypedDict, total=False):
    """
    How `Environment.discover` reaches the server.

    Attributes:
        session: An ``aiohttp.ClientSession`` whose connections are used.

        timeout: Seconds for one request.

        clock: Tells when the documents were fetched.
    """

    session: aiohttp.ClientSession | None
    timeout: float
    clock: Clock


async def look_up(
    issuer: str,
    *,
    issuers: Iterable[str],
    trusted: frozenset[Origin],
    endpoints: Mapping[str, str],
    make: Callable[[Published], T],
    session: aiohttp.ClientSession | None = None,
    timeout: float = 10.0,
    clock: Clock = SYSTEM_CLOCK,
) -> T:
    """
    Fetch a server's metadata and keys, and give what is made of them.

    Args:
        issuer: The server.

        issuers: Its issuer and its aliases.

        trusted: Origins, beside the issuer's own, on which endpoints may be.

        endpoints: URLs by metadata name that are not looked up.

        make: Makes the result.

        session: As `LookupSettings` says.

        timeout: Seconds for one request.

        clock: Tells the time.
    """
    clock = require_clock(clock)
    transport = Transport(session, timeout=timeout)
    fetched_at = clock.time()
    metadata = await fetch_metadata(
        transport.send, issuer, issuers=issuers, trusted=trusted, clock=clock
    )
    url = endpoints.get("jwks_uri") or metadata.endpoints.get("jwks_uri")
    keys = None if url is None else await fetch_keys(transport.send, url, clock=clock)
    return make(Published(fetched_at, metadata.members, keys))


async def fetch_metadata(
    send: Send, issuer: str, *, issuers: Iterable[str], trusted: frozenset[Origin], clock: Clock
) -> ServerMetadata:
    """
    Fetch a server's metadata from the first of its addresses that has any.

    Args:
        send: Sends a request.

        issuer: The server.

        issuers: The names that it may give itself.

        trusted: Origins, beside the issuer's own, on which endpoints may be.

        clock: Tells the time.

    Raises:
        IssuerMismatchError: The document is another server's.

        InvalidResponseError: There is no metadata at any of its addresses.

        TransportError: No response came.

    Spec: OpenID Connect Discovery 1.0 §4; RFC 8414 §3.
    """
    status, problem, weight = 0, "", -1
    for url in build_metadata_urls(issuer):
        response = await send(_get(url))
        try:
            members = _parse_document(response, what=url, now=clock.time())
            return parse_metadata(members, issuers=issuers, trusted=trusted)
        except InvalidResponseError as error:
            # Servers without a document there respond with a 404, a redirect or a web page.
            if response.status >= 500 or response.status == 429:
                raise
            weighs = _weigh(response.status)
            if weighs > weight:
                status, problem, weight = response.status, str(error), weighs
    spelled = await _find_issuer_above(send, issuer, clock)
    advice = (
        "check the issuer's path, or give its endpoints"
        if spelled is None
        else f"the issuer there is {describe_issuer(spelled)}"
    )
    raise InvalidResponseError(
        f"{issuer} publishes no metadata ({problem}): {advice}", status=status
    )


def _weigh(status: int) -> int:
    """Weigh what an address responded: what is wrong there says more than the others' 404s."""
    return 2 if status in _SUCCESSFUL else int(status != 404)


def _parse_document(response: HttpResponse, *, what: str, now: float) -> Members:
    """Parse a published document: there an OAuth error is no better than the page of a proxy."""
    try:
        return parse_json_response(response, now=now, what=what)
    except OAuthError as error:
        refusal = error
    raise InvalidResponseError(
        f"{what} responded {response.status} with an OAuth error: {refusal}",
        status=response.status,
        retry_after=refusal.retry_after,
    )


async def _find_issuer_above(send: Send, issuer: str, clock: Clock) -> str | None:
    """Look for the issuer whose path a wrong one begins with, such as its token endpoint."""
    url = URL(issuer)
    for _ in range(_MAX_PARENTS):
        if url.path == "/":
            break
        url = url.parent
        above = str(url).rstrip("/")
        response = await send(_get(f"{above}/.well-known/openid-configuration"))
        try:
            return parse_metadata_response(
                response, issuers={above, f"{above}/"}, now=clock.time()
            ).issuer
        except AritmaAuthError:
            continue
    return None


async def fetch_keys(send: Send, url: str, *, clock: Clock) -> tuple[JsonWebKey, ...]:
    """
    Fetch a server's public keys.

    Args:
        send: Sends a request.

        url: Its ``jwks_uri``.

        clock: Tells the time.

    Returns:
        The first of them, at most `MAX_KEYS`.

    Raises:
        InvalidResponseError: The response is no key set.

        TransportError: No response came.

    Spec: RFC 7517 §5.
    """
    response = await send(_get(url))
    members = _parse_document(response, what="the key set's endpoint", now=clock.time())
    return tuple(parse_key_set(members)[:MAX_KEYS])


def _get(url: str) -> HttpRequest:
    return HttpRequest("GET", url, {"Accept": "application/json"})
