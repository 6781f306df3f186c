"""
Every interleaving of processes that share a refresh, over an abstract store, server and clock.

A world is a value (`world`). `moves` gives all worlds that may follow: any process whose action can
end, a fault that is left over, or, if nothing can happen now, a second that passes. `keys` makes
worlds one that nothing tells apart any more, so that there are finitely many, and `search` visits
them.

An outage of the store is over within the second, unseen by a process that does not look in it, or
longer than the pause between two looks. Time passes only when each process waits for it: a process
takes no time for its own steps, unless it is the one that stands still for once.

Two reductions leave no way out that another does not stand for:

- Symmetry: two worlds whose processes have changed places are one.
- Partial order: a step that is due, that depends on nothing but its own process and that nothing
  else can see is taken at once. The next step of the other job of that process, a user's act or a
  freeze that may still come would see it; and an outage would swallow the response to a write. With
  any of those left, the step is one among others. A crash makes no difference: what a process has
  just learned ends with it.

The number of worlds is about the product over the faults in one history: 200 without any, 4,000
with a crash, 7,000 with an outage, 43,000 with a sign-in, 18,000 with a `forget`; 124,272 with a
crash and an outage, 636,115 with a sign-in and a crash. With a process that has another key there
are 11,437 with a sign-in, 3,329 with a `forget`, 18,294 with a `forget` and a crash. A sign-in and
a `forget` in one history did not end in 40 minutes, and all four at once are some 10⁹ worlds:
random ways go through those.

    python -m support.explorer sign-in crash                            # every world
    python -m support.explorer --paired crash outage                    # over a store like Redis
    python -m support.explorer --wrong-key sign-in                      # one has another key
    python -m support.explorer --walks 20000 sign-in forget crash outage   # as many random ways
"""
