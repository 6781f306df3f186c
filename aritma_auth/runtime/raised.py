"""
What a caller's own function has raised.

An Exception, a CancelledError, a GeneratorExit or a BaseException of somebody's own becomes an
error of this package that names its class and place, since its text may be secret. A
KeyboardInterrupt and a SystemExit are for whoever runs the program.
"""

import asyncio
import traceback
from pathlib import Path
from typing import NoReturn

INTERRUPTS = (KeyboardInterrupt, SystemExit)

_HERE = str(Path(__file__).parent.parent / "_")[:-1]
"""The package's folder, with a separator at its end: another package's name may begin like ours."""


def describe_raised(error: BaseException) -> str:
    """
    Name an error's class, and the place in the caller's code from which it came.

    Args:
        error: What the function raised.
    """
    frames = traceback.extract_tb(error.__traceback__)
    # The function's own line and, if it is another, the one that raised.
    places = [
        f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
        for frame in frames
        if not frame.filename.startswith(_HERE)
    ]
    shown = dict.fromkeys((*places[:1], *places[-1:]))
    return ", ".join((type(error).__name__, *shown))


def is_own_cancellation(error: BaseException) -> bool:
    """
    Tell whether an error is the running task's cancellation, and not that of one that it awaited.

    Args:
        error: What was caught.
    """
    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def pass_on(interrupt: BaseException) -> None:
    """
    Let an interrupt out of the running loop in its next turn, as asyncio does with a task's.

    A listener is called between a server's response and what follows from it: to raise there would
    cut that off. Without a running loop it is raised at once.

    Args:
        interrupt: A KeyboardInterrupt or a SystemExit.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        _raise(interrupt)
    loop.call_soon(_raise, interrupt)


def _raise(interrupt: BaseException) -> NoReturn:
    raise interrupt
