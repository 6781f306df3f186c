"""
The package without one of its mends, and what tells.

Each fault that simulation found in the first version has a mend. Here is what takes it away: a
piece of text in the package and what stands in its place. The mutant is a copy of the package in a
temporary directory; nothing is injected into the package itself.

Where several places hold one mend, all of them are changed.

    python -m support.simulation mutations           # each by what tells it
    python -m support.simulation mutations F6 3000   # one, by the first of so many seeds
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

import aritma_auth

PACKAGE = Path(aritma_auth.__file__).parent
TESTS = Path(__file__).parents[2]


@attrs.frozen
class Mutation:
    """
    What takes a mend away.

    Attributes:
        name: F1 to F12 are what simulation found in the first version of the package.

        what: What the package does without its mend.

        told_by: What tells: the name of a history, or the first seed that does.

        changes: Texts of the package, and what stands in their place. Each text occurs once.
    """

    name: str
    what: str
    told_by: str | int
    changes: tuple[tuple[str, str], ...]


MUTATIONS = (
    Mutation(
        "F1",
        "a flight ends in a finally of its own coroutine, which may never be entered",
        "closed before the flight's first step",
        (
            (
                "                        partial(self._ended, flight),\n",
                "",
            ),
            (
                "        await asyncio.sleep(0)\n        return await self._work(flight)\n",
                "        result = None\n"
                "        try:\n"
                "            await asyncio.sleep(0)\n"
                "            result = await self._work(flight)\n"
                "        finally:\n"
                "            self._end(flight, result)\n"
                "        return result\n",
            ),
        ),
    ),
    Mutation(
        "F2",
        "the newest token is presented at once after a refusal, and an older sign-in's is taken",
        165,
        (
            ("return self.state.known.newest.serial != self.state.serial", "return False"),
            (
                "            # Another process may have rotated it: the store says so.\n",
                "            if not state.is_alone and state.known.presentable is not None:\n"
                "                state.basis = state.known.presentable\n"
                "                return self._ask()\n",
            ),
        ),
    ),
    Mutation(
        "F2, reuse that ends nothing",
        "after a refusal the successor in the store is presented without a mark",
        "refused as spent while the successor is stored, by a server that ends no sign-in for it",
        (
            (
                "        self._choose(known.presentable)\n        is_first",
                "        self._choose(known.presentable)\n"
                "        if state.refusal is not None:\n"
                "            return self._ask()\n"
                "        is_first",
            ),
        ),
    ),
    Mutation(
        "F3",
        "a successor is not written any more once its refresh has ended",
        "the store is away when the successor comes",
        (
            (
                "        if self.is_stored or self._is_closed:\n            return\n        try:",
                "        if True:\n            return\n        try:",
            ),
        ),
    ),
    Mutation(
        "F3, the other side",
        "an old mark is not watched when the store has just returned",
        "a lost response, and another machine's clock",
        (
            (
                "return max(quiet, over_at - now, known.watched_from + self.watch_time - now)",
                "return max(quiet, over_at - self.moment.wall)",
            ),
            ("over_at = known.mark_seen_at", "over_at = record.redeeming_since"),
        ),
    ),
    Mutation(
        "F4",
        "a time-out counts at once, although the response lies in the socket",
        "a response that lies in the socket of a frozen process",
        (("_TURNS = 20\n", "_TURNS = 0\n"),),
    ),
    Mutation(
        "F5",
        "a cancellation while the heartbeat ends skips the lease's release",
        1956,
        (
            (
                "        with uninterrupted():\n"
                '            await run_to_the_end(self._give_back(), "aritma-auth lease")\n',
                "        await asyncio.wait((self._beating,), timeout=self._sharing.store_timeout)\n"
                "        await self._attempt(self.granted.release)\n",
            ),
        ),
    ),
    Mutation(
        "F6",
        "between claim and request nobody looks at the clock",
        "frozen 19 callbacks after the store was first asked",
        (
            (
                "is_late = self.mark_left * 2 < self.sharing.redemption_timeout",
                "is_late = False",
            ),
            ("            timeout = min(timeout, self.mark_left)\n", "            pass\n"),
        ),
    ),
    Mutation(
        "F7",
        "nobody goes on without a lease that a standing loop has left behind",
        "a lease on a loop that stands still",
        (
            (
                "        if state.known.is_reusable and waited >= self.leaders_time:\n",
                "        if False:\n",
            ),
        ),
    ),
    Mutation(
        "F8 (a)",
        "a clock that stops during sleep is believed alone",
        "a sleep while the request is under way",
        (
            (
                "return max(monotonic, self.issued_at + (wall - self.wall_issued_at))",
                "return monotonic",
            ),
        ),
    ),
    Mutation(
        "F8 (b)",
        "the age that the store tells counts from its reply",
        "a sleep while the store tells a token's age",
        (
            (
                "        asked_at, wall = clock.monotonic(), clock.time()\n"
                "        entry = await self.store.load()\n",
                "        entry = await self.store.load()\n"
                "        asked_at, wall = clock.monotonic(), clock.time()\n",
            ),
            (
                "        asked_at, wall = clock.monotonic(), clock.time()\n"
                "        lease = self._lease = await coordinator.store.acquire()\n",
                "        lease = self._lease = await coordinator.store.acquire()\n"
                "        asked_at, wall = clock.monotonic(), clock.time()\n",
            ),
        ),
    ),
    Mutation(
        "F8 (c)",
        "nobody looks at the clock when a waiter is served",
        "frozen 23 callbacks after the store was first asked",
        (
            (
                "        # Not the flight's own token: another may be newer, and time has passed since.\n"
                "        now = cache.now\n"
                "        if current.token is not None and now() < current.expires_at:\n",
                "        if current.token is not None and current.is_usable:\n",
            ),
        ),
    ),
    Mutation(
        "F9 (a)",
        "a shared refresh goes on with what the process knew when it began",
        "a sign-in while a clock ahead has stored another",
        (("            state = attrs.evolve(state, known=self._known)\n", ""),),
    ),
    Mutation(
        "F9 (b)",
        "a flight's token is put in place although a sign-in or sign-out came meanwhile",
        "a call after a sign-in, while the flight before it goes on",
        (
            (
                "            if cache.generation == generation:\n                if is_useless",
                "            if True:\n                if is_useless",
            ),
        ),
    ),
    Mutation(
        "F9 (c)",
        "a sign-in's number is there before its token, and the token in hand passes for the newest",
        "a sign-in as a flight begins, whose process does not know that its token was refreshed",
        (
            (
                "        self._known = self._known.signed_in("
                "token, now=clock.monotonic(), wall=clock.time())\n",
                "        known, old = self._known, self._known.newest.token\n"
                "        known = known.signed_in(token, now=clock.monotonic(), wall=clock.time())\n"
                "        newest, self._coming = attrs.evolve(known.newest, token=old), token\n"
                "        self._known = attrs.evolve(known, newest=newest)\n",
            ),
            (
                "            self.store.try_again()\n        try:\n            return await _Run",
                "            self.store.try_again()\n"
                "            with contextlib.suppress(StoreUnavailableError):\n"
                "                await self.look()\n"
                "            newest = attrs.evolve(self._known.newest, token=self._coming)\n"
                "            self._known = attrs.evolve(self._known, newest=newest)\n"
                "        try:\n            return await _Run",
            ),
        ),
    ),
    Mutation(
        "F10",
        "a rejected token is adopted from the store",
        "a rejected token in the store while the provider closes",
        (
            (
                "is_same(token, moment.held) or is_same(token, moment.rejected)",
                "is_same(token, moment.held)",
            ),
        ),
    ),
    Mutation(
        "F11 (a)",
        "an attempt takes as long as a whole refresh, whenever it begins, and outlasts its mark",
        "frozen 18 callbacks after the store was first asked",
        (
            (
                "left = max(0.0, deadline - issued_at)",
                "left = self._settings.policy.refresh_timeout",
            ),
        ),
    ),
    Mutation(
        "F11 (b)",
        "a caller's time-out starts anew after a lost flight",
        "a caller's time-out when the flight's loop ends",
        (
            (
                "            for _ in range(_ROUNDS):\n"
                "                step = self._step(min_ttl, deadline)\n",
                "            for _ in range(_ROUNDS):\n"
                "                deadline = None if timeout is None else _deadline(timeout)\n"
                "                step = self._step(min_ttl, deadline)\n",
            ),
        ),
    ),
    Mutation(
        "F11 (c)",
        "a request that is repeated has the mark of the first attempt, and outlasts it",
        "the last of three attempts hangs, and its process cannot keep its lease",
        (
            (
                "            return self._ask() if state.is_alone else self._claim()\n",
                "            return self._ask()\n",
            ),
            ("            timeout = min(timeout, self.mark_left)\n", "            pass\n"),
        ),
    ),
    Mutation(
        "F12",
        "a Retry-After takes the backoff's place, and each refresh makes all its attempts",
        "a short Retry-After in an outage",
        (
            (
                "    pause = max(pause, _requested_pause(policy, error, draw))\n    return",
                "    pause = _requested_pause(policy, error, draw) or pause\n    return",
            ),
            (
                "alive_for)\n    return max(pause, _requested_pause(policy, error, draw))\n",
                "alive_for)\n    return _requested_pause(policy, error, draw) or pause\n",
            ),
            ("is_patient = not self._cache.is_alive and failure is None", "is_patient = True"),
            (
                "                is_patient=cache.failure is None and not cache.is_alive,\n",
                "                is_patient=True,\n",
            ),
        ),
    ),
    Mutation(
        "serials",
        "a sign-in's serial is so coarse that the second one runs ahead of the clock",
        "a sign-in that the store does not learn of at once, after two that it has",
        (("_SECOND = 1_000_000\n", "_SECOND = 1\n"),),
    ),
    Mutation(
        "dates",
        "a token is stored with the dates that it came with, whatever the wall clock says by then",
        "a clock is set back while a late response is written",
        (
            (
                "        known = state.known.dated(now=moment.now, wall=moment.wall)\n",
                "        known = state.known\n",
            ),
        ),
    ),
    Mutation(
        "lost flights",
        "a flight that was given up while its loop stood still goes on to ask if the loop does",
        "closed while a loop stands still 3 callbacks after step, and then goes on",
        (
            (
                "    return task is not None and task.is_lost and not task.work.done()\n",
                "    return False\n",
            ),
        ),
    ),
    Mutation(
        "lost claims",
        "such a flight goes on to mark the stored token, and the others wait for nothing",
        "closed while a loop stands still 8 callbacks after store done, and then goes on",
        (
            (
                "                if state.response is None:\n                    stop_if_lost()\n",
                "",
            ),
        ),
    ),
    Mutation(
        "lost sign-outs",
        "a revocation that was given up while its loop stood still is sent if the loop goes on",
        "closed while the loop of a sign-out stands still 4 callbacks after its begin",
        (("            signing_out.lose()\n", ""),),
    ),
    Mutation(
        "a store left alone",
        "a sign-in does not ask a store that is left alone for a moment, and clocks decide",
        "a sign-in by a clock that is behind, while a store that is back is left alone",
        (
            (
                "        if purpose is Purpose.WRITE_NOW:\n            # Only",
                "        if False:\n            # Only",
            ),
        ),
    ),
    Mutation(
        "departures",
        "an unanswered exchange counts from its beginning, and not from its request's departure",
        "frozen 4 callbacks into a flight without a store, and the response is lost",
        (("                sent.since = self._clock.monotonic()\n", "                pass\n"),),
    ),
    Mutation(
        "successors",
        "a service's refresh that follows one that was cut off does not mark the entry",
        "a job that leads ends, and its process leads again while another waits",
        ((", others_wait=known.is_leading)", ")"),),
    ),
    Mutation(
        "waiters",
        "a service's refresh that is repeated does not mark the entry",
        "a third process leads 10.2 s after a leader for whom another waits was killed",
        (("if not (state.is_alone or is_unmarked):", "if not state.is_alone:"),),
    ),
)


def apply(mutation, sources):
    """
    Take a mend away.

    Args:
        mutation: What takes it away.

        sources: The package's files, path to text.

    Returns:
        Those that change.

    Raises:
        LookupError: A text does not occur exactly once: the mutation is out of date.
    """
    changed = {}
    for old, new in mutation.changes:
        now = {**sources, **changed}
        places = [path for path, text in now.items() for _ in range(text.count(old))]
        if len(places) != 1:
            raise LookupError(f"{mutation.name}: {len(places)} places have {old!r}")
        (place,) = places
        changed[place] = now[place].replace(old, new)
    return changed


def read_package():
    """Give the package's files, path to text."""
    return {path.relative_to(PACKAGE): path.read_text() for path in PACKAGE.rglob("*.py")}


@contextlib.contextmanager
def mutant(mutation):
    """Give the folder of a copy of the package without a mend."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
        for path, text in apply(mutation, read_package()).items():
            (package / path).write_text(text)
        yield folder


_PROGRAM = """
import json, sys
from support.simulation.histories import HISTORIES, SEEDS, make_history
from support.simulation.plan import make_plan
from support.simulation.run import run_plan
from support.simulation.universe import quiet

for name in json.loads(sys.argv[1]):
    known = name in HISTORIES
    plans = [make_history(name, seed) for seed in SEEDS] if known else [make_plan(name)]
    with quiet():
        failed = [found.invariant for plan in plans if (found := run_plan(plan).violation)]
    if failed:
        print(json.dumps([name, failed[0]]))
        break
"""


def find(mutation, names):
    """Run histories or seeds on the mutant; give the first that fails and its invariant, or None."""
    with mutant(mutation) as folder:
        ended = subprocess.run(
            [sys.executable, "-c", _PROGRAM, json.dumps([*names])],
            # The mutant is imported, and nothing of the folder that this runs in; its lines are not
            # the package's, so that nothing measures them.
            env={
                **{name: text for name, text in os.environ.items() if "COVERAGE" not in name},
                "PYTHONPATH": os.pathsep.join([folder, str(TESTS)]),
                "PYTHONSAFEPATH": "1",
            },
            capture_output=True,
            text=True,
            check=True,
        )
    return json.loads(ended.stdout) if ended.stdout else None


def main(name=None, seeds=None):
    """Say of each mutation what tells it; the exit status is the number of those that nothing tells."""
    missed = 0
    for mutation in MUTATIONS:
        if name is None or mutation.name.split()[0].rstrip(",") == name:
            names = [mutation.told_by] if seeds is None else range(int(seeds))
            found = find(mutation, names)
            missed += found is None
            told_by, invariant = found or ("nothing tells", "")
            sys.stdout.write(f"{mutation.name}: {mutation.what}\n    {told_by}: {invariant}\n")
            sys.stdout.flush()
    return missed
