"""What is missing among a client's settings, and which of them contradict each other."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from aritma_auth.configuration.credentials import CREDENTIALS, find_credentials, find_ways
from aritma_auth.configuration.settings import CLIENT_AUTH_METHODS
from aritma_auth.configuration.sources import Settings
from aritma_auth.errors import ConfigurationError

if TYPE_CHECKING:
    from aritma_auth.protocol.jwe import RequestEncryption
    from aritma_auth.protocol.profiles import Profile

PROFILES = {"fapi2": "FAPI2", "fapi2-message-signing": "FAPI2_MESSAGE_SIGNING"}
"""Security profiles by the names that settings have for them."""

_NEEDS = {
    "key_id": "private_key",
    "signing_algorithm": "private_key",
    "assertion_names_issuer": "private_key",
    "client_assertion_type": "client_assertion",
    "certificate_key_file": "certificate",
}

_OF_OTHER_SERVERS = ("tenants", "issuer_aliases", "endpoint_origins", "endpoints")


def find_contradictions(settings: Settings, *, requires_credential: bool) -> Iterator[str]:
    """
    Find what is missing, and what contradicts something else.

    Args:
        settings: What was given.

        requires_credential: A client without a credential is a mistake.

    Yields:
        A sentence each.
    """
    call = settings.call
    if not settings.has("client_id"):
        yield f"set {call('client_id')} to the client id that the server gave"
    credentials = find_credentials(settings)
    for credential in credentials:
        ways = find_ways(settings, credential)
        if len(ways) > 1:
            yield f"{_join(each.name for each in ways)} exclude each other: give one of them"
    credentials = [name for name in credentials if name != "certificate"] or credentials
    if len(credentials) > 1:
        names = (find_ways(settings, credential)[0].name for credential in credentials)
        yield f"{_join(names)} exclude each other: give one credential"
    yield from _problems_of_method(settings, credentials, requires_credential)
    for name, needed in _NEEDS.items():
        if settings.has(name) and not find_ways(settings, needed):
            yield f"{call(name)} needs {call(f'{needed}_file')} beside it"
    yield from _problems_of_server(settings)
    if settings.value("profile", str) not in {None, *PROFILES}:
        yield f"{call('profile')} must be one of {', '.join(PROFILES)}"
    yield from _problems_of_profile(settings, credentials)
    yield from _problems_of_encryption(settings)


def _problems_of_server(settings: Settings) -> Iterator[str]:
    call = settings.call
    if settings.has("issuer") and settings.has("environment"):
        yield f"{call('issuer')} and {call('environment')} exclude each other: give one of them"
    if not settings.has("issuer") and "://" not in (settings.value("environment", str) or ""):
        # Aritma's environments are known: what is given would have no effect.
        for name in filter(settings.has, _OF_OTHER_SERVERS):
            yield f"{call(name)} needs {call('issuer')} beside it"
    if settings.has("shares_issuer") and not settings.has("tenant"):
        yield f"{call('shares_issuer')} needs {call('tenant')} beside it"


def _problems_of_profile(settings: Settings, credentials: list[str]) -> Iterator[str]:
    """Tell what a profile lacks, as far as it is seen without opening a file."""
    call, name = settings.call, settings.value("profile", str)
    if name not in PROFILES:
        return
    profile = find_profile(name)
    wanted = f"{call('profile')} {name} needs"
    if not credentials or not profile.client_auth_methods & {*CREDENTIALS[credentials[0]]}:
        yield f"{wanted} {call('private_key_file')} or {call('certificate_file')}"
    algorithm = settings.value("signing_algorithm", str)
    if credentials == ["private_key"] and algorithm not in profile.algorithms:
        allowed = ", ".join(sorted(profile.algorithms))
        yield f"{wanted} {call('signing_algorithm')}, one of {allowed}"
    if not settings.has("dpop_key_file") and not settings.has("certificate_file"):
        yield f"{wanted} {call('dpop_key_file')} or {call('certificate_file')}"
    if profile.signs_requests and not settings.has("request_key_file"):
        yield f"{wanted} {call('request_key_file')}: {call('private_key_file')} may be the same"
    if settings.has("endpoints"):
        yield f"{wanted} the server's metadata: leave out {call('endpoints')}"


def _problems_of_encryption(settings: Settings) -> Iterator[str]:
    call, algorithms = settings.call, settings.value("request_encryption", tuple)
    if algorithms is None:
        return
    try:
        make_request_encryption(algorithms)
    except ConfigurationError as error:
        yield f"{call('request_encryption')} cannot be used: {error}"
    if not settings.has("request_key_file"):
        yield (
            f"{call('request_encryption')} needs {call('request_key_file')} beside it, since only "
            f"a signed request is encrypted: {call('private_key_file')} may be the same"
        )


def _problems_of_method(
    settings: Settings, credentials: list[str], requires_credential: bool
) -> Iterator[str]:
    call, method = settings.call, settings.value("client_auth", str)
    if method is None:
        if not credentials and requires_credential:
            yield (
                f"set {call('client_secret_file')}"
                + (f" or {call('client_secret')}" if settings.are_variables else "")
                + ", or another credential of the client"
            )
    elif method not in CLIENT_AUTH_METHODS:
        yield f"{call('client_auth')} must be one of {', '.join(CLIENT_AUTH_METHODS)}"
    elif method == "none":
        if credentials:
            names = _join(find_ways(settings, credential)[0].name for credential in credentials)
            yield f"{call('client_auth')} none excludes {names}: give one of them"
    else:
        wanted = next(name for name, methods in CREDENTIALS.items() if method in methods)
        if credentials != [wanted]:
            yield f"{call('client_auth')} {method} needs {call(f'{wanted}_file')} alone"


def find_profile(name: str) -> "Profile":
    """Find a profile by the name that settings have for it."""
    from aritma_auth.protocol import profiles  # few keep to one

    profile: Profile = getattr(profiles, PROFILES[name])
    return profile


def make_request_encryption(algorithms: tuple[str, ...]) -> "RequestEncryption":
    """
    Make what encrypts requests of the words of its setting.

    Raises:
        ConfigurationError: They are not one or two algorithms that are safe.
    """
    from aritma_auth.protocol.jwe import RequestEncryption  # few encrypt requests

    if len(algorithms) not in (1, 2):
        raise ConfigurationError(f"it must be an alg, or an alg and an enc, not {len(algorithms)}")
    return RequestEncryption(*algorithms)


def _join(names: Iterable[str]) -> str:
    return " and ".join(names)
