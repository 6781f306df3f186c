"""
One client registration at one authorization server, composed of parts that can be read alone.

::

    OAuthClient ──► SignInFlow ──┐
        │      ├──► DeviceFlow ──┼──► TokenVerifier
        │      │                 │         │
        └──────┴─────────────────┴─────────┴──► ServerConnection ──► Transport
                                                      └──► Discovery ──► CachedDocument

An arrow means "uses". The flows and the verifier are made at their first use, so that a service
that only asks for tokens never loads them.
"""
