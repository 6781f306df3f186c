"""Give each argument of a call something of each wrong kind."""

import contextlib
import datetime as dt
import inspect
import math

import pytest

import aritma_auth as aa


async def sign(octets):
    return octets


def wrong_values():
    """Give one value of each kind that callers mix up; the awaitable one is closed already."""
    awaitable = sign(b"")
    awaitable.close()
    return [
        *(None, True, 0, 7, -1, 1.5, math.nan, math.inf, 10**400),
        *("", "x", "a\x00b", "\ud800", b"x", b""),
        *([], ["x"], [5], ["\ud800"], {}, {"a": 1}, {5: "a"}, {"a": "\ud800"}),
        *(dt.datetime(2020, 1, 1), str, object(), awaitable, sign, lambda *_: "x"),  # noqa: DTZ001 - naive on purpose
    ]


async def use(call, arguments):
    """Call, await what is awaitable, and close what is open."""
    with contextlib.suppress(aa.AritmaAuthError):
        result = call(**arguments)
        if inspect.isawaitable(result):
            result = await result
        if hasattr(result, "close"):
            await result.close()


async def try_all(call, right):
    """Replace each argument by each wrong value; arguments that are None by default stay out."""
    for name in right:
        given = {key: value for key, value in right.items() if value is not None}
        for wrong in wrong_values():
            try:
                await use(call, {**given, name: wrong})
            except Exception as error:
                error.add_note(f"with {name}={wrong!a:.60}")
                raise


async def try_name(module, name, right):
    """Try each argument of what a module calls by a name, which may have a dot."""
    call = module
    for part in name.split("."):
        call = getattr(call, part)
    await try_all(call, right)


async def try_method(make, name, right):
    """Try each argument of a method, of an object made anew for each call."""
    await try_all(lambda **arguments: getattr(make(), name.partition(" ")[0])(**arguments), right)


def is_of(kinds, value):
    """Tell whether a value is of one of some kinds; True is no number here."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    return bool in kinds if isinstance(value, bool) else isinstance(value, kinds)


async def refuse_all(call, arguments, *, tries_right=True):
    """
    Require each argument to refuse, by its own name, each value that is of none of its kinds.

    A value of a right kind may be wrong for another reason: then it ends in an error of the package.
    ``arguments`` has a right value and its kinds for each name.
    """
    right = {name: value for name, (value, _) in arguments.items()}
    for name, (_, kinds) in arguments.items():
        for wrong in wrong_values():
            given = {**right, name: wrong}
            try:
                if is_of(kinds, wrong):
                    if tries_right:
                        await use(call, given)
                    continue
                with pytest.raises(aa.ConfigurationError, match=rf"\b{name}\b"):
                    result = call(**given)
                    if inspect.isawaitable(result):
                        await result
            except BaseException as error:
                error.add_note(f"with {name}={wrong!a:.60}")
                raise
