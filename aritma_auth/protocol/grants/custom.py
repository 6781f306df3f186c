"""A server's own grant."""

from typing import ClassVar

import attrs

from aritma_auth.protocol.grants.base import RESERVED, Extra, Grant
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.parameters import parse_extra, require_bool, require_text
from aritma_auth.protocol.redaction import SecretParameters
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments


def _fields(value: Extra) -> SecretParameters:
    return parse_extra(value, reserved=RESERVED, name="fields")


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class CustomGrant(Grant):
    """
    An extension grant of a server's own.

    Attributes:
        name: Its ``grant_type``, as the server names it.

        fields: Its own parameters, name to value; never shown.

        is_reusable: It may be presented again, for the next token and after a lost response. By
            default that is unknown, and it is presented once.

    Spec: RFC 6749 §4.5.
    """

    grant_type: ClassVar[str] = ""
    name: str = attrs.field(validator=require_text, kw_only=False)
    fields: SecretParameters = attrs.field(
        default=SecretParameters(), converter=_fields, kw_only=False
    )
    is_reusable: bool = attrs.field(  # type: ignore[misc] # elsewhere it is the class's
        default=False, validator=require_bool, kw_only=True
    )

    def parameters(self) -> Parameters:
        """Return the form of this grant, without the client's authentication."""
        return (("grant_type", self.name), *super().parameters()[1:])

    def own_parameters(self) -> Parameters:
        """Return the server's own parameters."""
        return tuple(self.fields)
