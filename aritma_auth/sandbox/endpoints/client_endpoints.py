"""The endpoints at which clients authenticate: token, revocation, device authorization, PAR."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from aritma_auth.sandbox.identity.parameters import (
    FORM,
    ErrorResponse,
    parse_scope,
    read_form_values,
)
from aritma_auth.sandbox.identity.registrations import CIBA, DEVICE_CODE, SandboxClient
from aritma_auth.sandbox.identity.token_endpoint import TokenRequest
from aritma_auth.sandbox.overrides import apply_overrides
from aritma_auth.sandbox.state import SandboxState

_NEVER_STORED = {
    "Cache-Control": "no-store, no-cache, max-age=0",
    "Pragma": "no-cache",
}

_CONFIRMATION = web.RequestKey("confirmation", dict[str, object])
"""The certificate that a request has shown (``cnf``)."""

Work = Callable[[SandboxClient, dict[str, str]], dict[str, object] | None]
Log = Callable[[web.Request, dict[str, str], str | None, str | None], None]


class ClientEndpoints:
    """The routes of those endpoints."""

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def add_routes(self, app: web.Application) -> None:
        """Add the routes, each with and without a tenant."""
        for prefix in ("", "/{tenant}"):
            for path, handler in (
                ("token", self.token),
                ("revocation", self.revoke),
                ("deviceauthorization", self.authorize_device),
                *self._newer_endpoints(),
            ):
                app.router.add_route("*", f"{prefix}/connect/{path}", handler)

    def _newer_endpoints(self) -> list[tuple[str, Handler]]:
        version = self._sandbox.server_version
        return [
            *([("par", self.push)] if version.supports_par else []),
            *([("ciba", self.ask)] if version.supports_ciba else []),
        ]

    async def token(self, request: web.Request) -> web.Response:
        """Respond to a token request."""
        issuer = self._issuer(request)

        def work(client: SandboxClient, form: dict[str, str]) -> dict[str, object]:
            confirmation = self._confirm(request, client)
            members = self._sandbox.token_endpoint.respond(issuer, client, form, confirmation)
            return apply_overrides(members, self._sandbox.overrides.token_response)

        return await self._respond(request, work, self._log)

    def _confirm(self, request: web.Request, client: SandboxClient) -> dict[str, object]:
        """Return the key that a token request has proved to hold; empty for a bearer token."""
        sandbox = self._sandbox
        by_certificate = request[_CONFIRMATION]
        if not sandbox.server_version.supports_dpop:
            return by_certificate
        thumbprint = sandbox.proofs.validate(request, sandbox.proofs.identity)
        if thumbprint is None and client.requires_dpop:
            raise ErrorResponse(
                "invalid_request",
                "Client requires DPoP and a DPoP proof token was not provided.",
            )
        return by_certificate if thumbprint is None else {"jkt": thumbprint}

    async def authorize_device(self, request: web.Request) -> web.Response:
        """Issue a device code (RFC 8628 §3.1)."""

        def work(client: SandboxClient, form: dict[str, str]) -> dict[str, object]:
            if DEVICE_CODE not in client.grant_types:
                raise ErrorResponse("unauthorized_client")
            started = self._sandbox.device_codes.issue(client, parse_scope(form, client))
            page = f"{self._sandbox.identity_url}/device"
            return {
                **started,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={started['user_code']}",
            }

        return await self._respond(request, work)

    async def push(self, request: web.Request) -> web.Response:
        """Keep an authorization request, and respond with a reference to it (RFC 9126 §2)."""
        posted = await request.post()
        parameters = {name: [str(value) for value in posted.getall(name)] for name in posted}

        def work(client: SandboxClient, _form: dict[str, str]) -> dict[str, object]:
            # Every version with this endpoint knows proofs.
            proofs = self._sandbox.proofs
            thumbprint = proofs.validate(request, proofs.identity)
            return self._sandbox.pushed_requests.push(client, parameters, thumbprint)

        return await self._respond(request, work, success=201)

    async def ask(self, request: web.Request) -> web.Response:
        """Keep a backchannel authentication request (CIBA Core 1.0 §7)."""

        def work(client: SandboxClient, form: dict[str, str]) -> dict[str, object]:
            if CIBA not in client.grant_types:
                raise ErrorResponse("unauthorized_client")
            return self._sandbox.backchannel_requests.issue(client, form)

        # Unlike at the token endpoint: IdentityServer's BackchannelAuthenticationResult.
        return await self._respond(request, work, refused_client=401)

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke a refresh token; access tokens are JWTs and cannot be revoked (RFC 7009 §2)."""
        if request.method != "POST":
            return web.Response(status=405)
        if request.content_type != FORM:
            return web.Response(status=415)

        def work(client: SandboxClient, form: dict[str, str]) -> None:
            if not form.get("token"):
                raise ErrorResponse("invalid_request")
            hint = form.get("token_type_hint", "refresh_token")
            if hint not in {"access_token", "refresh_token"}:
                raise ErrorResponse("unsupported_token_type")
            self._sandbox.refresh_tokens.revoke(form["token"], client)

        return await self._respond(request, work)

    async def _respond(
        self,
        request: web.Request,
        work: Work,
        log: Log | None = None,
        *,
        success: int = 200,
        refused_client: int = 400,
    ) -> web.Response:
        form: dict[str, str] = {}
        client_id = error = None
        status = success
        try:
            if request.method != "POST" or request.content_type != FORM:
                raise ErrorResponse("invalid_request")  # noqa: TRY301 - a response like the others
            form = await read_form_values(request)
            client = self._sandbox.authenticator.find_client(
                form, request.headers.get("Authorization", ""), self._issuer(request)
            )
            request[_CONFIRMATION] = self._sandbox.certificates.confirm(request, client)
            client_id = client.client_id
            members = work(client, form)
        except ErrorResponse as refused:
            status, error = refused.status, refused.error or "empty body"
            if error == "invalid_client":
                status = refused_client
            members = _error_members(refused)
        if log is not None:
            log(request, form, client_id, error)
        return _json(members, status=status)

    def _issuer(self, request: web.Request) -> str:
        return self._sandbox.issuer_of(request.match_info.get("tenant"))

    def _log(
        self, request: web.Request, form: dict[str, str], client_id: str | None, error: str | None
    ) -> None:
        self._sandbox.token_requests.append(
            TokenRequest(form.get("grant_type"), client_id, request.match_info.get("tenant"), error)
        )


def _error_members(refused: ErrorResponse) -> dict[str, object] | None:
    if refused.error is None:
        return None
    members: dict[str, object] = {"error": refused.error}
    if refused.description is not None:
        members["error_description"] = refused.description
    return members


def _json(body: object, *, status: int) -> web.Response:
    if body is None:
        return web.Response(status=status, headers=_NEVER_STORED)
    response = web.json_response(body, status=status, headers=_NEVER_STORED)
    # ASP.NET writes the media type so.
    response.headers["Content-Type"] = "application/json; charset=UTF-8"
    return response
