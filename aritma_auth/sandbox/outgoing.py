"""Requests that the sandbox sends: to clients, and to the receivers of events."""

from collections.abc import Mapping

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=10)


async def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    data: bytes | Mapping[str, str] | None = None,
    json: Mapping[str, str] | None = None,
) -> int | None:
    """
    Send a request, without following a redirect; return the status, or None for no response.

    Args:
        method: The method.

        url: The address.

        headers: Header fields.

        data: The body: bytes, or a form.

        json: The body as a JSON object instead.
    """
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.request(
                method, url, headers=headers, data=data, json=json, allow_redirects=False
            ) as response,
        ):
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return None
