"""The identity server's routes that clients authenticate at: tokens, revocation, devices."""

from collections.abc import Callable

from aiohttp import web

from aritma_auth.sandbox.http_helpers import FORM, single_values
from aritma_auth.sandbox.identity.registrations import DEVICE_CODE, SandboxClient
from aritma_auth.sandbox.identity.token_endpoint import TokenRequest, read_scope
from aritma_auth.sandbox.overrides import told
from aritma_auth.sandbox.refusals import Refusal
from aritma_auth.sandbox.state import SandboxState

_NEVER_STORED = {
    "Cache-Control": "no-store, no-cache, max-age=0",
    "Pragma": "no-cache",
}

Work = Callable[[SandboxClient, dict[str, str]], dict[str, object] | None]
Note = Callable[[web.Request, dict[str, str], str | None, str | None], None]


class IdentityServer:
    """
    The routes of one sandbox's identity server that clients use.

    Args:
        sandbox: Who owns the clients, the clock and the log.
    """

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def add_routes(self, app: web.Application) -> None:
        """
        Add the routes, each with and without a tenant.

        Args:
            app: The identity server's application.
        """
        for prefix in ("", "/{tenant}"):
            for path, handler in (
                ("token", self.token),
                ("revocation", self.revoke),
                ("deviceauthorization", self.start_device),
            ):
                app.router.add_route("*", f"{prefix}/connect/{path}", handler)

    async def token(self, request: web.Request) -> web.Response:
        """Answer a token request."""
        issuer = self._issuer(request)

        def work(client: SandboxClient, form: dict[str, str]) -> dict[str, object]:
            answer = self._sandbox.token_endpoint.answer(issuer, client, form)
            return told(answer, self._sandbox.overrides.token_response)

        return await self._answer(request, work, self._note)

    async def start_device(self, request: web.Request) -> web.Response:
        """Begin a sign-in on another device (RFC 8628 §3.1)."""

        def work(client: SandboxClient, form: dict[str, str]) -> dict[str, object]:
            if DEVICE_CODE not in client.grant_types:
                raise Refusal("unauthorized_client")
            started = self._sandbox.devices.start(client, read_scope(form, client))
            page = f"{self._sandbox.identity_url}/device"
            return {
                **started,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={started['user_code']}",
            }

        return await self._answer(request, work)

    async def revoke(self, request: web.Request) -> web.Response:
        """End a refresh token; access tokens are JWTs and cannot be ended (RFC 7009 §2)."""
        if request.method != "POST":
            return web.Response(status=405)
        if request.content_type != FORM:
            return web.Response(status=415)

        def work(client: SandboxClient, form: dict[str, str]) -> None:
            if not form.get("token"):
                raise Refusal("invalid_request")
            hint = form.get("token_type_hint", "refresh_token")
            if hint not in {"access_token", "refresh_token"}:
                raise Refusal("unsupported_token_type")
            self._sandbox.refresh_tokens.revoke(form["token"], client)

        return await self._answer(request, work)

    async def _answer(
        self, request: web.Request, work: Work, note: Note | None = None
    ) -> web.Response:
        form: dict[str, str] = {}
        client_id = error = None
        try:
            if request.method != "POST" or request.content_type != FORM:
                raise Refusal("invalid_request")  # noqa: TRY301 - an answer like the others
            form = await single_values(request)
            client = self._sandbox.client_check.find_client(
                form, request.headers.get("Authorization", ""), self._issuer(request)
            )
            client_id = client.client_id
            answer = work(client, form)
        except Refusal as refusal:
            error = refusal.error
            answer = {"error": error}
            if refusal.description is not None:
                answer["error_description"] = refusal.description
        if note is not None:
            note(request, form, client_id, error)
        return _json(answer, status=200 if error is None else 400)

    def _issuer(self, request: web.Request) -> str:
        return self._sandbox.issuer_of(request.match_info.get("tenant"))

    def _note(
        self, request: web.Request, form: dict[str, str], client_id: str | None, error: str | None
    ) -> None:
        self._sandbox.token_requests.append(
            TokenRequest(form.get("grant_type"), client_id, request.match_info.get("tenant"), error)
        )


def _json(body: object, *, status: int) -> web.Response:
    if body is None:
        return web.Response(status=status, headers=_NEVER_STORED)
    response = web.json_response(body, status=status, headers=_NEVER_STORED)
    # As ASP.NET writes it.
    response.headers["Content-Type"] = "application/json; charset=UTF-8"
    return response
