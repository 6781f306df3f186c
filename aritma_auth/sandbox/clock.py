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
        self._frozen_at: float | None = None

    def now(self) -> float:
        """Give POSIX seconds."""
        base = time.time() if self._frozen_at is None else self._frozen_at
        return base + self.offset

    def freeze(self) -> None:
        """Stand still from now on, for tests on slow machines; `advance` still moves the clock."""
        self._frozen_at = time.time()

    def advance(self, seconds: float) -> None:
        """
        Move the clock; tokens age by it and expire.

        Args:
            seconds: How far, also backwards.
        """
        self.offset += seconds
