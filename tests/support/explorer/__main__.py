"""Visit worlds, and say how many there are."""

import sys

from support.explorer.search import explore, walk
from support.explorer.world import start


def main(arguments):
    """
    Explore, or walk after ``--walks COUNT``.

    ``--paired`` is the store that does two things at once; with ``--wrong-key`` one of the processes
    cannot read what the other one writes.
    """
    kind = {"is_paired": "--paired" in arguments, "wrong_key": "--wrong-key" in arguments}
    chosen = [one for one in arguments if one not in {"--paired", "--wrong-key"}]
    if chosen[0] == "--walks":
        count = int(chosen[1])
        worlds = walk(start(*chosen[2:], **kind), count)
        print(f"{worlds:,} different worlds on {count:,} ways")
    else:
        print(f"{explore(start(*chosen, **kind)):,} worlds")


if __name__ == "__main__":
    main(sys.argv[1:])
