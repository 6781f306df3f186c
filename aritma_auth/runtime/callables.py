"""What a caller's function can be called with, asked before it is called."""

import inspect
from collections.abc import Callable


def find_misfit(
    function: Callable[..., object], count: int, *, is_awaited: bool | None
) -> str | None:
    """
    Say why a function cannot be used; None if nothing speaks against it.

    Args:
        function: A callable.

        count: How many arguments it will get, by position.

        is_awaited: Whether what it returns is awaited; None if either will do. A plain function may
            return an awaitable, so that True refuses none.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return "a generator function returns no result"
    if is_awaited is False and is_coroutine_function(function):
        return "nobody would await an async one"
    if not takes_arguments(function, count):
        return f"it must take {count} argument{'' if count == 1 else 's'}"
    return None


def is_coroutine_function(function: Callable[..., object]) -> bool:
    """
    Tell whether a function, or what an object does when it is called, is ``async``.

    Args:
        function: A callable.
    """
    call = getattr(function, "__call__", None)  # noqa: B004 - of a callable object
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


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
