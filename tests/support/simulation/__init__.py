"""
Deterministic simulation: the real client, provider, stores and aiohttp on virtual time.

Theory of operation
-------------------

::

    seed ── make_plan ──► Plan: a World and its Steps (data)
                             │
                          History ───────────── Watch: the invariants, at every step
                             │
      ┌──────────────────────┴─ Universe: true time, agenda, who is next ─────────────────┐
      │  Process p0             Process p1             Network            IdentityServer  │
      │   Machine: clocks        ...                    latency, loss,     families,       │
      │   SimulatedLoop main                            reset, refused     rotation, reuse │
      │   SimulatedLoop side     ── sock_connect, ────► Connection ──────► HTTP/1.1 bytes  │
      │   TokenProvider             transports                                            │
      │     OAuthClient, aiohttp ── TokenStore ───────► Shelf: cells, leases, faults      │
      └───────────────────────────────────────────────────────────────────────────────────┘

One integer decides a history. `make_plan` turns it into data: what does not change (`World`) and
what happens (`Step`: a caller, a fault, a sign-in, a kill). `History` carries the steps out. The
`Universe` holds true time and an agenda; as long as an event loop has a callback to run, it runs
one, chosen by the seed among the loops; when none has, time jumps to what is next. Thousands of
seconds pass in milliseconds.

Nothing is injected into the package. It runs on asyncio's own seams: `SimulatedLoop` is an
`AbstractEventLoop` whose `time()` is its machine's, whose sockets are in memory and whose worker
threads are entries of the agenda; ``time.time`` and ``time.monotonic`` tell the time of the process
that runs. A thread that the package starts runs for real, but never beside the universe: `Baton`.

A loop runs as asyncio's own does: an iteration takes the callbacks that wait, then what lies in the
sockets, then the timers that are due. A process can be frozen or killed between any two callbacks,
that is at every await: a step may be armed, which means that it waits for an anchor (a request
leaves, arrives, is answered; an operation of the store begins, is done) and then for a few
callbacks more.

`Watch` judges by what the server, the store and the callers see, never by the package's insides:

- no expired token, no rejected one and none of a superseded sign-in is handed out;
- a refresh token is presented again only when its redemption time-out is over, never twice at once;
- a successor that was received is kept, and stored as soon as the store can be used;
- one token request is in flight per key while the store is healthy;
- every caller ends in time, with a token or an error of ours; nothing runs after `aclose`;
- requests in an outage are bounded;
- what cannot be read is not overwritten;
- when all is healthy again every sign-in is there, unless the server has said that it has ended.

Where even a perfect client cannot know (a process frozen between its last look at the clock and its
request, a store that has lost its memory, a loop that is closed with its tasks), the invariant says so.

A failure tells its seed. The same plan gives the same trace; `shrink` leaves out steps as long as
the same invariant does not hold. ``python -m support.simulation 0 1000`` runs seeds,
``python -m support.simulation 17`` tells all of one.
"""
