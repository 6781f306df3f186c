"""``aritma-auth doctor``: check what the server publishes against what this client needs."""

from collections.abc import Iterator

import attrs

from aritma_auth.cli.options import Json
from aritma_auth.cli.stored_sign_in import open_session
from aritma_auth.cli.terminal import show, show_json
from aritma_auth.client.client import OAuthClient
from aritma_auth.errors import AritmaAuthError
from aritma_auth.protocol.metadata import ServerMetadata
from aritma_auth.protocol.redaction import Members

_TOLERATED_SKEW = 30.0


@attrs.frozen
class Finding:
    """
    The outcome of one check.

    Attributes:
        what: Name of the check.

        found: What the server publishes.

        problem: Why this client cannot work with it and what to do, or None.
    """

    what: str
    found: str
    problem: str | None = None


async def examine_server(*, json: Json = False) -> int:
    """
    Check the server's metadata, its keys and its clock, before any token is requested.

    The client is the one in ARITMA_CLIENT_ID; with a secret it authenticates, without it is public.

    Parameters
    ----------
    json:
        Print the findings as one JSON object.
    """
    async with open_session() as session:
        client = OAuthClient.from_env(session=session, requires_secret=False)
        findings = [*examine(client, await client.fetch_metadata()), await _examine_keys(client)]
    findings.append(_examine_clock(client))
    if json:
        show_json({"findings": [attrs.asdict(finding) for finding in findings]})
    else:
        _show(findings)
    return 0 if all(finding.problem is None for finding in findings) else 1


def _show(findings: list[Finding]) -> None:
    for finding in findings:
        mark = "ok" if finding.problem is None else "NO"
        advice = "" if finding.problem is None else f": {finding.problem}"
        show(f"{mark}  {finding.what:<22} {finding.found}{advice}")


def examine(client: OAuthClient, metadata: ServerMetadata) -> Iterator[Finding]:
    """
    Compare what a server publishes with what this client needs.

    Args:
        client: The client.

        metadata: The server's metadata; its issuer has been validated.

    Spec: RFC 8414 §2.
    """
    yield Finding("issuer", metadata.issuer)
    yield _examine_token_endpoint(client, metadata)
    foreign = " ".join(sorted(metadata.foreign_endpoints.values()))
    if foreign:
        yield Finding("on other hosts", foreign, "list their origins in endpoint_origins")
    yield Finding("grants", _words(metadata.members, "grant_types_supported"))
    yield _examine_client_authentication(client, metadata.members)
    challenges = _words(metadata.members, "code_challenge_methods_supported")
    is_offered = "S256" in challenges.split()
    yield Finding(
        "PKCE", challenges, None if is_offered else "S256 is not offered, and is always sent"
    )


def _examine_token_endpoint(client: OAuthClient, metadata: ServerMetadata) -> Finding:
    environment = client.environment
    published = metadata.endpoints.get("token_endpoint")
    is_discovered = environment.discovers and "token_endpoint" not in environment.endpoints
    if is_discovered and published is None:
        return Finding("token endpoint", "none", "no token can be requested")
    if is_discovered or published in {environment.token_endpoint, None}:
        return Finding("token endpoint", published or "not published")
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
    # Servers that accept public clients seldom list "none".
    is_offered = method == "none" or method in methods.split()
    return Finding(
        "client authentication", methods, None if is_offered else f"this client uses {method}"
    )


async def _examine_keys(client: OAuthClient) -> Finding:
    try:
        keys = await client.fetch_keys()
    except AritmaAuthError as error:
        return Finding("keys", "none", f"{error}; no ID token can be verified")
    kinds = " ".join(str(key.get("alg") or key.get("kty")) for key in keys)
    return Finding("keys", kinds or "none", None if kinds else "no ID token can be verified")


def _examine_clock(client: OAuthClient) -> Finding:
    ahead = client.clock_skew
    is_close = abs(ahead) <= _TOLERATED_SKEW
    return Finding("clock", f"{ahead:+.0f} s from ours", None if is_close else "set this clock")


def _words(members: Members, name: str, default: str = "not published") -> str:
    value = members.get(name)
    return " ".join(map(str, value)) if isinstance(value, list) else default
