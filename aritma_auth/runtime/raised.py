"""Say what a caller's own function has raised: by class and place, since its text may be secret."""

import traceback
from pathlib import Path


def describe_raised(error: BaseException, asked_in: str) -> str:
    """
    Name an error's class, and the place in the caller's code from which it came.

    Args:
        error: What the function raised.

        asked_in: The file that called it, which is left out.
    """
    frames = traceback.extract_tb(error.__traceback__)
    # The function's own line and, if it is another, the one that raised.
    places = [
        f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
        for frame in frames
        if frame.filename != asked_in
    ]
    shown = dict.fromkeys((*places[:1], *places[-1:]))
    return ", ".join((type(error).__name__, *shown))
