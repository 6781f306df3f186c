"""Small things of HTTP that several endpoints need."""

from aiohttp import web

FORM = "application/x-www-form-urlencoded"


async def single_values(request: web.Request) -> dict[str, str]:
    """
    Read a posted form; what comes several times is joined, as ASP.NET does.

    Args:
        request: The request.
    """
    form: dict[str, str] = {}
    for name, value in (await request.post()).items():
        form[name] = ",".join([form[name], str(value)]) if name in form else str(value)
    return form
