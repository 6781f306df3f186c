"""Requests that ask for a token, or for anything else a client must authenticate for."""

from collections.abc import Iterable

import attrs

from aritma_auth.errors import InvalidResponseError
from aritma_auth.protocol.client_auth import ClientAuth, ClientCredential
from aritma_auth.protocol.http_messages import FORM, HttpRequest, HttpResponse, encode_form
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.protocol.redaction import Members
from aritma_auth.protocol.strict_json import StructureError, WireNumber, WireScope, structure
from aritma_auth.protocol.tokens import Token


def build_authenticated_request(
    endpoint: str,
    parameters: Iterable[tuple[str, str]],
    *,
    client_auth: ClientAuth,
    credential: ClientCredential,
) -> HttpRequest:
    """
    Build a form request with client authentication, to any endpoint that wants one.

    Args:
        endpoint: Absolute URL.

        parameters: The form, without the client's authentication.

        client_auth: How the client proves who it is.

        credential: The proof's ingredients.

    Spec: RFC 6749 §2.3.
    """
    proof = client_auth.prove(credential)
    return HttpRequest(
        "POST",
        endpoint,
        {"Accept": "application/json", "Content-Type": FORM, **proof.headers},
        encode_form((*parameters, *proof.parameters)),
    )


@attrs.frozen(repr=False)
class _TokenAnswer:
    access_token: str
    token_type: str
    expires_in: WireNumber | None = None
    scope: WireScope | None = None
    refresh_token: str | None = None
    id_token: str | None = None


_KNOWN = frozenset(field.name for field in attrs.fields(_TokenAnswer))


def parse_token_response(
    response: HttpResponse,
    *,
    sent_at: float,
    token_types: frozenset[str] = frozenset({"bearer"}),
) -> Token:
    """
    Read the token endpoint's answer.

    Args:
        response: Status, headers and body exactly as received.

        sent_at: POSIX seconds when the request left; ``expires_at`` counts from it.

        token_types: Lower-case token types that the caller knows how to use.

    Returns:
        The token.

    Raises:
        OAuthError: The server refused.

        InvalidResponseError: Not a JSON object, or a member is missing, of the wrong type or not
            fit for a header. The message names the members and never their values.

    Spec: RFC 6749 §5.1, §5.2, §7.1.
    """
    members = parse_json_response(response, now=sent_at, what="the token endpoint")
    return parse_token(members, status=response.status, sent_at=sent_at, token_types=token_types)


def parse_token(
    members: Members,
    *,
    status: int,
    sent_at: float,
    token_types: frozenset[str] = frozenset({"bearer"}),
) -> Token:
    """
    Make a token of an answer's members, from JSON or from a callback's parameters.

    Args:
        members: Names and values as received.

        status: HTTP status, for the error.

        sent_at: POSIX seconds from which ``expires_in`` counts.

        token_types: Lower-case token types that the caller knows how to use.

    Raises:
        InvalidResponseError: A member is missing, of the wrong type or not fit for a header.

    Spec: RFC 6749 §4.2.2, §5.1.
    """
    problems: tuple[str, ...]
    try:
        answer = structure(members, _TokenAnswer)
    except StructureError as problem:
        problems = problem.problems
    else:
        problems = _token_problems(answer, token_types)
        if not problems:
            lifetime = answer.expires_in
            # Zero or less says nothing usable about the future: RFC 6749 §5.1 wants seconds.
            expires_at = sent_at + lifetime if lifetime is not None and lifetime > 0 else None
            return Token(
                answer.access_token,
                _canonical_type(answer.token_type),
                expires_at=expires_at,
                scope=answer.scope,
                # Some servers send an empty text for "none".
                refresh_token=answer.refresh_token or None,
                id_token=answer.id_token or None,
                issued_at=sent_at,
                extra=Members({k: v for k, v in members.items() if k not in _KNOWN}),
            )
    raise InvalidResponseError(
        f"the token answer is unusable: {'; '.join(problems)}", status=status, problems=problems
    )


def _canonical_type(token_type: str) -> str:
    return {"dpop": "DPoP", "n_a": "N_A"}.get(token_type.lower(), "Bearer")


def _token_problems(answer: _TokenAnswer, token_types: frozenset[str]) -> tuple[str, ...]:
    problems = []
    if answer.token_type.lower() not in token_types:
        problems.append("token_type is of a kind that must not be used (RFC 6749 §7.1)")
    if not answer.access_token:
        problems.append("access_token is empty")
    for name in ("access_token", "refresh_token", "id_token"):
        text = getattr(answer, name) or ""
        # Visible ASCII only: anything else would change or break a header.
        if not all("!" <= char <= "~" for char in text):
            problems.append(f"{name} holds characters that no token may hold")
    return tuple(problems)
