"""Requests to the Events API: subscribe, and look at what could not be delivered. Pure."""

from collections.abc import Iterable

from aritma_auth.banking.api_request import ApiRequest, fill_path, leave_out_missing
from aritma_auth.banking.headers import ApiContext, build_api_headers, is_field_value
from aritma_auth.banking.problems import parse_time
from aritma_auth.errors import ConfigurationError, require_count, require_flag, require_instance
from aritma_auth.protocol.parameters import parse_names
from aritma_auth.protocol.redaction import HiddenStr, SecretText
from aritma_auth.protocol.urls import require_secure_url
from aritma_auth.runtime.hidden_arguments import hides_arguments


@hides_arguments
def build_subscription_request(
    name: str,
    events: Iterable[str],
    delivery_url: str,
    authorization: SecretText,
    *,
    resource_uri: str,
    tenant_id: str,
    max_events_per_batch: int | None = None,
    preferred_batch_kilobytes: int | None = None,
    max_attempts: int | None = None,
    retry_ttl: int | None = None,
    expires_at: str | None = None,
    dead_letters: bool = True,
) -> ApiRequest:
    """
    Build the request that creates a subscription; its receiver is then asked for a handshake.

    Args:
        name: A name that identifies the subscription.

        events: Types of events, such as ``banking.payment.status.updated``.

        delivery_url: The receiver's URL; https.

        authorization: What Aritma sends as ``Authorization`` with every event:
            ``await secret.load()``. Choose it at random; it is the only proof of the sender.

        resource_uri: What the events are about, such as ``/subscriptions/123``.

        tenant_id: The tenant.

        max_events_per_batch: Events of a batch at most.

        preferred_batch_kilobytes: Size of a batch that is not exceeded without need.

        max_attempts: Deliveries of one event at most.

        retry_ttl: For how long an event is delivered again; the pages do not name the unit.

        expires_at: When the subscription ends, as an RFC 3339 time, or None for never.

        dead_letters: Keep what could not be delivered: `build_failed_events_request`.

    Raises:
        ConfigurationError: An argument is not usable.

    Source: Events API, create subscription.
    """
    require_instance("name", "a text", name, str)
    types = parse_names(events, "events")
    if not types:
        raise ConfigurationError("events must name one type at least")
    require_secure_url(delivery_url, "delivery_url")
    required = "a SecretText, such as await secret.load()"
    require_instance("authorization", required, authorization, SecretText)
    if not is_field_value(authorization.text):
        raise ConfigurationError("authorization must be visible ASCII text: it is a header field")
    require_flag("dead_letters", dead_letters)
    _require_end(expires_at)
    limits = {
        "max_events_per_batch": max_events_per_batch,
        "preferred_batch_kilobytes": preferred_batch_kilobytes,
        "max_attempts": max_attempts,
        "retry_ttl": retry_ttl,
    }
    for limit, given in limits.items():
        if given is not None:
            require_count(limit, given, least=1)
    delivery: dict[str, object] = {
        "url": delivery_url,
        "authorizationHeader": HiddenStr(authorization.text),
        "maxEventsPerBatch": max_events_per_batch,
        "preferredBatchSizeInKiloBytes": preferred_batch_kilobytes,
    }
    retry = {"ttl": retry_ttl, "maxEventDeliveryAttempts": max_attempts}
    body: dict[str, object] = {
        "name": name,
        "events": list(types),
        "delivery": leave_out_missing(delivery),
        "expirationTime": expires_at,
        "retryPolicy": leave_out_missing(retry) or None,
        "deadletterEnabled": dead_letters,
    }
    context = ApiContext(resource_uri=resource_uri, tenant_id=tenant_id)
    return ApiRequest(
        method="POST",
        path="api/subscriptions",
        headers=build_api_headers(context=context),
        json=leave_out_missing(body),
    )


def _require_end(expires_at: str | None) -> None:
    if expires_at is not None and parse_time(expires_at) is None:
        raise ConfigurationError(
            "expires_at must be an RFC 3339 time, such as 2027-01-31T00:00:00Z, or None, not "
            f"{expires_at!r:.60}"
        )


def build_failed_events_request(
    event_id: str | None = None, *, cursor: str | None = None, page_size: int | None = None
) -> ApiRequest:
    """
    Build the request for events that could not be delivered, with attempts and last status.

    Args:
        event_id: One event, or None for a page of them.

        cursor: Where the page begins: what the page before names.

        page_size: Events of the page.

    Raises:
        ConfigurationError: An argument is of the wrong kind.

    Source: Events API, dead letters.
    """
    if cursor is not None:
        require_instance("cursor", "a text of the page before, or None", cursor, str)
    if page_size is not None:
        require_count("page_size", page_size, least=1)
    given = {"cursor": cursor, "pageSize": None if page_size is None else str(page_size)}
    path = "api/failed-events"
    if event_id is not None:
        require_instance("event_id", "an event's id or None", event_id, str)
        path = fill_path("path", f"{path}/{{event_id}}", event_id=event_id)
    return ApiRequest(
        method="GET",
        path=path,
        headers=build_api_headers(),
        params=leave_out_missing(given),
    )
