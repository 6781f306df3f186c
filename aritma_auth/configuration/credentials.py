"""The client's credential, among settings that can give it in several ways."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from aritma_auth.configuration.settings import SETTINGS
from aritma_auth.configuration.sources import Given, Settings
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
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    from aritma_auth.certificate import ClientCertificate

COMMAND_TIMEOUT = 10.0
"""Seconds that a command which prints a secret may take."""

CREDENTIALS = {
    "client_secret": ("client_secret_post", "client_secret_basic"),
    "private_key": ("private_key_jwt",),
    "client_assertion": ("client_assertion",),
    "certificate": ("tls_client_auth", "self_signed_tls_client_auth"),
}
"""The credentials, and the methods that each serves."""


def find_credentials(settings: Settings) -> list[str]:
    """Find the names of the credentials that are given."""
    return [name for name in CREDENTIALS if find_ways(settings, name)]


def find_ways(settings: Settings, credential: str) -> list[Given]:
    """Find the settings that give a credential: its file, its variable, its command."""
    ways = (name for name, setting in SETTINGS.items() if setting.topic == credential)
    return [settings.given[name] for name in ways if name in settings.given]


def make_client_auth(settings: Settings) -> ClientAuth | Secret | None:
    """
    Make the client's authentication.

    Args:
        settings: What was given.

    Returns:
        A `Secret` if the server's metadata may decide where it goes; None for a public client.

    Raises:
        ConfigurationError: A certificate cannot be loaded.
    """
    method = settings.value("client_auth", str)
    credential = next(iter(find_credentials(settings)), None)
    match credential:
        case "client_secret":
            secret = _make_secret(settings, credential)
            kinds: dict[str | None, Callable[[Secret], ClientAuth]] = {
                "client_secret_post": ClientSecretPost,
                "client_secret_basic": ClientSecretBasic,
            }
            return kinds[method](secret) if method in kinds else secret
        case "private_key":
            return PrivateKeyJwt(
                _make_secret(settings, credential),
                algorithm=settings.value("signing_algorithm", str),
                key_id=settings.value("key_id", str),
                names_issuer=settings.value("assertion_names_issuer", bool) or False,
            )
        case "client_assertion":
            kind = settings.value("client_assertion_type", str)
            source = _make_secret(settings, credential)
            return ClientAssertion(source) if kind is None else ClientAssertion(source, type=kind)
        case "certificate":
            certificate = make_certificate(settings)
            if method == SelfSignedTlsClientAuth.method:
                return SelfSignedTlsClientAuth(certificate)
            return TlsClientAuth(certificate)
    return None if method is None else NoClientAuth()


def _make_secret(settings: Settings, credential: str) -> Secret:
    given = find_ways(settings, credential)[0]
    match given.setting.name.removeprefix(credential), given.value:
        case "_file", str(path):
            return Secret.from_file(path)
        case "_variable", str(name):
            return Secret.from_env(name)
        case "_command", tuple(command):
            return Secret.from_command(command, timeout=COMMAND_TIMEOUT)
    # Not its value: a variable that changes is read anew.
    return Secret.from_env(given.name)


def make_certificate(settings: Settings) -> "ClientCertificate":
    """
    Make the client's certificate.

    Args:
        settings: They name its file.

    Raises:
        ConfigurationError: It cannot be loaded.
    """
    from aritma_auth.certificate import ClientCertificate  # loads ssl

    return ClientCertificate(
        settings.value("certificate_file", str) or "", settings.value("certificate_key_file", str)
    )
