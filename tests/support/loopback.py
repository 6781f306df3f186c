"""Small loopback servers for what only a real wire can show."""

import contextlib

from aiohttp import web


@contextlib.asynccontextmanager
async def serving(handler, *, ssl_context=None):
    """Serve every path with one handler; give the base URL, without trailing slash."""
    runner = web.ServerRunner(
        web.Server(handler, access_log=None, lingering_time=0), shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
    await site.start()
    port = runner.addresses[0][1]
    scheme = "http" if ssl_context is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
