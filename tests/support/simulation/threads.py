"""
Threads that the package starts, one baton among all.

A thread of its own runs for real, but only while the universe stands still: from its start, or from
the end of a loop that it ran, until it runs a loop again or ends. The loop itself is stepped by the
universe like every other. So a history with threads has one order too.
"""

import asyncio
import concurrent.futures
import contextlib
import threading
from asyncio import events

_REAL_SECONDS = 20.0
"""Real seconds for which a thread may hold the baton: more is a deadlock of the harness."""


class ThreadEnded(BaseException):
    """Ends a thread of a universe that is over."""


class Baton:
    """The permission to run, which one thread holds at a time."""

    def __init__(self, universe, process, thread):
        self.universe = universe
        self.process = process
        self.thread = thread
        self.has_ended = False
        self.must_die = False
        self._back = threading.Semaphore(0)
        self._turn = threading.Semaphore(0)

    def wait(self):
        """Wait, in the universe's thread, until the other one parks or ends."""
        if not self._back.acquire(timeout=_REAL_SECONDS):
            raise RuntimeError(f"{self.thread.name} neither runs a loop nor ends")

    def park(self):
        """Hand the baton back, in the other thread, until the loop it runs has stopped."""
        self._back.release()
        self._turn.acquire()
        if self.must_die:
            raise ThreadEnded

    def give(self):
        """Let the other thread go on, in the universe's thread."""
        self._turn.release()
        self.wait()

    def end(self):
        """Hand the baton back for good, in the other thread."""
        self.has_ended = True
        self._back.release()


class Threads:
    """
    Every thread of a universe.

    Args:
        universe: Whose processes start them.
    """

    def __init__(self, universe):
        self.universe = universe
        self.batons = []

    def of(self, process):
        """Give a process's threads that have not ended."""
        return [b for b in self.batons if b.process is process and not b.has_ended]

    def current(self):
        """Give the running thread's baton, or None."""
        here = threading.current_thread()
        return next((baton for baton in self.batons if baton.thread is here), None)

    def dispose(self):
        """End the threads of a universe that is over."""
        for baton in self.batons:
            if not baton.has_ended:
                baton.must_die = True
                baton.give()
            baton.thread.join(_REAL_SECONDS)
        self.batons.clear()

    @contextlib.contextmanager
    def patched(self):
        """Take over what starts threads and makes loops, for the processes of this universe."""
        start, submit = threading.Thread.start, concurrent.futures.ThreadPoolExecutor.submit
        new_loop = events.new_event_loop, asyncio.new_event_loop
        universe = self.universe

        def start_in_turn(thread):
            process = universe.current
            if process is None:
                start(thread)
                return
            baton = Baton(universe, process, thread)
            self.batons.append(baton)
            run = thread.run

            def run_in_turn():
                try:
                    run()
                except ThreadEnded:
                    pass
                finally:
                    baton.end()

            thread.run = run_in_turn
            universe.note(process.name, "starts a thread")
            running = events._get_running_loop()
            start(thread)
            baton.wait()
            universe.current = process
            events._set_running_loop(running)

        def submit_in_turn(executor, func, /, *args, **kwargs):
            if universe.current is None:
                return submit(executor, func, *args, **kwargs)
            future = concurrent.futures.Future()
            universe.current.in_pool(future, lambda: func(*args, **kwargs))
            return future

        def make_loop():
            process = universe.current
            if process is None:
                return new_loop[0]()
            return process.new_loop(f"own {len(process.loops)}", mode="standing")

        threading.Thread.start = start_in_turn
        concurrent.futures.ThreadPoolExecutor.submit = submit_in_turn
        events.new_event_loop = asyncio.new_event_loop = make_loop
        try:
            yield
        finally:
            threading.Thread.start = start
            concurrent.futures.ThreadPoolExecutor.submit = submit
            events.new_event_loop, asyncio.new_event_loop = new_loop
