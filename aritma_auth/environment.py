"""Authorization servers, their tenants, and where their tokens may go."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

import attrs
from yarl import URL

from aritma_auth.apis import APIS
from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.urls import Origin, origin_of, require_secure_url
from aritma_auth.runtime.values import Value


def _issuer(url: str) -> str:
    if not isinstance(url, str):
        raise wrong_kind("the issuer", "an https URL, such as https://id.aritma.io", url)
    require_secure_url(url, "the issuer")
    if URL(url).query_string:
        raise ConfigurationError("the issuer carries a query: remove it (RFC 8414 §2)")
    return url.rstrip("/")


def _aliases(issuers: Iterable[str]) -> frozenset[str]:
    return frozenset(issuers)


def _origins(urls: Iterable[str]) -> frozenset[Origin]:
    if isinstance(urls, str) or not isinstance(urls, Iterable):
        raise wrong_kind("origins", 'a list of URLs, such as ["https://api.example.com"]', urls)
    return frozenset(origin_of(require_secure_url(url, "an origin")) for url in urls)


def _endpoints(urls: Mapping[str, str]) -> Mapping[str, str]:
    for name, url in urls.items():
        _require_known(name)
        require_secure_url(url, name)
    return dict(urls)


def _require_known(name: str) -> None:
    # A spelling mistake would silently leave another address in use.
    if name not in Environment.ENDPOINTS:
        known = ", ".join(Environment.ENDPOINTS)
        raise ConfigurationError(f"an endpoint's name must be one of {known}, not {name!r}")


def _urls(origins: Iterable[Origin]) -> tuple[str, ...]:
    return tuple(sorted(origin.url for origin in origins))


@attrs.frozen(eq=False, repr=False)
class Environment(Value):
    """
    One Aritma ID and the APIs that trust it.

    Attributes:
        issuer: The authorization server's URL, tenant path included, without trailing slash.

        name: ``production``, ``development``, or a name of the caller's.

        issuer_aliases: Further issuers that this server may name in its responses.

        api_origins: Where its tokens may go, as (scheme, host, port).

        tenant: The tenant in the path, or None for the default tenant.

        endpoints: URLs by metadata name, where they differ from IdentityServer's fixed paths.

        discovers: Endpoints that are not given come from the server's metadata.

        endpoint_origins: Origins, beside the issuer's own, on which discovered endpoints may be.

    Source: reference of Aritma ID (tenants) and the authentication page of Open Banking.
    """

    issuer: str = attrs.field(converter=_issuer)
    name: str = "custom"
    issuer_aliases: frozenset[str] = attrs.field(
        default=frozenset(), converter=_aliases, repr=False
    )
    api_origins: frozenset[Origin] = attrs.field(
        default=frozenset(), converter=_origins, repr=False
    )
    tenant: str | None = None
    endpoints: Mapping[str, str] = attrs.field(
        factory=dict, converter=_endpoints, hash=False, repr=False
    )
    discovers: bool = False
    endpoint_origins: frozenset[Origin] = attrs.field(
        default=frozenset(), converter=_origins, repr=False
    )

    ENDPOINTS: ClassVar[Mapping[str, str]] = {
        "authorization_endpoint": "connect/authorize",
        "check_session_iframe": "connect/checksession",
        "device_authorization_endpoint": "connect/deviceauthorization",
        "end_session_endpoint": "connect/endsession",
        "introspection_endpoint": "connect/introspect",
        "jwks_uri": ".well-known/openid-configuration/jwks",
        "pushed_authorization_request_endpoint": "connect/par",
        "revocation_endpoint": "connect/revocation",
        "token_endpoint": "connect/token",
        "userinfo_endpoint": "connect/userinfo",
    }
    """IdentityServer's fixed paths, so that nothing needs discovery."""

    @classmethod
    def at(
        cls,
        url: str,
        *,
        api_origins: Iterable[str] = (),
        issuer_aliases: Iterable[str] = (),
        endpoints: Mapping[str, str] | None = None,
        discover: bool = False,
        endpoint_origins: Iterable[str] = (),
        name: str = "custom",
    ) -> Self:
        """
        Describe any other authorization server without asking it.

        Args:
            url: Its issuer; https, or http on loopback.

            api_origins: URLs of the APIs that its tokens may be sent to.

            issuer_aliases: Further issuers that it may name.

            endpoints: URLs by metadata name, such as ``token_endpoint``, for servers with other
                paths than IdentityServer's.

            discover: Look up the other endpoints in the server's metadata, instead of taking
                IdentityServer's fixed paths.

            endpoint_origins: URLs on whose origins discovered endpoints may be, too.

            name: A name for logs.

        Raises:
            ConfigurationError: A URL is not absolute, not secure, or carries a password; or an
                endpoint has none of the names in `ENDPOINTS`.
        """
        # An issuer that ends in a slash names itself with it.
        exactly = {url} if str(url).endswith("/") else set()
        return cls(
            url,
            name,
            frozenset(issuer_aliases) | exactly,
            api_origins,
            endpoints=endpoints or {},
            discovers=discover,
            endpoint_origins=endpoint_origins,
        )

    @classmethod
    def named(cls, name: str) -> "Environment":
        """
        Find an environment by its name in a configuration.

        Args:
            name: ``production``, ``development``, or the issuer's URL: then the server's metadata
                has the endpoints.

        Raises:
            ConfigurationError: None of these.
        """
        if not isinstance(name, str):
            raise wrong_kind("the environment", "production, development or an issuer's URL", name)
        known = {"production": PRODUCTION, "development": DEVELOPMENT}.get(name.lower())
        if known is None and "://" not in name:
            raise ConfigurationError(
                "the environment must be production, development or an issuer's URL, such as "
                f"https://idp.example, not {name!r}"
            )
        return known or cls.at(name, discover=True)

    def for_tenant(self, tenant: str, *, shares_issuer: bool = False) -> Self:
        """
        Give the same environment for one tenant, whose name goes into the path.

        Args:
            tenant: The tenant's path segment, as Aritma gave it.

            shares_issuer: All tenants have one issuer without their names in it (IdentityServer
                with a fixed ``IssuerUri``). Then ``iss`` does not tell their end-users apart:
                compare the claim ``tid`` yourself.

        Raises:
            ConfigurationError: Not one plain path segment, a tenant is already chosen, or endpoints
                are configured: they belong to one tenant.
        """
        plain = bool(tenant) and all(c.isascii() and (c.isalnum() or c in "-._~") for c in tenant)
        if not plain or tenant in {".", ".."}:
            raise ConfigurationError("a tenant is one path segment of letters, digits and -._~")
        if self.tenant is not None:
            raise ConfigurationError(f"this environment is already for the tenant {self.tenant}")
        if self.endpoints:
            # They would go on asking the default tenant.
            raise ConfigurationError("give the tenant's issuer and endpoints to Environment.at")
        return attrs.evolve(
            self,
            issuer=f"{self.issuer}/{tenant}",
            issuer_aliases=frozenset(f"{alias}/{tenant}" for alias in self.issuer_aliases)
            | (self.issuers if shares_issuer else frozenset()),
            api_origins=self.api_urls,
            endpoint_origins=_urls(self.endpoint_origins),
            tenant=tenant,
        )

    def with_api_origins(self, *urls: str) -> Self:
        """Give the same environment with these API origins added."""
        return attrs.evolve(
            self,
            api_origins=(*self.api_urls, *urls),
            endpoint_origins=_urls(self.endpoint_origins),
        )

    def endpoint(self, name: str) -> str:
        """
        Give an endpoint's URL: the one configured, else by IdentityServer's fixed paths.

        Args:
            name: Its name in server metadata (RFC 8414 §2), such as ``token_endpoint``.

        Raises:
            ConfigurationError: No endpoint has that name.
        """
        _require_known(name)
        return self.endpoints.get(name) or f"{self.issuer}/{self.ENDPOINTS[name]}"

    def base_url(self, api: str) -> str:
        """
        Give the base URL of one of Aritma's APIs, fit for ``aiohttp.ClientSession(base_url=...)``.

        Args:
            api: The API's name in `APIS`, such as ``bankservice``.

        Returns:
            The URL, with a trailing slash; the same for every tenant.

        Raises:
            ConfigurationError: There is no such API, or Aritma publishes no URL of it for this
                environment: give your own.
        """
        if api not in APIS:
            raise ConfigurationError(f"api must be one of {', '.join(APIS)}, not {api!r}")
        known = {"production": APIS[api].production, "development": APIS[api].development}
        url = known.get(self.name)
        if url is None:
            raise ConfigurationError(
                f"no base URL of {api} is published for {self.name}: give your own"
            )
        return url

    @property
    def token_endpoint(self) -> str:
        """The URL of the token endpoint."""
        return self.endpoint("token_endpoint")

    @property
    def api_urls(self) -> tuple[str, ...]:
        """The API origins as URLs."""
        return _urls(self.api_origins)

    @property
    def issuers(self) -> frozenset[str]:
        """The issuer and its aliases: every name that this server may give itself."""
        return self.issuer_aliases | {self.issuer}


PRODUCTION = Environment(
    "https://id.aritma.io",
    "production",
    # The same service under the company's former name.
    issuer_aliases=frozenset({"https://id.zdata.no"}),
    api_origins=tuple({api.production for api in APIS.values() if api.production}),
)
"""Aritma's production: https://id.aritma.io."""

DEVELOPMENT = Environment(
    "https://id.dev.aritma.io",
    "development",
    issuer_aliases=frozenset({"https://id-dev.zdata.no"}),
    api_origins=tuple({api.development for api in APIS.values() if api.development}),
)
"""Aritma's development environment: https://id.dev.aritma.io."""
