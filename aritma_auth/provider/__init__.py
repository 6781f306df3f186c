"""
One token, cached and refreshed for every caller.

    provider.py       TokenProvider: the cached path, and what callers wait for
    cache.py          what a provider remembers: token, failures, the last rejected token
    refresh.py        one refresh: look at the backoff, get a token, settle what came
    token_request.py  which grant is presented, how often, and when a repetition would do harm
    shared/           one refresh for all processes that share a store
    middleware.py     signs an aiohttp session's requests
    pool.py           one provider a key
    status.py         what a health check may show

Pure, without await, clock or randomness:

    lifecycle.py      a token's life, and the decision of get_token
    backoff.py        when the next token request may be sent
    policy.py         every number
"""
