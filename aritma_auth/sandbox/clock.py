"""The sandbox's own time: the machine's clocks, moved by a test."""

import asyncio
import contextlib
import sys

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock


class SandboxClock(Clock):
    """
    A `aritma_auth.Clock` that a test moves, for a client and a provider as well as the sandbox.

    Attributes:
        offset: Seconds that the wall clock is ahead of the machine's.
    """

    def __init__(self) -> None:
        self.counts_suspend = SYSTEM_CLOCK.counts_suspend
        self.offset = 0.0
        self._elapsed = 0.0
        self._frozen_at: tuple[float, float] | None = None
        self._sleepers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def time(self) -> float:
        """Give POSIX seconds."""
        return self._machine_time()[0] + self.offset

    def monotonic(self) -> float:
        """Give seconds that never go back: setting the wall clock back leaves them alone."""
        return self._machine_time()[1] + self._elapsed

    def _machine_time(self) -> tuple[float, float]:
        if self._frozen_at is not None:
            return self._frozen_at
        return SYSTEM_CLOCK.time(), SYSTEM_CLOCK.monotonic()

    def freeze(self) -> None:
        """
        Stop both clocks, for tests on slow machines.

        Only `advance` moves them then, and only `advance` ends a `sleep`.
        """
        self._frozen_at = self._machine_time()
        self._wake_sleepers()

    def advance(self, seconds: float) -> None:
        """
        Move the clocks: tokens age, and sleeps end.

        Args:
            seconds: By how much. A negative number sets the wall clock back, as an operator does;
                the monotonic clock stays.

        Raises:
            ConfigurationError: ``seconds`` is not a finite number.
        """
        _require_number(seconds)
        self.offset += seconds
        self._elapsed += max(seconds, 0.0)
        self._wake_sleepers()

    async def sleep(self, seconds: float) -> None:
        """
        Wait until this clock has moved on, by itself or by `advance`.

        Args:
            seconds: Duration on this clock.
        """
        _require_number(seconds)
        end = self.monotonic() + seconds
        await asyncio.sleep(0)
        moved = asyncio.Event()
        sleeper = (asyncio.get_running_loop(), moved)
        self._sleepers.add(sleeper)
        try:
            while (left := end - self.monotonic()) > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left if self._frozen_at is None else None):
                        await moved.wait()
                moved.clear()
        finally:
            self._sleepers.discard(sleeper)

    def _wake_sleepers(self) -> None:
        # A test may move the clock from another thread than the one that sleeps.
        for loop, moved in tuple(self._sleepers):
            loop.call_soon_threadsafe(moved.set)


def _require_number(seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise wrong_kind("seconds", "a number", seconds)
    # Compared, not converted: an int may be larger than any float; and nan compares to nothing.
    if not abs(seconds) <= sys.float_info.max:
        raise ConfigurationError(f"seconds must be finite, not {seconds!r:.40}")
