"""
All worlds as numbers: each part of a world has one, and what a process may do is worked out once.

A world is three numbers in one: of what all share, and of the two processes, the lower one first,
since which process is which does not matter.
"""

import attrs

from support.explorer.moves import (
    is_calm,
    is_entry_good,
    is_process_good,
    is_unseen,
    moves_of,
    moves_of_store,
    pass_time,
)
from support.explorer.parts import Part, key_of, names_of, settle, settle_shared, shift
from support.explorer.world import GENERATION, NOW, TOKENS, Knowledge, Process, owes_act

_BITS = 24
_MASK = (1 << _BITS) - 1
_NAMES = {name: 1 << place for place, name in enumerate(TOKENS)}
_OWING = Knowledge(is_reusable=False, is_owed=True, is_by_user=True)


@attrs.frozen
class Steps:
    """What a process may do, for all that it can see of a world."""

    moves: tuple
    """Of each the label, whether it is a fault, the parts after it, and the mark that it stores."""
    is_urgent: bool
    is_unseen: bool
    is_good: bool


@attrs.frozen
class Changes:
    """What may happen to the store, and what all share when a second has passed."""

    moves: tuple
    later: int
    later_mark: int
    is_good: bool


class Space:
    """
    The worlds that can be reached.

    Args:
        is_reduced: Leave ways out that another stands for.
    """

    def __init__(self, *, is_reduced=True):
        self._is_reduced = is_reduced
        self._shared, self._shared_numbers = [], {}
        self._parts, self._part_numbers = [], {}
        self._names, self._kinds = [], []
        self._steps, self._changes = {}, {}
        self._filtered, self._later, self._overtaken, self._quiet = {}, {}, {}, {}

    def number_of(self, world):
        """Give the number of a world."""
        shared, one, other = self._split(world)
        return self._pack(shared, one, other)

    def moves(self, number):
        """Give the moves of a world: the label of each, whether it is a fault, and what follows."""
        shared, one, other = number >> 2 * _BITS, number >> _BITS & _MASK, number & _MASK
        first = self._steps_of(shared, one, self._kinds[other])
        if first.is_unseen:
            return self._after(first, one, other)
        second = self._steps_of(shared, other, self._kinds[one])
        if second.is_unseen:
            return self._after(second, other, one)
        found = self._after(first, one, other) + self._after(second, other, one)
        changes = self._changes_of(shared)
        for label, is_fault, after in changes.moves:
            ones = self._quieten(after, one), self._quieten(after, other)
            found.append((label, is_fault, self._pack(after, *ones)))
        if not (first.is_urgent or second.is_urgent):
            mark = changes.later_mark
            ones = self._pass(one, mark), self._pass(other, mark)
            found.append(("a second passes", False, self._pack(changes.later, *ones)))
        return found

    def is_good(self, number):
        """Tell whether all is well: the newest sign-in is stored and in use, or has ended."""
        shared, one, other = number >> 2 * _BITS, number >> _BITS & _MASK, number & _MASK
        return (
            self._changes_of(shared).is_good
            and self._steps_of(shared, one, self._kinds[other]).is_good
            and self._steps_of(shared, other, self._kinds[one]).is_good
        )

    def faults(self, number):
        """Give what may still go wrong."""
        return self._shared[number >> 2 * _BITS].faults

    def counts(self):
        """Give how many parts there are: of processes, of what they share, and steps of the two."""
        return len(self._parts), len(self._shared), len(self._steps)

    def _after(self, steps, one, other):
        found = []
        for label, is_fault, shared, after, mark in steps.moves:
            beside = other if mark is None else self._overtake(other, mark)
            found.append((label, is_fault, self._pack(shared, after, beside)))
        return found

    def _pack(self, shared, one, other):
        names = self._names[one] | self._names[other]
        key = shared << len(_NAMES) | names
        settled = self._filtered.get(key)
        if settled is None:
            world = settle_shared(
                self._shared[shared], {name for name, bit in _NAMES.items() if bit & names}
            )
            settled = self._filtered[key] = self._share(world)
        if one > other:
            one, other = other, one
        return settled << 2 * _BITS | one << _BITS | other

    def _steps_of(self, shared, one, kind):
        key = (shared << _BITS | one) << 2 | kind
        steps = self._steps.get(key)
        if steps is None:
            steps = self._steps[key] = self._work_out(shared, one, kind)
        return steps

    def _work_out(self, shared, one, kind):
        world = self._join(shared, one, kind)
        is_merged = self._is_reduced and not world.faults & {"sign-in", "forget", "freeze"}
        moves, found = moves_of(world, 0, is_merged=is_merged), []
        for move in moves:
            after = move.after
            is_written = after.entry.generation != GENERATION
            mark = after.entry.record.redeeming_since or 0.0
            ours = self._split(after)[:2]
            found.append((move.label, move.is_fault, *ours, mark if is_written else None))
        process = world.processes[0]
        is_due = process.keep_at is not None and process.keep_at <= NOW
        return Steps(
            tuple(found),
            is_due or any(move.is_urgent for move in moves),
            self._is_reduced and is_unseen(world, 0),
            is_process_good(world, 0),
        )

    def _changes_of(self, shared):
        changes = self._changes.get(shared)
        if changes is None:
            world = self._shared[shared]
            later = pass_time(world)
            changes = self._changes[shared] = Changes(
                tuple(
                    (move.label, move.is_fault, self._share(move.after))
                    for move in moves_of_store(world)
                ),
                self._share(shift(attrs.evolve(later, now=NOW), -1, 0)),
                (later.entry.record.redeeming_since or 1.0) - 1,
                is_entry_good(world),
            )
        return changes

    def _overtake(self, one, mark):
        """Give a process after another has written the entry, with that mark."""
        key = one, mark
        after = self._overtaken.get(key)
        if after is None:
            part = shift_part(self._parts[one], 0, -1)
            part = attrs.evolve(part, is_writer=False)
            after = self._overtaken[key] = self._part(part, mark)
        return after

    def _pass(self, one, mark):
        """Give a process a second later; the entry's mark is then that one."""
        key = one, mark
        after = self._later.get(key)
        if after is None:
            part = shift_part(self._parts[one], -1, 0)
            after = self._later[key] = self._part(part, mark)
        return after

    def _quieten(self, shared, one):
        """Give a process when the store has gone away or come back."""
        world = self._shared[shared]
        if not is_calm(world):
            return one
        key = one, world.entry.record.redeeming_since
        after = self._quiet.get(key)
        if after is None:
            after = self._quiet[key] = self._part(self._parts[one], key[1], is_quiet=True)
        return after

    def _join(self, shared, one, kind):
        """Make a world of its parts, with as much of the other process as this one's steps need."""
        part, world = self._parts[one], self._shared[shared]
        other = Process(can_read=bool(kind & 2))
        if kind & 1:
            other = attrs.evolve(other, known=_OWING)
        lease = None if world.lease is None else int(not part.has_lease)
        return attrs.evolve(
            world,
            processes=(part.process, other),
            lease=lease,
            writer=int(not part.is_writer),
        )

    def _split(self, world):
        moved = NOW - world.now, GENERATION - world.entry.generation
        shared = shift(attrs.evolve(world, processes=(), now=NOW), *moved)
        mark = shared.entry.record.redeeming_since or 0.0
        is_told_apart = not all(one.can_read for one in world.processes)
        numbers = []
        for index, process in enumerate(world.processes):
            part = Part(
                shift(process, *moved),
                world.lease == index,
                is_told_apart and world.writer == index,
            )
            numbers.append(self._part(part, mark, is_quiet=is_calm(world)))
        return self._share(shared), *numbers

    def _part(self, part, mark, *, is_quiet=False):
        part = attrs.evolve(part, process=settle(part.process, mark, is_calm=is_quiet))
        key = key_of(part)
        number = self._part_numbers.get(key)
        if number is None:
            number = self._part_numbers[key] = len(self._parts)
            process = part.process
            self._parts.append(part)
            self._names.append(sum(_NAMES[name] for name in names_of(process)))
            self._kinds.append(owes_act(process) | process.can_read << 1)
        return number

    def _share(self, world):
        lease = None if world.lease is None else 0
        world = attrs.evolve(world, processes=(), lease=lease, writer=0)
        key = key_of(world)
        number = self._shared_numbers.get(key)
        if number is None:
            number = self._shared_numbers[key] = len(self._shared)
            self._shared.append(world)
        return number


def shift_part(part, seconds, generations):
    return attrs.evolve(part, process=shift(part.process, seconds, generations))
