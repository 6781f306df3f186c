"""
Tasks that neither end too early nor run too long.

asyncio.run ends with a cancellation: it cancels each task of its loop that asyncio lists, waits
for them, and closes the loop. A token request that this cuts in two loses a one-time refresh token.
So a GuardedTask consists of two tasks:

    guard   listed        asyncio.run cancels it, and waits for it
      |                   it passes the cancellation on to the work, but not inside `uninterrupted`
      v
    work    not listed    runs the coroutine; only its guard can cancel it

The loop's end then waits for the section that must not be interrupted, and for no more.
"""

import asyncio
import contextlib
import inspect
from asyncio.tasks import _unregister_task
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, ContextVar
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_GRACE = 1.0
"""Seconds that a cancelled coroutine may take to end before it is left to itself."""


_TURNS = 20
"""Turns of the loop in which a coroutine may take what has arrived before its time was over."""


class WorkBrokenOffError(Exception):
    """
    The awaited work ended by what is no Exception, although nothing here had cancelled it.

    Attributes:
        raised: The class of it, and the place that it came from.

        is_interrupt: It was a KeyboardInterrupt or a SystemExit. asyncio has let it out of the loop
            at once, to whoever runs the program: here it is only the reason for a failure.
    """

    def __init__(self, error: BaseException) -> None:
        from aritma_auth.runtime.raised import describe_raised  # of wrong callables only

        self.raised = describe_raised(error)
        self.is_interrupt = isinstance(error, KeyboardInterrupt | SystemExit)
        super().__init__(self.raised)


class GuardedTask(Generic[T]):
    """
    Runs a coroutine on the running loop, in a clean context and with a guard of its own.

    Attributes:
        loop: The event loop that runs it.

        work: The task of the coroutine.

        is_lost: It was given up while its loop stood still, and begins nothing new if that goes on.
    """

    __slots__ = ("_cut_is_due", "_guard", "_sections", "is_lost", "loop", "work")

    def __init__(
        self,
        coroutine: Coroutine[object, object, T],
        name: str,
        on_end: "Callable[[asyncio.Task[T]], None] | None" = None,
    ) -> None:
        self.loop = _running_loop(coroutine)
        self._sections = 0
        self._cut_is_due = False
        self.is_lost = False
        # A clean context: neither the first caller's tracing span nor its log fields.
        context = Context()
        context.run(_current.set, self)
        self.work = _start_unlisted(self.loop, coroutine, name, context)
        if on_end is not None:
            # A task that is cancelled before its first step never enters a finally.
            self.work.add_done_callback(on_end, context=context)
        self._guard = self.loop.create_task(self._watch(), name=f"{name} (guard)", context=context)
        silence(self._guard)

    @property
    def is_uninterruptible(self) -> bool:
        """The work is inside `uninterrupted`."""
        return self._sections > 0

    def cut(self) -> None:
        """Cancel the work as soon as it may be interrupted; call this on its own loop."""
        if self._sections:
            self._cut_is_due = True
        else:
            self.work.cancel()

    def cut_from_elsewhere(self) -> None:
        """Cut it on its own loop, before anything else if that goes on after all."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.cut)

    def lose(self) -> None:
        """Give it up, from any loop: nobody will wait for it any more."""
        if not self.work.done():
            self.is_lost = True
            self.cut_from_elsewhere()

    async def end(self, within: float | None = None) -> None:
        """
        Wait until the work and its guard have ended.

        Args:
            within: Seconds, or None for as long as it takes. A loop that is over is not waited for.
        """
        if self.loop is asyncio.get_running_loop():
            await asyncio.wait((self._guard,), timeout=within)
        elif self.loop.is_running():
            ended = asyncio.run_coroutine_threadsafe(self.end(), self.loop)
            await asyncio.wait((asyncio.wrap_future(ended),), timeout=within)

    async def _watch(self) -> None:
        while not self.work.done():
            try:
                await asyncio.wait((self.work,))
            except asyncio.CancelledError:
                self.cut()

    def enter(self) -> None:
        """Begin a section that must not be interrupted."""
        self._sections += 1

    def leave(self) -> None:
        """End such a section; a cancellation that came meanwhile follows in the next turn."""
        self._sections -= 1
        if self._cut_is_due:
            # Not at once: the next section may begin before the work awaits anything.
            self._cut_is_due = False
            self.loop.call_soon(self.cut)


_current: "ContextVar[GuardedTask[Any] | None]" = ContextVar("_current", default=None)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let neither the loop's end nor `GuardedTask.cut` interrupt what is awaited inside."""
    task = _current.get()
    if task is None:
        yield
        return
    task.enter()
    try:
        yield
    finally:
        task.leave()


def is_lost() -> bool:
    """
    Tell whether the running task belongs to work that was given up: it begins nothing new.

    A loop that goes on after it has stood still may first run what was ready when it stopped, and
    so enter a section that must not be interrupted, before it learns of the cancellation.
    """
    task = _current.get()
    # A task that a user's callable has started inherits its context, and may outlive the work.
    return task is not None and task.is_lost and not task.work.done()


def stop_if_lost() -> None:
    """
    End work that was given up.

    Raises:
        asyncio.CancelledError: It was.
    """
    if is_lost():
        raise asyncio.CancelledError


async def run_to_the_end(coroutine: Coroutine[object, object, T], name: str) -> T:
    """
    Await a coroutine that nothing interrupts; a cancelled caller leaves it running.

    Args:
        coroutine: Ends by itself in bounded time.

        name: The task's name.
    """

    async def run() -> T:
        with uninterrupted():
            return await coroutine

    _running_loop(coroutine)
    task = GuardedTask(run(), name, retrieve)
    await asyncio.wait((task.work,))
    return task.work.result()


async def run_within(
    seconds: float,
    coroutine: Coroutine[object, object, T],
    name: str = "aritma-auth work",
    context: Context | None = None,
) -> T:
    """
    Await a coroutine for so long, whatever it does.

    asyncio.timeout does not do: it waits for ever for a coroutine that swallows its cancellation,
    a CancelledError or a GeneratorExit that the coroutine raises by itself looks like the caller's
    own, and when the loop stood still for longer than the time, it cancels a coroutine whose result
    is there.

    Args:
        seconds: Time on the loop's clock.

        coroutine: Perhaps a user's own code.

        name: The task's name.

        context: That of the task; None copies the caller's.

    Raises:
        TimeoutError: The time is over. The coroutine is cancelled, and left to itself if it does
            not end within a second.

        WorkBrokenOffError: The coroutine ended by itself, by what is no Exception.
    """
    task = _start_unlisted(_running_loop(coroutine), coroutine, name, context)
    try:
        await asyncio.wait((task,), timeout=seconds)
        turns = 0
        while not task.done() and turns < _TURNS:
            await asyncio.sleep(0)
            turns += 1
    except asyncio.CancelledError:
        await _stop(task)
        raise
    except GeneratorExit:
        # The loop was closed with its tasks. Python warns of a coroutine that has not begun, and
        # of an error that nobody has taken.
        if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
            coroutine.close()
        elif task.done():
            retrieve(task)
        raise
    if not task.done():
        await _stop(task)
        if not task.done() or task.cancelled():
            raise TimeoutError
    try:
        return task.result()
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - the caller is told what it was
        problem = WorkBrokenOffError(error)
    # Outside the except block: the traceback would hold the frames of the work.
    raise problem


async def _stop(task: "asyncio.Task[T]") -> None:
    if task.done():
        # It failed in the very turn in which its caller was cancelled.
        retrieve(task)
        return
    task.cancel()
    task.add_done_callback(retrieve)
    await asyncio.wait((task,), timeout=_GRACE)


def _running_loop(coroutine: Coroutine[object, object, object]) -> asyncio.AbstractEventLoop:
    """Return the running loop; without one the coroutine is closed, since nothing will await it."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        # The caller is being collected with its loop, and cleans up in vain.
        coroutine.close()
        raise


def _start_unlisted(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[object, object, T],
    name: str,
    context: Context | None,
) -> "asyncio.Task[T]":
    try:
        task = loop.create_task(coroutine, name=name, context=context)
    except BaseException:
        coroutine.close()
        raise
    silence(task)
    # Documented for task implementations ("Extending" in asyncio's reference): asyncio.all_tasks,
    # and so the cancellation at the end of asyncio.run, no longer lists it.
    _unregister_task(task)
    return task


def silence(task: "asyncio.Future[T]") -> None:
    """Let a task go without a word if its loop is closed before it has ended."""
    # A loop that is closed without cancelling its tasks destroys them; waiters account for it.
    with contextlib.suppress(AttributeError):
        task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - it has no public name


def retrieve(task: "asyncio.Task[T]") -> None:
    """Take an ended task's exception, which asyncio would report if no caller receives it."""
    if not task.cancelled():
        task.exception()
