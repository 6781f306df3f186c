"""
A payment that two end-users sign at Aritma ID, perhaps days apart, in a process that may die anywhere.

In one terminal ``aritma-auth sandbox``, in another ``python docs/examples/two_signers.py [FILE]``.
Open ``/sign/user-alice`` and ``/sign/user-bob``. Kill the program at any time and start it again: the
payment happens once, and no signature is lost. The file is what a row in a database would be.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from aiohttp import web

import aritma_auth as aa
from aritma_auth import banking
from aritma_auth.banking import PaymentAction, PendingPayment

# The sandbox's own member: at Aritma the account says how many must sign.
PAYMENT = {"requiredAuthorizations": 2, "payments": [{"endToEndIdentification": "invoice-42"}]}
ACR_VALUES = ("mfa",)


class Desk:
    """
    Brings one payment forward, one signer at a time.

    Every step is saved before it is sent and after its response, so that a new process goes on where
    the old one died.
    """

    def __init__(self, file: Path, client: aa.OAuthClient, bank: aiohttp.ClientSession) -> None:
        self.file = file
        self.client = client
        self.bank = bank
        # One writer at a time; several processes need a compare-and-swap in a database instead.
        self.lock = asyncio.Lock()

    def load(self) -> PendingPayment:
        if self.file.exists():
            return PendingPayment.from_json(
                self.file.read_text(), environment=self.client.environment
            )
        return self.save(PendingPayment.generate("api/bulk-payments/credit-transfer"))

    def save(self, payment: PendingPayment) -> PendingPayment:
        draft = self.file.with_suffix(".draft")
        draft.write_text(payment.to_json())
        os.replace(draft, self.file)
        return payment

    async def advance(self, signer: str, redirect_uri: str) -> aa.AuthorizationRequest | None:
        """Do what can be done without the signer; return the sign-in if it is the signer's turn."""
        async with self.lock:
            payment = await self.refresh(self.load(), signer)
            while (action := payment.action_for(signer)) is not PaymentAction.SIGN:
                if action is PaymentAction.CREATE:
                    payment = self.save(payment.begin_creation(PAYMENT, now=time.time()))
                    members = await self.call(payment.build_creation_request(PAYMENT))
                    payment = payment.created(members, environment=self.client.environment)
                elif action is PaymentAction.AUTHORIZE:
                    payment = self.save(payment.begin_authorization(signer))
                    request = payment.build_authorization_request(signer, acr_values=ACR_VALUES)
                    payment = payment.authorization_started(
                        signer, await self.call(request), environment=self.client.environment
                    )
                else:
                    return None
                self.save(payment)
            step = payment.step(signer, environment=self.client.environment)
        return await step.begin_sign_in(self.client, redirect_uri)

    async def refresh(self, payment: PendingPayment, signer: str) -> PendingPayment:
        """Ask the API what a process that died may not have saved."""
        if payment.url is not None:
            members = await self.call(banking.ApiRequest(method="GET", path=payment.url))
            payment = payment.merge_payment(members, now=time.time())
            signature = payment.signature_of(signer)
            if signature is not None and signature.url is not None:
                members = await self.call(banking.ApiRequest(method="GET", path=signature.url))
                payment = payment.merge_authorization(signer, members)
        return self.save(payment)

    async def confirm(self, signer: str, sign_in: aa.SignIn) -> PendingPayment:
        """Give the signer's token to the payment."""
        if sign_in.subject != signer:
            # Whoever signed in here would sign, and this signer would count as having signed.
            raise aa.VerificationError(f"{signer} must sign in, and not another end-user")
        async with self.lock:
            payment = self.load()
            step = payment.step(signer, environment=self.client.environment)
            body = step.confirmation_body(sign_in.token)
            try:
                await self.call(banking.ApiRequest(method="PUT", path=step.confirmation, json=body))
            except aiohttp.ClientResponseError as error:
                if error.status != 409:
                    raise
                # Confirmed before: the next line finds out.
            return await self.refresh(payment, signer)

    async def call(self, request: banking.ApiRequest) -> Mapping[str, object]:
        async with self.bank.request(**request.arguments(), raise_for_status=True) as response:
            members: Mapping[str, object] = await response.json()
        return members


def make_app(desk: Desk) -> web.Application:
    pending = aa.PendingSignIns()

    async def sign(request: web.Request) -> web.Response:
        redirect_uri = f"{request.url.origin()}/callback"
        signer = request.match_info["signer"]
        asked = await desk.advance(signer, redirect_uri)
        if asked is None:
            return describe(desk.load())
        begun = pending.add(asked, return_to=signer)
        response = web.Response(status=303, headers={"Location": asked.url})
        response.set_cookie(begun.cookie, begun.handle, httponly=True, samesite="Lax")
        return response

    async def callback(request: web.Request) -> web.Response:
        begun = pending.take(request.cookies, request.query.get("state"))
        sign_in = await desk.client.complete_sign_in(begun.request, request.query_string)
        return describe(await desk.confirm(begun.return_to, sign_in))

    app = web.Application()
    app.router.add_get("/sign/{signer}", sign)
    app.router.add_get("/callback", callback)
    return app


def describe(payment: PendingPayment) -> web.Response:
    return web.Response(
        text=f"signed by {', '.join(payment.signed_by) or 'nobody'}; {payment.remaining} left; "
        f"{'executed' if payment.is_executed else payment.status}",
        headers={"Cache-Control": "no-store"},
    )


async def main(file: Path) -> None:
    identity = os.environ.get("ARITMA_ENVIRONMENT", "http://127.0.0.1:5000")
    bank_url = os.environ.get("BANK_URL", "http://127.0.0.1:5001/")
    environment = aa.Environment.at(identity, api_origins=[bank_url])
    client = aa.OAuthClient("sandbox-web", "web-secret", environment=environment)
    service = aa.OAuthClient("sandbox-service", "sandbox-secret", environment=environment)
    async with (
        client,
        aa.TokenProvider(service, aa.ClientCredentialsGrant("api")) as tokens,
        aiohttp.ClientSession(bank_url, middlewares=[tokens.middleware()]) as bank,
    ):
        runner = web.AppRunner(make_app(Desk(file, client, bank)))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(os.environ.get("PORT", "8080"))).start()
        host, port = runner.addresses[0]
        print(f"Open http://{host}:{port}/sign/user-alice and /sign/user-bob", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "payment.json")))
