"""Consents and what else ends: days left, refreshes, and whose fault a refusal is."""

import pytest

import aritma_auth as aa
from aritma_auth import banking, events
from aritma_auth.banking import Consent, Refusal
from support.clock import FakeClock

DAY = 24 * 3600.0
NOW = 1_700_000_000.0


def consent(status="authorized", days=None, consent_id="c1"):
    return Consent(
        consent_id=consent_id, status=status, expires_at=None if days is None else NOW + days * DAY
    )


# Consents


@pytest.mark.parametrize("end", ["expires", "expiresAt", "validUntil"])
@pytest.mark.parametrize("name", ["consentId", "id"])
def test_a_consent_is_parsed(name, end):
    """The identifier and the end have several names on the pages."""
    members = {name: "c1", "status": "Authorized", end: "2027-01-01T00:00:00Z"}

    assert banking.parse_consent(members) == Consent(
        consent_id="c1", status="Authorized", expires_at=1798761600.0
    )


@pytest.mark.parametrize("end", [None, "soon", 5])
def test_an_end_that_cannot_be_read_is_none(end):
    """The consent's status still counts."""
    members = {"consentId": "c1", "status": "authorized", "expires": end}

    assert banking.parse_consent(members).expires_at is None
    assert banking.parse_consent(members | {"expires": "1970-01-02"}).expires_at == DAY


@pytest.mark.parametrize("members", [{}, {"consentId": "c1"}, {"consentId": 5, "status": "a"}])
def test_a_consent_has_an_identifier_and_a_status(members):
    """A response without them is none of a consent."""
    with pytest.raises(aa.InvalidResponseError, match="an identifier and a status"):
        banking.parse_consent(members)
    with pytest.raises(aa.ConfigurationError, match="members must be"):
        banking.parse_consent("text")


@pytest.mark.parametrize(
    ("status", "days", "usable", "ended", "left"),
    [
        ("Authorized", 30, True, False, 30),
        ("authorized", None, True, False, None),
        ("authorized", 0.5, True, False, 0),
        ("authorized", 0, False, True, -1),
        ("authorized", -1, False, True, -1),
        ("EXPIRED", 30, False, True, -1),
        ("revoked", None, False, True, -1),
        ("Created", 30, False, False, 30),
        ("awaitingApproval", None, False, False, None),
    ],
)
def test_a_consents_clock(status, days, usable, ended, left):
    """It is usable while it is authorized and its end has not come; statuses ignore case."""
    one = consent(status, days)

    assert one.is_usable(now=NOW) is usable
    assert one.has_ended(now=NOW) is ended
    assert one.days_left(now=NOW) == left


def test_a_consent_is_refreshed():
    """The request has where the end-user comes back to; method and place may be put right."""
    request = banking.build_consent_refresh_request(
        "c/1",
        success_url="https://erp.example/ok",
        error_url="https://erp.example/no",
        state="s",
        context=banking.ApiContext(subscription_id="sub"),
    )

    assert request.arguments() == {
        "method": "PUT",
        "url": "consents/c%2F1/refresh",
        "headers": {"api-version": "1.0", "Subscription-Id": "sub"},
        "json": {
            "redirectSettings": {
                "success": "https://erp.example/ok",
                "error": "https://erp.example/no",
            },
            "state": "s",
        },
    }
    bare = banking.build_consent_refresh_request("c1", method="POST", path="x/{consent_id}")
    assert (bare.method, bare.path, bare.json) == ("POST", "x/c1", {})
    with pytest.raises(aa.ConfigurationError, match="consent_id must be"):
        banking.build_consent_refresh_request(None)


# Refusals


EXPIRED_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@pytest.mark.parametrize(
    ("status", "body", "headers", "known", "expected"),
    [
        (401, b"", EXPIRED_TOKEN, None, Refusal.TOKEN),
        (401, b"", EXPIRED_TOKEN, consent("expired"), Refusal.TOKEN),
        (401, b"", {}, None, Refusal.TOKEN),
        (401, b"", {}, consent(), Refusal.TOKEN),
        (401, b"", {}, consent("expired"), Refusal.CONSENT),
        (403, b"", {}, consent("authorized", -1), Refusal.CONSENT),
        (403, b"", {}, consent(), Refusal.PERMISSION),
        (
            403,
            b"",
            {"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
            None,
            Refusal.PERMISSION,
        ),
        (401, b'{"tppMessages": [{"code": "CONSENT_EXPIRED"}]}', {}, None, Refusal.CONSENT),
        (400, b'{"tppMessages": [5, {"code": "consent_unknown"}]}', {}, None, Refusal.CONSENT),
        (403, b'{"code": "CONSENT_INVALID"}', {}, None, Refusal.CONSENT),
        (403, b'{"type": "https://x.example/problems/CONSENT_EXPIRED"}', {}, None, Refusal.CONSENT),
        (400, b'{"tppMessages": "odd"}', {}, consent("expired"), Refusal.OTHER),
        (404, b"", {}, consent("expired"), Refusal.OTHER),
        (500, b'{"code": "CONSENT_EXPIRED"}', {}, None, Refusal.OTHER),
    ],
)
def test_a_consent_that_ended_is_told_apart_from_a_token(status, body, headers, known, expected):
    """The server's own words count first, then what is known of the consent, then the status."""
    problem = banking.parse_problem(status, body)

    assert banking.explain_refusal(problem, headers, now=NOW, consent=known) is expected


def test_the_codes_are_the_callers():
    """A code that was guessed wrong is put right by an argument."""
    problem = banking.parse_problem(403, b'{"code": "ConsentGone"}')

    assert banking.explain_refusal(problem, {}, now=NOW, codes=["consentgone"]) is Refusal.CONSENT
    with pytest.raises(aa.ConfigurationError, match="problem must be"):
        banking.explain_refusal(403, {}, now=NOW)
    with pytest.raises(aa.ConfigurationError, match="headers must be"):
        banking.explain_refusal(problem, None, now=NOW)


# The watch


@pytest.fixture
def seen():
    return []


@pytest.fixture
def clock():
    return FakeClock(wall=NOW)


@pytest.fixture
def watch(seen, clock):
    return banking.ExpirationWatch(on_event=seen.append, clock=clock)


def test_each_day_of_warning_is_told_once(watch, seen, clock):
    """At 14, 7, 3, 1 and 0 days, and once it has ended, and not with every check."""
    watch.watch_secret("erp", NOW + 15.5 * DAY)
    told = []
    for _ in range(20):
        seen.clear()
        watch.check()
        watch.check()
        told += [event.days for event in seen]
        clock.advance(DAY)

    assert told == [15, 14, 7, 3, 1, 0, -1]
    assert seen == []
    event = events.SecretExpiring(-1, NOW + 15.5 * DAY, client_id="erp")
    clock.advance(-1)
    watch.watch_secret("erp", NOW + 1)
    watch.watch_secret("erp", NOW + 15.5 * DAY)
    watch.check()
    assert seen == [event]


def test_the_status_has_the_soonest_first(watch):
    """What never ends is not in it; what ended is, until it is forgotten."""
    watch.watch_secret("erp", NOW + 40 * DAY)
    watch.watch_secret("eternal", None)
    watch.watch_consent(consent("authorized", 3))
    watch.watch_consent(consent("revoked", None, "c2"))
    watch.watch_consent(consent("authorized", None, "c3"))

    assert [(each.kind, each.name, each.days) for each in watch.status()] == [
        ("consent", "c2", -1),
        ("consent", "c1", 3),
        ("secret", "erp", 40),
    ]
    assert watch.check() == watch.status()
    assert repr(watch) == "<ExpirationWatch of 4>"
    for name in ("c1", "c2", "erp", "unknown"):
        watch.forget(name)
    assert watch.status() == ()


def test_a_consents_event_counts(watch, seen):
    """A consent that an event revoked is told at once; one that is refreshed is told anew."""
    watch.watch_consent(consent("authorized", 60))
    watch.check()
    assert seen == []

    watch.merge_event(status_event("Revoked"))
    watch.check()
    assert seen == [events.ConsentExpiring("c1", "Revoked", -1)]
    watch.merge_event(status_event("authorized"))
    assert watch.check()[0].days == 60
    watch.merge_event(status_event("expired"))
    watch.check()
    assert len(seen) == 2
    watch.merge_event(status_event("expired", "unknown"))
    assert [each.name for each in watch.status()] == ["c1", "unknown"]


def status_event(status, consent_id="c1"):
    envelope = banking.CloudEvent(id="1", source="s", type="banking.consent.status.updated")
    return banking.ConsentStatusUpdated(envelope=envelope, consent_id=consent_id, status=status)


def test_a_watch_warns_by_default_in_the_log(clock, caplog):
    """Without a listener the events are log lines of level WARNING."""
    watch = banking.ExpirationWatch(clock=clock)
    watch.watch_secret("erp", NOW + 2 * DAY)
    watch.check()

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "ends in 2 days" in record.getMessage()


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (lambda: banking.ExpirationWatch(warn_days=[-1]), "warn_days must be"),
        (lambda: banking.ExpirationWatch(warn_days=["7"]), "warn_days must be"),
        (lambda: banking.ExpirationWatch(clock=5), "clock must be"),
        (lambda: banking.ExpirationWatch(on_event=5), "on_event must be"),
        (lambda: banking.ExpirationWatch().watch_secret(5, 1.0), "client_id must be"),
        (lambda: banking.ExpirationWatch().watch_secret("a", "1"), "expires_at must be"),
        (lambda: banking.ExpirationWatch().watch_consent({}), "consent must be"),
    ],
)
def test_a_watchs_arguments_are_checked(act, problem):
    """Each argument of the wrong kind is named."""
    with pytest.raises(aa.ConfigurationError, match=problem):
        act()


def test_a_misspelled_placeholder_is_named():
    """A path of one's own is checked: no KeyError leaves the package."""
    with pytest.raises(
        aa.ConfigurationError, match=r"path must have no placeholders but \{consent_id\}"
    ):
        banking.build_consent_refresh_request("c", path="consents/{consentId}")


@pytest.mark.parametrize("identifier", ["", ".", "..", "a\nb", "\ud800"])
def test_an_identifier_leads_nowhere_else(identifier):
    """A segment of dots, an empty one, or one that cannot be encoded is refused."""
    with pytest.raises(aa.ConfigurationError, match="consent_id must be an identifier"):
        banking.build_consent_refresh_request(identifier)


def test_what_is_no_consent_is_the_servers_fault():
    """A list in the place of an object is a response that breaks the specification."""
    with pytest.raises(aa.InvalidResponseError, match="must have an identifier"):
        banking.parse_consent([])
    with pytest.raises(aa.ConfigurationError, match="event must be a ConsentStatusUpdated"):
        banking.ExpirationWatch().merge_event("expired")
