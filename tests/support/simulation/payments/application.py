"""The application: docs/examples/two_signers.py with a database, a receiver of events and a provider."""

import contextlib
import json
from urllib.parse import parse_qs

import aiohttp

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.banking import PendingPayment
from support.applications import load
from support.simulation.payments.bank import AUTHORIZATION, SERVER, TENANT
from support.simulation.process import Process
from support.simulation.store import way_to

EXAMPLE = load("two_signers")
CALLBACK = "http://127.0.0.1/callback"

_ENVIRONMENT = aa.Environment.at(SERVER, api_origins=[SERVER])
_TIMEOUT = aiohttp.ClientTimeout(total=30)


class ConflictError(Exception):
    """Another process has written the row."""


class Row:
    """
    The row of a database: read, and written if nobody else has.

    Args:
        watch: Judges what is written.
    """

    def __init__(self, watch):
        self.text = None
        self.version = 0
        self._watch = watch

    def swap(self, version, payment):
        """Write it unless another version is there; return the new version."""
        if version != self.version:
            raise ConflictError
        self._watch.wrote(self.payment, payment)
        self.text, self.version = payment.to_json(), version + 1
        return self.version

    @property
    def payment(self):
        """What it holds, or None."""
        return (
            None
            if self.text is None
            else PendingPayment.from_json(self.text, environment=_ENVIRONMENT)
        )


class Desk(EXAMPLE.Desk):
    """The example's desk over a row; it writes with a compare-and-swap, as several processes must."""

    def __init__(self, row, client, bank):
        super().__init__(None, client, bank)
        self.row = row
        self.version = 0

    def load(self):
        self.version = self.row.version
        payment = self.row.payment
        if payment is None:
            return self.save(PendingPayment.generate("api/bulk-payments/credit-transfer"))
        return payment

    def save(self, payment):
        self.version = self.row.swap(self.version, payment)
        return payment

    async def merge(self, event):
        """Take an event."""
        async with self.lock:
            self.save(self.load().merge_event(event))

    async def poll(self, signer):
        """Ask the API without being asked."""
        async with self.lock:
            payment = self.load()
            if payment.url is not None:
                await self.refresh(payment, signer)


class Application(Process):
    """One process of the application."""

    def _make_provider(self):
        environment = _ENVIRONMENT
        service = aa.OAuthClient(
            "sandbox-service", "secret", environment=environment, clock=self.clock
        )
        self.web = aa.OAuthClient(
            "sandbox-web", "secret", environment=environment, clock=self.clock
        )
        self.pending = aa.PendingSignIns(clock=self.clock)
        shelf = self.history.shelf
        return aa.TokenProvider(
            service,
            aa.ClientCredentialsGrant("api"),
            store=None if shelf is None else way_to(shelf, self),
            clock=self.clock,
            draw=self.universe.stream(f"draw {self.name}").random,
            on_event=self._on_event,
        )

    @property
    def is_serving(self):
        """It takes requests, though it may be frozen."""
        return self.is_ready and not self.is_dead

    def serve(self):
        """Start to serve."""
        self.is_ready = False
        self.spawn(self._start(), self.main)

    async def _start(self):
        # A session belongs to the loop on which it is made.
        bank = aiohttp.ClientSession(
            SERVER, middlewares=[self.provider.middleware()], timeout=_TIMEOUT
        )
        self.desk = Desk(self.history.row, self.web, bank)
        self.receiver = banking.EventReceiver(
            aa.Secret(AUTHORIZATION),
            tenants=TENANT,
            environment=self.web.environment,
            on_event=self._on_event,
            clock=self.clock,
        )
        for kind in (banking.PaymentAuthorized, banking.PaymentStatusUpdated):
            self.receiver.on(kind, name=kind.__name__)(self._merge)
        self.is_ready = True

    async def _merge(self, event):
        await self.desk.merge(event)

    def dispose(self):
        """Leave no session open after the universe."""
        if self.is_ready:
            connector = self.desk.bank.connector
            self.desk.bank.detach()
            connector.close()

    # -- what is asked of it ------------------------------------------------------------------

    async def sign(self, signer):
        """Show a signer's page: what is to be done, or a redirect to the sign-in."""
        with self._judged("sign"):
            asked = await self.desk.advance(signer.name, CALLBACK)
            if asked is None:
                signer.told(self.desk.row.payment.action_for(signer.name))
            else:
                begun = self.pending.add(asked, return_to=signer.name)
                signer.redirected(self, {begun.cookie: begun.handle}, asked.url)

    async def callback(self, signer, cookies, query):
        """Take the redirect back from the sign-in."""
        with self._judged("callback"):
            state = parse_qs(query)["state"][0]
            begun = self.pending.take(cookies, state)
            sign_in = await self.web.complete_sign_in(begun.request, query)
            payment = await self.desk.confirm(begun.return_to, sign_in)
            signer.told(payment.action_for(signer.name))

    async def poll(self, signer):
        """Ask the API for news of a signer, without being asked."""
        with self._judged("poll"):
            await self.desk.poll(signer)

    async def receive(self, event, respond):
        """Receive an event over ASGI."""
        messages = [{"type": "http.request", "body": json.dumps(event).encode()}]
        scope = {
            "type": "http",
            "method": "POST",
            "headers": [
                (b"content-type", b"application/cloudevents+json"),
                (b"authorization", AUTHORIZATION.encode()),
            ],
        }

        async def receive():
            return messages.pop()

        async def send(message):
            if "status" in message:
                respond(message["status"])

        with self._judged("event"):
            await self.receiver(scope, receive, send)

    @contextlib.contextmanager
    def _judged(self, what):
        """Let happen what may; the end-user comes again."""
        try:
            yield
        except aa.ConfigurationError as error:
            self.universe.note(self.name, what, error)
            if "may exist" in str(error):
                self.history.call_operator()
            else:
                self.universe.fail("errors are true", f"{what}: {error}")
        except (ConflictError, aa.AritmaAuthError, aiohttp.ClientError, TimeoutError) as error:
            self.universe.note(self.name, what, type(error).__name__)
        except Exception as error:  # noqa: BLE001 - whatever else is a finding
            self.universe.fail("errors are true", f"{what}: {type(error).__name__}: {error}")
