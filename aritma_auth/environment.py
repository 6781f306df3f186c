"""Authorization servers, their tenants, and where their tokens may go."""

from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self, Unpack

import attrs

from aritma_auth.apis import APIS
from aritma_auth.errors import ConfigurationError, printable, require_flag, wrong_kind
from aritma_auth.protocol.endpoints import (
    FIXED_PATHS,
    parse_endpoints,
    parse_issuer,
    parse_origins,
    unknown_endpoint,
)
from aritma_auth.protocol.parameters import OPTIONAL_TEXT, parse_names, require_bool, require_text
from aritma_auth.protocol.urls import Origin
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.network.lookup import LookupSettings
    from aritma_auth.protocol.published import Published


def _aliases(issuers: Iterable[str]) -> frozenset[str]:
    return frozenset(parse_names(issuers, "issuer_aliases"))


def _tenants(tenants: Iterable[str]) -> frozenset[str]:
    return frozenset(parse_names(tenants, "tenants"))


def _api_origins(urls: Iterable[str | Origin]) -> frozenset[Origin]:
    return parse_origins(urls, "api_origins")


def _endpoint_origins(urls: Iterable[str | Origin]) -> frozenset[Origin]:
    return parse_origins(urls, "endpoint_origins")


def _urls(origins: Iterable[Origin]) -> tuple[str, ...]:
    return tuple(sorted(origin.url for origin in origins))


@attrs.frozen(eq=False, repr=False)
class Environment(Value):
    """
    One Aritma ID and the APIs that trust it.

    Attributes:
        issuer: The authorization server's URL as it spells it itself, tenant path included.

        name: ``production``, ``development``, or a name of the caller's.

        issuer_aliases: Further issuers that this server may name in its responses.

        api_origins: Where its tokens may go, as (scheme, host, port).

        tenant: The tenant in the path, or None for the default tenant.

        endpoints: URLs by metadata name, where they differ from IdentityServer's fixed paths.

        discovers: Endpoints that are not given come from the server's metadata.

        endpoint_origins: Origins, beside the issuer's own, on which discovered endpoints may be.

        tenants: Values of the claim ``tid`` that this server's tokens may have; none means any.

        published: The server's metadata and keys, if they are known already.

    Source: reference of Aritma ID (tenants) and the authentication page of Open Banking.
    """

    issuer: str = attrs.field(converter=parse_issuer)
    name: str = attrs.field(default="custom", validator=require_text)
    issuer_aliases: frozenset[str] = attrs.field(
        default=frozenset(), converter=_aliases, repr=False
    )
    api_origins: frozenset[Origin] = attrs.field(
        default=frozenset(), converter=_api_origins, repr=False
    )
    tenant: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT)
    endpoints: Mapping[str, str] = attrs.field(
        factory=dict, converter=parse_endpoints, hash=False, repr=False
    )
    discovers: bool = attrs.field(default=False, validator=require_bool)
    endpoint_origins: frozenset[Origin] = attrs.field(
        default=frozenset(), converter=_endpoint_origins, repr=False
    )
    tenants: frozenset[str] = attrs.field(default=frozenset(), converter=_tenants, repr=False)
    published: "Published | None" = attrs.field(default=None, eq=False, repr=False)

    ENDPOINTS: ClassVar[Mapping[str, str]] = FIXED_PATHS
    """IdentityServer's fixed paths, so that nothing needs discovery."""

    @classmethod
    @hides_arguments
    def discover(
        cls,
        issuer: str,
        *,
        api_origins: Iterable[str] = (),
        issuer_aliases: Iterable[str] = (),
        endpoints: Mapping[str, str] | None = None,
        endpoint_origins: Iterable[str] = (),
        tenants: Iterable[str] = (),
        name: str = "custom",
        **settings: "Unpack[LookupSettings]",
    ) -> Coroutine[object, None, "Environment"]:
        """
        Look an authorization server up: its metadata decides the rest.

        Its endpoints, how a client authenticates, whether PKCE is offered, and its keys are known
        from then on, and are fetched anew once a day.

        Args:
            issuer: Its issuer, spelled as it spells it itself; https, or http on loopback.

            api_origins: URLs of the APIs that its tokens may be sent to.

            issuer_aliases: Further issuers that it may name.

            endpoints: URLs by metadata name, where the published ones are not the ones to use.

            endpoint_origins: URLs on whose origins its endpoints may be, beside the issuer's own.

            tenants: Values of the claim ``tid`` to accept, at a server whose issuer is a template
                for many tenants; none means all of them.

            name: A name for logs.

            settings: How to reach the server: ``session``, an ``aiohttp.ClientSession`` whose
                connections are used; ``timeout``, seconds for one request; ``clock``.

        Raises:
            ConfigurationError: The issuer is no issuer's URL; the message has the right spelling
                where it can be told.

            IssuerMismatchError: The server there spells its issuer otherwise, or is another one.

            InvalidResponseError: No metadata is published there.

            TransportError: No response came.

        Spec: OpenID Connect Discovery 1.0 §4; RFC 8414 §3.
        """
        environment = cls.at(
            issuer,
            api_origins=api_origins,
            issuer_aliases=issuer_aliases,
            endpoints=endpoints,
            discover=True,
            endpoint_origins=endpoint_origins,
            tenants=tenants,
            name=name,
        )
        aritmas = _find_aritmas(issuer)
        if aritmas is not None:
            environment = attrs.evolve(
                environment,
                name=aritmas.name,
                tenant=aritmas.tenant,
                issuer_aliases=aritmas.issuer_aliases | environment.issuer_aliases,
                api_origins=aritmas.api_origins | environment.api_origins,
            )
        from aritma_auth.network.lookup import look_up  # few services call this

        return look_up(
            environment.issuer,
            issuers=environment.issuers,
            trusted=environment.endpoint_origins,
            endpoints=environment.endpoints,
            make=lambda published: attrs.evolve(environment, published=published),
            **settings,
        )

    @classmethod
    @hides_arguments
    def at(
        cls,
        url: str,
        *,
        api_origins: Iterable[str] = (),
        issuer_aliases: Iterable[str] = (),
        endpoints: Mapping[str, str] | None = None,
        discover: bool = False,
        endpoint_origins: Iterable[str] = (),
        tenants: Iterable[str] = (),
        name: str = "custom",
    ) -> Self:
        """
        Describe any other authorization server without asking it now.

        Args:
            url: Its issuer; https, or http on loopback.

            api_origins: URLs of the APIs that its tokens may be sent to.

            issuer_aliases: Further issuers that it may name.

            endpoints: URLs by metadata name, such as ``token_endpoint``, for servers with other
                paths than IdentityServer's.

            discover: Look up the other endpoints in the server's metadata at the first request,
                instead of taking IdentityServer's fixed paths; `discover` does it at once.

            endpoint_origins: URLs on whose origins discovered endpoints may be, too.

            tenants: Values of the claim ``tid`` that its tokens may have; none means any.

            name: A name for logs.

        Raises:
            ConfigurationError: A URL is not absolute, not secure, or carries a password; or an
                endpoint has none of the names in `ENDPOINTS`.
        """
        require_flag("discover", discover)
        # A slash at the end is often written out of habit: both spellings are the server's.
        bare = {url.rstrip("/")} if str(url).endswith("/") else set()
        return cls(
            url,
            name,
            _aliases(issuer_aliases) | bare,
            api_origins,
            endpoints={} if endpoints is None else endpoints,
            discovers=discover,
            endpoint_origins=endpoint_origins,
            tenants=tenants,
        )

    @classmethod
    def named(cls, name: str) -> "Environment":
        """
        Find an environment by its name in a configuration.

        Args:
            name: ``production``, ``development``, or the issuer's URL: then the server's metadata
                decides the rest, and is looked up at the first request. Aritma's own issuers, those
                of its tenants too, are known without.

        Raises:
            ConfigurationError: None of these.
        """
        if not isinstance(name, str):
            raise wrong_kind("the environment", "production, development or an issuer's URL", name)
        known = {"production": PRODUCTION, "development": DEVELOPMENT}.get(name.lower())
        if known is None and "://" not in name:
            raise ConfigurationError(
                "the environment must be production, development or an issuer's URL, such as "
                f"https://idp.example, not {printable(name, 100)!r}"
            )
        return known or _find_aritmas(name) or cls.at(name, discover=True)

    @classmethod
    def of(cls, given: "Environment | str") -> "Environment":
        """
        Give an environment as it is, and one that a text names as `named` does.

        Args:
            given: An environment, ``production``, ``development`` or an issuer's URL.

        Raises:
            ConfigurationError: None of these.
        """
        if isinstance(given, str):
            return cls.named(given)
        if isinstance(given, Coroutine):
            given.close()
            raise ConfigurationError(
                "environment must be an Environment: Environment.discover(issuer) must be awaited"
            )
        if not isinstance(given, Environment):
            raise wrong_kind(
                "environment",
                "an Environment, or the text of an issuer's URL, such as 'https://idp.example'",
                given,
            )
        return given

    def for_tenant(self, tenant: str, *, shares_issuer: bool = False) -> Self:
        """
        Give the same environment for one tenant, whose name goes into the path.

        Args:
            tenant: The tenant's path segment, as Aritma gave it.

            shares_issuer: All tenants have one issuer without their names in it (IdentityServer
                with a fixed ``IssuerUri``). Then ``iss`` does not tell their end-users apart, and
                what the server signs or says about a token must name the tenant by ``tid``.

        Raises:
            ConfigurationError: Not one plain path segment, a tenant is already chosen, or endpoints
                are configured: they belong to one tenant.
        """
        from aritma_auth.protocol.tenants import is_tenant  # few have tenants

        require_flag("shares_issuer", shares_issuer)
        if not is_tenant(tenant):
            raise ConfigurationError(
                f"tenant must be one path segment of letters, digits and -._~, not {tenant!r:.60}"
            )
        if self.tenant is not None:
            raise ConfigurationError(
                "tenant must be chosen once, and this environment is already for the tenant "
                f"{self.tenant}: start from the one without"
            )
        if self.endpoints:
            # They would go on asking the default tenant.
            raise ConfigurationError(
                "endpoints must be one tenant's: give its issuer and endpoints to Environment.at"
            )
        return attrs.evolve(
            self,
            issuer=f"{self.issuer.rstrip('/')}/{tenant}",
            issuer_aliases=frozenset(
                f"{alias.rstrip('/')}/{tenant}" for alias in self.issuer_aliases
            )
            | (self.issuers if shares_issuer else frozenset()),
            tenant=tenant,
            tenants={tenant} if shares_issuer else self.tenants,
            # The tenant has metadata of its own.
            published=None,
        )

    def with_api_origins(self, *urls: str) -> Self:
        """
        Give the same environment with further API origins.

        Args:
            urls: URLs of the APIs that its tokens may be sent to, too.

        Raises:
            ConfigurationError: One is not secure, or no URL.
        """
        return attrs.evolve(self, api_origins=(*self.api_origins, *urls))

    def endpoint(self, name: str) -> str:
        """
        Give an endpoint's URL: the one configured, else by IdentityServer's fixed paths.

        Args:
            name: Its name in server metadata (RFC 8414 §2), such as ``token_endpoint``.

        Raises:
            ConfigurationError: No endpoint has that name.
        """
        if str(name) not in FIXED_PATHS:
            raise unknown_endpoint(name)
        return self.endpoints.get(name) or f"{self.issuer.rstrip('/')}/{FIXED_PATHS[name]}"

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
        if str(api) not in APIS:
            raise ConfigurationError(f"api must be one of {', '.join(APIS)}, not {api!r:.60}")
        known = {"production": APIS[api].production, "development": APIS[api].development}
        url = known.get(self.name)
        if url is None:
            raise ConfigurationError(
                f"api must be one that is published for {self.name}, and {api} is not: give its URL"
            )
        return url

    def to_json(self) -> str:
        """
        Serialise the environment, with the metadata and keys that are known of it.

        A process that starts cold, such as a function in a cloud, needs no request for them if it
        is given this back within a day.

        Returns:
            JSON without a secret. Its keys decide which ID tokens are believed: keep it where only
            your own deployment can write.
        """
        from aritma_auth.protocol.published import dump_environment  # rarely needed

        return dump_environment(
            {
                "issuer": self.issuer,
                "name": self.name,
                "tenant": self.tenant,
                "discovers": self.discovers,
                "issuer_aliases": sorted(self.issuer_aliases),
                "tenants": sorted(self.tenants),
                "api_origins": self.api_urls,
                "endpoint_origins": _urls(self.endpoint_origins),
                "endpoints": dict(self.endpoints),
            },
            self.published,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Deserialise what `to_json` wrote.

        Args:
            text: The JSON text.

        Raises:
            ConfigurationError: It is no environment of this version: discover it anew.
        """
        from aritma_auth.protocol.published import parse_environment

        members, published = parse_environment(text)
        return cls(**members, published=published)

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


def _find_aritmas(issuer: str) -> Environment | None:
    """Find Aritma's own environment, or that of a tenant, by its issuer."""
    from aritma_auth.protocol.tenants import is_tenant

    for known in (PRODUCTION, DEVELOPMENT):
        server, slash, tenant = issuer.rstrip("/").partition(f"{known.issuer}/")
        if not server and is_tenant(tenant):
            return known.for_tenant(tenant)
        if not slash and server == known.issuer:
            return known
    return None
