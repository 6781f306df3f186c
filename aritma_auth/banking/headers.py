"""Header fields of Aritma's APIs: versions, idempotency, consent."""

import uuid
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

import attrs

from aritma_auth.banking.kinds import require_headers
from aritma_auth.errors import ConfigurationError, require_instance
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments

_CHANNEL_TYPES = ("openBanking", "psd2", "unspecified")


def generate_idempotency_key() -> str:
    """
    Generate a key for one logical POST: send it with every repetition of that POST, and no other.

    Aritma replays the first response to a key, an error response too: a new attempt after a
    definite failure needs a new key.

    Source: Banking v4's OpenAPI (Idempotency-Key).
    """
    return str(uuid.uuid4())


def _uris(value: str | Iterable[str]) -> tuple[str, ...]:
    try:
        uris = (value,) if isinstance(value, str) else tuple(value)
        is_usable = all(isinstance(uri, str) for uri in uris)
    except TypeError:
        is_usable = False
    if not is_usable:
        raise ConfigurationError("scopes must be a URI or an iterable of URIs, each a text")
    return uris


@with_hidden_arguments
@attrs.frozen(kw_only=True)
class ApiContext:
    """
    The consent, subscription and end-user that a call is made for; what is None is not sent.

    Attributes:
        consent_id: An end-user's consent (``Consent-ID``).

        channel_type: ``openBanking``, ``psd2`` or ``unspecified`` (``Channel-Type``).

        subscription_id: A subscription (``Subscription-Id``).

        resource_group_name: A group within it (``Resource-Group-Name``).

        scopes: URIs of resources (``Scopes``), instead of a subscription. These are IAM's scopes,
            not OAuth's.

        psu_ip_address: The end-user's IP address, only while the end-user is present
            (``PSU-IP-Address``).

        resource_uri: What events are about (``ResourceUri``).

        tenant_id: The tenant (``TenantId``).

    Raises:
        ConfigurationError: A value cannot stand in a header field, or two exclude each other.

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
        if self.channel_type not in (*_CHANNEL_TYPES, None):
            raise ConfigurationError(
                f"channel_type must be {', '.join(_CHANNEL_TYPES)} or None, "
                f"not {self.channel_type!r:.60}"
            )
        if self.scopes and self.subscription_id is not None:
            raise ConfigurationError(
                "scopes and subscription_id exclude each other: give one of them"
            )
        if self.psu_ip_address is not None and not _is_address(self.psu_ip_address):
            raise ConfigurationError(
                f"psu_ip_address must be one IP address, not {self.psu_ip_address!r}"
            )
        self.headers()

    def headers(self) -> dict[str, str]:
        """Build the header fields."""
        return _fields(
            {
                "Consent-ID": self.consent_id,
                "Channel-Type": self.channel_type,
                "Subscription-Id": self.subscription_id,
                "Resource-Group-Name": self.resource_group_name,
                # The pages show no list of several; a comma is how a field lists (RFC 9110 §5.6.1).
                "Scopes": ",".join(self.scopes) if self.scopes else None,
                "PSU-IP-Address": self.psu_ip_address,
                "ResourceUri": self.resource_uri,
                "TenantId": self.tenant_id,
            }
        )


def build_api_headers(
    *,
    version: str | None = "1.0",
    idempotency_key: str | None = None,
    context: ApiContext | None = None,
) -> dict[str, str]:
    """
    Build the header fields of one call.

    Args:
        version: The API's version (``api-version``); None takes the newest.

        idempotency_key: What `generate_idempotency_key` gave for this logical POST.

        context: The consent, subscription and end-user of the call.

    Raises:
        ConfigurationError: A value cannot stand in a header field.

    Source: Banking v4's OpenAPI.
    """
    fields = _fields({"api-version": version, "Idempotency-Key": idempotency_key})
    if context is None:
        return fields
    require_instance("context", "an ApiContext or None", context, ApiContext)
    return fields | context.headers()


def _fields(values: Mapping[str, str | None]) -> dict[str, str]:
    given = {name: value for name, value in values.items() if value is not None}
    wrong = [name for name, value in given.items() if not is_field_value(value)]
    if wrong:
        raise ConfigurationError(
            f"{', '.join(wrong)} must be visible ASCII text: nothing else can be sent"
        )
    return given


@attrs.frozen
class ApiVersions:
    """
    The versions that an API's response names.

    Attributes:
        supported: Versions that can be requested.

        deprecated: Those among them that will be removed.
    """

    supported: tuple[str, ...] = ()
    deprecated: tuple[str, ...] = ()


def parse_api_versions(headers: Mapping[str, str]) -> ApiVersions:
    """
    Parse the versions that an API has.

    Args:
        headers: The response's header fields.

    Source: Banking v4's OpenAPI.
    """
    return ApiVersions(
        _list(headers, "api-supported-versions"), _list(headers, "api-deprecated-versions")
    )


def was_replayed(headers: Mapping[str, str]) -> bool:
    """
    Tell whether a response is the stored one of an earlier POST with the same idempotency key.

    Args:
        headers: The response's header fields.

    Source: Banking v4's OpenAPI (Idempotent-Replayed).
    """
    return [value.lower() for value in _list(headers, "idempotent-replayed")] == ["true"]


def _list(headers: Mapping[str, str], name: str) -> tuple[str, ...]:
    require_headers(headers)
    fields = [value for field, value in headers.items() if field.lower() == name]
    return tuple(word.strip() for word in ",".join(fields).split(",") if word.strip())


def is_field_value(value: object) -> bool:
    """Tell whether a value is visible ASCII text, which a header field carries unchanged."""
    # A line break would begin another field, such as Authorization.
    return (
        isinstance(value, str) and bool(value.strip()) and value.isascii() and value.isprintable()
    )


def _is_address(text: object) -> bool:
    # ip_address also takes integers: 1 would be 0.0.0.1.
    try:
        return isinstance(text, str) and bool(ip_address(text))
    except ValueError:
        return False
