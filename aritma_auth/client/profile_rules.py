"""A security profile, applied to the settings of one client."""

from typing import TYPE_CHECKING, NamedTuple

import attrs

from aritma_auth.client.discovery import Discovery
from aritma_auth.client.tls import choose_tls_context
from aritma_auth.environment import Environment
from aritma_auth.errors import ConfigurationError, require_instance
from aritma_auth.protocol.client_auth import ClientAuth, PrivateKeyJwt
from aritma_auth.protocol.profiles import ClientSettings, Profile, ProfileReport

if TYPE_CHECKING:
    import ssl

    import aiohttp


class AppliedProfile(NamedTuple):
    """
    The settings of a client that keeps to a profile.

    Attributes:
        client_auth: Its assertions name the issuer.

        environment: Its endpoints come from the server's metadata.

        id_token_algorithms: None but the profile's.

        ssl_context: What its own connections use; None leaves it to the session's connector.
    """

    client_auth: ClientAuth
    environment: Environment
    id_token_algorithms: frozenset[str]
    ssl_context: "ssl.SSLContext | None"


def apply_profile(
    profile: Profile,
    client: ClientSettings,
    environment: Environment,
    session: "aiohttp.ClientSession | None",
    certificate: object,
) -> AppliedProfile:
    """
    Turn on what a profile asks of a client.

    Args:
        profile: The profile.

        client: What the caller has set.

        environment: The authorization server.

        session: The caller's session, or None.

        certificate: The client's certificate, or None.

    Raises:
        ConfigurationError: The settings break the profile; the message names each.
    """
    require_instance("profile", "a Profile, such as aritma_auth.FAPI2", profile, Profile)
    problems = profile.find_client_problems(client)
    if problems:
        raise ConfigurationError(f"the profile {profile.name} demands: {'; '.join(problems)}")
    return AppliedProfile(
        _name_issuer(client.client_auth),
        attrs.evolve(environment, discovers=True),
        client.id_token_algorithms or profile.algorithms,
        choose_tls_context(session, certificate),
    )


async def assess_profile(
    profile: Profile, client: ClientSettings, discovery: Discovery
) -> ProfileReport:
    """
    Tell whether a server and a client are ready for a profile.

    Args:
        profile: The profile.

        client: The client's settings.

        discovery: The server's metadata.
    """
    require_instance("profile", "a Profile, such as aritma_auth.FAPI2", profile, Profile)
    metadata = await discovery.fetch_metadata()
    return ProfileReport(
        profile.name,
        profile.find_server_problems(metadata, client),
        profile.find_client_problems(client),
    )


def _name_issuer(auth: ClientAuth) -> ClientAuth:
    return attrs.evolve(auth, names_issuer=True) if isinstance(auth, PrivateKeyJwt) else auth
