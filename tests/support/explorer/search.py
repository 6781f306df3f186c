"""Visits every world that can be reached, or goes random ways through them."""

import random
from collections import deque

from support.explorer.keys import key_of
from support.explorer.moves import moves, reads
from support.explorer.world import BrokenInvariantError, family

LONGEST_WAY = 150
FAULT_RATE = 0.1


def is_good(world):
    """Tell whether all is well: nothing under way, and the newest sign-in is in use, or ended."""
    record = world.entry.record
    for index, process in enumerate(world.processes):
        # A sign-out is owed for ever by who cannot read the entry.
        if process.known.is_owed and (reads(world, index) or process.known.owes_sign_in):
            return False
    if world.wanted & world.ended:
        return True
    if family(record.token) not in world.wanted:
        return False
    if record.token is None:
        return True
    is_usable = record.token.access_token not in dict(world.spent)
    readers = [process for index, process in enumerate(world.processes) if reads(world, index)]
    return is_usable and all(process.held for process in readers)


def explore(world):
    """
    Visit every world that can be reached.

    Worlds are told apart by the 64 bits of a hash: of a million worlds, two are taken for one with
    a chance of one to thirty million.

    Returns:
        How many there are.

    Raises:
        BrokenInvariantError: An invariant is broken; it tells what led there.
    """
    root = hash(key_of(world))
    came_from, queue, back, good = {root: None}, deque([(root, world)]), {}, set()
    while queue:
        key, world = queue.popleft()
        if is_good(world):
            good.add(key)
        try:
            for move in moves(world):
                reached = hash(key_of(move.after))
                if not move.is_fault:
                    back.setdefault(reached, []).append(key)
                if reached not in came_from:
                    came_from[reached] = (key, move.label)
                    queue.append((reached, move.after))
        except BrokenInvariantError as error:
            raise BrokenInvariantError(f"{error}, after {story(came_from, key)}") from None
    _check_ends(came_from, back, good)
    return len(came_from)


def walk(world, count, seed=0):
    """
    Go as many random ways through worlds that are too many to visit all.

    Each way ends when all is well and no fault is left, or after `LONGEST_WAY` moves.

    Returns:
        How many different worlds were visited.

    Raises:
        BrokenInvariantError: An invariant is broken; it tells what led there.
    """
    draw, seen, first = random.Random(seed), set(), world
    for _ in range(count):
        world, labels = first, []
        for _ in range(LONGEST_WAY):
            seen.add(hash(key_of(world)))
            try:
                following = moves(world)
            except BrokenInvariantError as error:
                raise BrokenInvariantError(f"{error}, after {'; '.join(labels)}") from None
            faults = [move for move in following if move.is_fault]
            # Faults are rare, so that they meet every stage of a refresh.
            is_faulty = faults and (draw.random() < FAULT_RATE or len(faults) == len(following))
            steps = faults if is_faulty else [move for move in following if not move.is_fault]
            move = draw.choice(steps)
            world = move.after
            labels.append(move.label)
            if not world.faults and is_good(world):
                break
    return len(seen)


def _check_ends(came_from, back, good):
    """Check that from each world all can become well without another fault."""
    well, todo = set(good), list(good)
    while todo:
        for key in back.get(todo.pop(), ()):
            if key not in well:
                well.add(key)
                todo.append(key)
    stuck = next((key for key in came_from if key not in well), None)
    if stuck is not None:
        raise BrokenInvariantError(f"nothing gets well again after {story(came_from, stuck)}")


def story(came_from, key):
    """Tell what led to a world."""
    labels = []
    while came_from[key] is not None:
        key, label = came_from[key]
        labels.append(label)
    return "; ".join(reversed(labels)) or "nothing"
