"""Visits every world that can be reached, or goes random ways through them."""

import contextlib
import itertools
import random
from collections import deque

from support.explorer.space import Space
from support.explorer.world import BrokenInvariantError

LONGEST_WAY = 150
FAULT_RATE = 0.1


def explore(world, *, is_reduced=True):
    """
    Visit every world that can be reached.

    Faults only become fewer, so the worlds with the same ones left are visited together, and
    forgotten: an entry to them comes from worlds with more.

    Args:
        world: The first one.

        is_reduced: Leave ways out that another stands for.

    Returns:
        How many there are.

    Raises:
        BrokenInvariantError: An invariant is broken; it tells what led there.
    """
    space, count = Space(is_reduced=is_reduced), 0
    first = space.number_of(world)
    waiting = {world.faults: {first}}
    while waiting:
        entries = waiting.pop(max(waiting, key=len))
        try:
            count += _visit(space, entries, waiting)
        except _BrokenError as error:
            way = _find_way(space, first, error.number)
            raise BrokenInvariantError(f"{error}, after {story(space, way)}") from None
    return count


class _BrokenError(Exception):
    """An invariant is broken in the world of that number."""

    def __init__(self, message, number):
        super().__init__(message)
        self.number = number


def _visit(space, entries, waiting):
    """Visit the worlds that have the faults of these left; give how many there are."""
    found, seen = list(entries), set(entries)
    for number in found:
        try:
            following = space.moves(number)
        except BrokenInvariantError as error:
            raise _BrokenError(str(error), number) from None
        for _, is_fault, after in following:
            if is_fault:
                waiting.setdefault(space.faults(after), set()).add(after)
            elif after not in seen:
                seen.add(after)
                found.append(after)
    _check_ends(space, found)
    return len(found)


def _check_ends(space, numbers):
    """Check that from each world all can become well without another fault."""
    well, left = set(), numbers[::-1]
    while left:
        # Most of what follows a world was found after it, and is looked at before.
        rest = []
        for number in left:
            following = space.moves(number)
            if space.is_good(number) or any(
                not is_fault and after in well for _, is_fault, after in following
            ):
                well.add(number)
            else:
                rest.append(number)
        if len(rest) == len(left):
            raise _BrokenError("nothing gets well again", rest[-1])
        left = rest


def _find_way(space, first, last):
    """Give the numbers of the worlds that lead from one to another."""
    came_from, queue = {first: None}, deque([first])
    while last not in came_from:
        number = queue.popleft()
        with contextlib.suppress(BrokenInvariantError):
            for _, _, after in space.moves(number):
                if after not in came_from:
                    came_from[after] = number
                    queue.append(after)
    way = [last]
    while came_from[way[-1]] is not None:
        way.append(came_from[way[-1]])
    return way[::-1]


def story(space, way):
    """Tell what happens on a way through worlds, given by their numbers; 0 is the one that acts."""
    labels = []
    for before, after in itertools.pairwise(way):
        labels.append(next(label for label, _, one in space.moves(before) if one == after))
    return "; ".join(labels) or "nothing"


def walk(world, count, seed=0):
    """
    Go as many random ways through worlds that are too many to visit all.

    Each way ends when all is well and no fault is left, or after `LONGEST_WAY` moves.

    Returns:
        How many different worlds were visited.

    Raises:
        BrokenInvariantError: An invariant is broken; it tells what led there.
    """
    draw, space, seen = random.Random(seed), Space(is_reduced=False), set()
    first = space.number_of(world)
    for _ in range(count):
        number, way = first, [first]
        for _ in range(LONGEST_WAY):
            seen.add(number)
            try:
                following = space.moves(number)
            except BrokenInvariantError as error:
                raise BrokenInvariantError(f"{error}, after {story(space, way)}") from None
            faults = [after for _, is_fault, after in following if is_fault]
            steps = [after for _, is_fault, after in following if not is_fault]
            # Faults are rare, so that they meet every stage of a refresh.
            is_faulty = faults and (draw.random() < FAULT_RATE or not steps)
            number = draw.choice(faults if is_faulty else steps)
            way.append(number)
            if not space.faults(number) and space.is_good(number):
                break
    return len(seen)
