"""The UserInfo endpoint and the introspection endpoint."""

from aiohttp import web

from aritma_auth.sandbox.identity.client_authentication import parse_credentials, secrets_match
from aritma_auth.sandbox.identity.parameters import FORM, ErrorResponse, read_form_values
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.token_issuer import IssuedToken
from aritma_auth.sandbox.overrides import Changes, apply_overrides
from aritma_auth.sandbox.state import SandboxState

_REALM = 'Bearer realm="IdentityServer",error='
_INACTIVE: Changes = {"active": False}
_JWT = "application/token-introspection+jwt"
_SHOWN = {"profile": frozenset({"name", "preferred_username"}), "email": frozenset({"email"})}


class UserInfoAndIntrospection:
    """The routes of UserInfo and introspection."""

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def add_routes(self, app: web.Application) -> None:
        """Add the routes, each with and without a tenant."""
        for prefix in ("", "/{tenant}"):
            app.router.add_route("*", f"{prefix}/connect/userinfo", self.userinfo)
            app.router.add_route("*", f"{prefix}/connect/introspect", self.introspect)

    async def userinfo(self, request: web.Request) -> web.Response:
        """
        Give the end-user's claims; an error is in a challenge alone, without a body.

        Spec: OpenID Connect Core 1.0 §5.3. Source: IdentityServer's UserInfoEndpoint.
        """
        if request.method not in {"GET", "POST"}:
            return web.Response(status=405)
        text = await _bearer(request)
        if text is None:
            return _challenge(400, f'{_REALM}"invalid_request"')
        token = self._sandbox.issuer.validate(text)
        if isinstance(token, str):
            said = f',error_description="{token}"' if token.endswith("expired") else ""
            return _challenge(401, f'{_REALM}"invalid_token"{said}')
        user = next((p for p in self._sandbox.users.values() if p.subject == token.subject), None)
        refused = self._refuse_proof(request, text, token)
        if user is None or refused is not None:
            return refused or _challenge(401, f'{_REALM}"invalid_token"')
        if "openid" not in token.scope:
            return _challenge(403, f'{_REALM}"insufficient_scope"')
        names = {"sub"}.union(*(_SHOWN.get(scope, frozenset()) for scope in token.scope))
        claims: Changes = {n: value for n, value in user.claims.items() if n in names}
        return self._give_claims(
            request, token, apply_overrides(claims, self._sandbox.overrides.userinfo)
        )

    def _give_claims(
        self, request: web.Request, token: IssuedToken, claims: Changes
    ) -> web.Response:
        client = self._sandbox.clients.get(token.client_id)
        if client is None or not client.userinfo_is_signed:
            return web.json_response(claims)
        issuer = self._issuer(request)
        signed = self._sandbox.issuer.sign_userinfo(issuer, token.client_id, claims)
        return web.Response(text=signed, content_type="application/jwt")

    def _refuse_proof(
        self, request: web.Request, text: str, token: IssuedToken
    ) -> web.Response | None:
        """Refuse a request whose token is bound to a key that it does not prove."""
        proofs, bound_to = self._sandbox.proofs, token.confirmation.get("jkt")
        if self._sandbox.certificates.is_bound_elsewhere(request, token.confirmation, "userinfo"):
            return _challenge(401, f'{_REALM}"invalid_token"')
        if bound_to is None:
            return None
        try:
            thumbprint = proofs.validate(request, proofs.identity, text)
        except ErrorResponse as refused:
            return _challenge(401, f'DPoP error="{refused.error}"')
        return None if thumbprint == bound_to else _challenge(401, 'DPoP error="invalid_token"')

    async def introspect(self, request: web.Request) -> web.Response:
        """
        Describe a token, to APIs and, in newer versions, to clients.

        Spec: RFC 7662 §2. Source: IdentityServer's IntrospectionEndpoint.
        """
        if request.method != "POST":
            return web.Response(status=405)
        if request.content_type != FORM:
            return web.Response(status=415)
        form = await read_form_values(request)
        caller = self._caller(request, form)
        if caller is None:
            return web.Response(status=401)
        if not form.get("token"):
            return web.json_response({"error": "invalid_request"}, status=400)
        members = self._introspection(form["token"], caller)
        version = self._sandbox.server_version
        if version.introspects_in_jwts and _JWT in request.headers.get("Accept", ""):
            name = caller if isinstance(caller, str) else caller.client_id
            text = self._sandbox.issuer.sign_introspection(self._issuer(request), name, members)
            return web.Response(text=text, content_type=_JWT)
        return web.json_response(members)

    def _caller(self, request: web.Request, form: dict[str, str]) -> str | SandboxClient | None:
        """Authenticate the caller: an API by its name, or a client."""
        authorization = request.headers.get("Authorization", "")
        name, secret = parse_credentials(form, authorization)
        valid = self._sandbox.api_resources.get(name)
        if valid is not None and secrets_match(secret, valid):
            return name
        if not self._sandbox.server_version.introspects_for_clients:
            return None
        try:
            return self._sandbox.authenticator.find_client(
                form, authorization, self._issuer(request)
            )
        except ErrorResponse:
            return None

    def _issuer(self, request: web.Request) -> str:
        return self._sandbox.issuer_of(request.match_info.get("tenant"))

    def _introspection(self, text: str, caller: str | SandboxClient) -> Changes:
        token = self._sandbox.issuer.validate(text)
        if isinstance(token, IssuedToken):
            # An API sees only its own part of the scope.
            own = {caller} if isinstance(caller, str) else set(token.scope)
            seen = [name for name in token.scope if name in own]
            if not seen:
                return _INACTIVE
            return {**token.claims, "active": True, "scope": " ".join(seen)}
        if isinstance(caller, str):
            return _INACTIVE
        refresh = self._sandbox.refresh_tokens.find(text, caller)
        if refresh is None:
            return _INACTIVE
        return {
            "active": True,
            "client_id": refresh.client_id,
            "sub": refresh.sign_in.subject,
            "exp": int(refresh.expires_at),
            "scope": " ".join(refresh.scope),
        }


async def _bearer(request: web.Request) -> str | None:
    """
    Find the access token; None if it comes in header and form (forbidden by RFC 6750 §2).

    IdentityServer takes the header's then; the sandbox refuses, so that a test sees the mistake.
    """
    scheme, _, header = request.headers.get("Authorization", "").partition(" ")
    is_form = request.method == "POST" and request.content_type == FORM
    posted = (await read_form_values(request)).get("access_token") if is_form else None
    # IdentityServer compares the scheme with regard to case.
    if scheme not in {"Bearer", "DPoP"}:
        return posted or ""
    return header if posted is None else None


def _challenge(status: int, challenge: str) -> web.Response:
    return web.Response(status=status, headers={"WWW-Authenticate": challenge})
