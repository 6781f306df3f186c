"""Servers on an event loop of their own, for commands that run one themselves."""

import asyncio
import contextlib
import threading
import urllib.error
import urllib.request

from aritma_auth.sandbox import Sandbox
from support.fakes import settle


@contextlib.contextmanager
def running_apart(server):
    """Start a server on a loop in a thread, and close it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(50)
        yield server
        asyncio.run_coroutine_threadsafe(server.aclose(), loop).result(50)
        # A connection that came as the server went is closed by its client.
        asyncio.run_coroutine_threadsafe(settle(), loop).result(50)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(50)
        loop.close()


def sandbox_apart(**settings):
    """Run a sandbox in a thread."""
    return running_apart(Sandbox(**settings))


def browse(url):
    """Open an address as a browser does, and give the final page."""
    browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with browser.open(url, timeout=50) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
