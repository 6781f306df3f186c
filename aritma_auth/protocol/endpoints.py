"""An authorization server's addresses as a caller gives them: issuer, endpoints, and origins."""

from collections.abc import Iterable, Mapping

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.urls import Origin, origin_of, require_secure_url

FIXED_PATHS: Mapping[str, str] = {
    "authorization_endpoint": "connect/authorize",
    "backchannel_authentication_endpoint": "connect/ciba",
    "check_session_iframe": "connect/checksession",
    "device_authorization_endpoint": "connect/deviceauthorization",
    "end_session_endpoint": "connect/endsession",
    "introspection_endpoint": "connect/introspect",
    "jwks_uri": ".well-known/openid-configuration/jwks",
    "pushed_authorization_request_endpoint": "connect/par",
    "registration_endpoint": "connect/dcr",
    "revocation_endpoint": "connect/revocation",
    "token_endpoint": "connect/token",
    "userinfo_endpoint": "connect/userinfo",
}
"""IdentityServer's path of each endpoint by its name in metadata (RFC 8414 §2)."""

_WELL_KNOWN = "/.well-known/"


def unknown_endpoint(name: object) -> ConfigurationError:
    """Make the error for a name that is none of `FIXED_PATHS`."""
    known = ", ".join(FIXED_PATHS)
    return ConfigurationError(f"an endpoint's name must be one of {known}, not {name!r:.60}")


def parse_endpoints(urls: Mapping[str, str]) -> Mapping[str, str]:
    """
    Parse URLs by the name of their endpoint.

    Args:
        urls: Secure URLs by metadata name.

    Raises:
        ConfigurationError: A name is none of an endpoint's, or a URL is not secure.
    """
    if not isinstance(urls, Mapping):
        raise wrong_kind("endpoints", "a mapping of metadata names to URLs", urls)
    for name, url in urls.items():
        # A spelling mistake would silently leave another address in use.
        if name not in FIXED_PATHS:
            raise unknown_endpoint(name)
        require_secure_url(url, name)
    return dict(urls)


def parse_issuer(url: str) -> str:
    """
    Parse an issuer, which stays as it is spelled.

    Args:
        url: The issuer's URL.

    Raises:
        ConfigurationError: It is not secure, has a query or a placeholder, or is the address of
            metadata.

    Spec: RFC 8414 §2.
    """
    if not isinstance(url, str):
        raise wrong_kind("the issuer", "an https URL, such as https://id.aritma.io", url)
    require_secure_url(url, "the issuer")
    if "?" in url:
        raise ConfigurationError("the issuer must not carry a query: remove it (RFC 8414 §2)")
    if "{" in url:
        raise ConfigurationError(
            "the issuer must name a tenant in the place of {…}: a template is the issuer of none"
        )
    if _WELL_KNOWN in url:
        raise ConfigurationError(
            f"the issuer must not be the address of its metadata: give {_issuer_of_metadata(url)!r}"
        )
    return url


def _issuer_of_metadata(url: str) -> str:
    """Undo OpenID Connect Discovery 1.0 §4.1, which appends, and RFC 8414 §3.1, which inserts."""
    before, _, after = url.partition(_WELL_KNOWN)
    _, slash, path = after.partition("/")
    return f"{before}{slash}{path}"


def parse_origins(urls: Iterable[str | Origin], name: str = "origins") -> frozenset[Origin]:
    """
    Parse origins.

    Args:
        urls: Secure URLs, of which the origin counts, or origins.

        name: The argument, for the error.

    Raises:
        ConfigurationError: There is no list of these.
    """
    if isinstance(urls, str | bytes) or not isinstance(urls, Iterable):
        raise wrong_kind(name, 'a list of URLs, such as ["https://api.example.com"]', urls)
    return frozenset(
        url if isinstance(url, Origin) else origin_of(require_secure_url(url, f"each of {name}"))
        for url in urls
    )
