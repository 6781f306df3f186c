"""What a provider was made with, for all who work for it."""

from collections.abc import Callable

import attrs

from aritma_auth.events import Listener
from aritma_auth.policy import RefreshPolicy, SharingPolicy
from aritma_auth.protocol.grants import Grant
from aritma_auth.renewal.requesting import TokenClient
from aritma_auth.runtime.clock import Clock
from aritma_auth.stores import TokenStore


@attrs.frozen(weakref_slot=False)
class Settings:
    """
    What a provider was made with; the names are those of its arguments.

    Attributes:
        client: Asks the server.

        grant: What entitles it to its first token.

        store: Keeps tokens, or None.

        policy: The numbers of a token's life.

        sharing: The numbers of sharing its renewal.

        clock: Tells the time.

        draw: Random numbers in [0, 1).

        on_event: Told what happens.
    """

    client: TokenClient
    grant: Grant
    store: TokenStore | None
    policy: RefreshPolicy
    sharing: SharingPolicy
    clock: Clock
    draw: Callable[[], float]
    on_event: Listener | None
