"""A process without an operating system: clocks, loops, a provider, and what is done to them."""

import asyncio

import aritma_auth as aa
from support.simulation.loop import SimulatedLoop
from support.simulation.store import way_to

WALL = 1_700_000_000.0


class Machine:
    """
    A machine's clocks.

    Attributes:
        boot: True seconds from its start to the beginning of the universe.

        wall_offset: Seconds by which its wall clock is ahead.

        asleep: Seconds for which it has slept.

        sleeps: Pieces of true time: [from, until].
    """

    def __init__(self, boot, wall_offset):
        self.boot = boot
        self.wall_offset = wall_offset
        self.asleep = 0.0
        self.sleeps = []
        self.was_set_back = False

    def sleep(self, seconds):
        """Count a sleep from which the machine wakes now."""
        self.asleep += seconds


class ProcessClock:
    """
    The clocks of one process, as its machine tells them; an `aritma_auth.Clock`.

    Args:
        universe: True time.

        machine: Whose clocks they are.

        counts_suspend: `monotonic` goes on while the machine sleeps.
    """

    def __init__(self, universe, machine, *, counts_suspend):
        self._universe = universe
        self._machine = machine
        self.counts_suspend = counts_suspend

    @property
    def loop_epoch(self):
        """Give what turns the loop's time into true time."""
        return self._machine.asleep - self._machine.boot

    def running(self):
        """Give the seconds that the machine has been awake: the time of event loops."""
        return self._universe.now + self._machine.boot - self._machine.asleep

    def monotonic(self):
        if self.counts_suspend:
            return self._universe.now + self._machine.boot
        return self.running()

    def time(self):
        return WALL + self._universe.now + self._machine.wall_offset

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    def __call__(self):
        return self.time()


class Process:
    """
    One process: a provider, its event loops and its way to the store.

    Args:
        history: The history that it lives in.

        slot: Which place of the fleet it fills; a restarted process fills the same.

        incarnation: Counts the processes of a slot.

        key: The encryption key that it has.

    Attributes:
        can_run: It is not frozen, asleep or dead.

        disturbed: Pieces of true time in which it could not run: [from, until].

        signed_in: The sign-ins that it was told of, by number.

        known: The newest sign-in of which it has had a token.

        vault: Kind of fault of its secret's vault, and until when.

        marked_at: True seconds when it last marked a token in the store as being exchanged; without
            a store, when it then asked for its secret.

        has_forgotten: Its application has called `forget` or `sign_out`.

        started_at: True seconds when it began.
    """

    def __init__(self, history, slot, incarnation, machine, *, key="right"):
        self.history = history
        self.universe = history.universe
        self.slot = slot
        self.name = f"p{slot}" + (f".{incarnation}" if incarnation else "")
        self.machine = machine
        self.incarnation = incarnation
        self.key = key
        self.clock = ProcessClock(
            self.universe, machine, counts_suspend=history.plan.world.counts_suspend
        )
        self.is_dead = False
        self.can_run = True
        self.disturbed = []
        self.loops = {}
        self.callers = {}
        self.rejected = {}
        self.signed_in = []
        self.has_forgotten = False
        self.marked_at = None
        self.known = 0
        self.vault = (None, 0.0)
        self.superseded = {}
        self.started_at = self.universe.now
        self.closing_at = self.closed_at = self.died_at = None
        self.universe.processes.append(self)
        self.universe.current = self
        try:
            self.provider = self._make_provider()
        finally:
            self.universe.current = None
        self.main = self.new_loop("main")

    def _make_provider(self):
        plan, server = self.history.plan, "http://127.0.0.1:8080"
        environment = aa.Environment.at(server, api_origins=[server])
        world = plan.world
        secret = aa.Secret.from_callable(self._ask_vault)
        client = aa.OAuthClient(
            "fleet", secret, environment=environment, clock=self.clock, timeout=10.0
        )
        if world.grant == "client_credentials":
            grant = aa.ClientCredentialsGrant(scope="bankservice")
        else:
            grant = aa.SignedInGrant("alice")
        return aa.TokenProvider(
            client,
            grant,
            store=self._store(),
            clock=self.clock,
            draw=self.universe.stream(f"draw {self.name}").random,
            on_event=self._on_event,
        )

    async def _ask_vault(self):
        """Give the client's secret, as a vault would that hangs or fails for a while."""
        kind, until = self.vault
        if not self.history.plan.world.store:
            self.marked_at = self.universe.now
        if self.universe.now < until:
            self.universe.note(self.name, "vault", kind)
            if kind == "fails":
                raise ConnectionError("the vault is away")
            if kind == "is cancelled":
                raise asyncio.CancelledError
            await asyncio.sleep(until - self.universe.now)
        return "secret"

    def _store(self):
        if self.history.shelf is not None:
            return way_to(self.history.shelf, self)
        return self.history.memory_store

    def _on_event(self, event):
        text = str(event) if self.history.verbose else type(event).__name__
        self.universe.note(self.name, "event", text)

    # -- loops --------------------------------------------------------------------------------

    def new_loop(self, name, mode="running"):
        """Start another event loop, in a thread of its own."""
        loop = SimulatedLoop(self, name, mode)
        self.loops[name] = loop
        return loop

    def loop(self, name):
        """Give the running loop of a name; a new one if the old one has ended."""
        loop = self.loops.get(name)
        if loop is None or loop.mode in {"closed", "ending"} or loop.mode == "standing":
            loop = self.new_loop(name)
        return loop

    def loop_closed(self, loop):
        """Close the sockets of a loop that was closed."""
        for connection in self.history.network.connections:
            if connection.loop is loop:
                connection.end()

    def spawn(self, coroutine, loop):
        """Run a coroutine of the application on a loop."""
        task = loop.create_task(coroutine)
        self.callers[task] = None
        return task

    def in_pool(self, future, work):
        """Run a function in a worker thread of a pool, a moment later."""

        def run():
            if self.is_dead:
                return
            self.universe.current = self
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - told to the caller
                future.set_exception(error)
            finally:
                self.universe.current = None

        self.universe.after(0.001, run)

    def in_thread(self, loop, future, func, args):
        """Run a function in a worker thread, a moment later."""

        def work():
            if self.is_dead:
                return
            self.universe.current = self
            try:
                result, error = func(*args), None
            except Exception as raised:  # noqa: BLE001 - told to the caller
                result, error = None, raised
            finally:
                self.universe.current = None
            if not loop.is_closed():
                loop.call_soon(_settle, future, result, error)

        self.universe.after(0.001, work)

    # -- what is done to it -------------------------------------------------------------------

    def freeze(self, seconds):
        """Stop it for a while, as SIGSTOP or a machine's sleep does."""
        if self.is_dead or not self.can_run:
            return
        self.can_run = False
        self.disturbed.append([self.universe.now, self.universe.now + seconds])
        self.universe.note(self.name, "frozen", seconds)

        def thaw():
            self.can_run = not self.is_dead
            self.universe.note(self.name, "goes on")

        self.universe.after(seconds, thaw)

    def kill(self):
        """End it at once: nothing of it runs any more, and its sockets are reset."""
        if self.is_dead:
            return
        self.universe.note(self.name, "killed")
        self.is_dead, self.died_at = True, self.universe.now
        self.can_run = False
        for connection in self.history.network.connections:
            if connection.process is self:
                connection.end()

    @property
    def has_a_true_clock(self):
        """Tell whether a clock has counted every second of a token's life."""
        machine, is_file = self.machine, self.history.plan.world.store == "file"
        if is_file and machine.was_set_back:
            # A new process has nothing but the wall clock to tell a stored token's age.
            return False
        return self.clock.counts_suspend or not (machine.sleeps and machine.was_set_back)

    def slept(self, since, until):
        """Tell whether its machine slept in some true time."""
        return any(begin <= until and since <= end for begin, end in self.machine.sleeps)

    def was_disturbed(self, since, until, loop=None):
        """Tell whether it could not run for a part of some true time, or one of its loops."""
        pieces = self.disturbed if loop is None else [*self.disturbed, *loop.disturbed]
        return self.is_dead or any(begin <= until and since <= end for begin, end in pieces)

    def seconds_disturbed(self, since, until, loops):
        """Give the seconds of some true time in which it could not run, or these loops of it."""
        pieces = [*self.disturbed, *(piece for loop in loops for piece in loop.disturbed)]
        return sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in pieces)


def _settle(future, result, error):
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
