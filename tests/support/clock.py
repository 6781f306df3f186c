"""A clock that a test moves."""

import asyncio


class FakeClock:
    """A clock that stands still until a test moves it; sleeping moves it too."""

    def __init__(self, *, counts_suspend=True):
        self.counts_suspend = counts_suspend
        self.mono = 1000.0
        self.wall = 1_700_000_000.0
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
