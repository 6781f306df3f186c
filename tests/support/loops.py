"""Event loops other than asyncio's default."""

import asyncio


def new_eager_loop():
    """Make a loop that runs a task's first step when it is created (Python 3.12)."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop
