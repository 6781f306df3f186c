"""Stores that a test steers."""

import aritma_auth as aa


class FailingStore(aa.MemoryTokenStore):
    """A store that fails when the test wants it to."""

    def __init__(self):
        super().__init__()
        self.failing = set()

    async def load(self, key):
        if "load" in self.failing:
            raise OSError("secret detail")
        return await super().load(key)

    async def save(self, key, record, *, replaces, fence=0):
        if "save" in self.failing or ("keep" in self.failing and record.redeeming_since is None):
            raise OSError("secret detail")
        if "conflict" in self.failing:
            return False
        return await super().save(key, record, replaces=replaces, fence=fence)

    async def acquire(self, key, *, seconds):
        if "lease" in self.failing:
            raise OSError("secret detail")
        return await super().acquire(key, seconds=seconds)
