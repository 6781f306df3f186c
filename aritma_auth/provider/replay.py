"""Requests that are sent again after an API's refusal, and what becomes of its response."""

import asyncio

from aiohttp import ClientError, ClientRequest, ClientResponse

_SMALL_BODY = 1 << 16
"""Bytes of a refused response that are read, so that its connection can be used again."""

_READ_WITHIN = 1.0
"""Seconds to read them; then the connection is closed."""


def is_replayable(request: ClientRequest) -> bool:
    """Tell whether a request's body can be sent again."""
    # A spent stream would be sent again empty, and nothing would notice.
    return not getattr(request.body, "consumed", False)


class RefusedResponse:
    """
    An API's refusal, for frames that may raise.

    aiohttp's ``repr`` of a response shows its headers, and a challenge may repeat the token: an
    error reporter that captures local variables would show it.
    """

    __slots__ = ("response",)

    def __init__(self, response: ClientResponse) -> None:
        self.response = response


async def let_go(refused: RefusedResponse) -> None:
    """
    Free a refused response's connection before the refresh or the repetition needs one.

    A body that has been read to its end has freed it, and remains readable for the caller.
    """
    response = refused.response
    length = response.content_length
    if length is None or length <= _SMALL_BODY:
        try:
            async with asyncio.timeout(_READ_WITHIN):
                if length is None:
                    # Without a reader the connection holds two buffers at most, and stands still.
                    await response.content.wait_eof()
                await response.read()
        except (TimeoutError, ClientError):
            pass
        else:
            return
    response.close()
