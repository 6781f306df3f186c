"""
One token, cached and refreshed for every caller.

    provider.py          TokenProvider: the cached path, and what callers wait for
    cache.py             what a provider remembers: token, failures, the last rejected token
    refresh.py           one refresh: look at the backoff, get a token, settle what came
    token_request.py     which grant is presented, how often, and when a repetition would do harm
    announcer.py         tells an application's callback of each new token
    shared/              one refresh for all processes that share a store
    pool.py              one provider a key
    keep_alive.py        refreshes sign-ins that nobody uses
    status.py            what a health check may show
    settings.py          what a provider is made with; options.py: the same for type checkers

A session's requests:

    middleware.py        signs them
    keyed_middleware.py  signs each with the token of its own key
    bound_requests.py    with the proof of a key
    replay.py            sends one again after an API's refusal
    api_session.py       a session with the client's certificate

Pure, without await, clock or randomness:

    lifecycle.py         a token's life, and the decision of get_token
    backoff.py           when the next token request may be sent
    policy.py            every number; sharing_policy.py: those of a shared refresh
"""
