"""
Server metadata (RFC 8414): the endpoints, and which of them may be believed.

A document is believed about its issuer's own origin. An endpoint on another host is used only if
the caller has listed that host: otherwise the document alone would decide where the secrets go.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping

import attrs
from yarl import URL

from aritma_auth.errors import (
    ConfigurationError,
    EndpointMissingError,
    InvalidResponseError,
    IssuerMismatchError,
)
from aritma_auth.protocol.endpoints import FIXED_PATHS
from aritma_auth.protocol.http_messages import HttpResponse
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.tenants import is_template_for
from aritma_auth.protocol.urls import Origin, describe_issuer, origin_of, require_secure_url

_FOR_BROWSERS = frozenset(
    {"authorization_endpoint", "check_session_iframe", "end_session_endpoint"}
)


@attrs.frozen
class ServerMetadata:
    """
    What an authorization server publishes about itself, as far as it may be believed.

    Attributes:
        issuer: The issuer it names, exactly.

        endpoints: URLs by metadata name; only those on the issuer's origin or a listed one.

        foreign_endpoints: Origins by metadata name of the endpoints that are never used, since they
            are on a host that is not trusted; empty of those that are no secure URL.

        mtls_endpoints: The same for clients with a certificate (RFC 8705 §5); none of those that
            the end-user's browser opens, which has no such certificate.

        foreign_mtls_endpoints: Of those the ones that are never used, as ``foreign_endpoints``.

        members: The whole document.

    Spec: RFC 8414 §2; OpenID Connect Discovery 1.0 §3.
    """

    issuer: str
    endpoints: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    foreign_endpoints: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    mtls_endpoints: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    foreign_mtls_endpoints: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    members: Members = attrs.field(factory=Members, repr=False)

    def endpoint(self, name: str, *, by_certificate: bool = False) -> str:
        """
        Return an endpoint's URL.

        Args:
            name: Its metadata name, such as ``token_endpoint``.

            by_certificate: Take the alias for clients with a certificate, if there is one.

        Raises:
            EndpointMissingError: The server has none.

            ConfigurationError: It is on an origin that is not listed, or is no secure URL.
        """
        url, foreign = self.endpoints.get(name), self.foreign_endpoints.get(name)
        if by_certificate and (name in self.mtls_endpoints or name in self.foreign_mtls_endpoints):
            # The usual endpoint would not ask for the certificate (RFC 8705 §5).
            url, foreign = self.mtls_endpoints.get(name), self.foreign_mtls_endpoints.get(name)
        if url is not None:
            return url
        if foreign == "":
            raise ConfigurationError(
                f"{name} of {self.issuer} must be an absolute https URL (http is allowed on "
                "loopback) without user name and fragment, and its metadata has another: give the "
                "right one in endpoints, or tell the server's operator"
            )
        if foreign is not None:
            raise ConfigurationError(
                f"{name} of {self.issuer} must be on the issuer's host, not at "
                f"{foreign}: list that origin in endpoint_origins if you trust it"
            )
        raise EndpointMissingError(
            f"{self.issuer} must have {name} in its metadata, and has none: it does not offer it; "
            "if it does, give the URL in endpoints"
        )

    @property
    def names_issuer_in_responses(self) -> bool:
        """Authorization responses carry ``iss`` (RFC 9207 §3)."""
        return self.members.get("authorization_response_iss_parameter_supported") is True

    @property
    def client_auth_methods(self) -> tuple[str, ...] | None:
        """How clients may authenticate at the token endpoint, or None if it is not said."""
        return self._names("token_endpoint_auth_methods_supported")

    @property
    def code_challenge_methods(self) -> tuple[str, ...] | None:
        """The methods of PKCE, or None if it is not said (RFC 7636 §4.3)."""
        return self._names("code_challenge_methods_supported")

    def _names(self, member: str) -> tuple[str, ...] | None:
        value = self.members.get(member)
        return tuple(map(str, value)) if isinstance(value, list) else None


def build_metadata_urls(issuer: str) -> tuple[str, ...]:
    """
    Build the addresses at which a server's metadata may be, in the order to try them.

    Args:
        issuer: The issuer, with or without a path.

    Spec: OpenID Connect Discovery 1.0 §4.1; RFC 8414 §3.1.
    """
    base, url = issuer.rstrip("/"), URL(issuer)
    path, origin = url.raw_path.rstrip("/"), url.origin()
    urls = (
        f"{base}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
    )
    return tuple(dict.fromkeys(urls))


def parse_metadata_response(
    response: HttpResponse,
    *,
    issuers: Iterable[str],
    trusted: frozenset[Origin] = frozenset(),
    now: float,
) -> ServerMetadata:
    """
    Parse server metadata.

    Args:
        response: The response.

        issuers: The issuer that was asked, and its aliases: compared exactly.

        trusted: Origins, beside the issuer's own, on which endpoints may be.

        now: POSIX seconds.

    Raises:
        IssuerMismatchError: The document is another server's.

        InvalidResponseError: It is not metadata.

    Spec: RFC 8414 §3.2, §3.3; OpenID Connect Discovery 1.0 §4.3.
    """
    members = parse_json_response(response, now=now, what="the metadata's address")
    return parse_metadata(members, issuers=issuers, trusted=trusted)


def parse_metadata(
    members: Members, *, issuers: Iterable[str], trusted: frozenset[Origin] = frozenset()
) -> ServerMetadata:
    """
    Parse the members of server metadata, as `parse_metadata_response` does.

    Args:
        members: The document.

        issuers: The issuer that was asked, and its aliases. A multi-tenant server may name their
            template instead, with ``{tenantid}`` in the place of one segment.

        trusted: Origins, beside the issuer's own, on which endpoints may be.

    Raises:
        IssuerMismatchError: The document is another server's.

        InvalidResponseError: It is not metadata.
    """
    issuer = members.get("issuer")
    if not isinstance(issuer, str):
        raise InvalidResponseError(
            "the metadata names no issuer, and must name the one that was asked", status=200
        )
    expected = frozenset(issuers)
    if issuer not in expected and not is_template_for(issuer, expected):
        raise IssuerMismatchError(
            f"the metadata must be of {', '.join(sorted(expected))}, but its issuer is "
            f"{describe_issuer(issuer)}: configure that issuer, equal in every character, or list "
            "it in issuer_aliases if both are one server"
        )
    origins = trusted | frozenset(_origins_of(expected))
    endpoints, foreign = _believed(members, origins)
    aliases = members.get("mtls_endpoint_aliases")
    direct = {
        name: url
        for name, url in (aliases if isinstance(aliases, dict) else {}).items()
        if name not in _FOR_BROWSERS
    }
    return ServerMetadata(
        issuer, endpoints, foreign, *_believed(Members(direct), origins), members=members
    )


def _origins_of(issuers: Iterable[str]) -> Iterator[Origin]:
    for issuer in issuers:
        # Some servers name themselves by what is no URL.
        with contextlib.suppress(ConfigurationError):
            yield origin_of(require_secure_url(issuer, "an issuer"))


def _believed(
    members: Members, origins: frozenset[Origin]
) -> tuple[dict[str, str], dict[str, str]]:
    believed, foreign = {}, {}
    for name in FIXED_PATHS:
        url = members.get(name)
        if not isinstance(url, str):
            continue
        try:
            origin = origin_of(require_secure_url(url, name))
        except ConfigurationError:
            foreign[name] = ""
            continue
        if origin in origins:
            believed[name] = url
        else:
            foreign[name] = origin.url
    return believed, foreign
