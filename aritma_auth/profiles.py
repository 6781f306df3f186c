"""Aritma's APIs: what their guides ask for, and where they are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.parameters import Scope, make_scope

if TYPE_CHECKING:
    from aritma_auth.environment import Environment


@attrs.frozen
class ApiProfile:
    """
    Defaults for one of Aritma's APIs.

    The documentation disagrees with itself, so all of it can be overridden where it is used.

    Attributes:
        name: The API's short name.

        scope: Scope that its guide asks for.

        production: Base URL in production, or None where none is published.

        development: Base URL in development, or None where none is published.
    """

    name: str
    scope: Scope | None = attrs.field(converter=make_scope)
    production: str | None = None
    development: str | None = None

    def base_url(self, environment: "Environment") -> str:
        """
        Give the base URL, with trailing slash, fit for ``aiohttp.ClientSession(base_url=...)``.

        Args:
            environment: `PRODUCTION` or `DEVELOPMENT`, tenants included.

        Raises:
            ConfigurationError: Aritma publishes none for this environment: give your own.
        """
        known = {"production": self.production, "development": self.development}
        url = known.get(environment.name)
        if url is None:
            raise ConfigurationError(
                f"no base URL of {self.name} is published for {environment.name}: give your own"
            )
        return url


PROFILES: Mapping[str, ApiProfile] = {
    profile.name: profile
    for profile in (
        ApiProfile(
            "bankservice",
            "bankservice",
            "https://bankservice.zdata.no/",
            "https://bankservicedemo.zdata.no/",
        ),
        ApiProfile(
            "banking", "api", "https://banking.aritma.io/api/", "https://banking.dev.aritma.io/api/"
        ),
        ApiProfile(
            "psd2",
            "banking.channel.psd2 banking.ais.read",
            "https://banking.aritma.io/api/",
            "https://banking.dev.aritma.io/api/",
        ),
        ApiProfile("events", "api", "https://events.aritma.io/", "https://events.dev.aritma.io/"),
        ApiProfile("iam", "services.iam", None, "https://api.dev.aritma.io/core/iam/"),
        ApiProfile("commerce", "services.settlement zam"),
        ApiProfile("control", "reconcile bankservice services.erphub"),
        ApiProfile(
            "erphub",
            "services.erphub",
            "https://erphub-api.aritma.io/",
            "https://erphub-api.dev.aritma.io/",
        ),
    )
}
"""Aritma's APIs by name."""
