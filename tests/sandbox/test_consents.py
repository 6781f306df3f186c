"""The sandbox's consents: their end-users decide, and their end is refused."""

import aiohttp
import pytest

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.sandbox import Subscription
from support.loopback import serving
from support.sandbox_wire import post

pytestmark = pytest.mark.usefixtures("no_leftovers")

DAY = 24 * 3600.0


async def token_of(sandbox, client_id, secret):
    form = {"client_id": client_id, "client_secret": secret, "grant_type": "client_credentials"}
    return (await post(sandbox, "/connect/token", form))[1]["access_token"]


@pytest.fixture
async def bank(sandbox):
    token = await token_of(sandbox, "sandbox-service", "sandbox-secret")
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(sandbox.banking_url, headers=headers) as bank:
        yield bank


async def call(bank, request):
    async with bank.request(**request.arguments()) as response:
        return response.status, await response.json()


async def accounts_with(bank, consent_id):
    """Call with a consent; give what a refusal means."""
    headers = banking.build_api_headers(context=banking.ApiContext(consent_id=consent_id))
    async with bank.get("api/accounts", headers=headers) as response:
        if response.status == 200:
            return None
        problem = banking.parse_problem(response.status, await response.read())
        return banking.explain_refusal(problem, response.headers, now=0)


async def test_a_consent_lives_for_90_days(sandbox, bank):
    """It is created, decided on, used, refreshed, and refused at its end."""
    status, members = await call(bank, banking.ApiRequest(method="POST", path="api/consents"))
    consent = banking.parse_consent(members)
    now = sandbox.clock.time()
    assert (status, consent.status, consent.days_left(now=now)) == (201, "Created", 89)
    assert await accounts_with(bank, consent.consent_id) is banking.Refusal.CONSENT

    await sandbox.consents.decide(consent.consent_id)
    assert await accounts_with(bank, consent.consent_id) is None
    sandbox.clock.advance(89 * DAY)
    token = await token_of(sandbox, "sandbox-service", "sandbox-secret")
    bank.headers["Authorization"] = f"Bearer {token}"
    refresh = banking.build_consent_refresh_request(
        consent.consent_id, path="api/consents/{consent_id}/refresh"
    )
    status, members = await call(bank, refresh)
    assert (status, "consent" in members["redirectUrl"]) == (200, True)
    await sandbox.consents.decide(consent.consent_id)
    show = banking.ApiRequest(method="GET", path=f"api/consents/{consent.consent_id}")
    refreshed = banking.parse_consent((await call(bank, show))[1])
    assert refreshed.is_usable(now=sandbox.clock.time())
    assert refreshed.expires_at > consent.expires_at + 88 * DAY

    sandbox.clock.advance(91 * DAY)
    token = await token_of(sandbox, "sandbox-service", "sandbox-secret")
    bank.headers["Authorization"] = f"Bearer {token}"
    assert (await call(bank, show))[1]["status"] == "Expired"
    assert await accounts_with(bank, consent.consent_id) is banking.Refusal.CONSENT
    assert await accounts_with(bank, "unknown") is banking.Refusal.CONSENT


async def test_only_its_client_sees_a_consent(sandbox, bank):
    """Another client's consent counts as missing."""
    consent = sandbox.consents.add("sandbox-special")
    show = banking.ApiRequest(method="GET", path=f"api/consents/{consent.consent_id}")

    assert (await call(bank, show))[0] == 404
    assert (await call(bank, banking.ApiRequest(method="GET", path="api/consents/no")))[0] == 404


async def test_a_decision_is_delivered(sandbox):
    """A receiver gets the event, and the watch counts no more days."""
    watch = banking.ExpirationWatch(on_event=None, clock=sandbox.clock)
    receiver = banking.EventReceiver(
        aa.Secret("chosen"), tenants=None, environment=sandbox.environment
    )

    @receiver.on(banking.ConsentStatusUpdated)
    async def changed(event):
        watch.merge_event(event)

    async with serving(receiver.aiohttp) as url:
        await sandbox.events.subscribe(
            Subscription(url=url, authorization="chosen", types=("banking.consent.status.updated",))
        )
        consent = sandbox.consents.add("sandbox-service")
        await sandbox.consents.decide(consent.consent_id, "revoked")

    assert [(each.name, each.days, each.status) for each in watch.status()] == [
        (consent.consent_id, -1, "revoked")
    ]


@pytest.mark.parametrize(("consent_id", "status"), [("unknown", "authorized"), (None, "gone")])
async def test_a_decision_is_of_a_consent(sandbox, consent_id, status):
    """An unknown consent or status is refused by name."""
    consent_id = consent_id or sandbox.consents.add("sandbox-service").consent_id
    with pytest.raises(aa.ConfigurationError, match=r"^(consent_id|status) must be one of"):
        await sandbox.consents.decide(consent_id, status)
