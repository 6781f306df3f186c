"""
Aritma IAM's operations on the secrets of a client.

Its pages show how a secret is created; `IamApi` has the rest, which is a guess by its style. What a
response does not say is taken as unknown, and nothing depends on it but the deletion of the old
secret.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from aritma_auth.banking.api_request import fill_path, require_method
from aritma_auth.banking.problems import parse_problem, parse_time
from aritma_auth.errors import ConfigurationError, InvalidResponseError, TransportError
from aritma_auth.protocol.http_messages import BODY_LIMIT
from aritma_auth.protocol.parameters import parse_names
from aritma_auth.protocol.redaction import HiddenBytes, HiddenStr, JsonValue, SecretText
from aritma_auth.protocol.strict_json import JsonError, parse_json
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    import aiohttp

_MISSING = frozenset({404, 405, 501})


def _members(given: str | Iterable[str]) -> tuple[str, ...]:
    return parse_names(given, "list_members and id_members")


@attrs.frozen(eq=False, repr=False, kw_only=True)
class IamApi(Value):
    """
    How IAM's operations on the secrets of a client are called.

    Aritma's pages show ``POST`` to ``secrets_path`` alone: everything else is a guess.

    Attributes:
        secrets_path: Where a client's secrets are, below IAM's base URL.

        secret_path: Where one of them is.

        list_method: The method that lists them.

        delete_method: The method that deletes one.

        list_members: Members that may hold the list, if the response is an object.

        id_members: Members that may hold a secret's identifier.

    Raises:
        ConfigurationError: A path has an unknown placeholder, or a method is no word.
    """

    secrets_path: str = "v1/clients/{client_id}/secrets"
    secret_path: str = "v1/clients/{client_id}/secrets/{secret_id}"
    list_method: str = "GET"
    delete_method: str = "DELETE"
    list_members: tuple[str, ...] = attrs.field(
        default=("items", "data", "secrets"), converter=_members
    )
    id_members: tuple[str, ...] = attrs.field(default=("id", "secretId"), converter=_members)

    def __attrs_post_init__(self) -> None:
        self.secrets_url("", "c")
        self.secret_url("", "c", "s")
        for name in ("list_method", "delete_method"):
            require_method(name, getattr(self, name))

    def secrets_url(self, base_url: str, client_id: str) -> str:
        """Build the URL of a client's secrets, below IAM's base URL."""
        path = fill_path("secrets_path", self.secrets_path, client_id=client_id)
        return f"{base_url.rstrip('/')}/{path}"

    def secret_url(self, base_url: str, client_id: str, secret_id: str) -> str:
        """Build the URL of one secret, below IAM's base URL."""
        path = fill_path("secret_path", self.secret_path, client_id=client_id, secret_id=secret_id)
        return f"{base_url.rstrip('/')}/{path}"


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


class IamSecrets:
    """
    Asks IAM about the secrets of one client.

    Args:
        session: The caller's session, with a token for IAM.

        api: How the operations are called.

        base_url: IAM's base URL.

        client_id: The client.

        timeout: Seconds for one request.
    """

    @hides_arguments
    def __init__(
        self,
        session: "aiohttp.ClientSession",
        api: IamApi,
        base_url: str,
        client_id: str,
        *,
        timeout: float,
    ) -> None:
        self._session = session
        self._api = api
        self._base_url = base_url
        self._client_id = client_id
        self._timeout = timeout

    async def list(self) -> tuple[ClientSecret, ...] | None:
        """
        List the secrets; None if IAM has no such list, or one that cannot be read.

        Raises:
            InvalidResponseError: IAM refused.
        """
        url = self._api.secrets_url(self._base_url, self._client_id)
        return parse_secret_list(*await self._request(self._api.list_method, url), self._api)

    async def create(self, value: SecretText, description: str, end: float | None) -> ClientSecret:
        """
        Create a secret.

        Raises:
            InvalidResponseError: IAM refused.
        """
        url = self._api.secrets_url(self._base_url, self._client_id)
        body = build_secret_body(value.text, description, end)
        return parse_created_secret(*await self._request("POST", url, body), self._api)

    async def delete(self, secret_id: str) -> None:
        """
        Delete a secret, unless it was deleted before.

        Raises:
            InvalidResponseError: IAM refused.
        """
        url = self._api.secret_url(self._base_url, self._client_id, secret_id)
        status, body = await self._request(self._api.delete_method, url)
        if status != 404:
            _parse(status, body)

    async def _request(
        self, method: str, url: str, body: dict[str, str] | None = None
    ) -> tuple[int, HiddenBytes]:
        import aiohttp  # the caller has made a session of it

        try:
            async with self._session.request(
                method,
                url,
                json=body,
                allow_redirects=False,
                raise_for_status=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
            ) as response:
                return response.status, await _read(response)
        # RuntimeError is aiohttp's word for a closed session.
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            problem = type(error).__name__
        # Outside the except block: aiohttp's error holds the request.
        if self._session.closed:
            raise ConfigurationError("iam must be an open session; it is closed")
        raise TransportError(f"IAM did not respond ({problem}): run this again")


async def _read(response: "aiohttp.ClientResponse") -> HiddenBytes:
    chunks: list[HiddenBytes] = []
    # Not read(n), which gives what has come so far.
    async for chunk in response.content.iter_any():
        chunks.append(HiddenBytes(chunk))
        # The response may repeat the secret, and a traceback shows plain bytes.
        del chunk
        if sum(map(len, chunks)) > BODY_LIMIT:
            response.close()
            raise InvalidResponseError(
                f"IAM must send {BODY_LIMIT} bytes at most", status=response.status
            )
    return HiddenBytes(b"".join(chunks))


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


def parse_secret_list(
    status: int, body: HiddenBytes, api: IamApi
) -> tuple[ClientSecret, ...] | None:
    """
    Parse the list of a client's secrets.

    Args:
        status: HTTP status.

        body: The body.

        api: What its members are called.

    Returns:
        The secrets, or None if IAM has no such list, or one that cannot be read.

    Raises:
        InvalidResponseError: IAM refused.
    """
    if status in _MISSING:
        return None
    members = _parse(status, body)
    if isinstance(members, dict):
        members = next((members[name] for name in api.list_members if name in members), None)
    if not isinstance(members, list):
        return None
    return tuple(_secret(each, api) for each in members if isinstance(each, dict))


def parse_created_secret(status: int, body: HiddenBytes, api: IamApi) -> ClientSecret:
    """
    Parse the response to a secret's creation.

    Args:
        status: HTTP status.

        body: The body, which may repeat the secret.

        api: What its members are called.

    Raises:
        InvalidResponseError: IAM refused.
    """
    members = _parse(status, body)
    return _secret(members if isinstance(members, dict) else {}, api)


def _parse(status: int, body: HiddenBytes) -> JsonValue:
    if not 200 <= status < 300:
        # Its title alone: a detail could repeat the secret.
        title = parse_problem(status, body).title or "no reason"
        raise InvalidResponseError(f"IAM responded {status} ({title})", status=status)
    try:
        return parse_json(body)
    except JsonError:
        return None


def _secret(members: Mapping[str, JsonValue], api: IamApi) -> ClientSecret:
    ids = (members.get(name) for name in api.id_members)
    secret_id = next((str(each) for each in ids if isinstance(each, str | int)), None)
    description = members.get("description")
    return ClientSecret(
        secret_id=secret_id,
        description=description if isinstance(description, str) else "",
        expires_at=parse_time(members.get("expiration")),
    )
