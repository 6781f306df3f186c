"""
Aritma IAM's requests for the secrets of a client. Pure.

Its pages show how a secret is created. That secrets are listed by GET and deleted by DELETE at the
same place is a guess by its style, as are the names of members in the responses: whatever cannot be
read is taken as unknown, and nothing depends on it but the deletion of the old secret.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import attrs

from aritma_auth.banking.problems import parse_problem
from aritma_auth.errors import InvalidResponseError
from aritma_auth.protocol.redaction import HiddenBytes, HiddenStr, JsonValue
from aritma_auth.protocol.strict_json import JsonError, parse_json
from aritma_auth.runtime.values import Value

SECRETS_PATH = "v1/clients/{client_id}/secrets"
"""Where a client's secrets are, below IAM's base URL."""

MIN_LENGTH, MAX_LENGTH = 8, 32
"""Characters of a secret (Aritma's pages on IAM)."""

_LISTS = ("items", "data", "secrets")
_IDS = ("id", "secretId")
_MISSING = frozenset({404, 405, 501})


@attrs.frozen(eq=False, repr=False, kw_only=True)
class ClientSecret(Value):
    """
    What IAM tells of a client's secret; never the secret itself.

    Attributes:
        secret_id: Its identifier, or None if the response has none.

        description: Its description.

        expires_at: When it ends, in POSIX seconds, or None.
    """

    secret_id: str | None
    description: str = ""
    expires_at: float | None = None


def secrets_url(iam_url: str, client_id: str, path: str = SECRETS_PATH) -> str:
    """
    Build the URL of a client's secrets.

    Args:
        iam_url: IAM's base URL.

        client_id: The client.

        path: Where they are.
    """
    return f"{iam_url.rstrip('/')}/{path.format(client_id=quote(client_id, safe=''))}"


def build_secret_body(value: str, description: str, expires_at: float | None) -> dict[str, str]:
    """
    Build the JSON object that creates a secret; its repr hides the secret.

    Args:
        value: The secret.

        description: What it is for.

        expires_at: When it ends, in POSIX seconds, or None for never.

    Source: Aritma IAM, clients.
    """
    body = {"value": HiddenStr(value), "description": description}
    if expires_at is None:
        return body
    end = datetime.fromtimestamp(expires_at, UTC).isoformat(timespec="seconds")
    return body | {"expiration": end.replace("+00:00", "Z")}


def parse_secret_list(status: int, body: HiddenBytes) -> tuple[ClientSecret, ...] | None:
    """
    Parse the list of a client's secrets.

    Args:
        status: HTTP status.

        body: The body.

    Returns:
        The secrets, or None if IAM has no such list, or one that cannot be read.

    Raises:
        InvalidResponseError: IAM refused.
    """
    if status in _MISSING:
        return None
    members = _parse(status, body)
    if isinstance(members, dict):
        members = next((members[name] for name in _LISTS if name in members), None)
    if not isinstance(members, list):
        return None
    return tuple(_secret(each) for each in members if isinstance(each, dict))


def parse_created_secret(status: int, body: HiddenBytes) -> ClientSecret:
    """
    Parse the response to a secret's creation.

    Args:
        status: HTTP status.

        body: The body, which may repeat the secret.

    Raises:
        InvalidResponseError: IAM refused.
    """
    members = _parse(status, body)
    return _secret(members if isinstance(members, dict) else {})


def require_deleted(status: int, body: HiddenBytes) -> None:
    """
    Require a secret to be deleted, now or before.

    Args:
        status: HTTP status.

        body: The body.

    Raises:
        InvalidResponseError: IAM refused.
    """
    if status != 404:
        _parse(status, body)


def _parse(status: int, body: HiddenBytes) -> JsonValue:
    if not 200 <= status < 300:
        # Its title alone: a detail could repeat the secret.
        title = parse_problem(status, body).title or "no reason"
        raise InvalidResponseError(f"IAM responded {status} ({title})", status=status)
    try:
        return parse_json(body)
    except JsonError:
        return None


def _secret(members: Mapping[str, JsonValue]) -> ClientSecret:
    ids = (members.get(name) for name in _IDS)
    secret_id = next((str(each) for each in ids if isinstance(each, str | int)), None)
    description, end = members.get("description"), members.get("expiration")
    return ClientSecret(
        secret_id=secret_id,
        description=description if isinstance(description, str) else "",
        expires_at=_posix_time(end) if isinstance(end, str) else None,
    )


def _posix_time(text: str) -> float | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
