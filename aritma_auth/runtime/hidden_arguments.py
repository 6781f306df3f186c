"""
What an error reporter sees of a constructor that refuses an argument: the caller's frame alone.

Reporters show the local variables of every frame. Those of a constructor are its other arguments,
of which one may be a secret as the caller gave it, and an object that is not whole, whose ``repr``
would fail.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

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


def with_hidden_arguments(kind: type[T]) -> type[T]:
    """
    Do the same for the constructor that attrs has written; a decorator of the class.

    Args:
        kind: A class whose arguments hold secrets.
    """
    type.__setattr__(kind, "__init__", hides_arguments(vars(kind)["__init__"]))
    return kind
