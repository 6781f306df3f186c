"""A clock that a test moves."""

import asyncio

from aritma_auth.runtime.clock import SYSTEM_CLOCK


class FakeClock:
    """A clock that stands still until a test moves it; sleeping moves it too."""

    def __init__(self, *, counts_suspend=True, wall=1_700_000_000.0):
        self.counts_suspend = counts_suspend
        self.mono = 1000.0
        self.wall = wall
        self.slept = []

    def monotonic(self):
        return self.mono

    def time(self):
        return self.wall

    def advance(self, seconds):
        self.mono += seconds
        self.wall += seconds

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)


class LoopClock(FakeClock):
    """A clock that also goes on with the running loop, whose waits take no time: `LeapingLoop`."""

    def monotonic(self):
        return self.mono + self._leaped()

    def time(self):
        return self.wall + self._leaped()

    def _leaped(self):
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return 0.0

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)


class ShiftedClock:
    """Another clock that is wrong by some seconds."""

    def __init__(self, clock, seconds):
        self.clock = clock
        self.seconds = seconds
        self.counts_suspend = clock.counts_suspend

    def monotonic(self):
        return self.clock.monotonic()

    def time(self):
        return self.clock.time() + self.seconds

    async def sleep(self, seconds):
        await self.clock.sleep(seconds)


class PollingClock(ShiftedClock):
    """The machine's clock, whose sleeps take no time and await a function of the test's instead."""

    def __init__(self, meanwhile):
        super().__init__(SYSTEM_CLOCK, 0.0)
        self.meanwhile = meanwhile

    async def sleep(self, seconds):
        self.seconds += seconds
        await self.meanwhile(seconds)
