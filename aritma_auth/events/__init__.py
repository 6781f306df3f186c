"""
What happens to tokens, as typed values for logs, metrics and health checks.

Each event says whose token it is about: issuer, client, tenant, pool key, grant and scope. As text
it is one line for people, `Event.as_dict` is the same for machines, and `log_event` writes both.

A name is loaded when it is first used: most services never see most events.
"""

from typing import TYPE_CHECKING

from aritma_auth.runtime.lazy_names import lazy_names

_HOMES = {
    "base": (
        "Event",
        "Listener",
    ),
    "listeners": (
        "WaitingListener",
        "log_event",
    ),
    "refreshes": (
        "FlightStarted",
        "FlightEnded",
        "TokenAcquired",
        "TokenRefreshed",
    ),
    "failures": (
        "TokenRequestFailed",
        "RefreshFailed",
        "RefreshRecovered",
        "ReauthenticationRequired",
        "ClockSkewed",
    ),
    "kept": (
        "TokenSet",
        "TokenCallbackFailed",
        "TokenForgotten",
    ),
    "stored": (
        "TokenAdopted",
        "RefreshTokenAtRisk",
        "StoreUsed",
        "StoreFailed",
        "StoreReturned",
    ),
    "requests": (
        "TokenRejected",
        "RequestReplayed",
        "NonceRequired",
        "RequestUnsigned",
        "AuthorizationReplaced",
    ),
    "banking": (
        "DeliveryRefused",
        "DeliveryFailed",
        "DeliveryRepeated",
        "SecretExpiring",
        "ConsentExpiring",
    ),
}

if TYPE_CHECKING:
    from aritma_auth.events.banking import ConsentExpiring as ConsentExpiring
    from aritma_auth.events.banking import DeliveryFailed as DeliveryFailed
    from aritma_auth.events.banking import DeliveryRefused as DeliveryRefused
    from aritma_auth.events.banking import DeliveryRepeated as DeliveryRepeated
    from aritma_auth.events.banking import SecretExpiring as SecretExpiring
    from aritma_auth.events.base import Event as Event
    from aritma_auth.events.base import Listener as Listener
    from aritma_auth.events.failures import ClockSkewed as ClockSkewed
    from aritma_auth.events.failures import ReauthenticationRequired as ReauthenticationRequired
    from aritma_auth.events.failures import RefreshFailed as RefreshFailed
    from aritma_auth.events.failures import RefreshRecovered as RefreshRecovered
    from aritma_auth.events.failures import TokenRequestFailed as TokenRequestFailed
    from aritma_auth.events.kept import TokenCallbackFailed as TokenCallbackFailed
    from aritma_auth.events.kept import TokenForgotten as TokenForgotten
    from aritma_auth.events.kept import TokenSet as TokenSet
    from aritma_auth.events.listeners import WaitingListener as WaitingListener
    from aritma_auth.events.listeners import log_event as log_event
    from aritma_auth.events.refreshes import FlightEnded as FlightEnded
    from aritma_auth.events.refreshes import FlightStarted as FlightStarted
    from aritma_auth.events.refreshes import TokenAcquired as TokenAcquired
    from aritma_auth.events.refreshes import TokenRefreshed as TokenRefreshed
    from aritma_auth.events.requests import AuthorizationReplaced as AuthorizationReplaced
    from aritma_auth.events.requests import NonceRequired as NonceRequired
    from aritma_auth.events.requests import RequestReplayed as RequestReplayed
    from aritma_auth.events.requests import RequestUnsigned as RequestUnsigned
    from aritma_auth.events.requests import TokenRejected as TokenRejected
    from aritma_auth.events.stored import RefreshTokenAtRisk as RefreshTokenAtRisk
    from aritma_auth.events.stored import StoreFailed as StoreFailed
    from aritma_auth.events.stored import StoreReturned as StoreReturned
    from aritma_auth.events.stored import StoreUsed as StoreUsed
    from aritma_auth.events.stored import TokenAdopted as TokenAdopted
else:
    # A type checker that sees __getattr__ takes any misspelled name for a public one.
    __all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)
