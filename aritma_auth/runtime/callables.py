"""What a caller's function can be called with, asked before it is called."""

import inspect
from collections.abc import Callable


def takes_arguments(function: Callable[..., object], count: int) -> bool:
    """
    Tell whether a function can be called with so many arguments by position.

    Args:
        function: A callable.

        count: How many.
    """
    try:
        inspect.signature(function).bind(*range(count))
    except ValueError:
        # Some builtins do not say what they take.
        return True
    except TypeError:
        return False
    return True
