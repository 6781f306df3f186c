"""An event loop on virtual time, stepped one callback at a time."""

import asyncio
import contextlib
import heapq
import itertools
import socket
from asyncio import events

from support.simulation.network import Transport

_RESOLUTION = 1e-6
"""Seconds by which a timer is late: however short a wait is, time goes on."""

_CLOSINGS = 20
"""Times that a coroutine may await on while it is closed at the end of a universe."""


class SimulatedLoop(asyncio.AbstractEventLoop):
    """
    What asyncio's own loop does in an iteration: callbacks, then sockets, then timers that are due.

    Args:
        process: Whose loop it is; its clock is the loop's clock.

        name: For the trace.

    Attributes:
        mode: ``running``, ``standing`` (it was stopped, or left), ``ending`` (its `asyncio.run`
            cancels what is left) or ``closed``.

        closed_at: True seconds when it was closed, or None.

        is_torn: It was closed with work of the package on it.

        blocked_until: True seconds until which a callback holds its thread.

        baton: The thread of the package that runs it, or None.

        disturbed: Pieces of true time in which it was blocked or stood still: [from, until].
    """

    def __init__(self, process, name, mode="running"):
        self.process = process
        self.name = name
        self.mode = mode
        self.baton = None
        self.disturbed = []
        self.blocked_until = 0.0
        self.closed_at = None
        self.is_torn = False
        self.tasks = {}
        self._universe = process.universe
        self._ready = []
        self._batch = []
        self._io = []
        self._timers = []
        self._counter = itertools.count()
        self._connected = {}
        self._is_stopping = False
        self._awaited = []
        self._universe.loops.append(self)

    # -- the universe's side ------------------------------------------------------------------

    def can_step(self):
        """Tell whether a callback can run now."""
        if self.mode not in {"running", "ending"} or not self.process.can_run:
            return False
        if self.blocked_until > self._universe.now:
            return False
        return bool(
            self._batch
            or self._ready
            or self._io
            or (self._timers and self._timers[0][0] <= self.time())
        )

    def next_timer(self):
        """Give the true seconds when there is something to do, or None."""
        if self.mode not in {"running", "ending"} or not self.process.can_run:
            return None
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        has_work = self._batch or self._ready or self._io
        if has_work:
            return max(self.blocked_until, self._universe.now)
        if not self._timers:
            return None
        due = self._timers[0][0] + self.process.clock.loop_epoch + _RESOLUTION
        return max(due, self.blocked_until)

    def step(self):
        """Run the next callback of the event loop."""
        if not self._batch:
            self._begin_iteration()
        universe = self._universe
        if self._batch:
            handle = self._batch.pop()
            if not handle.cancelled():
                universe.current = self.process
                events._set_running_loop(self)
                try:
                    handle._run()
                finally:
                    events._set_running_loop(None)
                    universe.current = None
        universe.signal("step", self.process)
        if self._is_stopping and not self._batch:
            self._stop_running()
        if self.mode == "ending" and not self._batch:
            self._finish_ending()

    def _begin_iteration(self):
        batch = self._ready
        self._ready = []
        io, self._io = self._io, []
        batch.extend(asyncio.Handle(callback, (), self) for callback in io)
        now = self.time()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled():
                batch.append(timer)
        batch.reverse()
        self._batch = batch

    def on_socket(self, callback):
        """Let the next iteration see that a socket is ready."""
        if self.mode != "closed" and not self._universe.over:
            self._io.append(callback)

    def pending(self):
        """Give the tasks that have not ended, in the order of their creation."""
        for task in [task for task in self.tasks if task.done()]:
            del self.tasks[task]
        return list(self.tasks)

    def end_run(self):
        """Do what `asyncio.run` does at its end: cancel what asyncio lists, wait for it, close."""
        if self.mode in {"running", "standing"}:
            self.mode = "ending"
            pending = self.pending()
            listed = asyncio.all_tasks(self) if pending else ()
            # In the order of their creation: a set of tasks has none that could be repeated.
            self._awaited = [task for task in pending if task in listed]
            for task in self._awaited:
                task.cancel()
            self._finish_ending()

    def _finish_ending(self):
        if all(task.done() for task in self._awaited):
            self.close()

    def dispose(self):
        """End what is left, after the universe."""
        self.mode = "closed"
        events._set_running_loop(self)
        try:
            for task in list(self.tasks):
                with contextlib.suppress(AttributeError):
                    task._log_destroy_pending = False
                coroutine = task.get_coro()
                for _ in range(_CLOSINGS):
                    if task.done() or coroutine is None:
                        break
                    try:
                        coroutine.close()
                    except BaseException:  # noqa: BLE001 - it is over, whatever it raises
                        continue
                    break
        finally:
            events._set_running_loop(None)
        for sock in self._connected:
            sock.close()
        self._ready, self._batch, self._io, self._timers = [], [], [], []
        self.tasks.clear()
        self._connected.clear()

    # -- asyncio's side -----------------------------------------------------------------------

    def time(self):
        return self.process.clock.running()

    def call_soon(self, callback, *args, context=None):
        self._require_open()
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(self, callback, *args, context=None):
        return self.call_soon(callback, *args, context=context)

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        self._require_open()
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._counter), timer))
        return timer

    def _timer_handle_cancelled(self, handle):
        pass

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None, **kwargs):
        self._require_open()
        task = asyncio.Task(coro, loop=self, name=name, context=context, **kwargs)
        self.tasks[task] = None
        return task

    def get_task_factory(self):
        return None

    def run_in_executor(self, executor, func, *args):
        future = self.create_future()
        self.process.in_thread(self, future, func, args)
        return future

    async def shutdown_asyncgens(self):
        pass

    async def shutdown_default_executor(self, timeout=None):
        pass

    def is_running(self):
        return self.mode in {"running", "ending"}

    def is_closed(self):
        return self.mode == "closed"

    def stop(self):
        self._is_stopping = True

    def _stop_running(self):
        self._is_stopping, self.mode = False, "standing"
        if self.baton is not None:
            baton, self.baton = self.baton, None
            self._universe.current = self.process
            baton.give()
            self._universe.current = None

    def run_forever(self):
        # Only a thread that the package has started may wait here: the universe steps the loop.
        baton = self._universe.threads.current()
        if baton is None:
            raise RuntimeError("this thread belongs to the universe")
        self.baton, self.mode = baton, "running"
        events._set_running_loop(None)
        baton.park()

    def run_until_complete(self, future):
        task = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(lambda _: self.stop())
        self.run_forever()
        return task.result()

    def set_debug(self, enabled):
        pass

    def stand(self, seconds):
        """Stop, as a synchronous wrapper's loop does after its time-out."""
        self.mode = "standing"
        self.disturbed.append([self._universe.now, self._universe.now + seconds])

    def block(self, seconds):
        """Let a callback hold the thread."""
        self.blocked_until = self._universe.now + seconds
        self.disturbed.append([self._universe.now, self.blocked_until])

    def close(self):
        self.mode, self.closed_at = "closed", self._universe.now
        if self in self._universe.loops:
            self._universe.loops.remove(self)
            self._universe.closed_loops.append(self)
        self._ready, self._batch, self._io, self._timers = [], [], [], []
        self.process.loop_closed(self)

    def get_debug(self):
        return False

    def get_exception_handler(self):
        return None

    def default_exception_handler(self, context):
        self.call_exception_handler(context)

    def call_exception_handler(self, context):
        error = context.get("exception")
        if error is not None and not self._universe.over and "handle" in context:
            self._universe.fail(
                "callbacks do not raise",
                f"{context.get('message')}: {type(error).__name__}: {error}",
            )

    def _require_open(self):
        if self.mode == "closed" and not self._universe.over:
            raise RuntimeError("Event loop is closed")

    async def getaddrinfo(self, host, port, **kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async def sock_connect(self, sock, address):
        self._connected[sock] = await self._universe.network.connect(self, address)

    async def create_connection(self, protocol_factory, host=None, port=None, *, sock, **kwargs):
        connection = self._connected.pop(sock)
        sock.close()
        protocol = protocol_factory()
        transport = Transport(self, connection, protocol)
        self.call_soon(protocol.connection_made, transport)
        made = self.create_future()
        self.call_soon(_set_unless_done, made)
        await made
        return transport, protocol


def _set_unless_done(future):
    if not future.done():
        future.set_result(None)
