"""Public clients, which have no secret."""

from typing import ClassVar

import attrs

from aritma_auth.protocol.client_auth.base import ClientAuth, ClientCredential, Proof
from aritma_auth.runtime.values import Value


@attrs.frozen(eq=False, repr=False)
class NoClientAuth(Value, ClientAuth):
    """
    A public client: it names itself and proves nothing.

    Spec: RFC 6749 §2.1, §3.2.1.
    """

    method: ClassVar[str] = "none"

    def prove(self, credential: ClientCredential) -> Proof:
        """Name the client."""
        return Proof((("client_id", credential.client_id),))
