"""Processes, their machines and the network, and what a plan's steps do to them."""

from support.simulation.network import Network
from support.simulation.process import Machine
from support.simulation.store import Shelf
from support.simulation.universe import Universe


class Stage:
    """
    What every history has, whatever its processes are for.

    Args:
        plan: What happens.

        verbose: The trace tells events with all they say.

    Attributes:
        slots: The process that fills each place of the fleet now.

        healed: Nothing fails any more.

        violation: The invariant that does not hold, or None.
    """

    def __init__(self, plan, *, verbose=False):
        self.plan = plan
        self.verbose = verbose
        self.universe = Universe(plan.seed)
        self.slots = {}
        self.incarnations = {}
        self.healed = False
        self.violation = None
        self._armed = []
        self._machines = {}
        self._places = self.universe.stream("places")
        self.universe.signals = self._signal

    def connect(self, server, watch):
        """Put a server at the other end of the network, and a store beside it."""
        world = self.plan.world
        self.server, self.watch = server, watch
        self.network = self.universe.network = Network(self.universe, server)
        shared = world.store in {"redis", "file"}
        self.shelf = Shelf(self.universe, world, watch) if shared else None

    def conclude(self):
        """Keep what the universe says in the end, and let nothing of it run any more."""
        self.digest = self.universe.digest()
        self.trace = self.universe.trace
        self.violation = self.universe.violation
        self.universe.dispose()
        return self.violation

    def number(self, slot):
        """Count the process that fills a place now: 0 for the first."""
        number = self.incarnations[slot] = self.incarnations.get(slot, -1) + 1
        return number

    def _machine(self, place):
        """Give a machine: with Redis each process has one of its own."""
        if place not in self._machines:
            boot = self._places.uniform(100.0, 100_000.0)
            self._machines[place] = Machine(boot, self.plan.world.wall_offsets[place])
        return self._machines[place]

    def _arm(self, step):
        if self.healed:
            return
        if step.anchor:
            self._armed.append([step, None])
        else:
            self._do(step)

    def _signal(self, anchor, process):
        for armed in list(self._armed):
            step, left = armed
            if step.slot not in {-1, process.slot}:
                continue
            if left is None:
                if anchor == step.anchor:
                    armed[1] = step.skip
            elif anchor == "step":
                armed[1] = left - 1
            if armed[1] is not None and armed[1] <= 0:
                self._armed.remove(armed)
                # Not within whatever has just told of it.
                self.universe.after(0.0, lambda step=step: self.healed or self._do(step))

    def _do(self, step):
        process = self.slots.get(step.slot, self.slots[0])
        if step.slot >= 0 and process.is_dead:
            return
        getattr(self, step.kind)(step, process)

    def cancel(self, step, process):
        """Cancel the caller that has waited for the longest time."""
        for task in process.callers:
            if not task.done() and task.get_loop().is_running():
                self.universe.note(process.name, "a caller is cancelled")
                task.cancel()
                return

    def freeze(self, step, process):
        process.freeze(step.seconds)

    def suspend(self, step, process):
        """Let a machine sleep, with every process on it."""
        machine = process.machine
        asleep = [p for p in self.universe.processes if p.machine is machine and not p.is_dead]
        if all(sleeper.can_run for sleeper in asleep):
            for sleeper in asleep:
                sleeper.freeze(step.seconds)
            machine.sleeps.append([self.universe.now, self.universe.now + step.seconds])
            self.universe.after(step.seconds, lambda: machine.sleep(step.seconds))

    def kill(self, step, process):
        process.kill()
        self.universe.after(step.seconds, lambda: self._restart(process))

    def _restart(self, process):
        if self.slots.get(process.slot) is process and process.is_dead:
            self.start(process.slot)

    def wall(self, step, process):
        self.universe.note(process.name, "wall clock steps", step.seconds)
        process.machine.wall_offset += step.seconds
        process.machine.was_set_back |= step.seconds < 0

    def block(self, step, process):
        loop = process.loop(step.loop)
        self.universe.note(process.name, loop.name, "blocked", step.seconds)
        loop.block(step.seconds)

    def network_fault(self, step, process):
        self.universe.note("network of", step.slot, step.detail, step.seconds)
        until = self.universe.now + step.seconds
        for slot in range(self.plan.world.processes) if step.slot < 0 else (step.slot,):
            self.network.faults[slot] = (step.detail, until)

    def loss(self, step, process):
        self.network.losses.append(step.detail)
