"""The command that looks at the server, and tells what would not work."""

from collections.abc import Iterator

import attrs

from aritma_auth.cli.stored_sign_in import open_session
from aritma_auth.client.client import OAuthClient
from aritma_auth.protocol.metadata import ServerMetadata
from aritma_auth.protocol.redaction import Members

_TOLERATED_SKEW = 30.0


@attrs.frozen
class Finding:
    """
    One thing that was looked at.

    Attributes:
        what: Its name.

        said: What was found.

        problem: What to do about it, or None if all is well.
    """

    what: str
    said: str
    problem: str | None = None


async def doctor() -> int:
    """
    Look at the server's published metadata and keys, and its clock, before anything is asked.

    The client is the one in ARITMA_CLIENT_ID; with a secret it authenticates, without it is public.
    """
    async with open_session() as session:
        client = OAuthClient.from_env(session=session, requires_secret=False)
        findings = [*examine(client, await client.fetch_metadata()), await _examine_keys(client)]
    findings.append(_examine_clock(client))
    for finding in findings:
        mark = "ok" if finding.problem is None else "NO"
        advice = "" if finding.problem is None else f": {finding.problem}"
        print(f"{mark}  {finding.what:<22} {finding.said}{advice}")  # noqa: T201 - the findings
    return 0 if all(finding.problem is None for finding in findings) else 1


def examine(client: OAuthClient, metadata: ServerMetadata) -> Iterator[Finding]:
    """
    Compare what a server publishes with what this client needs.

    Args:
        client: The client.

        metadata: What the server publishes; its issuer has been checked.

    Spec: RFC 8414 §2.
    """
    yield Finding("issuer", metadata.issuer)
    expected = client.environment.token_endpoint
    actual = metadata.endpoints.get("token_endpoint", "none")
    differs = None if actual == expected else f"requests go to {expected}: describe the endpoints"
    yield Finding("token endpoint", actual, differs)
    foreign = " ".join(sorted(metadata.foreign_endpoints))
    if foreign:
        yield Finding("on other hosts", foreign, "list their origins in endpoint_origins")
    yield Finding("grants", _words(metadata.members, "grant_types_supported"))
    yield _examine_method(client, metadata.members)
    challenges = _words(metadata.members, "code_challenge_methods_supported")
    lacks = None if "S256" in challenges.split() else "S256 is not offered, and is always sent"
    yield Finding("PKCE", challenges, lacks)


def _examine_method(client: OAuthClient, members: Members) -> Finding:
    # A server that says nothing takes Basic alone: RFC 8414 §2.
    methods = _words(members, "token_endpoint_auth_methods_supported", "client_secret_basic")
    method = client.client_auth.method
    # Servers seldom list "none", and take public clients nevertheless.
    is_offered = method == "none" or method in methods.split()
    return Finding("client authentication", methods, None if is_offered else f"not by {method}")


async def _examine_keys(client: OAuthClient) -> Finding:
    kinds = [str(key.get("alg") or key.get("kty")) for key in await client.fetch_keys()]
    return Finding(
        "keys", " ".join(kinds) or "none", None if kinds else "no ID token can be checked"
    )


def _examine_clock(client: OAuthClient) -> Finding:
    ahead = client.clock_skew
    is_close = abs(ahead) <= _TOLERATED_SKEW
    return Finding("clock", f"{ahead:+.0f} s from ours", None if is_close else "set this clock")


def _words(members: Members, name: str, default: str = "not said") -> str:
    value = members.get(name)
    return " ".join(map(str, value)) if isinstance(value, list) else default
