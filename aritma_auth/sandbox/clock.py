"""The sandbox's own time: the machine's, moved as a test wants it."""

import time


class SandboxClock:
    """
    POSIX time with an offset.

    Attributes:
        offset: Seconds that this clock is ahead of the machine's.
    """

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        """Give POSIX seconds."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """
        Move the clock; tokens age by it and expire.

        Args:
            seconds: How far, also backwards.
        """
        self.offset += seconds
