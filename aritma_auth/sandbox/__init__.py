"""
A local stand-in for Aritma: an identity server and Banking APIs on loopback, with faults on demand.

It is no part of Aritma and proves nothing about Aritma's servers: it answers as their public
documentation and the source code of IdentityServer say they do.

    server.py           Sandbox: starts and stops it all
    steering.py         what a test can do to it
    state.py            what its parts share
    clients.py          registered clients and people, as values
    clock.py            the sandbox's own time
    keys.py             RSA keys with X.509 key ids
    issuing.py          access tokens, signed and remembered
    assertions.py       client assertions, each taken once
    generations.py      what differs between IdentityServer 4 and Duende's versions
    refusals.py         how it says no
    authentication.py   who asks: secrets, Basic, assertions
    sign_ins.py         sign-ins under way: sessions, codes, device codes
    token_endpoint.py   the rules of POST /connect/token, without HTTP
    authorize.py        the rules of /connect/authorize, without HTTP
    identity.py         the identity server's routes for programs
    browser.py          and those for people
    pages.py            what people see
    banking.py          Banking v3 and v4 behind the bearer token
    faults.py           what can go wrong on a wire, one after the other
    pytest_plugin.py    fixtures for the tests of those who use this package
"""

from aritma_auth.sandbox.clients import Person, SandboxClient
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.server import Sandbox

__all__ = ["Person", "Sandbox", "SandboxClient", "SandboxClock"]
