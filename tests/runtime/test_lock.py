"""Locks in a child of fork: free, whoever held them, and held by one thread at a time."""

import os
import sys
import threading

import pytest

from aritma_auth.runtime.lock import fork_safe_lock

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

THREADS = 8


def held_elsewhere(lock):
    """Let another thread hold the lock for ever."""
    holder = threading.Thread(target=lock.acquire)
    holder.start()
    holder.join()


def held_twice_here(lock):
    lock.acquire()
    lock.acquire()


def overlaps_in_threads(lock):
    """Let threads enter the lock together for the first time; count how often two were in it."""
    together, inside, overlaps = threading.Barrier(THREADS), [], []

    def enter():
        together.wait()
        with lock:
            inside.append(1)
            overlaps.extend(inside[1:])
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        if thread.is_alive():
            return -1
    return len(overlaps)


@pytest.mark.parametrize("hold", [held_elsewhere, held_twice_here, lambda lock: None])
def test_threads_of_a_child_enter_one_after_another(hold):
    """The lock is reset before the child runs anything, and not by whoever comes to it first."""
    lock = fork_safe_lock()
    hold(lock)
    child = os.fork()
    if child == 0:
        code = 2
        try:
            sys.setswitchinterval(1e-6)
            code = 0 if overlaps_in_threads(lock) == 0 else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
