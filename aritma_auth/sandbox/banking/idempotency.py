"""
Repeated responses: what ``Idempotency-Key`` does at Banking v4.

Source: Banking v4's OpenAPI: the first status and body are kept, of failures too.
"""

import uuid
from collections.abc import Callable

import attrs
from aiohttp import web

from aritma_auth.sandbox.banking.problems import Problem
from aritma_auth.sandbox.clock import SandboxClock

_LIFETIME = 600
"""Seconds; the documentation says "a short timespan"."""


@attrs.frozen
class _Kept:
    status: int
    body: bytes
    content_type: str
    expires_at: float


class IdempotencyKeys:
    """Keeps the first response to each key."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    def respond(
        self, request: web.Request, client_id: str, work: Callable[[], web.Response]
    ) -> web.Response:
        """
        Do the work and keep its response, or give the response that was kept.

        Raises:
            Problem: The key is not a UUID, or the work failed without a key.
        """
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return work()
        if not _is_uuid(key):
            raise Problem(400, "Idempotency-Key must be a UUID.")
        place = (client_id, request.path, key)
        kept = self._kept.get(place)
        if kept is not None and self._clock.time() < kept.expires_at:
            return web.Response(
                # The repeated request creates nothing.
                status=200 if kept.status == 201 else kept.status,
                body=kept.body,
                headers={"Content-Type": kept.content_type, "Idempotent-Replayed": "true"},
            )
        try:
            response = work()
        except Problem as problem:
            response = problem.response(request)
        self._kept[place] = _Kept(
            response.status,
            (response.text or "").encode(),
            response.headers["Content-Type"],
            self._clock.time() + _LIFETIME,
        )
        return response


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
