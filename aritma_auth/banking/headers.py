"""Header fields of Aritma's APIs: versions, idempotency, and for whom a call is."""

import uuid
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

import attrs

from aritma_auth.errors import ConfigurationError

_CHANNEL_TYPES = frozenset({"openBanking", "psd2", "unspecified"})


def generate_idempotency_key() -> str:
    """
    Make a key for one logical POST: keep it for every repetition of that POST, and for no other.

    Aritma replays the first answer to a key, a failure too: a new attempt after a definite
    failure needs a new key.

    Source: Banking v4's OpenAPI (Idempotency-Key).
    """
    return str(uuid.uuid4())


def _uris(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@attrs.frozen(kw_only=True)
class ApiContext:
    """
    For whom and within what a call is made; what is None is not sent.

    Attributes:
        consent_id: A person's consent (``Consent-ID``).

        channel_type: ``openBanking``, ``psd2`` or ``unspecified`` (``ServerConnection-Type``).

        subscription_id: A subscription (``Subscription-Id``).

        resource_group_name: A group within it (``Resource-Group-Name``).

        scopes: URIs of resources (``Scopes``), instead of a subscription. These are IAM's scopes,
            not OAuth's.

        psu_ip_address: The person's address, only while the person is present
            (``PSU-IP-Address``).

        resource_uri: What events are about (``ResourceUri``).

        tenant_id: The tenant (``TenantId``).

    Raises:
        ConfigurationError: A value cannot be one, or two exclude each other.

    Source: Banking v4's and Events' OpenAPI.
    """

    consent_id: str | None = None
    channel_type: str | None = None
    subscription_id: str | None = None
    resource_group_name: str | None = None
    scopes: tuple[str, ...] = attrs.field(default=(), converter=_uris)
    psu_ip_address: str | None = None
    resource_uri: str | None = None
    tenant_id: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.channel_type not in _CHANNEL_TYPES | {None}:
            raise ConfigurationError(f"channel_type is {', '.join(sorted(_CHANNEL_TYPES))} or None")
        if self.scopes and self.subscription_id is not None:
            raise ConfigurationError("give scopes or a subscription_id: the API takes one of them")
        if self.psu_ip_address is not None and not _is_address(self.psu_ip_address):
            raise ConfigurationError("psu_ip_address is one IP address")
        wrong = [name for name, value in self.headers().items() if not _is_field(value)]
        if wrong:
            raise ConfigurationError(f"{', '.join(wrong)}: only visible ASCII can be sent")

    def headers(self) -> dict[str, str]:
        """Give the header fields."""
        fields = {
            "Consent-ID": self.consent_id,
            "ServerConnection-Type": self.channel_type,
            "Subscription-Id": self.subscription_id,
            "Resource-Group-Name": self.resource_group_name,
            # The pages show no list of several; a comma is how a field lists (RFC 9110 §5.6.1).
            "Scopes": ",".join(self.scopes) if self.scopes else None,
            "PSU-IP-Address": self.psu_ip_address,
            "ResourceUri": self.resource_uri,
            "TenantId": self.tenant_id,
        }
        return {name: value for name, value in fields.items() if value is not None}


def build_api_headers(
    *,
    version: str | None = "1.0",
    idempotency_key: str | None = None,
    context: ApiContext | None = None,
) -> dict[str, str]:
    """
    Make the header fields of one call.

    Args:
        version: The API's version (``api-version``); None takes the newest.

        idempotency_key: What `generate_idempotency_key` gave for this logical POST.

        context: For whom the call is.

    Raises:
        ConfigurationError: A value cannot stand in a header.

    Source: Banking v4's OpenAPI.
    """
    fields = {"api-version": version, "Idempotency-Key": idempotency_key}
    given = {name: value for name, value in fields.items() if value is not None}
    if not all(map(_is_field, given.values())):
        raise ConfigurationError("version and idempotency_key: only visible ASCII can be sent")
    return given | ({} if context is None else context.headers())


@attrs.frozen
class ApiVersions:
    """
    The versions that an API's answer names.

    Attributes:
        supported: Those that can be asked for.

        deprecated: Those among them that will go away.
    """

    supported: tuple[str, ...] = ()
    deprecated: tuple[str, ...] = ()


def parse_api_versions(headers: Mapping[str, str]) -> ApiVersions:
    """
    Read which versions an API has.

    Args:
        headers: The answer's header fields.

    Source: Banking v4's OpenAPI.
    """
    return ApiVersions(
        _list(headers, "api-supported-versions"), _list(headers, "api-deprecated-versions")
    )


def was_replayed(headers: Mapping[str, str]) -> bool:
    """
    Tell whether an answer is that of an earlier POST with the same idempotency key.

    Args:
        headers: The answer's header fields.

    Source: Banking v4's OpenAPI (Idempotent-Replayed).
    """
    return [value.lower() for value in _list(headers, "idempotent-replayed")] == ["true"]


def _list(headers: Mapping[str, str], name: str) -> tuple[str, ...]:
    fields = [value for field, value in headers.items() if field.lower() == name]
    return tuple(word.strip() for word in ",".join(fields).split(",") if word.strip())


def _is_field(value: str) -> bool:
    return bool(value.strip()) and value.isascii() and value.isprintable()


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
