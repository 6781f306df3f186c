"""
What a provider does when its cached token will not do any longer.

    cache.py        what it remembers: the token, failures, gates
    settings.py     what the provider was made with
    renewer.py      puts the rest together when a refresh begins, and lets go of it after
    work.py         one flight: look at the gate, get a token, settle what came
    keeping.py      the store first: adopt, follow whoever refreshes, or lead
    looking.py      what a stored entry is worth: a token to adopt, a failure to hear of
    leading.py      refreshing for all who share the store: claim, ask, keep, tell
    numbering.py    which of two tokens is the newer
    guarding.py     a store that may fail, bounded in time
    requesting.py   asking the server: which grant, how often, when asking again does harm

Around it stand ``provider.py``, which has the cached path, ``flight.py``, one run at a time, and
the pure trio ``lifecycle.py``, ``gates.py`` and ``policy.py``.
"""
