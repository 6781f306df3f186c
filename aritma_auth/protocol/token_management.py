"""Introspection (RFC 7662) and revocation (RFC 7009) of tokens."""

import attrs

from aritma_auth.errors import VerificationError
from aritma_auth.protocol.http_messages import HttpResponse, Parameters
from aritma_auth.protocol.json_response import parse_json_response, structure_response
from aritma_auth.protocol.parameters import Scope
from aritma_auth.protocol.redaction import HiddenStr, Members
from aritma_auth.protocol.strict_json import WireNumber, WireScope
from aritma_auth.protocol.tenants import find_tenant_problem


def build_token_parameters(token: str, token_type_hint: str | None) -> Parameters:
    """
    Build the form that names a token.

    Args:
        token: The token's text.

        token_type_hint: ``access_token`` or ``refresh_token``, or None.

    Spec: RFC 7009 §2.1; RFC 7662 §2.1.
    """
    hint = () if token_type_hint is None else (("token_type_hint", token_type_hint),)
    return (("token", HiddenStr(token)), *hint)


@attrs.frozen
class _IntrospectionResponse:
    active: bool
    scope: WireScope | None = None
    client_id: str | None = None
    sub: str | None = None
    exp: WireNumber | None = None


@attrs.frozen(kw_only=True)
class Introspection:
    """
    The server's statement about a token.

    Attributes:
        active: The token is valid now; of an inactive one nothing else is known.

        scope: What it is for, as far as this client may know, or None.

        client_id: The client that it was issued to, or None.

        subject: The end-user, or None.

        expires_at: POSIX seconds, or None.

        claims: The whole response.

    Spec: RFC 7662 §2.2.
    """

    active: bool
    scope: Scope | None = None
    client_id: str | None = None
    subject: str | None = None
    expires_at: float | None = None
    claims: Members = attrs.field(factory=Members)


def parse_introspection_response(
    response: HttpResponse, *, now: float, tenants: frozenset[str] = frozenset()
) -> Introspection:
    """
    Parse the introspection endpoint's response.

    Args:
        response: The response.

        now: POSIX seconds.

        tenants: An active token must be of one of them (``tid``); none means any.

    Raises:
        OAuthError: The server refused this client; IdentityServer says so by status 401 alone.

        VerificationError: The token is active, and is another tenant's.

        InvalidResponseError: It does not say whether the token is active.

    Spec: RFC 7662 §2.2, §2.3.
    """
    claims = parse_json_response(
        response, now=now, what="the introspection endpoint", is_authenticated=True
    )
    received = structure_response(
        claims,
        _IntrospectionResponse,
        lambda _: (),
        what="the introspection response",
        status=response.status,
    )
    if not received.active:
        return Introspection(active=False)
    problem = find_tenant_problem(claims, tenants)
    if problem is not None:
        raise VerificationError(f"the token is another tenant's: {problem}")
    return Introspection(
        active=True,
        scope=received.scope,
        client_id=received.client_id,
        subject=received.sub,
        expires_at=received.exp,
        claims=claims,
    )


def parse_revocation_response(response: HttpResponse, *, now: float) -> None:
    """
    Parse the revocation endpoint's response: 200 says that the token has ended.

    Args:
        response: The response.

        now: POSIX seconds.

    Raises:
        OAuthError: The server refused.

        InvalidResponseError: Another status; after a 503 the token is still valid.

    Spec: RFC 7009 §2.2.
    """
    # The body says nothing: servers send none, "{}" or "OK", and some 201 or 204 in place of 200.
    if response.status not in {200, 201, 204}:
        parse_json_response(
            response, now=now, what="the revocation endpoint", is_authenticated=True
        )
