"""Notifications of backchannel decisions, which go to the clients (CIBA Core 1.0 §10.2)."""

import aiohttp

from aritma_auth.sandbox.identity.backchannel_requests import BackchannelRequest

_TIMEOUT = aiohttp.ClientTimeout(total=10)


async def notify(request: BackchannelRequest) -> int | None:
    """
    Tell a client that an end-user has decided.

    Returns:
        The status of its response; None if it asked for no notification, or did not respond.
    """
    uri, token = request.client.backchannel_notification_uri, request.notification_token
    if uri is None or token is None:
        return None
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.post(
                uri,
                json={"auth_req_id": request.auth_req_id},
                headers={"Authorization": f"Bearer {token}"},
                allow_redirects=False,
            ) as response,
        ):
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return None
