"""
The routes of consents: created, refreshed, and refused once they have ended.

Source: Banking v4's OpenAPI and Aritma's pages on consents. That a refresh is a PUT, and how a call
with an ended consent is refused, is made up.
"""

from aiohttp import web

from aritma_auth.sandbox.banking.problems import BearerCheck, Problem
from aritma_auth.sandbox.records.consents import SandboxConsent, SandboxConsents

_SCOPE = ("api",)


class ConsentsApi:
    """The routes of consents."""

    def __init__(self, consents: SandboxConsents, bearer: BearerCheck) -> None:
        self._consents = consents
        self._bearer = bearer

    def add_routes(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_post("/api/consents", self.create)
        app.router.add_get("/api/consents/{consent_id}", self.consent)
        app.router.add_put("/api/consents/{consent_id}/refresh", self.refresh)

    async def create(self, request: web.Request) -> web.Response:
        """Create a consent, which waits for its end-user."""
        token = self._bearer.token(request, _SCOPE)
        return self._response(request, self._consents.add(token.client_id), 201)

    async def consent(self, request: web.Request) -> web.Response:
        """Show a consent."""
        return web.json_response(self._consents.shown(self._find(request)))

    async def refresh(self, request: web.Request) -> web.Response:
        """Begin to refresh a consent: it stays as it is until its end-user decides."""
        return self._response(request, self._find(request), 200)

    def refuse_ended(self, request: web.Request) -> web.Response | None:
        """Refuse a call whose consent cannot be used, or let it pass."""
        consent_id = request.headers.get("Consent-ID")
        consent = self._consents.consents.get(consent_id or "")
        if consent_id is None or (
            consent is not None and self._consents.status_of(consent) == "authorized"
        ):
            return None
        code = "CONSENT_UNKNOWN" if consent is None else "CONSENT_EXPIRED"
        problem = {
            "type": "about:blank",
            "title": "Unauthorized",
            "status": 401,
            "tppMessages": [{"category": "ERROR", "code": code}],
        }
        return web.json_response(problem, status=401, content_type="application/problem+json")

    def _find(self, request: web.Request) -> SandboxConsent:
        client_id = self._bearer.token(request, _SCOPE).client_id
        consent = self._consents.consents.get(request.match_info["consent_id"])
        if consent is None or consent.client_id != client_id:
            raise Problem(404, "There is no such consent.")
        return consent

    def _response(self, request: web.Request, consent: SandboxConsent, status: int) -> web.Response:
        # Nothing is served there: `SandboxConsents.decide` stands in for the end-user.
        url = request.url.origin() / "consent" / consent.consent_id
        return web.json_response(
            {**self._consents.shown(consent), "redirectUrl": str(url)}, status=status
        )
