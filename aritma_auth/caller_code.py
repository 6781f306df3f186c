"""
The border to a caller's own code: functions, clocks and stores may raise and return anything.

What such code raises becomes an error of this package that names the code, the class and the place;
its text may be secret. An error of this package passes as it is. A KeyboardInterrupt and a
SystemExit go to whoever runs the program.
"""

import asyncio
import contextlib
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import NamedTuple, ParamSpec, TypeVar, final

from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    StoreError,
    TransportError,
    type_name,
    wrong_kind,
)
from aritma_auth.runtime.clock import Clock, SystemClock
from aritma_auth.runtime.raised import INTERRUPTS, describe_raised, is_own_cancellation
from aritma_auth.runtime.tasks import WorkBrokenOffError

P = ParamSpec("P")
T = TypeVar("T")

_OVERDUE = 1.0
"""Seconds after its end that a sleep may take."""


def call(what: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Call a plain function that the caller gave.

    Args:
        what: The function, for the error.

        function: The function.

        args: What it is called with.

        kwargs: The same, by name.

    Raises:
        ConfigurationError: It raised what is no error of this package.
    """
    try:
        return function(*args, **kwargs)
    except (AritmaAuthError, *INTERRUPTS):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a caller's function raises
        problem = _raised(what, describe_raised(error))
    # Outside the except block: the caught error may hold a secret.
    raise problem


def broken_off(
    what: str, broken: WorkBrokenOffError, *, may_have_arrived: bool = False
) -> AritmaAuthError:
    """
    Make the error of a caller's coroutine that was ended by what is no Exception.

    After an interrupt the next attempt may work; the interrupt itself has reached whoever runs the
    program.

    Args:
        what: The coroutine's function, for the error.

        broken: What ended it.

        may_have_arrived: It may have sent a request.
    """
    if broken.is_interrupt:
        return TransportError(
            f"{what} was interrupted ({broken.raised}): try again",
            may_have_arrived=may_have_arrived,
        )
    return _raised(what, broken.raised)


def explain_failure(what: str, error: Exception, *, within: float) -> AritmaAuthError:
    """
    Make the error of a caller's coroutine that `run_within` has awaited in vain.

    Args:
        what: The coroutine's function, for the error.

        error: What `run_within` raised, and no error of this package.

        within: Seconds that the coroutine had.
    """
    if isinstance(error, WorkBrokenOffError):
        return broken_off(what, error)
    if isinstance(error, TimeoutError):
        return TransportError(
            f"{what} did not return within {within:g} seconds: try again later",
            may_have_arrived=False,
        )
    return _raised(what, describe_raised(error))


def _raised(what: str, raised: str) -> ConfigurationError:
    return ConfigurationError(
        f"{what} raised {raised}: it must return, or raise an error of aritma_auth"
    )


def require_clock(clock: object) -> Clock:
    """
    Return a clock whose every fault is a ConfigurationError; both of its times are read once.

    Args:
        clock: What was given as ``clock``.

    Raises:
        ConfigurationError: It is no clock, or tells no time.
    """
    # Either may be trusted, and the cached path calls its functions without a frame of ours.
    if type(clock) is SystemClock or type(clock) is CheckedClock:
        return clock
    if isinstance(clock, type) or not isinstance(clock, Clock):
        raise wrong_kind("clock", "a Clock, such as SYSTEM_CLOCK", clock)
    checked = CheckedClock(clock)
    checked.monotonic()
    checked.time()
    return checked


@final
class CheckedClock:
    """
    A caller's clock that tells seconds or raises a ConfigurationError.

    Args:
        clock: The caller's.
    """

    __slots__ = ("_clock", "counts_suspend")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.counts_suspend = bool(clock.counts_suspend)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._read("monotonic", self._clock.monotonic)

    def time(self) -> float:
        """Return POSIX seconds, as the wall clock has them."""
        return self._read("time", self._clock.time)

    def _read(self, name: str, read: Callable[[], object]) -> float:
        what = f"{name}() of the clock {type_name(self._clock)}"
        seconds = call(what, read)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            if inspect.iscoroutine(seconds):
                seconds.close()
            raise wrong_kind(f"what {what} returns", "a finite number of seconds", seconds)
        # Compared, not converted: an int may be larger than any float; and nan compares to nothing.
        if not abs(seconds) <= sys.float_info.max:
            raise ConfigurationError(f"{what} must return a finite number, not {seconds!r:.40}")
        return seconds

    async def sleep(self, seconds: float) -> None:
        """
        Wait for so many seconds.

        A sleep that hangs is over a second after its end by its own clock; that of a clock which
        stands still is not.
        """
        loop, end = asyncio.get_running_loop(), self.monotonic() + seconds + _OVERDUE
        # No task of its own: a caller who is cancelled ends the sleep at once.
        limit = asyncio.timeout(None)
        timers: list[asyncio.TimerHandle] = []

        def look(pause: float) -> None:
            timers[:] = [loop.call_later(pause, look_again)]

        def look_again() -> None:
            # What such a clock raises is nobody's here: its next reader is told.
            with contextlib.suppress(AritmaAuthError):
                if self.monotonic() < end:
                    look(_OVERDUE)
                    return
            limit.reschedule(loop.time())

        look(seconds + _OVERDUE)
        try:
            async with limit:
                await self._sleep(seconds)
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            timers[0].cancel()

    async def _sleep(self, seconds: float) -> None:
        what = f"sleep() of the clock {type_name(self._clock)}"
        waiting = call(what, self._clock.sleep, seconds)
        if not isinstance(waiting, Awaitable):
            raise wrong_kind(f"what {what} returns", "an awaitable", waiting)
        try:
            await waiting
        except (AritmaAuthError, GeneratorExit, *INTERRUPTS):
            raise
        except BaseException as error:
            if is_own_cancellation(error):
                raise
            problem = _raised(what, describe_raised(error))
        else:
            return
        raise problem


class Promise(NamedTuple):
    """
    What a method must return.

    Attributes:
        words: The same in words.

        find_problem: Says what else was returned, or None if it is right.
    """

    words: str
    find_problem: Callable[[object], str | None]

    def require(self, method: Callable[..., object], returned: object) -> None:
        """
        Require a store's method to have returned this.

        Raises:
            StoreError: It has not; the message names the store's class, the method, and types,
                never a value.
        """
        problem = self.find_problem(returned)
        if problem is not None:
            owner = type_name(getattr(method, "__self__", method))
            name = getattr(method, "__name__", "a method")
            raise StoreError(f"{owner}.{name} must return {self.words}; it returned {problem}")


def describe_returned(found: object) -> str:
    """Describe what was returned, by its type alone."""
    return "None" if found is None else f"a value of type {type_name(found)}"


def _find_answer_problem(returned: object) -> str | None:
    return None if isinstance(returned, bool) else describe_returned(returned)


WHETHER = Promise("True or False", _find_answer_problem)
