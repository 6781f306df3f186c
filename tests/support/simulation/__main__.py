"""Run a range of seeds, tell all of one seed's failure, or take the package's mends away."""

import sys

from support.simulation import mutations
from support.simulation.run import PLANS, report, run_range
from support.simulation.universe import quiet


def main(arguments):
    """
    Run ``FIRST LAST``, or report ``SEED``; the exit status says whether an invariant failed.

    Before them may stand what the seeds mean: ``tokens``, ``payments`` or ``deaths``. With
    ``mutations`` it says what tells that a mend is missing: ``mutations ROW SEEDS`` looks for it.
    """
    if arguments and arguments[0] == "mutations":
        return mutations.main(*arguments[1:])
    kind = "tokens"
    if arguments and arguments[0] in PLANS:
        kind, *arguments = arguments
    if len(arguments) == 1:
        with quiet():
            sys.stdout.write(report(int(arguments[0]), kind) + "\n")
        return 0
    first, last = map(int, arguments)
    failed, took = run_range(first, last, kind=kind)
    count = sum(map(len, failed.values()))
    sys.stdout.write(f"{last - first} seeds of {kind} in {took:.1f} s, {count} fail\n")
    for invariant, seeds in sorted(failed.items()):
        sys.stdout.write(f"  {len(seeds):5} {invariant}: {seeds[:12]}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
