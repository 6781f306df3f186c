"""The signers' parts of a payment, and what each has to do next."""

from enum import Enum

import attrs

from aritma_auth.banking.kinds import OPTIONAL, parse_acr_values, text
from aritma_auth.banking.problems import is_status
from aritma_auth.errors import require_count
from aritma_auth.runtime.values import Value

SIGNED = ("finalised", "exempted")
"""Statuses (``scaStatus``) with which nothing is left to confirm."""


class PaymentAction(Enum):
    """What a payment needs next of one signer."""

    CREATE = "create"
    """It may not exist yet: `PendingPayment.begin_creation`."""

    AUTHORIZE = "authorize"
    """The signer has no authorization under way: `PendingPayment.begin_authorization`."""

    SIGN = "sign"
    """The signer confirms at Aritma ID: `PendingPayment.step`."""

    WAIT = "wait"
    """Nothing of this signer: others must sign, or the bank is at work."""

    DONE = "done"
    """Nothing at all: the payment was executed, rejected or cancelled."""


@attrs.frozen(eq=False, repr=False, kw_only=True)
class Signature(Value):
    """
    One signer's part.

    Attributes:
        signer: The signer, by the name that the application gave, or Aritma's for a signer of whom
            only an event tells.

        attempt: Counts the authorizations that were started for this signer.

        authorization_id: The API's identifier, or None before the response.

        url: The authorization's own URL, or None.

        confirmation: Where the signer's token goes, or None.

        acr_values: Authentication context classes of the sign-in.

        status: The last ``scaStatus``; empty before the response.
    """

    signer: str = attrs.field(validator=text)
    attempt: int = 1
    authorization_id: str | None = attrs.field(default=None, validator=OPTIONAL)
    url: str | None = attrs.field(default=None, validator=OPTIONAL)
    confirmation: str | None = attrs.field(default=None, validator=OPTIONAL)
    acr_values: tuple[str, ...] = attrs.field(default=(), converter=parse_acr_values)
    status: str = attrs.field(default="", validator=text)

    def __attrs_post_init__(self) -> None:
        require_count("attempt", self.attempt, least=1)

    @property
    def is_signed(self) -> bool:
        """The signer has confirmed, or need not."""
        return is_status(self.status, *SIGNED)

    @property
    def is_failed(self) -> bool:
        """The authorization has ended without a confirmation."""
        return is_status(self.status, "failed")
