"""The identity server's routes for programs, with and without a tenant in the path."""

from collections.abc import Callable

from aiohttp import web

from aritma_auth.sandbox.authentication import is_same, read_basic
from aritma_auth.sandbox.clients import SandboxClient
from aritma_auth.sandbox.issuing import IssuedToken
from aritma_auth.sandbox.refusals import Refusal
from aritma_auth.sandbox.state import SandboxState
from aritma_auth.sandbox.token_endpoint import TokenRequest, read_scope

_FORM = "application/x-www-form-urlencoded"

_NEVER_STORED = {
    "Cache-Control": "no-store, no-cache, max-age=0",
    "Pragma": "no-cache",
}
_REALM = 'Bearer realm="IdentityServer",error='


class IdentityServer:
    """
    The routes of one sandbox's identity server that programs use.

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
        if self._sandbox.generation.has_oauth_metadata:
            well_known = "/.well-known/oauth-authorization-server"
            app.router.add_get(well_known, self.discovery)
            app.router.add_get(f"{well_known}/{{tenant}}", self.discovery)
        for prefix in ("", "/{tenant}"):
            discovery = f"{prefix}/.well-known/openid-configuration"
            app.router.add_get(discovery, self.discovery)
            app.router.add_get(f"{discovery}/jwks", self.jwks)
            for path, handler in (
                ("token", self.token),
                ("userinfo", self.userinfo),
                ("introspect", self.introspect),
                ("revocation", self.revoke),
                ("deviceauthorization", self.start_device),
            ):
                app.router.add_route("*", f"{prefix}/connect/{path}", handler)

    async def discovery(self, request: web.Request) -> web.Response:
        """Give the server's metadata (OpenID Connect Discovery 1.0 §4.2)."""
        issuer = self._issuer(request)
        generation = self._sandbox.generation
        scopes = {name for client in self._sandbox.clients.values() for name in client.scopes}
        methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
        metadata: dict[str, object] = {
            "issuer": issuer,
            "jwks_uri": f"{issuer}/.well-known/openid-configuration/jwks",
            "authorization_endpoint": f"{issuer}/connect/authorize",
            "token_endpoint": f"{issuer}/connect/token",
            "userinfo_endpoint": f"{issuer}/connect/userinfo",
            "end_session_endpoint": f"{issuer}/connect/endsession",
            "revocation_endpoint": f"{issuer}/connect/revocation",
            "introspection_endpoint": f"{issuer}/connect/introspect",
            "device_authorization_endpoint": f"{issuer}/connect/deviceauthorization",
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
            "scopes_supported": sorted(scopes),
            "grant_types_supported": [*self._sandbox.token_endpoint.grant_types, "implicit"],
            "response_types_supported": [
                "code",
                "token",
                "id_token",
                "id_token token",
                "code id_token",
                "code token",
                "code id_token token",
            ],
            "response_modes_supported": ["form_post", "query", "fragment"],
            "token_endpoint_auth_methods_supported": methods,
            "id_token_signing_alg_values_supported": ["RS256"],
            "subject_types_supported": ["public"],
            # Always advertised, although clients refuse plain by default.
            "code_challenge_methods_supported": ["plain", "S256"],
        }
        if generation.names_issuer:
            metadata["authorization_response_iss_parameter_supported"] = True
        return web.json_response(metadata)

    async def jwks(self, _request: web.Request) -> web.Response:
        """Give the public keys (RFC 7517 §5)."""
        return web.json_response({"keys": [key.public for key in self._sandbox.issuer.keys]})

    async def token(self, request: web.Request) -> web.Response:
        """Answer a token request."""
        endpoint = self._sandbox.token_endpoint

        def work(client: SandboxClient, form: dict[str, str]) -> dict[str, object]:
            return endpoint.answer(self._issuer(request), client, form)

        return await self._answer(request, work, self._note)

    async def start_device(self, request: web.Request) -> web.Response:
        """Begin a sign-in on another device (RFC 8628 §3.1)."""

        def work(client: SandboxClient, form: dict[str, str]) -> dict[str, object]:
            if "urn:ietf:params:oauth:grant-type:device_code" not in client.grant_types:
                raise Refusal("unauthorized_client")
            started = self._sandbox.sign_ins.start_device(client, read_scope(form, client))
            page = f"{self._sandbox.identity_url}/device"
            complete = f"{page}?user_code={started['user_code']}"
            return {
                **started,
                "verification_uri": page,
                "verification_uri_complete": complete,
            }

        return await self._answer(request, work)

    async def revoke(self, request: web.Request) -> web.Response:
        """End a refresh token; access tokens are JWTs and cannot be ended (RFC 7009 §2)."""

        def work(client: SandboxClient, form: dict[str, str]) -> None:
            if not form.get("token"):
                raise Refusal("invalid_request")
            hint = form.get("token_type_hint", "refresh_token")
            if hint not in {"access_token", "refresh_token"}:
                raise Refusal("unsupported_token_type")
            self._sandbox.issuer.revoke_refresh_token(form["token"], client)

        return await self._answer(request, work)

    async def _answer(
        self,
        request: web.Request,
        work: Callable[[SandboxClient, dict[str, str]], dict[str, object] | None],
        note: Callable[[web.Request, dict[str, str], str | None, str | None], None] | None = None,
    ) -> web.Response:
        form: dict[str, str] = {}
        client_id = error = None
        try:
            form = await _form_of(request)
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

    async def userinfo(self, request: web.Request) -> web.Response:
        """Say who the person is; refusals are in a header alone (OpenID Connect Core 1.0 §5.3)."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        # The scheme is compared as IdentityServer does: with its case.
        token = self._sandbox.issuer.judge(text) if scheme == "Bearer" else "no token"
        if not isinstance(token, IssuedToken) or token.subject is None:
            said = f',error_description="{token}"' if isinstance(token, str) and text else ""
            return _challenge(401, f'{_REALM}"invalid_token"{said}')
        if "openid" not in token.scope:
            return _challenge(403, f'{_REALM}"insufficient_scope"')
        person = next(p for p in self._sandbox.people.values() if p.subject == token.subject)
        shown = {"profile": {"name", "preferred_username"}, "email": {"email"}}
        names = {"sub"}.union(*(shown.get(scope, set()) for scope in token.scope))
        claims = {name: value for name, value in person.claims.items() if name in names}
        return web.json_response(claims | self._sandbox.userinfo_changes)

    async def introspect(self, request: web.Request) -> web.Response:
        """Say what a token is, to APIs and, in newer generations, to clients (RFC 7662 §2)."""
        try:
            form = await _form_of(request)
        except Refusal:
            return web.Response(status=415)
        authorization = request.headers.get("Authorization", "")
        client = None
        scopes = self._api_scopes(form, authorization)
        if scopes is None and self._sandbox.generation.introspects_for_clients:
            try:
                client = self._sandbox.client_check.find_client(
                    form, authorization, self._issuer(request)
                )
            except Refusal:
                client = None
        if scopes is None and client is None:
            return web.Response(status=401)
        return web.json_response(self._introspection(form.get("token", ""), scopes, client))

    def _api_scopes(self, form: dict[str, str], authorization: str) -> set[str] | None:
        name, secret = read_basic(authorization) or (
            form.get("client_id", ""),
            form.get("client_secret", ""),
        )
        valid = self._sandbox.api_resources.get(name)
        return {name} if valid is not None and is_same(secret, valid) else None

    def _introspection(
        self, text: str, scopes: set[str] | None, client: SandboxClient | None
    ) -> dict[str, object]:
        token = self._sandbox.issuer.judge(text)
        if isinstance(token, IssuedToken):
            seen = [s for s in token.scope if scopes is None or s in scopes]
            if client is None and not seen:
                return {"active": False}
            return {
                "active": True,
                "client_id": token.client_id,
                **({} if token.subject is None else {"sub": token.subject}),
                "exp": int(token.expires_at),
                "scope": " ".join(seen),
            }
        refresh = None if client is None else self._sandbox.issuer.refresh_token(text, client)
        if refresh is None:
            return {"active": False}
        return {"active": True, "client_id": refresh.client_id, "sub": refresh.subject}

    def _issuer(self, request: web.Request) -> str:
        return self._sandbox.issuer_of(request.match_info.get("tenant"))

    def _note(
        self, request: web.Request, form: dict[str, str], client_id: str | None, error: str | None
    ) -> None:
        self._sandbox.token_requests.append(
            TokenRequest(form.get("grant_type"), client_id, request.match_info.get("tenant"), error)
        )


async def _form_of(request: web.Request) -> dict[str, str]:
    if request.method != "POST" or request.content_type != _FORM:
        raise Refusal("invalid_request")
    posted = await request.post()
    return {name: value for name, value in posted.items() if isinstance(value, str)}


def _challenge(status: int, challenge: str) -> web.Response:
    return web.Response(status=status, headers={"WWW-Authenticate": challenge})


def _json(body: object, *, status: int) -> web.Response:
    if body is None:
        return web.Response(status=status, headers=_NEVER_STORED)
    response = web.json_response(body, status=status, headers=_NEVER_STORED)
    # As ASP.NET writes it.
    response.headers["Content-Type"] = "application/json; charset=UTF-8"
    return response
