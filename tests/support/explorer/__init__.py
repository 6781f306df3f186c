"""
Every interleaving of processes that share a refresh, over an abstract store, server and clock.

A world is a value (`world`). `moves` gives all worlds that may follow: any process whose action can
end, a fault that is left over, or, if nothing can happen now, a second that passes. `parts` takes a
world apart, and leaves out of each part what nothing tells apart any more, so that there are
finitely many. `space` gives each part a number, and works out once what a process may do for all
that it sees. `search` visits the worlds.

An outage of the store is over within the second, unseen by a process that does not look in it, or
longer than the pause between two looks. Time passes only when each process waits for it: a process
takes no time for its own steps, unless it is the one that stands still for once.

Three reductions leave no way out that another does not stand for:

- A part of a world has no more than what a later move depends on. What is left out is no longer in
  the value, so that nothing can depend on it unseen.
- Symmetry: two worlds whose processes have changed places are one.
- Partial order: a step that is due, that depends on nothing but its own process and that nothing
  else can see is taken before all others (`moves.is_unseen`).

The number of worlds is about the product over the faults in one history: 164 without any, 3,913
with a crash, 4,724 with an outage, 15,230 with a `forget`, 39,025 with a sign-in; 78,718 with a
crash and an outage, 572,501 with a sign-in and a crash, 9,055,847 with a sign-in and a `forget`,
which take seven minutes. Random ways go through what has more.

    python -m support.explorer sign-in crash                            # every world
    python -m support.explorer --paired crash outage                    # over a store like Redis
    python -m support.explorer --wrong-key sign-in                      # one has another key
    python -m support.explorer --walks 20000 sign-in forget crash outage   # as many random ways
"""
