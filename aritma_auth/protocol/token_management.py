"""Introspection and revocation of tokens."""

import attrs

from aritma_auth.errors import InvalidResponseError, oauth_error
from aritma_auth.protocol.http_messages import HttpResponse, Parameters
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.protocol.parameters import Scope
from aritma_auth.protocol.redaction import HiddenStr, Members
from aritma_auth.protocol.strict_json import StructureError, WireNumber, WireScope, structure


def build_token_parameters(token: str, token_type_hint: str | None) -> Parameters:
    """
    Give the form that names a token.

    Args:
        token: The token's text.

        token_type_hint: ``access_token`` or ``refresh_token``, or None.

    Spec: RFC 7009 §2.1; RFC 7662 §2.1.
    """
    hint = () if token_type_hint is None else (("token_type_hint", token_type_hint),)
    return (("token", HiddenStr(token)), *hint)


@attrs.frozen
class _Answer:
    active: bool
    scope: WireScope | None = None
    client_id: str | None = None
    sub: str | None = None
    exp: WireNumber | None = None


@attrs.frozen(kw_only=True)
class Introspection:
    """
    What the server says of a token.

    Attributes:
        active: The token is good now; of any other nothing else is known.

        scope: What it is for, as far as the asker may know, or None.

        client_id: Whose it is, or None.

        subject: The person, or None.

        expires_at: POSIX seconds, or None.

        claims: All that was said.

    Spec: RFC 7662 §2.2.
    """

    active: bool
    scope: Scope | None = None
    client_id: str | None = None
    subject: str | None = None
    expires_at: float | None = None
    claims: Members = attrs.field(factory=Members)


def parse_introspection_response(response: HttpResponse, *, now: float) -> Introspection:
    """
    Read an introspection answer.

    Args:
        response: The answer.

        now: POSIX seconds.

    Raises:
        OAuthError: The server refused the asker.

        InvalidResponseError: It does not say whether the token is active.

    Spec: RFC 7662 §2.2, §2.3.
    """
    if response.status == 401:
        # IdentityServer says no more than that (RFC 7662 §2.3).
        raise oauth_error("invalid_client", status=401)
    claims = parse_json_response(response, now=now, what="the introspection endpoint")
    problems: tuple[str, ...]
    try:
        answer = structure(claims, _Answer)
    except StructureError as error:
        problems = error.problems
    else:
        if not answer.active:
            return Introspection(active=False)
        return Introspection(
            active=True,
            scope=answer.scope,
            client_id=answer.client_id,
            subject=answer.sub,
            expires_at=answer.exp,
            claims=claims,
        )
    raise InvalidResponseError(
        f"the introspection answer is unusable: {'; '.join(problems)}",
        status=response.status,
        problems=problems,
    )


def parse_revocation_response(response: HttpResponse, *, now: float) -> None:
    """
    Read a revocation answer: 200 means that the token is dead, whatever the body says.

    Args:
        response: The answer.

        now: POSIX seconds.

    Raises:
        OAuthError: The server refused.

        InvalidResponseError: Another status; after a 503 the token still lives.

    Spec: RFC 7009 §2.2.
    """
    # Servers answer with nothing, "{}" or "OK".
    if response.status != 200:
        parse_json_response(response, now=now, what="the revocation endpoint")
