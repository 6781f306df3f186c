"""Notifications of backchannel decisions, which go to the clients (CIBA Core 1.0 §10.2)."""

from aritma_auth.sandbox.identity.backchannel_requests import BackchannelRequest
from aritma_auth.sandbox.outgoing import send


async def notify(request: BackchannelRequest) -> int | None:
    """
    Tell a client that an end-user has decided.

    Returns:
        The status of its response; None if it asked for no notification, or did not respond.
    """
    uri, token = request.notification_uri, request.notification_token
    if uri is None or token is None:
        return None
    authorization = {"Authorization": f"Bearer {token}"}
    return await send("POST", uri, headers=authorization, json={"auth_req_id": request.auth_req_id})
