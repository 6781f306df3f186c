"""The token endpoint: requests that authenticate the client, and the tokens that come back."""

import re
from collections.abc import Iterable, Mapping
from functools import partial

import attrs

from aritma_auth.protocol.client_auth import ClientAuth, ClientCredential
from aritma_auth.protocol.http_messages import (
    FORM,
    HttpRequest,
    HttpResponse,
    encode_form,
    is_sendable,
)
from aritma_auth.protocol.json_response import parse_json_response, structure_response
from aritma_auth.protocol.redaction import HiddenStr, Members
from aritma_auth.protocol.strict_json import WireNumber, WireScope
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.values import Value

_MAX_LIFETIME = 10 * 365 * 86_400.0
_BEARER = frozenset({"bearer"})
_TYPE_WORD = r"[A-Za-z_-]{1,15}"
# Both are refused only where the other is expected.
_TYPE_PROBLEMS: Mapping[str, str] = {
    "bearer": (
        "token_type must be DPoP, since the request carried a proof, and it is Bearer: the server "
        "bound the token to no key. Let it register the client for DPoP, or remove dpop from the "
        "client (RFC 9449 §5)"
    ),
    "dpop": (
        "token_type is DPoP, which must not be used without a key: give the client dpop=DPoP(key) "
        "(RFC 9449 §5)"
    ),
}
_CANONICAL_TYPES = {"dpop": "DPoP", "n_a": "N_A"}


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

        client_auth: How the client authenticates.

        credential: What authenticates this request.

    Spec: RFC 6749 §2.3.
    """
    proof = client_auth.prove(credential)
    # A pushed authorization request names its client itself, and no parameter may come twice.
    proven = {name for name, _ in proof.parameters}
    form = (*(pair for pair in parameters if pair[0] not in proven), *proof.parameters)
    return HttpRequest(
        "POST",
        endpoint,
        {"Accept": "application/json", "Content-Type": FORM, **proof.headers},
        encode_form(form),
        (
            *(value for _, value in form if isinstance(value, HiddenStr)),
            *((credential.secret.text,) if credential.secret is not None else ()),
            *(HiddenStr(value.partition(" ")[2]) for value in proof.headers.values()),
        ),
    )


@attrs.frozen(repr=False, eq=False)
class _TokenResponse(Value):
    access_token: str
    token_type: str
    expires_in: WireNumber | None = None
    scope: WireScope | None = None
    refresh_token: str | None = None
    id_token: str | None = None


_KNOWN = frozenset(field.name for field in attrs.fields(_TokenResponse))


def parse_token_response(
    response: HttpResponse, *, sent_at: float, token_types: frozenset[str] = _BEARER
) -> Token:
    """
    Parse the token endpoint's response.

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
    members = parse_json_response(
        response, now=sent_at, what="the token endpoint", is_authenticated=True
    )
    return parse_token(
        members,
        status=response.status,
        sent_at=sent_at,
        token_types=token_types,
        sent=response.sent,
    )


def parse_token(
    members: Members,
    *,
    status: int,
    sent_at: float,
    token_types: frozenset[str] = _BEARER,
    sent: Iterable[str] = (),
) -> Token:
    """
    Make a token of a response's members, from JSON or from a callback's parameters.

    Args:
        members: Names and values as received.

        status: HTTP status, for the error.

        sent_at: POSIX seconds from which ``expires_in`` counts.

        token_types: Lower-case token types that the caller knows how to use.

        sent: Secrets of the request, which the token's ``repr`` must not repeat.

    Raises:
        InvalidResponseError: A member is missing, of the wrong type or not fit for a header.

    Spec: RFC 6749 §4.2.2, §5.1.
    """
    received = structure_response(
        members,
        _TokenResponse,
        partial(_find_problems, token_types, sent),
        what="the token response",
        status=status,
    )
    return Token(
        received.access_token,
        _CANONICAL_TYPES.get(received.token_type.lower(), "Bearer"),
        expires_at=_expiry(received.expires_in, sent_at),
        scope=_without_echoes(received.scope, sent),
        # Some servers send an empty string for "none".
        refresh_token=received.refresh_token or None,
        id_token=received.id_token or None,
        issued_at=sent_at,
        extra=Members({k: v for k, v in members.items() if k not in _KNOWN}),
    )


def _without_echoes(scope: tuple[str, ...] | None, sent: Iterable[str]) -> tuple[str, ...] | None:
    """Hide the words of a scope that repeats a secret from ``repr``; their values stay."""
    if not scope:
        return scope
    # Imported here: asking for a token loads what its first response needs only then.
    from aritma_auth.protocol.echoes import is_echo

    # A secret with a space in it is several words of a scope.
    return tuple(map(HiddenStr, scope)) if is_echo(" ".join(scope), sent) else scope


def _expiry(expires_in: float | None, sent_at: float) -> float | None:
    # A server that returns one token for its whole lifetime counts down to 0: it has ended.
    # Another sends INT64_MAX for "never".
    return None if expires_in is None else sent_at + min(max(expires_in, 0.0), _MAX_LIFETIME)


def _find_problems(
    token_types: frozenset[str], sent: Iterable[str], received: _TokenResponse
) -> tuple[str, ...]:
    problems = []
    token_type = received.token_type.lower()
    if token_type not in token_types:
        problems.append(
            _TYPE_PROBLEMS.get(token_type)
            or f"token_type is of a kind that must not be used: it must be "
            f"{' or '.join(sorted(token_types))}, not {_describe_type(received, sent)} "
            "(RFC 6749 §7.1)"
        )
    if not received.access_token:
        problems.append("access_token is empty")
    for name in ("access_token", "refresh_token", "id_token"):
        text = getattr(received, name) or ""
        if not is_sendable(text):
            problems.append(f"{name} holds characters that no token may hold, such as spaces")
    return tuple(problems)


def _describe_type(received: _TokenResponse, sent: Iterable[str]) -> str:
    """Show the type of a token if it is a word, and neither a token itself nor an echo."""
    from aritma_auth.protocol.echoes import is_echo

    tokens = (received.access_token, received.refresh_token or "", received.id_token or "")
    text = received.token_type
    is_word = re.fullmatch(_TYPE_WORD, text) is not None
    if not is_word or text in tokens or is_echo(text, (*sent, *tokens)):
        return f"a string of length {len(text)}"
    return repr(text)
