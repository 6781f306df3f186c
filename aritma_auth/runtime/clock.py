"""The two clocks of a token's life, behind one small interface that tests can replace."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """
    The time, for everything in this package that needs it.

    Attributes:
        counts_suspend: ``monotonic`` goes on while the machine sleeps, so it alone can be trusted.
    """

    counts_suspend: bool

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    def time(self) -> float:
        """Return POSIX seconds, as the wall clock has them."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        ...


def _boot_time() -> Callable[[], float] | None:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return None if clock is None else partial(time.clock_gettime, clock)


class SystemClock:
    """The machine's clocks: CLOCK_BOOTTIME where there is one, else the monotonic clock."""

    __slots__ = ("counts_suspend", "monotonic", "time")

    def __init__(self) -> None:
        boot_time = _boot_time()
        self.counts_suspend = boot_time is not None
        # Attributes, not methods: the cached path calls them without a frame of ours.
        self.monotonic: Callable[[], float] = boot_time or time.monotonic
        self.time: Callable[[], float] = time.time

    async def sleep(self, seconds: float) -> None:
        """Wait on the running loop."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
