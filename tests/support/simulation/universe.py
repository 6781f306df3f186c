"""True time, who runs next, and what every process of the universe can read of it."""

import contextlib
import gc
import hashlib
import heapq
import itertools
import math
import random
import time
import warnings

from support.simulation.threads import Threads

_SPIN_LIMIT = 200_000
"""Callbacks in one moment of true time before the universe counts as spinning."""


class Violation(Exception):  # noqa: N818 - it is a finding, not an error of the harness
    """
    An invariant does not hold.

    Attributes:
        invariant: The invariant's short name; shrinking keeps it.
    """

    def __init__(self, invariant, message):
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


class Universe:
    """
    One history: true time, an agenda of what happens when, and the loops that can run now.

    Args:
        seed: Decides everything that is left to chance.

    Attributes:
        now: True seconds since the beginning.

        loops: Every event loop that is open, in the order of their making.

        closed_loops: Those that were closed.

        trace: What happened: (seconds, text) in order.

        signals: Told of each anchor that an armed step may wait for.

        over: The history has ended: whatever still runs is being disposed of.
    """

    def __init__(self, seed):
        self.seed = seed
        self.now = 0.0
        self.loops = []
        self.closed_loops = []
        self.threads = Threads(self)
        self.processes = []
        self.trace = []
        self.signals = None
        self.violation = None
        self.over = False
        self.current = None
        self._told = 0.0
        self._agenda = []
        self._counter = itertools.count()
        self._order = self.stream("order")

    def stream(self, purpose):
        """Give the random numbers of one purpose, so that one purpose does not disturb another."""
        return random.Random(f"{self.seed} {purpose}")

    def note(self, *words):
        """Append what happened to the universe's trace."""
        if not self.over:
            self.trace.append((round(self.now, 6), " ".join(map(str, words))))

    def fail(self, invariant, message):
        """Write down that an invariant does not hold; the first one ends the history."""
        if self.violation is None and not self.over:
            self.note("VIOLATION", invariant, message)
            self.violation = Violation(invariant, message)

    def moment(self):
        """Give the true seconds, later than ever before: what happens in one instant has an order too."""
        self._told = max(self.now, math.nextafter(self._told, math.inf))
        return self._told

    def at(self, when, callback):
        """Let something happen at a moment of true time."""
        heapq.heappush(self._agenda, (max(when, self.now), next(self._counter), callback))

    def after(self, seconds, callback):
        """Let something happen after some true seconds."""
        self.at(self.now + seconds, callback)

    def signal(self, anchor, process):
        """Tell the armed steps that something has happened to a process."""
        if self.signals is not None and not self.over:
            self.signals(anchor, process)

    def run(self, until):
        """Let the universe's time pass until the given second."""
        here, spins = self.now, 0
        agenda = self._agenda
        while self.violation is None:
            if agenda and agenda[0][0] <= self.now:
                heapq.heappop(agenda)[2]()
            elif ready := [loop for loop in self.loops if loop.can_step()]:
                # Loops are threads: any of them may be next.
                loop = ready[0] if len(ready) == 1 else self._order.choice(ready)
                loop.step()
            else:
                due = [when for loop in self.loops if (when := loop.next_timer()) is not None]
                if agenda:
                    due.append(agenda[0][0])
                if not due or min(due) > until:
                    self.now = until
                    return
                self.now = max(self.now, min(due))
            spins = spins + 1 if self.now == here else 0
            here = self.now
            if spins > _SPIN_LIMIT:
                self.fail("spins", "callbacks run without end and time stands still")

    def digest(self):
        """Give a short text that is the same for the same history."""
        return hashlib.sha256(repr(self.trace).encode()).hexdigest()[:16]

    def dispose(self):
        """Close what still runs, without letting it do anything any more."""
        self.over = True
        self.threads.dispose()
        for loop in (*self.loops, *self.closed_loops):
            loop.dispose()
        self._agenda.clear()
        self.loops.clear()
        self.closed_loops.clear()
        self.processes.clear()
        self.signals = None

    @contextlib.contextmanager
    def clocks(self):
        """Let `time` tell the time of the process that runs, as the operating system would."""
        real = time.time, time.monotonic, time.sleep
        time.time, time.monotonic, time.sleep = self._wall, self._monotonic, _refuse_to_sleep
        try:
            with self.threads.patched():
                yield
        finally:
            time.time, time.monotonic, time.sleep = real

    def _wall(self):
        return self.now if self.current is None else self.current.clock.time()

    def _monotonic(self):
        return self.now if self.current is None else self.current.clock.running()


def _refuse_to_sleep(seconds):
    raise RuntimeError(f"time.sleep({seconds}) would block a simulated loop")


@contextlib.contextmanager
def quiet():
    """Leave no trace of processes that were killed: no warnings, no collection in between."""
    enabled = gc.isenabled()
    gc.disable()
    # What was there before need not be looked through again and again.
    gc.freeze()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
            gc.collect()
        finally:
            if enabled:
                gc.enable()
