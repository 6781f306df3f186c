"""Payments, baskets and their authorizations, as the sandbox keeps them."""

import attrs

from aritma_auth.sandbox.arguments import count


@attrs.define(kw_only=True)
class Payment:
    """
    A payment, or a basket of payments.

    Attributes:
        path: Its address.

        client_id: The client that initiated it.

        required: End-users who must confirm it.

        members: The payments of a basket.

        signed_by: End-users who have confirmed it, by ``sub``.

        status: ``received``, or ``accepted`` once enough end-users have confirmed it.
    """

    path: str
    client_id: str
    required: int = 1
    members: "tuple[Payment, ...]" = ()
    signed_by: list[str] = attrs.field(factory=list)
    status: str = "received"

    @property
    def payment_id(self) -> str:
        """Its identifier, the end of its address."""
        return self.path.rpartition("/")[2]

    @property
    def remaining(self) -> int:
        """End-users who are left."""
        return max(0, self.required - len(self.signed_by))

    def shown(self) -> dict[str, object]:
        """Show it, with its status as ISO 20022 has it too."""
        name = "basketId" if self.members else "paymentId"
        return {
            name: self.payment_id,
            "status": self.status,
            "transactionStatus": "acsc" if self.status == "accepted" else "pdng",
            "requiredAuthorizations": self.required,
            "remainingAuthorizations": self.remaining,
        }


@attrs.define
class SandboxPayments:
    """
    The payments of one sandbox; ``sandbox.payments`` is one.

    Attributes:
        required_authorizations: End-users who must confirm each payment that is initiated from now
            on.

        initiated: Identifiers of the payments that were initiated, oldest first.

        executed: Identifiers of the payments that were executed, once for each execution.
    """

    required_authorizations: int = attrs.field(default=1, validator=count)
    initiated: list[str] = attrs.field(factory=list)
    executed: list[str] = attrs.field(factory=list)


@attrs.define(kw_only=True)
class Authorization:
    """
    A payment's authorization.

    Attributes:
        authorization_id: Its identifier.

        payment: The payment to confirm.

        acr_values: Authentication contexts that the end-user's sign-in must have reached.

        status: ``started`` or ``finalised``.
    """

    authorization_id: str
    payment: Payment
    acr_values: tuple[str, ...]
    status: str = "started"

    @property
    def path(self) -> str:
        """Its address."""
        return f"{self.payment.path}/authorizations/{self.authorization_id}"
