"""
Pushed authorization requests (RFC 9126): the request goes to the server before the browser does.

The browser then carries ``client_id`` and a reference, so nothing of the request can be read or
changed on its way, and the client has authenticated before an end-user is involved.
"""

import attrs

from aritma_auth.errors import AritmaAuthError, InvalidResponseError, OAuthError, TransportError
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.http_messages import HttpResponse, Parameters
from aritma_auth.protocol.json_response import parse_json_response, structure_response
from aritma_auth.protocol.redaction import SecretText, as_secret
from aritma_auth.protocol.strict_json import WireNumber
from aritma_auth.runtime.values import Value

MAX_ATTEMPTS = 3
"""How often one request is pushed: a lost response costs the server an entry and nobody else."""

_PAUSE = 0.5
_MAX_PAUSE = 5.0
_MAX_LIFETIME = 86_400.0
_MAX_LENGTH = 2048
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
# RFC 9126 §2.2 demands 201; servers before it respond with 200.
_SUCCESS = frozenset({200, 201})


@attrs.frozen(repr=False)
class _PushedResponse:
    request_uri: str
    expires_in: WireNumber


@attrs.frozen(eq=False, repr=False)
class PushedAuthorizationRequest(Value):
    """
    What stands for an authorization request that the server has.

    Attributes:
        request_uri: The reference, good for one visit of the browser; never shown.

        expires_at: POSIX seconds until which it can be used.

    Spec: RFC 9126 §2.2.
    """

    request_uri: SecretText = attrs.field(converter=as_secret)
    expires_at: float


def build_pushed_authorization_request(request: AuthorizationRequest) -> Parameters:
    """
    Build the form that pushes an authorization request, without the client's authentication.

    Args:
        request: The request; one that was pushed before is pushed anew.

    Spec: RFC 9126 §2.1.
    """
    return request.sent_parameters()


def parse_pushed_authorization_response(
    response: HttpResponse, *, sent_at: float
) -> PushedAuthorizationRequest:
    """
    Parse the pushed authorization request endpoint's response.

    Args:
        response: The response.

        sent_at: POSIX seconds when the request left; ``expires_at`` counts from it.

    Raises:
        OAuthError: The server refused the request or the client.

        InvalidResponseError: A member is missing, or ``request_uri`` is not fit for a URL.

    Spec: RFC 9126 §2.2, §2.3.
    """
    received = structure_response(
        parse_json_response(
            response,
            now=sent_at,
            what="the pushed authorization request endpoint",
            is_authenticated=True,
            success=_SUCCESS,
        ),
        _PushedResponse,
        _find_problems,
        what="the pushed authorization response",
        status=response.status,
    )
    lifetime = min(received.expires_in, _MAX_LIFETIME)
    return PushedAuthorizationRequest(received.request_uri, sent_at + lifetime)


def _find_problems(received: _PushedResponse) -> tuple[str, ...]:
    problems = []
    uri = received.request_uri
    if ":" not in uri or len(uri) > _MAX_LENGTH or not all("!" <= char <= "~" for char in uri):
        problems.append("request_uri must be an absolute URI of visible ASCII characters")
    if not received.expires_in > 0:
        problems.append("expires_in must be greater than 0")
    return tuple(problems)


def next_push_delay(error: AritmaAuthError, attempts: int) -> float | None:
    """
    Compute how long to wait before a request is pushed again.

    Args:
        error: What the last attempt raised.

        attempts: Attempts so far.

    Returns:
        Seconds, or None if no further attempt is worth the end-user's time.
    """
    if attempts >= MAX_ATTEMPTS or not _is_transient(error):
        return None
    delay = max(_PAUSE * 2 ** (attempts - 1), error.retry_after or 0.0)
    return delay if delay <= _MAX_PAUSE else None


def _is_transient(error: AritmaAuthError) -> bool:
    if isinstance(error, InvalidResponseError):
        return error.status in _TRANSIENT
    return isinstance(error, TransportError | OAuthError) and not error.is_permanent
