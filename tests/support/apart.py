"""A sandbox on an event loop of its own, for commands that run one themselves."""

import asyncio
import contextlib
import threading
import urllib.error
import urllib.request

from aritma_auth.sandbox import Sandbox
from support.fakes import settle


@contextlib.contextmanager
def sandbox_apart(**settings):
    """Run a sandbox in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    sandbox = Sandbox(**settings)
    try:
        asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result(50)
        yield sandbox
        asyncio.run_coroutine_threadsafe(sandbox.aclose(), loop).result(50)
        # A connection that came as the sandbox went is closed by its client.
        asyncio.run_coroutine_threadsafe(settle(), loop).result(50)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(50)
        loop.close()


def browse(url):
    """Open an address as a browser does, and give the final page."""
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with browser.open(url, timeout=50) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
