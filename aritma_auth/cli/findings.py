"""What the doctor finds in a server's metadata and keys; nothing here asks the server."""

from collections import Counter
from collections.abc import Iterable, Iterator

import attrs

from aritma_auth.client.client import OAuthClient
from aritma_auth.protocol.jws import MIN_RSA_BITS, count_modulus_bits
from aritma_auth.protocol.jwt import JsonWebKey
from aritma_auth.protocol.metadata import ServerMetadata
from aritma_auth.protocol.redaction import JsonValue, Members

_ACCEPTED = ("ES256", "PS256", "RS256")
"""Algorithms of ID tokens that a client accepts unless told otherwise."""

_NOT_PUBLISHED = "not published"
_PRODUCTS = {
    "/protocol/openid-connect/token": "Keycloak",
    "/oauth2/v2.0/token": "Microsoft Entra ID",
    "/adfs/oauth2/token": "AD FS",
    "/application/o/token/": "authentik",
    "/oauth/v2/token": "Zitadel",
    "/as/token.oauth2": "PingFederate",
    "/oauth/v2/oauth-token": "Curity",
    "/oauth2/v1/token": "Okta",
    "/o/token/": "Django OAuth Toolkit",
}
_OFFERS = {
    "introspection_endpoint": "introspection",
    "revocation_endpoint": "revocation",
    "device_authorization_endpoint": "device sign-in",
    "end_session_endpoint": "sign-out",
    "backchannel_logout_supported": "back-channel logout",
    "frontchannel_logout_supported": "front-channel logout",
    "request_parameter_supported": "request objects",
    "backchannel_authentication_endpoint": "CIBA",
    "registration_endpoint": "registration",
}


@attrs.frozen
class Finding:
    """
    The outcome of one check.

    Attributes:
        what: Name of the check.

        found: What was found.

        problem: Why this client cannot work with it and what to do, or None.

        note: What to know, and what to do if it matters, or None.
    """

    what: str
    found: str
    problem: str | None = None
    note: str | None = None

    @property
    def status(self) -> str:
        """``problem``, ``note`` or ``ok``."""
        if self.problem is not None:
            return "problem"
        return "ok" if self.note is None else "note"

    def as_json(self) -> dict[str, JsonValue]:
        """Give the finding for a program."""
        return {
            "what": self.what,
            "status": self.status,
            "found": self.found,
            "advice": self.problem or self.note,
        }


def examine(client: OAuthClient, metadata: ServerMetadata) -> Iterator[Finding]:
    """
    Compare what a server publishes with what a client needs.

    Args:
        client: The client.

        metadata: The server's metadata.

    Spec: RFC 8414 §2; OpenID Connect Discovery 1.0 §3.
    """
    members = metadata.members
    yield _examine_token_endpoint(client, metadata)
    foreign = metadata.foreign_endpoints
    if origins := " ".join(sorted(filter(None, foreign.values()))):
        yield Finding("on other hosts", origins, "list their origins in endpoint_origins")
    if insecure := " ".join(sorted(name for name, origin in foreign.items() if not origin)):
        yield Finding("no secure URLs", insecure, "the server must publish https URLs of these")
    # Without the member, only the grants of the front channel are meant (RFC 8414 §2).
    grants = _words(members, "grant_types_supported", "authorization_code implicit")
    is_service = client.client_auth.method != "none" and "client_credentials" not in grants.split()
    missing = "client_credentials is not among them: a service gets no token of its own"
    yield Finding("grants", grants, note=missing if is_service else None)
    yield _examine_client_authentication(client, members)
    yield _examine_challenges(members)
    yield _examine_response_issuer(metadata)
    yield _examine_pushed_requests(members)
    yield _examine_bound_tokens(members)
    yield _examine_id_tokens(members)
    offers = [name for member, name in _OFFERS.items() if members.get(member)]
    yield Finding("also offers", ", ".join(offers) or "nothing more")


def name_server(members: Members, *, has_oauth_metadata: bool = False) -> str:
    """
    Name the product that publishes a document, and its generation as far as it shows.

    Args:
        members: The document.

        has_oauth_metadata: It is published at RFC 8414's address, too.

    Source: the discovery documents of IdentityServer4 and of Duende IdentityServer at their tags.
    """
    endpoint = str(members.get("token_endpoint", ""))
    if not endpoint.endswith("/connect/token"):
        suffixes = (suffix for suffix in _PRODUCTS if endpoint.endswith(suffix))
        return next(map(_PRODUCTS.__getitem__, suffixes), "not one that is known by its paths")
    if members.get("pushed_authorization_request_endpoint"):
        return f"Duende IdentityServer {'7.4' if has_oauth_metadata else '7.0'} or newer"
    if members.get("authorization_response_iss_parameter_supported"):
        return "Duende IdentityServer 6.2 or 6.3"
    if members.get("backchannel_authentication_endpoint"):
        return "Duende IdentityServer 6.0 or 6.1"
    return "IdentityServer4, or Duende IdentityServer 5"


def examine_keys(keys: Iterable[JsonWebKey]) -> Finding:
    """
    Describe a server's keys, and name those that cannot verify anything.

    Args:
        keys: The key set.

    Spec: RFC 7517 §4; RFC 7518 §3.3.
    """
    keys = list(keys)
    kinds = " ".join(str(key.get("alg") or key.get("kty")) for key in keys)
    if not keys:
        return Finding("keys", "none", "no ID token can be verified: the server must publish keys")
    weak = [
        key for key in keys if key.get("kty") == "RSA" and count_modulus_bits(key) < MIN_RSA_BITS
    ]
    if len(weak) == len(keys):
        return Finding("keys", kinds, f"each RSA key must have {MIN_RSA_BITS} bits or more")
    ids = Counter((key.get("kid"), key.get("alg")) for key in keys)
    notes = []
    if weak:
        notes.append(f"{len(weak)} with fewer than {MIN_RSA_BITS} bits are not used")
    if any(number > 1 for number in ids.values()):
        notes.append("several have one id: each that fits is tried")
    return Finding("keys", kinds, note="; ".join(notes) or None)


def _examine_token_endpoint(client: OAuthClient, metadata: ServerMetadata) -> Finding:
    environment = client.environment
    published = metadata.endpoints.get("token_endpoint")
    is_discovered = environment.discovers and "token_endpoint" not in environment.endpoints
    if is_discovered and published is None:
        return Finding("token endpoint", "none", "no token can be requested")
    if is_discovered or published in {environment.token_endpoint, None}:
        return Finding("token endpoint", published or _NOT_PUBLISHED)
    return Finding(
        "token endpoint",
        published,
        f"this environment sends token requests to {environment.token_endpoint}; set "
        f"ARITMA_ENVIRONMENT to {metadata.issuer}, or in a program use "
        f"Environment.discover({metadata.issuer!r})",
    )


def _examine_client_authentication(client: OAuthClient, members: Members) -> Finding:
    # The default is Basic alone (RFC 8414 §2).
    methods = _words(members, "token_endpoint_auth_methods_supported", "client_secret_basic")
    method = client.client_auth.method
    offered = {*methods.split(), "none"}  # seldom listed where public clients are accepted
    is_offered = method in offered
    if method == "client_secret_post" and client.environment.discovers:
        # A secret goes where the server wants it, once its metadata is known.
        is_offered = is_offered or "client_secret_basic" in offered
    problem = f"this client uses {method}: authenticate it by one of these"
    return Finding("client authentication", methods, None if is_offered else problem)


def _examine_challenges(members: Members) -> Finding:
    challenges = _words(members, "code_challenge_methods_supported")
    if "S256" in challenges.split():
        return Finding("PKCE", challenges)
    if challenges == _NOT_PUBLISHED:
        unknown = "S256 is always sent; whether the server compares it is unknown: ask its owner"
        return Finding("PKCE", challenges, note=unknown)
    return Finding("PKCE", challenges, "S256 is always sent: the server must offer it")


def _examine_response_issuer(metadata: ServerMetadata) -> Finding:
    if metadata.names_issuer_in_responses:
        return Finding("response issuer", "in every authorization response (RFC 9207)")
    note = "with more than one server, use a redirect URI for each (RFC 9700 §4.4.2)"
    return Finding("response issuer", "not in authorization responses", note=note)


def _examine_pushed_requests(members: Members) -> Finding:
    if not members.get("pushed_authorization_request_endpoint"):
        return Finding("PAR", "not offered")
    is_required = members.get("require_pushed_authorization_requests") is True
    return Finding("PAR", "required" if is_required else "offered")


def _examine_bound_tokens(members: Members) -> Finding:
    proofs = _words(members, "dpop_signing_alg_values_supported", "")
    ways = [f"DPoP ({proofs})"] if proofs else []
    if members.get("tls_client_certificate_bound_access_tokens") is True:
        ways.append("certificates (RFC 8705)")
    return Finding("bound tokens", ", ".join(ways) or "not offered: a stolen token can be used")


def _examine_id_tokens(members: Members) -> Finding:
    published = _words(members, "id_token_signing_alg_values_supported")
    is_known = published != _NOT_PUBLISHED
    if is_known and not set(published.split()) & set(_ACCEPTED):
        return Finding(
            "ID tokens",
            published,
            f"a client accepts {', '.join(_ACCEPTED)}: name others in id_token_algorithms",
        )
    return Finding("ID tokens", published)


def _words(members: Members, name: str, default: str = _NOT_PUBLISHED) -> str:
    value = members.get(name)
    return " ".join(map(str, value)) if isinstance(value, list) else default
