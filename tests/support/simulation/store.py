"""A token store that all processes of a universe share: slow, away, hung, forgetful, or half-done."""

import asyncio

import attrs

from aritma_auth.stores import Entry, Record

_COLLECTED_AFTER = 5.0
"""Seconds after which a garbage collection has closed the files of a loop that was closed."""


@attrs.define
class Cell:
    """
    What the store keeps of one key.

    Attributes:
        born_at: Seconds of the store's clock when the token's request left.

        gate_until: Seconds of the store's clock until which the shared backoff lasts.
    """

    record: Record
    generation: int
    fence: int
    sealed_by: str
    born_at: float | None
    gate_until: float


class Shelf:
    """
    The store's memory, and its own clock: true time.

    Args:
        universe: Its time and chance.

        world: ``redis`` leases end by themselves, and the store tells a token's age; ``file``
            leases end with their process, and it does not.

        watch: Told of every write.

    Attributes:
        faults: By process slot: kind of fault in force, and until when.
    """

    def __init__(self, universe, world, watch):
        self.universe = universe
        self.world = world
        self.watch = watch
        self.cells = {}
        self.leases = {}
        self.fences = {}
        self.faults = {}
        self._random = universe.stream("store")

    def lose_memory(self):
        """Forget everything, as after a restart without persistence."""
        self.universe.note("store loses its memory")
        self.watch.store_lost_memory()
        self.cells.clear()
        self.leases.clear()
        self.fences.clear()

    def is_held_by_a_standing_loop(self):
        """Tell whether a lease cannot be given back, because its program has left the loop."""
        now = self.universe.now
        return any(lease.is_held(now) and lease.is_left for lease in self.leases.values())

    def fault(self, process):
        """Give the kind of fault that a process's way to the store has now, or None."""
        kind, until = self.faults.get(process.slot, (None, 0.0))
        return kind if self.universe.now < until else None

    def latency(self, process):
        """Give the seconds that a message is under way."""
        if self.fault(process) == "slow":
            return self._random.uniform(0.2, 2.0)
        return self._random.uniform(0.0003, 0.004)


class SharedStore:
    """
    One process's way to the store.

    Args:
        shelf: The store.

        process: Whose way it is; its ``key`` is the encryption key that it has.
    """

    can_watch = False

    def __init__(self, shelf, process):
        self.shelf = shelf
        self.process = process

    async def load(self, key):
        return await self._through("load", lambda: self._load(key))

    async def save(self, key, record, *, replaces, fence=0):
        return await self._through("save", lambda: self._save(key, record, replaces, fence))

    async def delete(self, key):
        await self._through("delete", lambda: self.shelf.cells.pop(key, None))

    async def acquire(self, key, *, seconds):
        lease, _ = await self._lease(key, seconds)
        return lease

    async def _lease(self, key, seconds):
        loop = asyncio.get_running_loop()
        granted = []

        def work():
            lease = self._acquire(key, seconds, loop)
            granted.append(lease)
            return lease, lease and self._load(key)

        try:
            return await self._through("lease", work)
        except BaseException:
            # As every store does: it may be granted although nobody waits for it any more.
            self._give_back_later(granted)
            raise

    def _give_back_later(self, granted):
        def give_back():
            for lease in granted:
                if lease is not None and not self.process.is_dead:
                    lease.give_back()

        self.shelf.universe.after(5.0, give_back)

    async def watch(self, key, *, generation):
        raise NotImplementedError("can_watch is False")

    async def _through(self, operation, work):
        shelf, process = self.shelf, self.process
        universe = shelf.universe
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        universe.signal("store begun", process)

        def reply(result, error=None):
            def done():
                if future.done():
                    return
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

            loop.on_socket(done)

        def arrive():
            fault = shelf.fault(process)
            if fault == "hung":
                return
            if fault == "away":
                later = shelf.latency(process)
                universe.after(later, lambda: reply(None, ConnectionError("the store is away")))
                return
            result = work()
            if operation != "load":
                universe.note(process.name, "store", operation, _shown(result))
            universe.signal("store done", process)
            error = OSError("the store's answer was lost") if fault == "loses answers" else None
            universe.after(shelf.latency(process), lambda: reply(result, error))

        universe.after(shelf.latency(process), arrive)
        return await future

    def _load(self, key):
        cell = self.shelf.cells.get(key)
        if cell is None:
            return None
        if cell.sealed_by != self.process.key and not self.process.history.healed:
            return Entry(
                Record(), cell.generation, problem="it is not sealed with a key that is known here"
            )
        now, record = self.shelf.universe.now, cell.record
        if record.backoff is not None:
            left = cell.gate_until - now
            record = attrs.evolve(record, backoff=attrs.evolve(record.backoff, seconds=left))
        age = None if cell.born_at is None else now - cell.born_at
        return Entry(record, cell.generation, age if self.shelf.world.store == "redis" else None)

    def _save(self, key, record, replaces, fence):
        shelf, now = self.shelf, self.shelf.universe.now
        cell = shelf.cells.get(key)
        generation = 0 if cell is None else cell.generation
        written = 0 if cell is None else cell.fence
        if generation != replaces or 0 < fence < written:
            return False
        born_at = None
        if record.token is not None:
            same = cell is not None and cell.record.token is not None
            if same and cell.record.token.issued_at == record.token.issued_at:
                born_at = cell.born_at
            else:
                wall = self.process.clock.time()
                born_at = now - max(0.0, wall - record.token.issued_at)
        self.shelf.watch.saved(self.process, None if cell is None else cell, record)
        # As in Redis: after a loss of memory later leases are numbered above this one.
        shelf.fences[key] = max(fence, shelf.fences.get(key, 0))
        shelf.cells[key] = Cell(
            record,
            generation + 1,
            max(fence, written),
            self.process.key,
            born_at,
            now + (0.0 if record.backoff is None else record.backoff.seconds),
        )
        return True

    def _acquire(self, key, seconds, loop):
        shelf, now = self.shelf, self.shelf.universe.now
        held = shelf.leases.get(key)
        if held is not None and held.is_held(now):
            return None
        fence = shelf.fences[key] = shelf.fences.get(key, 0) + 1
        lease = SharedLease(self, key, fence, seconds, loop)
        lease.until = now + seconds
        shelf.leases[key] = lease
        return lease


class PairedStore(SharedStore):
    """The way to a ``redis`` store: the entry comes with the lease, which ends with the last write."""

    async def acquire_and_load(self, key, *, seconds):
        granted = await self._lease(key, seconds)
        return granted if granted[0] else None

    async def save_and_release(self, key, record, *, replaces, fence, lease):
        def work():
            is_written = self._save(key, record, replaces, fence)
            if is_written:
                lease.give_back()
            return is_written

        return await self._through("save", work)


def way_to(shelf, process):
    """Give one process's way to the store."""
    return (PairedStore if shelf.world.store == "redis" else SharedStore)(shelf, process)


class SharedLease:
    """A lease: in a ``redis`` store it ends by itself, in a ``file`` store with its process."""

    def __init__(self, store, key, fence, seconds, loop):
        self.fence = fence
        self.until = 0.0
        self._store = store
        self._key = key
        self._seconds = seconds
        self._loop = loop
        self._is_file = store.shelf.world.store == "file"

    def is_held(self, now):
        """Tell whether it still holds."""
        if self._is_file:
            closed_at = self._loop.closed_at
            is_collected = closed_at is not None and now > closed_at + _COLLECTED_AFTER
            return not (self._store.process.is_dead or is_collected)
        return now < self.until

    @property
    def is_left(self):
        """Tell whether the loop that holds the lease stands still."""
        return self._loop.mode == "standing"

    async def keep(self):
        if self._is_file:
            # A lock of the operating system: no message, and nothing that a disk could delay.
            return self._keep()
        return await self._store._through("keep", self._keep)

    def _keep(self):
        now = self._store.shelf.universe.now
        if self._store.shelf.leases.get(self._key) is not self or not self.is_held(now):
            return False
        self.until = now + self._seconds
        return True

    async def release(self):
        if self._is_file:
            self.give_back()
        else:
            await self._store._through("release", self.give_back)

    def give_back(self):
        """End the lease at once, without a message to the store."""
        if self._store.shelf.leases.get(self._key) is self:
            del self._store.shelf.leases[self._key]


def _shown(result):
    if isinstance(result, tuple):
        lease, _ = result
        return "none" if lease is None else f"granted {lease.fence}"
    return {True: "done", False: "refused", None: "none"}.get(result, "")
