"""A payment of two signers on virtual time: paid once, never stuck, no signature lost; and what guards it."""

import attrs
import pytest

from aritma_auth import banking
from aritma_auth.banking import PendingPayment
from support.simulation.payments.application import Desk, Row
from support.simulation.payments.plan import PaymentWorld
from support.simulation.plan import Plan, Step
from support.simulation.run import run_plan, run_range, run_seed
from support.simulation.universe import quiet

LONG_AWAY = Plan(
    1,
    PaymentWorld(arrivals=(1.0, 2.0), duration=2600.0),
    (
        # The provider's token request comes first.
        Step(1.0, "loss", detail="lose", anchor="arrived", skip=5),
        Step(20.0, "kill", seconds=2500.0),
    ),
)
"""The response to the creation is lost, and the application is away for longer than a key is known."""


def test_seeds_hold():
    """Any faults in any order: one payment, and both signatures, as soon as all is healthy again."""
    assert run_range(0, 16, kind="payments")[0] == {}


def test_a_process_that_is_killed_at_its_awaits_pays_once():
    """Whichever callback is a process's last, and its successor's, the next one goes on."""
    with quiet():
        deaths = 0
        for number in range(0, 400, 9):
            history = run_seed(number, "deaths")
            assert history.violation is None, f"killed at callback {number}"
            deaths += sum("killed" in text for _, text in history.trace)
        assert deaths > 20
        assert not any("killed" in text for _, text in run_seed(400, "deaths").trace)


def test_a_payment_replays_exactly_from_its_seed():
    """The same seed gives the same trace, to the last microsecond."""
    with quiet():
        for seed in (4, 9):
            assert run_seed(seed, "payments").trace == run_seed(seed, "payments").trace


def new_key(monkeypatch):
    """Give each repetition of the creation a key of its own."""
    build = PendingPayment.build_creation_request

    def build_anew(payment, body):
        payment = attrs.evolve(payment, idempotency_key=banking.generate_idempotency_key())
        return build(payment, body)

    monkeypatch.setattr(PendingPayment, "build_creation_request", build_anew)


def nothing_saved(monkeypatch):
    """Save no payment before its creation is sent."""
    save = Desk.save

    def save_late(desk, payment):
        return payment if payment.url is None else save(desk, payment)

    monkeypatch.setattr(Desk, "save", save_late)


def blind_writes(monkeypatch):
    """Write the row whoever has written it meanwhile."""
    swap = Row.swap
    monkeypatch.setattr(Row, "swap", lambda row, _, payment: swap(row, row.version, payment))


GUARDS = {
    "one key": (new_key, {"one payment"}),
    "saved before it is sent": (nothing_saved, {"one payment"}),
    "compare-and-swap": (blind_writes, {"no signature is lost", "errors are true"}),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_that_is_removed_is_missed(guard, monkeypatch):
    """Without each guard some seed finds what it prevents, and replays it exactly."""
    remove, missed = GUARDS[guard]
    remove(monkeypatch)
    with quiet():
        for seed in range(100):
            found = run_seed(seed, "payments")
            if found.violation is not None:
                break
        assert found.violation.invariant in missed
        assert run_seed(seed, "payments").trace == found.trace


def test_a_key_that_may_be_forgotten_is_not_used_again(monkeypatch):
    """Days later an operator looks for the payment; a repetition would have made a second one."""
    with quiet():
        history = run_plan(LONG_AWAY)
        assert history.violation is None
        assert "operator: found" in str(history.trace)
        begin = PendingPayment.begin_creation
        monkeypatch.setattr(
            PendingPayment,
            "begin_creation",
            lambda payment, body, now: begin(payment, body, now=now, replay_window=1e9),
        )
        assert run_plan(LONG_AWAY).violation.invariant == "one payment"
