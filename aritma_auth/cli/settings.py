"""What the commands take from a client's settings: the registration, and the client itself."""

import aiohttp

from aritma_auth.client.client import OAuthClient
from aritma_auth.configuration.registration import Registration, from_file, from_variables


def open_session() -> aiohttp.ClientSession:
    """Open a session for the client to use: through the proxy in HTTPS_PROXY, if there is one."""
    return aiohttp.ClientSession(trust_env=True)


def read_registration(name: str | None, *, requires_credential: bool) -> Registration:
    """
    Read the settings of a client.

    Args:
        name: Of a registration in a TOML file; None reads the environment's variables.

        requires_credential: A client without a secret or another credential is a mistake.

    Raises:
        ConfigurationError: A setting is missing, unknown or contradictory.
    """
    if name is None:
        return from_variables(requires_credential=requires_credential)
    return from_file(name, None, requires_credential=requires_credential)


def make_client(registration: Registration, session: aiohttp.ClientSession) -> OAuthClient:
    """
    Make the client of the settings.

    Args:
        registration: The settings.

        session: The session whose connections are used.

    Raises:
        ConfigurationError: A key or a certificate cannot be read, or a URL is unusable.
    """
    return OAuthClient(**registration.client_arguments, session=session)
