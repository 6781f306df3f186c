"""What settings make: the client's authentication, its environment, and its grant."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Required, TypedDict, TypeVar, cast

import attrs

from aritma_auth.configuration.settings import CLIENT_AUTH_METHODS, SETTINGS
from aritma_auth.configuration.sources import Given, Settings, read_file, read_variables
from aritma_auth.environment import Environment
from aritma_auth.errors import ConfigurationError
from aritma_auth.files import FileProblemError, read_content, require_path, show_path
from aritma_auth.protocol.client_auth import (
    ClientAssertion,
    ClientAuth,
    ClientSecretBasic,
    ClientSecretPost,
    NoClientAuth,
    PrivateKeyJwt,
    SelfSignedTlsClientAuth,
    TlsClientAuth,
)
from aritma_auth.protocol.endpoints import parse_issuer
from aritma_auth.protocol.grants import ClientCredentialsGrant
from aritma_auth.protocol.redaction import HiddenBytes, SecretText
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    from aritma_auth.certificate import ClientCertificate
    from aritma_auth.protocol.dpop import DPoP
    from aritma_auth.protocol.jwe import DecryptionKey
    from aritma_auth.protocol.profiles import Profile
    from aritma_auth.protocol.signing import SigningKey

K = TypeVar("K")
T = TypeVar("T", str, float, bool, tuple[str, ...], dict[str, str])

COMMAND_TIMEOUT = 10.0
"""Seconds that a command which prints a secret may take."""

_CREDENTIALS = {
    "client_secret": ("client_secret_post", "client_secret_basic"),
    "private_key": ("private_key_jwt",),
    "client_assertion": ("client_assertion",),
    "certificate": ("tls_client_auth", "self_signed_tls_client_auth"),
}
PROFILES = {"fapi2": "FAPI2", "fapi2-message-signing": "FAPI2_MESSAGE_SIGNING"}
"""Security profiles by the names that settings have for them."""

_PLAIN = ("timeout", "leeway", "proxy", "id_token_algorithms", "trusted_audiences")
"""Settings that are arguments of the client as they stand."""

_KEY_LIMIT = 1 << 16
"""Bytes of a private key's file: in PEM it has a few thousand."""

_NEEDS = {
    "key_id": "private_key",
    "signing_algorithm": "private_key",
    "assertion_names_issuer": "private_key",
    "client_assertion_type": "client_assertion",
    "certificate_key_file": "certificate",
}


_OF_OTHER_SERVERS = ("tenants", "issuer_aliases", "endpoint_origins", "endpoints")


class ClientSettings(TypedDict, total=False):
    """Further arguments of a client that settings have given."""

    certificate: "ClientCertificate"
    decryption_key: "DecryptionKey"
    dpop: "DPoP"
    profile: "Profile"
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
        return [*self.settings.problems, *self._contradictions()]

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
        return self._value("client_id", str) or ""

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
        profile = self._value("profile", str)
        if profile is not None:
            settings["profile"] = _find_profile(profile)
        self._add_keys(settings)
        if len(self._credentials()) > 1:
            # The other credential authenticates, and the certificate binds the tokens.
            settings["certificate"] = self._certificate()
        return settings

    @property
    def plain_settings(self) -> ClientSettings:
        """Those of the arguments for which no file is opened."""
        given = self.settings.given
        names = [name for name in _PLAIN if name in given]
        return cast("ClientSettings", {name: given[name].value for name in names})

    def _add_keys(self, settings: ClientSettings) -> None:
        """Read the keys of what few registrations have."""
        if self._has("dpop_key_file"):
            from aritma_auth.protocol.dpop import DPoP  # few have one
            from aritma_auth.protocol.signing import SigningKey

            settings["dpop"] = DPoP(self._open_key("dpop_key_file", SigningKey))
        if self._has("request_key_file"):
            from aritma_auth.protocol.signing import SigningKey

            settings["request_signer"] = self._open_key("request_key_file", SigningKey)
        if self._has("decryption_key_file"):
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
        method = self._value("client_auth", str)
        credential = next(iter(self._credentials()), None)
        match credential:
            case "client_secret":
                secret = self._secret(credential)
                kinds: dict[str | None, Callable[[Secret], ClientAuth]] = {
                    "client_secret_post": ClientSecretPost,
                    "client_secret_basic": ClientSecretBasic,
                }
                return kinds[method](secret) if method in kinds else secret
            case "private_key":
                return PrivateKeyJwt(
                    self._secret(credential),
                    algorithm=self._value("signing_algorithm", str),
                    key_id=self._value("key_id", str),
                    names_issuer=self._value("assertion_names_issuer", bool) or False,
                )
            case "client_assertion":
                kind = self._value("client_assertion_type", str)
                source = self._secret(credential)
                return (
                    ClientAssertion(source) if kind is None else ClientAssertion(source, type=kind)
                )
            case "certificate":
                certificate = self._certificate()
                if method == SelfSignedTlsClientAuth.method:
                    return SelfSignedTlsClientAuth(certificate)
                return TlsClientAuth(certificate)
        return None if method is None else NoClientAuth()

    def make_environment(self) -> Environment:
        """
        Make the environment.

        Raises:
            ConfigurationError: A URL, a name or a tenant is unusable.
        """
        issuer, name = self._value("issuer", str), self._value("environment", str)
        if issuer is not None:
            # Else it could be a name, such as production.
            parse_issuer(issuer)
        named = Environment.named(issuer or name or "production")
        environment = attrs.evolve(
            named,
            api_origins=(*named.api_origins, *(self._value("api_origins", tuple) or ())),
            issuer_aliases={
                *named.issuer_aliases,
                *(self._value("issuer_aliases", tuple) or ()),
            },
            endpoints=self._value("endpoints", dict) or {},
            endpoint_origins=self._value("endpoint_origins", tuple) or (),
            tenants=self._value("tenants", tuple) or (),
        )
        tenant = self._value("tenant", str)
        if tenant is None:
            return environment
        shares_issuer = self._value("shares_issuer", bool) or False
        return environment.for_tenant(tenant, shares_issuer=shares_issuer)

    def make_grant(self) -> ClientCredentialsGrant:
        """
        Make the grant of a service.

        Raises:
            ConfigurationError: The scope or the resource is unusable.
        """
        audience = self._value("audience", str)
        return ClientCredentialsGrant(
            self._value("scope", str) or self._default_scope(),
            resource=self._value("resource", tuple) or (),
            extra={} if audience is None else {"audience": audience},
        )

    def _default_scope(self) -> str | None:
        # Aritma's servers want one; what another server calls its APIs nobody can guess.
        return None if self.make_environment().name == "custom" else "bankservice"

    def _contradictions(self) -> Iterator[str]:
        call = self.settings.call
        if not self._has("client_id"):
            yield f"set {call('client_id')} to the client id that the server gave"
        credentials = self._credentials()
        for credential in credentials:
            ways = self._ways(credential)
            if len(ways) > 1:
                yield f"{_join(each.name for each in ways)} exclude each other: give one of them"
        credentials = [name for name in credentials if name != "certificate"] or credentials
        if len(credentials) > 1:
            names = (self._ways(credential)[0].name for credential in credentials)
            yield f"{_join(names)} exclude each other: give one credential"
        yield from self._judge_method(credentials)
        for name, needed in _NEEDS.items():
            if self._has(name) and not self._ways(needed):
                yield f"{call(name)} needs {call(f'{needed}_file')} beside it"
        yield from self._judge_server()
        if self._value("profile", str) not in {None, *PROFILES}:
            yield f"{call('profile')} must be one of {', '.join(PROFILES)}"
        yield from self._judge_profile(credentials)

    def _judge_server(self) -> Iterator[str]:
        call = self.settings.call
        if self._has("issuer") and self._has("environment"):
            yield f"{call('issuer')} and {call('environment')} exclude each other: give one of them"
        if not self._has("issuer") and "://" not in (self._value("environment", str) or ""):
            # Aritma's environments are known: what is given would have no effect.
            for name in filter(self._has, _OF_OTHER_SERVERS):
                yield f"{call(name)} needs {call('issuer')} beside it"
        if self._has("shares_issuer") and not self._has("tenant"):
            yield f"{call('shares_issuer')} needs {call('tenant')} beside it"

    def _judge_profile(self, credentials: list[str]) -> Iterator[str]:
        """Tell what a profile lacks, as far as it is seen without opening a file."""
        call, name = self.settings.call, self._value("profile", str)
        if name not in PROFILES:
            return
        profile = _find_profile(name)
        wanted = f"{call('profile')} {name} needs"
        if not credentials or not profile.client_auth_methods & {*_CREDENTIALS[credentials[0]]}:
            yield f"{wanted} {call('private_key_file')} or {call('certificate_file')}"
        algorithm = self._value("signing_algorithm", str)
        if credentials == ["private_key"] and algorithm not in profile.algorithms:
            allowed = ", ".join(sorted(profile.algorithms))
            yield f"{wanted} {call('signing_algorithm')}, one of {allowed}"
        if not self._has("dpop_key_file") and not self._has("certificate_file"):
            yield f"{wanted} {call('dpop_key_file')} or {call('certificate_file')}"
        if profile.signs_requests and not self._has("request_key_file"):
            yield f"{wanted} {call('request_key_file')}: {call('private_key_file')} may be the same"
        if self._has("endpoints"):
            yield f"{wanted} the server's metadata: leave out {call('endpoints')}"

    def _judge_method(self, credentials: list[str]) -> Iterator[str]:
        call, method = self.settings.call, self._value("client_auth", str)
        if method is None:
            if not credentials and self.requires_credential:
                yield (
                    f"set {call('client_secret_file')}"
                    + (f" or {call('client_secret')}" if self.settings.are_variables else "")
                    + ", or another credential of the client"
                )
        elif method not in CLIENT_AUTH_METHODS:
            yield f"{call('client_auth')} must be one of {', '.join(CLIENT_AUTH_METHODS)}"
        elif method == "none":
            if credentials:
                names = _join(self._ways(credential)[0].name for credential in credentials)
                yield f"{call('client_auth')} none excludes {names}: give one of them"
        else:
            wanted = next(name for name, methods in _CREDENTIALS.items() if method in methods)
            if credentials != [wanted]:
                yield f"{call('client_auth')} {method} needs {call(f'{wanted}_file')} alone"

    def _credentials(self) -> list[str]:
        return [name for name in _CREDENTIALS if self._ways(name)]

    def _ways(self, credential: str) -> list[Given]:
        given = self.settings.given
        ways = (name for name, setting in SETTINGS.items() if setting.topic == credential)
        return [given[name] for name in ways if name in given]

    def _secret(self, credential: str) -> Secret:
        given = self._ways(credential)[0]
        match given.setting.name.removeprefix(credential), given.value:
            case "_file", str(path):
                return Secret.from_file(path)
            case "_variable", str(name):
                return Secret.from_env(name)
            case "_command", tuple(command):
                return Secret.from_command(command, timeout=COMMAND_TIMEOUT)
        # Not its value: a variable that changes is read anew.
        return Secret.from_env(given.name)

    def _certificate(self) -> "ClientCertificate":
        from aritma_auth.certificate import ClientCertificate  # loads ssl

        return ClientCertificate(
            self._value("certificate_file", str) or "", self._value("certificate_key_file", str)
        )

    def _has(self, name: str) -> bool:
        return name in self.settings.given

    def _value(self, name: str, kind: type[T]) -> T | None:
        given = self.settings.given.get(name)
        return given.value if given is not None and isinstance(given.value, kind) else None


def _find_profile(name: str) -> "Profile":
    from aritma_auth.protocol import profiles  # few keep to one

    profile: Profile = getattr(profiles, PROFILES[name])
    return profile


def _join(names: Iterable[str]) -> str:
    return " and ".join(names)


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
