"""A clock on which an end-user decides while a client sleeps."""

import aritma_auth as aa


class Deciding(aa.Clock):
    """
    A clock whose sleeps end at once; the end-user decides before a certain one ends.

    Args:
        sandbox: Where the end-user decides; its clock is moved.

        after: Number of the sleep; 0 for never.

        agrees: What the end-user says.
    """

    counts_suspend = False

    def __init__(self, sandbox, *, after=2, agrees=True):
        self.sandbox = sandbox
        self.after = after
        self.agrees = agrees
        self.slept = []

    def time(self):
        return self.sandbox.clock.time()

    def monotonic(self):
        return self.sandbox.clock.monotonic()

    async def sleep(self, seconds):
        self.slept.append(seconds)
        if len(self.slept) == self.after:
            await self.sandbox.decide_backchannel("alice", agrees=self.agrees)
        self.sandbox.clock.advance(seconds)
