"""Kills a coroutine at one of its suspensions, as the end of its process would."""

import asyncio


class KilledError(BaseException):
    """The process ends here."""


class Mortal:
    """Runs a coroutine that is killed at one of its suspensions, counted from 0."""

    def __init__(self, coroutine, last):
        self.coroutine = coroutine
        self.left = last
        self.is_killed = False

    def __await__(self):
        steps, value, error = self.coroutine.__await__(), None, None
        while True:
            if self.left == 0 and not self.is_killed:
                # Its cleanup runs, its next line does not: what it has not saved is lost.
                self.is_killed, error = True, asyncio.CancelledError()
            self.left -= 1
            try:
                waiting = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            except asyncio.CancelledError:
                if self.is_killed:
                    raise KilledError from None
                raise
            value = error = None
            try:
                value = yield waiting
            except BaseException as thrown:  # noqa: BLE001 - passed on
                error = thrown
