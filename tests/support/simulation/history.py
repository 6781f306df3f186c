"""One history: a plan carried out, then healed, then asked for what is left."""

import asyncio

import aritma_auth as aa
from aritma_auth.stores.memory import MemoryTokenStore
from support.simulation.identity_server import IdentityServer
from support.simulation.process import Process, ProcessClock
from support.simulation.stage import Stage
from support.simulation.watch import Watch

HEALED_FOR = 400.0
"""Seconds of health before the last look: longer than every pause of the policies."""

FINAL_PATIENCE = 600.0


class History(Stage):
    """
    Carries out a plan.

    Args:
        plan: What happens.

        verbose: The trace tells events with all they say.
    """

    def __init__(self, plan, *, verbose=False):
        super().__init__(plan, verbose=verbose)
        universe, world = self.universe, plan.world
        watch = Watch(universe, world)
        self.connect(IdentityServer(universe, world, watch), watch)
        self.server.connections = self.network.connections
        self.memory_store = None
        self.watch.server, self.watch.shelf = self.server, self.shelf
        if world.store == "memory":
            clock = ProcessClock(universe, self._machine(0), counts_suspend=world.counts_suspend)
            self.memory_store = MemoryTokenStore(clock=clock)

    # -- the whole ----------------------------------------------------------------------------

    def run(self):
        """Run it to its end; give the violation, or None."""
        universe, world = self.universe, self.plan.world
        with universe.clocks():
            for slot in range(world.processes):
                self.start(slot)
            if world.grant == "signed_in":
                first = self.slots[next(s for s in self.slots if s != world.wrong_key)]
                self._set_token(first, first.main)
            for step in self.plan.steps:
                universe.at(step.at, lambda step=step: self._arm(step))
            universe.at(world.duration, self.heal)
            universe.run(world.duration + HEALED_FOR)
            if universe.violation is None:
                self._look()
            return self.conclude()

    def start(self, slot):
        """Start a process in a place of the fleet."""
        world = self.plan.world
        number = self.number(slot)
        machine = self._machine(slot if world.store == "redis" else 0)
        is_wrong = world.wrong_key == slot and not self.healed
        process = Process(self, slot, number, machine, key="wrong" if is_wrong else "right")
        self.slots[slot] = process
        if machine.sleeps and self.universe.now < machine.sleeps[-1][1]:
            process.freeze(machine.sleeps[-1][1] - self.universe.now)
        return process

    def heal(self):
        """Let everything work again, for good."""
        universe = self.universe
        universe.note("HEALED")
        self.healed = self.watch.is_healed = True
        self._armed.clear()
        self.network.faults.clear()
        self.network.losses.clear()
        self.server.outage = (None, 0.0, None)
        if self.shelf is not None:
            self.shelf.faults.clear()
        for fault in (*self.watch.store_faults, *self.watch.outages):
            fault[2] = min(fault[2], universe.now)
        for slot, process in self.slots.items():
            if process.is_dead or process.closing_at is not None or process.key != "right":
                if process.closing_at is None:
                    process.kill()
                self.start(slot)
        for loop in universe.loops:
            loop.blocked_until = min(loop.blocked_until, universe.now)

    def _look(self):
        """Look at what every process has now; then close them all."""
        universe = self.universe
        self.watch.check_unfinished()
        if not any(step.kind not in {"call", "job"} for step in self.plan.steps):
            self.watch.check_reuse()
        looks = []
        for process in self.slots.values():
            self._spawn(process, process.loop("main"), self._last_look(process, looks))
        universe.run(universe.now + FINAL_PATIENCE + 100)
        if universe.violation is None and len(looks) < len(self.slots):
            universe.fail("every caller ends in time", "a last look has not ended")
        for process in self.slots.values():
            self._spawn(process, process.loop("main"), self._close(process, process.main))
        universe.run(universe.now + 60)
        self.watch.check_unfinished()

    async def _last_look(self, process, looks):
        began = self.universe.now
        while True:
            call = self.watch.begin(process, process.main, "last look")
            try:
                token = await process.provider.get_token()
                self.watch.handed_out(call, token)
                outcome = "token"
                self.watch.check_newest(process, token)
            except aa.AritmaAuthError as error:
                outcome = type(error).__name__
            self.watch.end(call, outcome)
            if outcome in {"token", "ReauthenticationRequiredError"}:
                break
            if self.universe.now > began + FINAL_PATIENCE:
                break
            await asyncio.sleep(40)
        looks.append(outcome)
        self.watch.check_final(process, outcome, self._is_forgotten(process))

    def _is_forgotten(self, process):
        """Tell whether the newest sign-in may have been forgotten on purpose, or never arrived."""
        if not self.watch.installed:
            return True
        newest = max(self.watch.installed, key=self.watch.installed.get)
        return (
            any(ended >= self.watch.begun[newest] for _, ended in self.watch.forgotten)
            or newest != self.server.families[-1].number
            or (self.plan.world.store == "" and any(self.incarnations.values()))
            or self._ended_before_it_was_stored(newest)
            # Who alone remembers what the store has lost may have died with it.
            or (self.watch.memory_lost_at and process.known < newest)
        )

    def _ended_before_it_was_stored(self, number):
        """Tell whether what was told of a sign-in died or was closed while the store was away."""
        watch = self.watch
        ends = ((process, _end_of(process)) for process in self.universe.processes)
        return any(
            number in process.signed_in
            and watch.store_was_ill(watch.begun[number], end)
            and not watch.had_time_to_store(process, process.main, watch.begun[number], end)
            for process, end in ends
            if end is not None
        )

    # -- steps --------------------------------------------------------------------------------

    def _spawn(self, process, loop, coroutine):
        return process.spawn(coroutine, loop)

    def call(self, step, process):
        loop = process.loop(step.loop)
        self._spawn(process, loop, self._get_token(process, loop, step.timeout))

    async def _get_token(self, process, loop, timeout):
        call = self.watch.begin(process, loop, "get_token", timeout)
        try:
            token = await process.provider.get_token(timeout=timeout)
        except asyncio.CancelledError:
            self.watch.end(call, "cancelled")
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a call fails with is judged
            self.watch.failed(call, error)
            if isinstance(error, aa.ProviderClosedError) and process.closing_at is None:
                self.universe.fail("errors are true", "an open provider says that it is closed")
            return None
        self.watch.handed_out(call, token)
        self.watch.end(call, token.access_token)
        return token

    def job(self, step, process):
        """Do what `asyncio.run(job())` does, in a thread of its own."""
        loop = process.new_loop("job")

        async def work():
            await self._get_token(process, loop, step.timeout)
            await asyncio.sleep(step.seconds)

        task = self._spawn(process, loop, work())
        task.add_done_callback(lambda _: loop.end_run())

    def reject(self, step, process):
        loop = process.loop(step.loop)
        self._spawn(process, loop, self._reject(process, loop))

    async def _reject(self, process, loop):
        token = await self._get_token(process, loop, 20.0)
        if token is None or process.closing_at is not None:
            return
        can_have_another = process.provider.report_rejected(token)
        self.universe.note(process.name, "rejected", token.access_token, can_have_another)
        if can_have_another:
            process.rejected[token.access_token] = self.universe.moment()

    def set_token(self, step, process):
        """Let the end-user sign in anew."""
        self._cut(step, self._set_token(process, process.loop(step.loop)))

    def _set_token(self, process, loop):
        access, refresh = self.server.sign_in(process)
        self.universe.note(process.name, "sign-in", refresh.text)
        # The token's age counts from the response, however late the application goes on.
        issued_at, wall_offset = process.clock.time(), process.machine.wall_offset
        install = self._install(process, loop, access, refresh, issued_at, wall_offset)
        return self._spawn(process, loop, install)

    def _cut(self, step, task):
        """Cancel a call after a while, as `asyncio.wait_for` does, if the step says so."""

        def cut():
            if not task.done() and task.get_loop().is_running():
                task.cancel()

        if step.detail == "cancelled":
            self.universe.after(step.timeout, cut)

    async def _install(self, process, loop, access, refresh, issued_at, wall_offset):
        # What the wall clock has taken back since the response, nobody can tell.
        taken_back = wall_offset - process.machine.wall_offset
        access.untold_age = max(0.0, min(taken_back, self.universe.now - access.issued_at))
        token = aa.Token(
            access.text,
            expires_at=issued_at + self.plan.world.lifetime,
            issued_at=issued_at,
            refresh_token=refresh.text,
        )
        began = self.watch.begun[access.family.number] = self.universe.moment()
        process.signed_in.append(access.family.number)
        if await self._run_call(process, loop, "set_token", process.provider.set_token(token)):
            self.watch.superseded(process, began)
            self.watch.installed[access.family.number] = self.universe.moment()

    async def _run_call(self, process, loop, what, awaitable):
        call = self.watch.begin(process, loop, what)
        try:
            await awaitable
        except asyncio.CancelledError:
            self.watch.end(call, "cancelled")
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a call fails with is judged
            self.watch.failed(call, error)
            return False
        self.watch.end(call, "done")
        return True

    def forget(self, step, process):
        loop = process.loop(step.loop)
        self._cut(step, self._spawn(process, loop, self._forget(process, loop, "forget")))

    def sign_out(self, step, process):
        if hasattr(process.provider, "sign_out"):
            loop = process.loop(step.loop)
            self._cut(step, self._spawn(process, loop, self._forget(process, loop, "sign_out")))

    async def _forget(self, process, loop, what):
        began = self.universe.moment()
        # Until it has ended it may come before or after a sign-in that is set meanwhile.
        forgotten = [began, float("inf")]
        self.watch.forgotten.append(forgotten)
        process.has_forgotten = True
        if await self._run_call(process, loop, what, getattr(process.provider, what)()):
            self.watch.superseded(process, began)
            forgotten[1] = self.universe.moment()

    def aclose(self, step, process):
        process.closing_at = self.universe.now
        loop = process.loop(step.loop)
        self._cut(step, self._spawn(process, loop, self._close(process, loop)))
        if step.detail == "cancelled":
            # Closing can be repeated.
            self.universe.after(step.timeout + 0.1, lambda: self._close_again(process))
        self.universe.after(step.seconds + 1.0, lambda: self._replace(process))

    def _replace(self, process):
        if not self.healed and not process.is_dead and self.slots.get(process.slot) is process:
            self.start(process.slot)

    def _close_again(self, process):
        if process.closed_at is None and not process.is_dead:
            loop = process.loop("main")
            self._spawn(process, loop, self._close(process, loop))

    async def _close(self, process, loop):
        process.closing_at = self.universe.now
        if await self._run_call(process, loop, "aclose", process.provider.aclose()):
            process.closed_at = self.universe.moment()
            self.universe.after(0.05, lambda: self._check_closed(process))

    def _check_closed(self, process):
        if process.is_dead:
            return
        blocked = max(loop.blocked_until for loop in process.loops.values())
        if blocked > self.universe.now:
            # Its tasks end in the turn after.
            self.universe.at(blocked + 0.05, lambda: self._check_closed(process))
            return
        left = [
            task.get_coro().__qualname__
            for loop in process.loops.values()
            if loop.is_running()
            for task in loop.pending()
            if task not in process.callers
        ]
        left += [baton.thread.name for baton in self.universe.threads.of(process)]
        if left:
            self.universe.fail("nothing after close", f"{process.name} has tasks: {left}")

    # -- processes and loops ------------------------------------------------------------------

    def stand(self, step, process):
        """Let a loop stop, as a synchronous wrapper's does after its time-out; it may go on later."""
        loop = process.loops.get(step.loop)
        if loop is not None and loop.mode == "running":
            self.universe.note(process.name, loop.name, "stands still", step.seconds)
            loop.stand(step.seconds if step.seconds < 30 else float("inf"))

            def go_on():
                if loop.mode == "standing":
                    loop.mode = "running"

            if step.seconds < 30:
                self.universe.after(step.seconds, go_on)

    def close_loop(self, step, process):
        """Let a loop be closed with all that runs on it, as after a crash of its thread."""
        loop = process.loops.get(step.loop)
        if loop is not None and loop.mode == "running":
            self.universe.note(process.name, loop.name, "closed")
            loop.is_torn = any(task not in process.callers for task in loop.pending())
            loop.close()

    def end_run(self, step, process):
        """Let a loop end as `asyncio.run` does."""
        loop = process.loops.get(step.loop)
        if loop is not None and loop.mode == "running":
            self.universe.note(process.name, loop.name, "ends")
            loop.end_run()

    # -- the world ----------------------------------------------------------------------------

    def outage(self, step, process):
        universe = self.universe
        universe.note("outage", step.detail, step.seconds, step.timeout or "")
        until = universe.now + step.seconds
        self.server.outage = (step.detail, until, step.timeout)
        outage = [step.detail, universe.now, until]
        self.watch.outages.append(outage)
        universe.at(until, lambda: self.watch.check_outage(outage[1], outage[2]))

    def store_fault(self, step, process):
        self.universe.note("store of", step.slot, step.detail, step.seconds)
        until = self.universe.now + step.seconds
        slots = range(self.plan.world.processes) if step.slot < 0 else (step.slot,)
        for slot in slots:
            self.shelf.faults[slot] = (step.detail, until)
            self.watch.store_faults.append([slot, self.universe.now, until])

    def vault(self, step, process):
        process.vault = (step.detail, self.universe.now + step.seconds)

    def amnesia(self, step, process):
        self.shelf.lose_memory()

    def revoke(self, step, process):
        for family in self.server.families:
            self.server.revoke(family, "revoked")


def _end_of(process):
    """Return when a process died, or its provider was closed; None if it goes on."""
    return process.died_at if process.is_dead else process.closed_at
