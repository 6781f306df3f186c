"""
A local stand-in for Aritma: an identity server and Banking APIs on loopback, with faults on demand.

It is no part of Aritma and proves nothing about Aritma's servers: it responds as their public
documentation and the source code of IdentityServer say that they do.

    controls.py   Sandbox: what a test registers, approves and counts
    clock.py      its time
    overrides.py  what its responses and tokens say instead of the truth
    faults/       what goes wrong on the wire, and with tokens, keys and authorization requests
    server.py     the two servers on loopback
    state.py      what their routes share
    identity/     the identity server's rules, without HTTP
    endpoints/    its endpoints for clients
    pages/        its pages for end-users
    banking/      the routes of the Banking APIs, the Events API and IAM
    records/      what these keep: consents, payments, subscriptions and their deliveries
    outgoing.py   requests to clients, and to the receivers of events
"""

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.controls import Sandbox
from aritma_auth.sandbox.faults.controls import Faults
from aritma_auth.sandbox.faults.injection import Hold
from aritma_auth.sandbox.identity.registrations import SandboxClient, User
from aritma_auth.sandbox.overrides import ResponseOverrides
from aritma_auth.sandbox.records.consents import SandboxConsents
from aritma_auth.sandbox.records.deliveries import Delivery, SandboxEvents, Subscription
from aritma_auth.sandbox.records.payments import SandboxPayments

__all__ = [
    "Delivery",
    "Faults",
    "Hold",
    "ResponseOverrides",
    "Sandbox",
    "SandboxClient",
    "SandboxClock",
    "SandboxConsents",
    "SandboxEvents",
    "SandboxPayments",
    "Subscription",
    "User",
]
