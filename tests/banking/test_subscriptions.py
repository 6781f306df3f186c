"""Requests to the Events API, to the letter."""

import pytest

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.protocol.redaction import SecretText

TENANT = "7e57d004-2b97-0e7a-b45f-5387367791cd"


def subscription(**changes):
    """Build a request to subscribe."""
    arguments = {
        "name": "payments",
        "events": ["banking.payment.status.updated"],
        "delivery_url": "https://erp.example/events",
        "authorization": SecretText("chosen-at-random"),
        "resource_uri": "/subscriptions/123",
        "tenant_id": TENANT,
    }
    return banking.build_subscription_request(**(arguments | changes))


def test_a_subscription_is_requested_as_the_pages_show():
    """Each value has the name of the API's pages, and the authorization does not show."""
    request = subscription(
        max_events_per_batch=10,
        preferred_batch_kilobytes=64,
        max_attempts=5,
        retry_ttl=1440,
        expires_at="2027-01-01T00:00:00Z",
        dead_letters=False,
    )

    assert request.arguments() == {
        "method": "POST",
        "url": "api/subscriptions",
        "headers": {
            "api-version": "1.0",
            "ResourceUri": "/subscriptions/123",
            "TenantId": TENANT,
        },
        "json": {
            "name": "payments",
            "events": ["banking.payment.status.updated"],
            "delivery": {
                "url": "https://erp.example/events",
                "authorizationHeader": "chosen-at-random",
                "maxEventsPerBatch": 10,
                "preferredBatchSizeInKiloBytes": 64,
            },
            "expirationTime": "2027-01-01T00:00:00Z",
            "retryPolicy": {"ttl": 1440, "maxEventDeliveryAttempts": 5},
            "deadletterEnabled": False,
        },
    }
    assert "chosen-at-random" not in repr(request)
    assert "chosen-at-random" not in repr(request.arguments())


def test_what_is_not_given_is_not_sent():
    """The API's own defaults hold for what the caller leaves out."""
    assert subscription().json == {
        "name": "payments",
        "events": ["banking.payment.status.updated"],
        "delivery": {
            "url": "https://erp.example/events",
            "authorizationHeader": "chosen-at-random",
        },
        "deadletterEnabled": True,
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"events": []}, "events must name one type at least"),
        ({"events": [""]}, "events must be names that are not empty"),
        ({"expires_at": "tomorrow"}, "expires_at must be an RFC 3339 time"),
        ({"delivery_url": "http://erp.example/events"}, "delivery_url must use https"),
        ({"authorization": "plain"}, "authorization must be a SecretText"),
        ({"tenant_id": "a\nb"}, "TenantId"),
        ({"authorization": SecretText("blåbær")}, "visible ASCII text"),
    ],
)
def test_a_subscription_that_cannot_be_is_refused(changes, problem, canary):
    """Each argument that is not usable is named, and a plain secret does not show."""
    if changes.get("authorization") == "plain":
        changes = {"authorization": canary.text}
    with pytest.raises(aa.ConfigurationError, match=problem) as caught:
        subscription(**changes)

    canary.assert_hidden(caught.value)


def test_failed_events_are_requested_page_by_page():
    """One event by its id, or a page of them."""
    one = banking.build_failed_events_request("a/b")
    page = banking.build_failed_events_request(cursor="c", page_size=50)

    assert one.arguments() == {
        "method": "GET",
        "url": "api/failed-events/a%2Fb",
        "headers": {"api-version": "1.0"},
    }
    assert page.arguments() == {
        "method": "GET",
        "url": "api/failed-events",
        "headers": {"api-version": "1.0"},
        "params": {"cursor": "c", "pageSize": "50"},
    }
    with pytest.raises(aa.ConfigurationError, match="event_id must be"):
        banking.build_failed_events_request(5)
