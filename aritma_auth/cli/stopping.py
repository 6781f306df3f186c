"""How the commands that run on are stopped: by Ctrl-C, or by the end of the terminal."""

import asyncio
import contextlib
import signal


def stop_on_signals() -> asyncio.Event:
    """
    Give an event that is set by Ctrl-C or a request to terminate, instead of an exception.

    Call it within a running event loop.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no such handlers: there Ctrl-C interrupts.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    return stop
