"""
Dynamic client registration: a client registers itself, and manages its registration later.

What the server gives is needed for as long as the client exists, and a server may replace the token
that manages the registration with every response: `RegisteredClient` keeps all of it.

Spec: RFC 7591; RFC 7592; OpenID Connect Dynamic Client Registration 1.0.
"""

import json
from collections.abc import Mapping

import attrs

from aritma_auth.errors import ConfigurationError, InvalidResponseError
from aritma_auth.protocol.http_messages import HttpRequest, HttpResponse, is_sendable
from aritma_auth.protocol.json_parameters import parse_members
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.protocol.redaction import HiddenStr, JsonValue, Members, SecretText
from aritma_auth.protocol.registered_client import RegisteredClient
from aritma_auth.protocol.signing import PRIVATE_MEMBERS
from aritma_auth.protocol.strict_json import StructureError, WireNumber, structure
from aritma_auth.protocol.www_authenticate import find_refusal

_WHAT = "the client registration endpoint"
_OF_THE_SERVER = frozenset(
    {
        "client_id",
        "client_id_issued_at",
        "client_secret",
        "client_secret_expires_at",
        "registration_access_token",
        "registration_client_uri",
    }
)
# RFC 7591 §3.2.1 demands 201; some servers respond with 200.
_CREATED = frozenset({200, 201})
_DELETED = frozenset({200, 204})


def parse_client_metadata(metadata: Mapping[str, JsonValue]) -> Members:
    """
    Parse client metadata as callers write them.

    Args:
        metadata: Names to JSON values, such as ``redirect_uris`` or ``software_statement``.

    Raises:
        ConfigurationError: They are no JSON, hold what the server alone gives or a private key, or
            contradict themselves.

    Spec: RFC 7591 §2.
    """
    members = parse_members(metadata, "metadata")
    given = _OF_THE_SERVER.intersection(members.keys())
    problem = None
    if given:
        problem = f"be without {', '.join(sorted(given))}, which the server gives"
    elif isinstance(members.get("redirect_uris", []), str):
        problem = "have a list of texts as redirect_uris, not one text"
    elif "jwks" in members and "jwks_uri" in members:
        problem = "have either jwks or jwks_uri (RFC 7591 §2)"
    elif _holds_private_key(members.get("jwks")):
        problem = "have public keys alone in jwks: give public_jwk of each SigningKey"
    if problem is None:
        return members
    # A traceback with local variables would show a private key.
    del metadata, members
    raise ConfigurationError(f"metadata must {problem}")


def _holds_private_key(jwks: JsonValue) -> bool:
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    return isinstance(keys, list) and any(
        isinstance(key, dict) and any(name in key for name in PRIVATE_MEMBERS) for key in keys
    )


def build_registration_request(
    endpoint: str, metadata: Members, initial_access_token: SecretText | None = None
) -> HttpRequest:
    """
    Build the request that registers a client.

    Args:
        endpoint: The client registration endpoint.

        metadata: What `parse_client_metadata` gave.

        initial_access_token: What entitles to register, or None where anyone may.

    Spec: RFC 7591 §3.1.
    """
    token = None if initial_access_token is None else initial_access_token.text
    return _build("POST", endpoint, token, metadata)


def build_configuration_request(
    method: str, client: RegisteredClient, changes: Members | None = None
) -> HttpRequest:
    """
    Build a request to read, update or delete a registration.

    Args:
        method: ``GET``, ``PUT`` or ``DELETE``.

        client: The client, as the server has registered it.

        changes: For ``PUT``: metadata in the place of the registered ones; null removes one.

    Raises:
        ConfigurationError: The server has given no address or no token for it.

    Spec: RFC 7592 §2.
    """
    url, token = client.registration_client_uri, client.registration_access_token
    if url is None or token is None:
        raise ConfigurationError(
            "the registration must have registration_client_uri and registration_access_token to "
            "be managed, and the server has given none: ask its operator"
        )
    if changes is None:
        return _build(method, url, token)
    kept = {**dict(client.metadata.items()), **dict(changes.items())}
    named: dict[str, JsonValue] = {"client_id": client.client_id}
    if client.client_secret is not None:
        named["client_secret"] = client.client_secret
    # Absent and null both remove a value (RFC 7592 §2.2).
    sent = {name: value for name, value in kept.items() if value is not None}
    return _build(method, url, token, Members(named | sent))


def _build(
    method: str, url: str, token: HiddenStr | str | None, members: Members | None = None
) -> HttpRequest:
    headers = {"Accept": "application/json"}
    secrets: tuple[HiddenStr, ...] = ()
    if token is not None:
        token = HiddenStr(token)
        if not is_sendable(token):
            raise ConfigurationError("the registration's token must be of visible ASCII characters")
        headers["Authorization"] = HiddenStr(f"Bearer {token}")
        secrets = (token,)
    if members is None:
        return HttpRequest(method, url, headers, secrets=secrets)
    for name in ("client_secret", "software_statement"):
        if isinstance(text := members.get(name), str):
            secrets = (*secrets, HiddenStr(text))
    body = HiddenStr(json.dumps(dict(members.items()))).encode()
    return HttpRequest(
        method, url, headers | {"Content-Type": "application/json"}, body, secrets=secrets
    )


@attrs.frozen(repr=False)
class _ClientInformation:
    client_id: str
    client_secret: str | None = None
    registration_access_token: str | None = None
    registration_client_uri: str | None = None


def parse_registration_response(
    response: HttpResponse, *, now: float, known: RegisteredClient | None = None
) -> RegisteredClient:
    """
    Parse the client information response.

    Args:
        response: The response.

        now: POSIX seconds.

        known: The client as it was known before; what the response leaves out stays.

    Raises:
        OAuthError: The server refused the metadata, the software statement or the token.

        InvalidResponseError: It holds no client, or another one.

    Spec: RFC 7591 §3.2; RFC 7592 §3.
    """
    refusal = find_refusal(response)
    if refusal is not None:
        raise refusal
    members = parse_json_response(
        response, now=now, what=_WHAT, is_authenticated=True, success=_CREATED
    )
    problems: tuple[str, ...]
    try:
        received = structure(members, _ClientInformation)
    except StructureError as error:
        problems = error.problems
    else:
        problems = _find_problems(received, known)
        if not problems:
            return _merge(received, members, known)
    # The error keeps this frame, and the names of members may repeat what was sent.
    del members
    raise InvalidResponseError(
        f"the client information response is unusable: {'; '.join(problems)}",
        status=response.status,
        problems=problems,
    )


@attrs.frozen
class _Time:
    seconds: WireNumber | None = None


def _read_time(members: Members, name: str) -> float | None:
    try:
        return structure(Members({"seconds": members.get(name)}), _Time).seconds
    except StructureError:
        # The token that came along is good for one response: an odd time must not lose it.
        return None


def _find_problems(received: _ClientInformation, known: RegisteredClient | None) -> tuple[str, ...]:
    if not received.client_id or not received.client_id.isprintable():
        return ("client_id must be printable and not empty",)
    if known is not None and received.client_id != known.client_id:
        return ("client_id must be that of the registration which was asked for",)
    return ()


def _merge(
    received: _ClientInformation, members: Members, known: RegisteredClient | None
) -> RegisteredClient:
    if not received.client_secret and known is not None:
        # The server need not repeat it (RFC 7592 §2.1).
        secret, ends = known.client_secret, known.client_secret_expires_at
    else:
        # 0 stands for never (RFC 7591 §3.2.1).
        secret = received.client_secret
        ends = _read_time(members, "client_secret_expires_at") or None
    return RegisteredClient(
        client_id=received.client_id,
        client_secret=secret or None,
        client_id_issued_at=_read_time(members, "client_id_issued_at"),
        client_secret_expires_at=ends,
        registration_access_token=received.registration_access_token
        or (known and known.registration_access_token)
        or None,
        registration_client_uri=received.registration_client_uri
        or (known and known.registration_client_uri)
        or None,
        metadata={n: value for n, value in members.items() if n not in _OF_THE_SERVER},
    )


def parse_deletion_response(response: HttpResponse, *, now: float) -> None:
    """
    Parse the response to a deletion: 204 says that the client is no more.

    Args:
        response: The response.

        now: POSIX seconds.

    Raises:
        OAuthError: The server refused.

        InvalidResponseError: Another status.

    Spec: RFC 7592 §2.3.
    """
    if response.status in _DELETED:
        return
    refusal = find_refusal(response)
    if refusal is not None:
        raise refusal
    parse_json_response(response, now=now, what=_WHAT, is_authenticated=True, success=())
