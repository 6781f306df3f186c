"""What the identity server tells about people and tokens: UserInfo and introspection."""

from aiohttp import web

from aritma_auth.sandbox.http_helpers import FORM, single_values
from aritma_auth.sandbox.identity.client_authentication import is_same, read_basic
from aritma_auth.sandbox.identity.registrations import SandboxClient
from aritma_auth.sandbox.identity.token_issuer import IssuedToken
from aritma_auth.sandbox.overrides import Changes, told
from aritma_auth.sandbox.refusals import Refusal
from aritma_auth.sandbox.state import SandboxState

_REALM = 'Bearer realm="IdentityServer",error='
_INACTIVE: Changes = {"active": False}
_JWT = "application/token-introspection+jwt"
_SHOWN = {"profile": frozenset({"name", "preferred_username"}), "email": frozenset({"email"})}


class Inspection:
    """
    The routes that tell.

    Args:
        sandbox: Who owns the tokens and the people.
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
            app.router.add_route("*", f"{prefix}/connect/userinfo", self.userinfo)
            app.router.add_route("*", f"{prefix}/connect/introspect", self.introspect)

    async def userinfo(self, request: web.Request) -> web.Response:
        """
        Say who the person is; refusals are in a header alone.

        Spec: OpenID Connect Core 1.0 §5.3. Source: IdentityServer's UserInfoEndpoint.
        """
        if request.method not in {"GET", "POST"}:
            return web.Response(status=405)
        text = await _bearer(request)
        if text is None:
            return _challenge(400, f'{_REALM}"invalid_request"')
        token = self._sandbox.issuer.judge(text)
        if isinstance(token, str):
            said = f',error_description="{token}"' if token.endswith("expired") else ""
            return _challenge(401, f'{_REALM}"invalid_token"{said}')
        person = next((p for p in self._sandbox.users.values() if p.subject == token.subject), None)
        if person is None:
            return _challenge(401, f'{_REALM}"invalid_token"')
        if "openid" not in token.scope:
            return _challenge(403, f'{_REALM}"insufficient_scope"')
        names = {"sub"}.union(*(_SHOWN.get(scope, frozenset()) for scope in token.scope))
        claims: Changes = {n: value for n, value in person.claims.items() if n in names}
        return web.json_response(told(claims, self._sandbox.overrides.userinfo))

    async def introspect(self, request: web.Request) -> web.Response:
        """
        Say what a token is, to APIs and, in newer versions, to clients.

        Spec: RFC 7662 §2. Source: IdentityServer's IntrospectionEndpoint.
        """
        if request.method != "POST":
            return web.Response(status=405)
        if request.content_type != FORM:
            return web.Response(status=415)
        form = await single_values(request)
        caller = self._caller(request, form)
        if caller is None:
            return web.Response(status=401)
        if not form.get("token"):
            return web.json_response({"error": "invalid_request"}, status=400)
        answer = self._introspection(form["token"], caller)
        version = self._sandbox.server_version
        if version.introspects_in_jwts and _JWT in request.headers.get("Accept", ""):
            name = caller if isinstance(caller, str) else caller.client_id
            issuer = self._sandbox.issuer_of(request.match_info.get("tenant"))
            text = self._sandbox.issuer.sign_introspection(issuer, name, answer)
            return web.Response(text=text, content_type=_JWT)
        return web.json_response(answer)

    def _caller(self, request: web.Request, form: dict[str, str]) -> str | SandboxClient | None:
        """Find the API, by its name, or the client that asks."""
        authorization = request.headers.get("Authorization", "")
        name, secret = read_basic(authorization) or (
            form.get("client_id", ""),
            form.get("client_secret", ""),
        )
        valid = self._sandbox.api_resources.get(name)
        if valid is not None and is_same(secret, valid):
            return name
        if not self._sandbox.server_version.introspects_for_clients:
            return None
        issuer = self._sandbox.issuer_of(request.match_info.get("tenant"))
        try:
            return self._sandbox.client_check.find_client(form, authorization, issuer)
        except Refusal:
            return None

    def _introspection(self, text: str, caller: str | SandboxClient) -> Changes:
        token = self._sandbox.issuer.judge(text)
        if isinstance(token, IssuedToken):
            # An API sees of the scope what is its own.
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
    Give the token; None if it comes in both ways, which no client may do (RFC 6750 §2).

    IdentityServer takes the header's then: here the mistake shows.
    """
    scheme, _, header = request.headers.get("Authorization", "").partition(" ")
    is_form = request.method == "POST" and request.content_type == FORM
    posted = (await single_values(request)).get("access_token") if is_form else None
    # The scheme is compared as IdentityServer does: with its case.
    if scheme != "Bearer":
        return posted or ""
    return header if posted is None else None


def _challenge(status: int, challenge: str) -> web.Response:
    return web.Response(status=status, headers={"WWW-Authenticate": challenge})
