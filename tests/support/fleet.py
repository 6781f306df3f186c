"""
A fleet of real processes on one rotating refresh token, killed and restarted while it works.

The parent runs the authorization server and the API (`support.fleet_server`); each worker is a
process of its own (`support.fleet_worker`).
"""

import asyncio
import collections
import json
import os
import random
import sys
import time
from pathlib import Path

import attrs

from support.fleet_server import RotatingServer
from support.fleet_worker import HEALTHY, PLAIN, plant

__all__ = ["Fleet", "RotatingServer", "plant"]

TESTS = Path(__file__).parents[1]
PAUSE = 0.02
"""Seconds between two calls of a worker."""


@attrs.define(eq=False)
class Worker:
    """A worker process and what it has said."""

    process: asyncio.subprocess.Process
    role: str
    is_ready: asyncio.Event = attrs.field(factory=asyncio.Event)


class Fleet:
    """
    The worker processes.

    Args:
        spec: What all of them get: server, store, lifetime, grant, …

        size: Plain workers.

        odd: Roles of the workers beside them.

    Attributes:
        failures: What healthy workers said of calls that failed.

        odd_failures: How many calls of the others failed, by role.

        longest: Seconds that the longest call took, by role.
    """

    def __init__(self, spec, size, odd=()):
        self._spec = {"pause": PAUSE, **spec}
        self._roles = [*[PLAIN] * size, *odd]
        self._workers = []
        self._readers = []
        self.failures = []
        self.odd_failures = collections.Counter()
        self.longest = collections.defaultdict(float)

    async def __aenter__(self):
        for role in self._roles:
            await self.hire(role)
        for worker in self._workers:
            await worker.is_ready.wait()
        return self

    async def hire(self, role):
        """Start one more worker process of the fleet."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "support.fleet_worker"),
            json.dumps({**self._spec, "role": role}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        )
        worker = Worker(process, role)
        self._workers.append(worker)
        self._readers.append(asyncio.create_task(self._listen(worker)))
        return worker

    async def _listen(self, worker):
        async for line in worker.process.stdout:
            said = json.loads(line)
            if "ready" in said:
                worker.is_ready.set()
            else:
                self._called(worker, **said)
        if await worker.process.wait() > 0:
            self._failed(worker, "the process has ended by an error")
        worker.is_ready.set()

    def _called(self, worker, failed, took, events):
        role = worker.role
        self.longest[role] = max(self.longest[role], took)
        if failed is not None and role not in HEALTHY:
            self.odd_failures[role] += 1
        elif failed is not None:
            self._failed(worker, f"{failed} after {took} s", events)

    def _failed(self, worker, problem, events=()):
        failure = f"{time.monotonic():.2f} {worker.role} {worker.process.pid}: {problem}"
        self.failures.append(failure)
        print(failure, *events, sep="\n    ", flush=True)

    async def kill_one(self):
        """End a worker without warning, and hire another in its place."""
        worker = random.choice(self._workers)
        self._workers.remove(worker)
        worker.process.kill()
        await worker.process.wait()
        return await self.hire(worker.role)

    async def __aexit__(self, *_):
        for worker in self._workers:
            worker.process.stdin.close()
        for worker in self._workers:
            await worker.process.wait()
        await asyncio.gather(*self._readers)
