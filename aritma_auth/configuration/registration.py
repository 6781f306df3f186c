"""What settings make: the client's authentication, its environment, and its grant."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Required, TypedDict, TypeVar, cast

import attrs

from aritma_auth.configuration.contradictions import (
    find_contradictions,
    find_profile,
    make_request_encryption,
)
from aritma_auth.configuration.credentials import (
    find_credentials,
    make_certificate,
    make_client_auth,
)
from aritma_auth.configuration.sources import Settings, read_file, read_variables
from aritma_auth.environment import Environment
from aritma_auth.errors import ConfigurationError
from aritma_auth.files import FileProblemError, read_content, require_path, show_path
from aritma_auth.protocol.client_auth import ClientAuth
from aritma_auth.protocol.endpoints import parse_issuer
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.protocol.redaction import HiddenBytes, SecretText
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    from aritma_auth.certificate import ClientCertificate
    from aritma_auth.protocol.dpop import DPoP
    from aritma_auth.protocol.jwe import DecryptionKey, RequestEncryption
    from aritma_auth.protocol.profiles import Profile
    from aritma_auth.protocol.signing import SigningKey

K = TypeVar("K")

_PLAIN = ("timeout", "leeway", "proxy", "id_token_algorithms", "trusted_audiences")
"""Settings that are arguments of the client as they stand."""

_KEY_LIMIT = 1 << 16
"""Bytes of a private key's file: in PEM it has a few thousand."""


class ClientSettings(TypedDict, total=False):
    """Further arguments of a client that settings have given."""

    certificate: "ClientCertificate"
    decryption_key: "DecryptionKey"
    dpop: "DPoP"
    profile: "Profile"
    request_encryption: "RequestEncryption"
    request_signer: "SigningKey"
    timeout: float
    leeway: float
    proxy: str
    id_token_algorithms: tuple[str, ...]
    trusted_audiences: tuple[str, ...]


class ClientArguments(ClientSettings):
    """All arguments of a client that settings give."""

    client_id: Required[str]
    client_auth: Required[ClientAuth | Secret | None]
    environment: Required[Environment]


@attrs.frozen
class Registration:
    """
    One registration at one authorization server, as its settings say.

    Args:
        settings: What was given.

        requires_credential: A client without a secret, a key, an assertion or a certificate is a
            mistake; otherwise it is public.
    """

    settings: Settings
    requires_credential: bool = True

    def problems(self) -> list[str]:
        """Return all that is wrong, a sentence each."""
        return [
            *self.settings.problems,
            *find_contradictions(self.settings, requires_credential=self.requires_credential),
        ]

    def require_usable(self) -> None:
        """
        Require the settings to make a client.

        Raises:
            ConfigurationError: Something is missing, unknown or contradictory; all of it is named.
        """
        problems = self.problems()
        if problems:
            raise ConfigurationError("; ".join(problems))

    @property
    def client_id(self) -> str:
        """The client's identifier."""
        return self.settings.value("client_id", str) or ""

    @property
    def client_arguments(self) -> ClientArguments:
        """
        All arguments of the client.

        Raises:
            ConfigurationError: A key or a certificate cannot be read, or a URL is unusable.
        """
        return {
            "client_id": self.client_id,
            "client_auth": self.make_client_auth(),
            "environment": self.make_environment(),
            **self.client_settings,
        }

    @property
    def client_settings(self) -> ClientSettings:
        """
        Further arguments of the client.

        Raises:
            ConfigurationError: A key or a certificate cannot be read.
        """
        settings = self.plain_settings
        profile = self.settings.value("profile", str)
        if profile is not None:
            settings["profile"] = find_profile(profile)
        algorithms = self.settings.value("request_encryption", tuple)
        if algorithms is not None:
            settings["request_encryption"] = make_request_encryption(algorithms)
        self._add_keys(settings)
        if len(find_credentials(self.settings)) > 1:
            # The other credential authenticates, and the certificate binds the tokens.
            settings["certificate"] = make_certificate(self.settings)
        return settings

    @property
    def plain_settings(self) -> ClientSettings:
        """Those of the arguments for which no file is opened."""
        given = self.settings.given
        names = [name for name in _PLAIN if name in given]
        return cast("ClientSettings", {name: given[name].value for name in names})

    def _add_keys(self, settings: ClientSettings) -> None:
        """Read the keys of what few registrations have."""
        if self.settings.has("dpop_key_file"):
            from aritma_auth.protocol.dpop import DPoP  # few have one
            from aritma_auth.protocol.signing import SigningKey

            settings["dpop"] = DPoP(self._open_key("dpop_key_file", SigningKey))
        if self.settings.has("request_key_file"):
            from aritma_auth.protocol.signing import SigningKey

            settings["request_signer"] = self._open_key("request_key_file", SigningKey)
        if self.settings.has("decryption_key_file"):
            from aritma_auth.protocol.jwe import DecryptionKey

            settings["decryption_key"] = self._open_key("decryption_key_file", DecryptionKey)

    def _open_key(self, name: str, make: Callable[[SecretText], K]) -> K:
        """Make a key of what a file holds; an error names the file."""
        given = self.settings.given[name]
        file = require_path(given.name, "the path of a file", given.value)
        try:
            content = read_content(file, _KEY_LIMIT, HiddenBytes)
            return make(SecretText(content.decode()))
        except (FileProblemError, UnicodeDecodeError) as error:
            reason = str(error) if isinstance(error, FileProblemError) else "it is no UTF-8"
            problem = f"cannot be read: {reason}"
        except ConfigurationError as error:
            problem = f"cannot be used: {error}"
        # Outside the except block: a UnicodeDecodeError holds the content.
        raise ConfigurationError(f"{given.name} {show_path(file)} {problem}")

    def make_client_auth(self) -> ClientAuth | Secret | None:
        """
        Make the client's authentication.

        Returns:
            A `Secret` if the server's metadata may decide where it goes; None for a public client.

        Raises:
            ConfigurationError: A certificate cannot be loaded.
        """
        return make_client_auth(self.settings)

    def make_environment(self) -> Environment:
        """
        Make the environment.

        Raises:
            ConfigurationError: A URL, a name or a tenant is unusable.
        """
        value = self.settings.value
        issuer, name = value("issuer", str), value("environment", str)
        if issuer is not None:
            # Else it could be a name, such as production.
            parse_issuer(issuer)
        named = Environment.named(issuer or name or "production")
        environment = attrs.evolve(
            named.with_api_origins(*(value("api_origins", tuple) or ())),
            issuer_aliases={
                *named.issuer_aliases,
                *(value("issuer_aliases", tuple) or ()),
            },
            endpoints=value("endpoints", dict) or {},
            endpoint_origins=value("endpoint_origins", tuple) or (),
            tenants=value("tenants", tuple) or (),
        )
        tenant = value("tenant", str)
        if tenant is None:
            return environment
        shares_issuer = value("shares_issuer", bool) or False
        return environment.for_tenant(tenant, shares_issuer=shares_issuer)

    def make_grant(self) -> ClientCredentialsGrant:
        """
        Make the grant of a service.

        Raises:
            ConfigurationError: The scope or the resource is unusable.
        """
        audience = self.settings.value("audience", str)
        return ClientCredentialsGrant(
            self.settings.value("scope", str) or self._default_scope(),
            resource=self.settings.value("resource", tuple) or (),
            extra={} if audience is None else {"audience": audience},
        )

    def _default_scope(self) -> str | None:
        # Aritma's servers want one; what another server calls its APIs nobody can guess.
        return None if self.make_environment().name == "custom" else "bankservice"


def from_variables(*, requires_credential: bool = True) -> Registration:
    """
    Read a registration from the environment's variables.

    Args:
        requires_credential: As `Registration` says.

    Raises:
        ConfigurationError: A variable is missing, unknown or contradicts another.
    """
    registration = Registration(read_variables(os.environ), requires_credential)
    registration.require_usable()
    return registration


def from_file(
    name: str, path: str | os.PathLike[str] | None, *, requires_credential: bool = True
) -> Registration:
    """
    Read a registration from a TOML file.

    Args:
        name: Its name.

        path: The file, or None.

        requires_credential: As `Registration` says.

    Raises:
        ConfigurationError: The file has no such registration, or something in it is wrong.
    """
    registration = Registration(read_file(name, path, os.environ), requires_credential)
    registration.require_usable()
    return registration
