"""
A payment of two signers on virtual time: docs/examples/two_signers.py, and all that it stands on.

Theory of operation
-------------------

::

    seed ── make_payment_plan ──► Plan: a PaymentWorld and its Steps
                                     │
               PaymentHistory ───────┴─────── PaymentWatch: the invariants
                 │
      ┌──────────┴─ Universe, Network, loops: as for tokens ──────────────────────────────┐
      │  Signer: a browser        Application p0, p1, ...            Bank                 │
      │    visits, signs in,        Desk of the example      ──────►   tokens, keys       │
      │    goes back, twice         PendingSignIns, OAuthClient        payments           │
      │    if impatient             TokenProvider, middleware          authorizations     │
      │                             EventReceiver            ◄──────   events: late, out  │
      │  Operator                   Row: compare-and-swap              of order, repeated │
      └───────────────────────────────────────────────────────────────────────────────────┘

The end-users come in either order, at once or days apart, and again until they are told that it is
done. The bank acts when a request arrives; its response may be lost, late, reset, cut off, a 503 of
a gateway, or a 500 that it keeps under the request's Idempotency-Key. Processes are killed, frozen,
put to sleep and blocked between any two callbacks, their clocks differ and step. An operator looks
at the bank if the response to a creation never came and its key may be forgotten.

The invariants:

- the bank has one payment, and executes it once;
- what the row has known of a signature or of a final status, it knows for ever;
- the row keeps its key, unless an operator has found that there is no payment;
- what the package raises is an error of ours, and tells the truth;
- when all is healthy again, the payment is executed, the row says who has signed, and nobody waits.

A bank forgets a key some time. Between the look at the clock and the arrival of the request a process
may stand still, and two clocks may differ: the key must live longer than ``replay_window`` and these.
That is where even a perfect client cannot know, so the worlds keep to it.

``make_death_plan`` is the other kind of seed: the number of the callback that is a process's last.
``python -m support.simulation payments 0 1000`` and ``... deaths 0 400`` run them.
"""
