"""A refresh under way, as a value: what the steps of `machine` change."""

import enum

import attrs

from aritma_auth.errors import AritmaAuthError
from aritma_auth.protocol.tokens import Token
from aritma_auth.provider.shared.knowledge import Knowledge, View
from aritma_auth.provider.shared.messages import Outcome, Postpone, Responded
from aritma_auth.stores import Record


class Purpose(enum.Enum):
    """What the steps are for."""

    REFRESH = enum.auto()
    WRITE = enum.auto()
    """Write what is owed."""
    WRITE_NOW = enum.auto()
    """The same in a call of `set_token` or `forget`: that is newer than whatever is stored."""


class Phase(enum.Enum):
    """What is waited for; the names are those of the drawing."""

    LOOK = enum.auto()
    LEASE = enum.auto()
    CLAIM = enum.auto()
    ASK = enum.auto()
    PAUSE = enum.auto()
    WRITE = enum.auto()
    LATER = enum.auto()
    AWAY = enum.auto()
    NOTE = enum.auto()
    RELEASE = enum.auto()


@attrs.define
class Refresh:
    """A refresh under way, or a write; a step changes a copy of it."""

    known: Knowledge
    """What the process knows; it outlives the refresh."""
    purpose: Purpose
    began_at: float
    poll: float
    """Seconds until the next look at an entry that another process is refreshing."""
    phase: Phase = Phase.LOOK
    view: View = attrs.field(factory=View)
    changed_at: float = 0.0
    """When this refresh saw the entry change last: whoever holds the lease lived then."""
    quiet_until: float = float("-inf")
    """Until then no one-time token is presented."""
    is_alone: bool = False
    """The store is away, and the server is asked without it."""
    others_wait: bool = False
    """Another process may wait for the lease since before this refresh holds it."""
    fence: int | None = None
    """Number of the lease, if it is held."""
    basis: Token | None = None
    """The token whose refresh token is presented, or None for the grant itself."""
    serial: int = 0
    """The newest token's when this was decided."""
    claimed_at: float = 0.0
    """When the mark was decided on; it is written later."""
    sent_at: float | None = None
    """When the basis was presented first."""
    is_at_risk: bool = False
    """The basis may be spent."""
    attempts: int = 0
    """Requests so far."""
    writes: int = 0
    """Records so far."""
    saving: Record = attrs.field(factory=Record)
    """The last of them."""
    response: Responded | None = None
    refusal: AritmaAuthError | None = None
    """Why the server refused the last basis for good."""
    outcome: Outcome = attrs.field(factory=lambda: Postpone(0.0))
    """The end, once the lease is given back."""

    @property
    def is_critical(self) -> bool:
        """Something that can be had only once is on its way."""
        is_sent = self.phase is Phase.ASK and not (self.known.is_reusable and self.basis is None)
        return is_sent or self.response is not None or self.phase in {Phase.CLAIM, Phase.NOTE}
