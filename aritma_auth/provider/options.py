"""What each way to make a provider takes: for type checkers, so that a service never loads it."""

from typing import TYPE_CHECKING, TypedDict

from aritma_auth.provider.policy import RefreshPolicy
from aritma_auth.runtime.clock import Clock

if TYPE_CHECKING:
    from aritma_auth.events.base import Listener
    from aritma_auth.provider.announcer import TokenCallback
    from aritma_auth.provider.sharing_policy import RefreshTokenUsage, SharingPolicy
    from aritma_auth.stores import TokenStore


class ProviderOptions(TypedDict, total=False):
    """What each way to make a `TokenProvider` takes; the class itself says what each of them is."""

    store: "TokenStore | None"
    policy: RefreshPolicy
    sharing: "SharingPolicy | None"
    clock: Clock
    on_event: "Listener | None"
    on_token: "TokenCallback | None"
    refresh_tokens: "RefreshTokenUsage | None"
