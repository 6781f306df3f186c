"""One history of a payment: a plan carried out, then healed, then looked at."""

import aritma_auth as aa
from aritma_auth.banking import PaymentAction, PendingPayment
from support.simulation.payments.application import Application, Row
from support.simulation.payments.bank import SERVER, Bank
from support.simulation.stage import Stage

HEALED_FOR = 6000.0
"""Seconds of health before the last look: more than a bank knows a key, and an operator waits."""

_OPERATOR_WAITS = 1200.0
"""Seconds without news before an operator looks: whatever was under way has arrived by then."""

_ENVIRONMENT = aa.Environment.at(SERVER, api_origins=[SERVER])


class PaymentWatch:
    """
    The invariants.

    Args:
        universe: Told of what does not hold.

    Attributes:
        may_replace: An operator replaces a payment that never came to be.
    """

    def __init__(self, universe):
        self._universe = universe
        self._count = 0
        self._executed = 0
        self.may_replace = False

    def initiated(self, payment):
        """Count the payments."""
        self._count += 1
        if self._count > 1:
            self._universe.fail("one payment", f"the bank has {payment.payment_id} too")

    def executed(self, payment):
        """Count the executions."""
        self._executed += 1
        if self._executed > 1:
            self._universe.fail("one payment", f"{payment.payment_id} was executed too")

    def wrote(self, before, after):
        """Compare what the row holds with what it is to hold."""
        if before is None:
            return
        lost = set(before.signed_by) - set(after.signed_by)
        if lost:
            self._universe.fail("no signature is lost", f"{sorted(lost)} of {before.signed_by}")
        if before.is_ended and before.status != after.status:
            self._universe.fail("a final status stays", f"{before.status} became {after.status}")
        if before.idempotency_key != after.idempotency_key and not self.may_replace:
            self._universe.fail("one key", "the row has another payment")

    def finish(self, row, signers):
        """Judge what is left when all has been healthy for long."""
        payment = row.payment
        if self._executed != 1 or payment is None or not payment.is_executed:
            self._universe.fail("never stuck", f"{self._executed} executed, the row has {payment}")
        elif set(payment.signed_by) != {signer.name for signer in signers}:
            self._universe.fail("no signature is lost", f"the row has {payment.signed_by}")
        elif not all(signer.is_done for signer in signers):
            self._universe.fail("never stuck", "a signer is still waiting")

    def saved(self, process, before, record):
        """Let the provider's own simulation judge what its store keeps."""

    def store_lost_memory(self):
        """Take it as it comes."""


class Signer:
    """
    An end-user with a browser, who comes again until the payment is done.

    Args:
        history: The history.

        name: The end-user.
    """

    def __init__(self, history, name):
        self.name = name
        self.is_done = False
        self._pause = 1
        self._history = history
        self._universe = history.universe
        self._random = history.universe.stream(f"signer {name}")

    def visit(self):
        """Open the page of the application, now and from time to time."""
        if self.is_done:
            return
        process = self._history.some_process(self._random)
        if process is not None:
            process.spawn(process.sign(self), process.main)
        self._universe.after(self._random.uniform(20.0, 90.0) * self._pause, self.visit)

    def told(self, action):
        """See what the page says; who waits for others comes more and more seldom."""
        self.is_done |= action is PaymentAction.DONE
        self._pause = min(20, self._pause + 1) if action is PaymentAction.WAIT else 1

    def redirected(self, process, cookies, url):
        """Sign in, sooner or later, and go back to where the cookie is from."""

        def sign_in():
            query = self._history.server.authorize(url, self.name)
            again = 1 + (self._random.random() < 0.2)
            for _ in range(again):
                after = self._random.uniform(0.1, 2.0)
                self._universe.after(after, lambda: self._back(process.slot, cookies, query))

        self._universe.after(self._random.uniform(1.0, 50.0), sign_in)

    def _back(self, slot, cookies, query):
        process = self._history.slots[slot]
        if process.is_serving:
            process.spawn(process.callback(self, cookies, query), process.main)


class PaymentHistory(Stage):
    """
    Carries out a plan.

    Args:
        plan: What happens.

        verbose: The trace tells events with all they say.

    Attributes:
        row: What the application's database keeps of the payment.

        applications: Every process that has run.
    """

    def __init__(self, plan, *, verbose=False):
        super().__init__(plan, verbose=verbose)
        watch = PaymentWatch(self.universe)
        self.connect(Bank(self.universe, plan.world, watch), watch)
        self.server.deliver = self._deliver
        self.row = Row(watch)
        self.applications = []
        self.signers = [Signer(self, name) for name in plan.world.signers]
        self._random = self.universe.stream("events")
        self._is_operator_called = False

    def run(self):
        """Run it to its end; give the violation, or None."""
        universe, world = self.universe, self.plan.world
        with universe.clocks():
            for slot in range(world.processes):
                self.start(slot)
            for signer, at in zip(self.signers, world.arrivals, strict=True):
                universe.at(at, signer.visit)
            for step in self.plan.steps:
                universe.at(step.at, lambda step=step: self._arm(step))
            universe.at(world.duration, self.heal)
            universe.run(max(world.duration, *world.arrivals) + HEALED_FOR)
            if universe.violation is None:
                self.watch.finish(self.row, self.signers)
            for process in self.applications:
                process.dispose()
            return self.conclude()

    def start(self, slot):
        """Start a process in a place of the fleet."""
        machine = self._machine(slot if self.plan.world.store != "file" else 0)
        process = Application(self, slot, self.number(slot), machine)
        self.slots[slot] = process
        self.applications.append(process)
        process.serve()
        if machine.sleeps and self.universe.now < machine.sleeps[-1][1]:
            process.freeze(machine.sleeps[-1][1] - self.universe.now)
        return process

    def some_process(self, rng):
        """Give a process that serves, as a load balancer does, or None."""
        serving = [process for process in self.slots.values() if process.is_serving]
        return rng.choice(serving) if serving else None

    def heal(self):
        """Let everything work again, for good."""
        self.universe.note("HEALED")
        self.healed = True
        self._armed.clear()
        self.network.faults.clear()
        self.network.losses.clear()
        self.server.outages.clear()
        if self.shelf is not None:
            self.shelf.faults.clear()
        for slot, process in self.slots.items():
            # With a clock that is behind, every ID token is of the future.
            process.machine.wall_offset = 0.0
            if process.is_dead:
                self.start(slot)
        for loop in self.universe.loops:
            loop.blocked_until = min(loop.blocked_until, self.universe.now)

    # -- events -------------------------------------------------------------------------------

    def _deliver(self, event, respond):
        """Take an event to a process, and its status back, unless either is lost."""
        late = self._random.uniform(0.002, 0.06)
        is_lost = not self.healed and self._random.random() < self.plan.world.lost_events

        def arrive():
            process = self.some_process(self._random)
            if process is not None:
                process.spawn(process.receive(event, back), process.main)

        def back(status):
            if not is_lost:
                self.universe.after(late, lambda: respond(status))

        self.universe.after(late, arrive)

    # -- the operator -------------------------------------------------------------------------

    def call_operator(self):
        """Let somebody look whether a payment exists whose creation has had no response."""
        if not self._is_operator_called:
            self._is_operator_called = True
            self.universe.after(_OPERATOR_WAITS, self._operate)

    def _operate(self):
        self._is_operator_called = False
        payment, found = self.row.payment, self.server.payments
        if payment.url is not None or payment.sent_at is None:
            return
        if self.server.wall() - payment.sent_at < _OPERATOR_WAITS:
            self.call_operator()
            return
        self.universe.note("operator:", "found" if found else "another")
        if found:
            payment = payment.created(found[0].shown(), environment=_ENVIRONMENT)
        else:
            payment = PendingPayment.generate(payment.path)
        self.watch.may_replace = True
        self.row.swap(self.row.version, payment)
        self.watch.may_replace = False

    # -- steps --------------------------------------------------------------------------------

    def poll(self, step, process):
        if process.is_serving:
            signer = self.signers[int(step.seconds) % len(self.signers)]
            process.spawn(process.poll(signer.name), process.main)

    def outage(self, step, process):
        where, kind = step.detail.split()
        self.universe.note("outage", step.detail, step.seconds)
        self.server.outages[where] = kind, self.universe.now + step.seconds

    def fail_authorizations(self, step, process):
        self.universe.note("authorizations fail")
        self.server.fail_authorizations()

    def store_fault(self, step, process):
        if self.shelf is not None:
            self.universe.note("store of", step.slot, step.detail, step.seconds)
            self.shelf.faults[step.slot] = step.detail, self.universe.now + step.seconds
