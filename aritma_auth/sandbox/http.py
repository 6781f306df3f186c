"""Small things of HTTP that several endpoints need."""

from aiohttp import web

FORM = "application/x-www-form-urlencoded"


async def single_values(request: web.Request) -> dict[str, str]:
    """
    Read a posted form with one text to a name, the last.

    Args:
        request: The request.
    """
    posted = await request.post()
    return {name: value for name, value in posted.items() if isinstance(value, str)}
