"""Aritma's APIs: what their guides ask for, and where they are."""

from collections.abc import Mapping

import attrs

from aritma_auth.protocol.parameters import OPTIONAL_TEXT, Scope, parse_scope, require_text
from aritma_auth.runtime.values import Value


@attrs.frozen(eq=False, repr=False)
class Api(Value):
    """
    Defaults for one of Aritma's APIs.

    The documentation disagrees with itself, so all of it can be overridden where it is used.

    Attributes:
        name: The API's short name.

        scope: Scope that its guide asks for.

        production: Base URL in production, or None where none is published.

        development: Base URL in development, or None where none is published.
    """

    name: str = attrs.field(validator=require_text)
    scope: Scope | None = attrs.field(converter=parse_scope)
    production: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT)
    development: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT)


APIS: Mapping[str, Api] = {
    api.name: api
    for api in (
        Api(
            "bankservice",
            "bankservice",
            "https://bankservice.zdata.no/",
            "https://bankservicedemo.zdata.no/",
        ),
        Api(
            "banking", "api", "https://banking.aritma.io/api/", "https://banking.dev.aritma.io/api/"
        ),
        Api(
            "psd2",
            "banking.channel.psd2 banking.ais.read",
            "https://banking.aritma.io/api/",
            "https://banking.dev.aritma.io/api/",
        ),
        Api("events", "api", "https://events.aritma.io/", "https://events.dev.aritma.io/"),
        Api("iam", "services.iam", None, "https://api.dev.aritma.io/core/iam/"),
        Api("commerce", "services.settlement zam"),
        Api("control", "reconcile bankservice services.erphub"),
        Api(
            "erphub",
            "services.erphub",
            "https://erphub-api.aritma.io/",
            "https://erphub-api.dev.aritma.io/",
        ),
    )
}
"""Aritma's APIs by name."""
