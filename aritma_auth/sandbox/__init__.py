"""
A local stand-in for Aritma: an identity server and Banking APIs on loopback, with faults on demand.

It is no part of Aritma and proves nothing about Aritma's servers: it answers as their public
documentation and the source code of IdentityServer say they do.

    server.py             Sandbox: starts and stops it all
    steering.py           what a test can do to it
    meddling.py           and to the wire
    faults.py             what can go wrong on a wire, one after the other
    overrides.py               what it says wrongly
    state.py              what its parts share
    generations.py        what differs between IdentityServer 4 and Duende's versions
    clients.py            registered clients and people, as values
    clock.py              the sandbox's own time
    keys.py               RSA keys with X.509 key ids
    facts.py              what tokens tell of a sign-in
    issuing.py            access, ID and logout tokens, signed and remembered
    refresh_tokens.py     refresh tokens, for one use or many
    assertions.py         client assertions, each taken once
    authentication.py     who asks: secrets, Basic, assertions
    refusals.py           how it says no
    sign_ins.py           sessions and codes
    devices.py            and device codes
    token_endpoint.py     the rules of POST /connect/token, without HTTP
    extension_grants.py   those of delegation and token exchange
    authorize.py          those of /connect/authorize
    callbacks.py          what goes back to the client
    session_state.py      and by what a browser knows its session again
    metadata.py           discovery and keys
    identity.py           the routes for clients
    inspection.py         UserInfo and introspection
    browser.py            the routes for people: on the way in
    device_pages.py       for another device
    sign_out.py           on the way out
    check_session.py      and, in a frame, whether somebody has left
    forms.py              whom forms are from, and where they lead
    pages.py              what people see
    banking.py            Banking v3 and what tests need of an API
    payments.py           Banking v4's payments and their authorizations
    bearer.py             what the APIs ask of a token
    problems.py           how they say no
    idempotency.py        and what they answer twice
    pytest_plugin.py      fixtures for the tests of those who use this package
"""

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.faults.overrides import ResponseOverrides
from aritma_auth.sandbox.identity.registrations import SandboxClient, User
from aritma_auth.sandbox.server import Sandbox

__all__ = ["ResponseOverrides", "Sandbox", "SandboxClient", "SandboxClock", "User"]
