"""
What an error reporter sees of a call that refuses an argument: the caller's frame alone.

Reporters show the local variables of every frame. Those of a constructor are its other arguments,
of which one may be a secret as the caller gave it, and an object that is not whole, whose ``repr``
would fail. Those of a method may be a secret of the wrong kind, such as a token in a mapping.
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def hides_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """
    Let the errors of a function begin in its caller's frame; a decorator.

    Args:
        function: A constructor, or a function that only calls one.
    """

    @wraps(function)
    def call(*arguments: P.args, **keywords: P.kwargs) -> T:
        try:
            return function(*arguments, **keywords)
        except Exception as error:  # noqa: BLE001 - raised again below
            problem = error.with_traceback(None)
        # This frame is the one that is left.
        del arguments, keywords
        try:
            raise problem
        finally:
            del problem

    return call


def hides_awaited_arguments(
    misuse: type[Exception],
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """
    Do the same for a coroutine function and the errors of wrong use; makes a decorator.

    Other errors keep their frames, in which the function has hidden its arguments.

    Args:
        misuse: The class of the errors of wrong use.
    """

    def decorate(
        function: Callable[P, Coroutine[Any, Any, T]],
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        @wraps(function)
        async def call(*arguments: P.args, **keywords: P.kwargs) -> T:
            problem: Exception
            try:
                working = function(*arguments, **keywords)
            except TypeError as error:
                # A misspelt argument.
                problem = error.with_traceback(None)
                del arguments, keywords
            else:
                del arguments, keywords
                try:
                    return await working
                except misuse as error:
                    problem = error.with_traceback(None)
            try:
                raise problem
            finally:
                del problem

        return call

    return decorate


def with_hidden_arguments(kind: type[T]) -> type[T]:
    """
    Do the same for the constructor that attrs has written; a decorator of the class.

    Args:
        kind: A class whose arguments hold secrets.
    """
    type.__setattr__(kind, "__init__", hides_arguments(vars(kind)["__init__"]))
    return kind
