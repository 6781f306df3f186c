"""The metadata endpoints (OpenID Connect Discovery 1.0 §4, RFC 8414 §3) and the JWKS endpoint."""

from aiohttp import web

from aritma_auth.sandbox.identity.keys import (
    CONTENT_ENCRYPTIONS,
    ENCRYPTION_ALGORITHMS,
    encryption_key,
)
from aritma_auth.sandbox.identity.proofs import ALGORITHMS
from aritma_auth.sandbox.identity.signed_jwts import CLIENT_ALGORITHMS
from aritma_auth.sandbox.overrides import Changes, apply_overrides
from aritma_auth.sandbox.state import SandboxState

_MODES = ["form_post", "query", "fragment"]
_SIGNED = ["jwt", "query.jwt", "fragment.jwt", "form_post.jwt"]
_BY_CERTIFICATE = ["self_signed_tls_client_auth", "tls_client_auth"]
_METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt"]


class MetadataEndpoints:
    """The routes of metadata and keys."""

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def add_routes(self, app: web.Application) -> None:
        """Add the routes, each with and without a tenant."""
        if self._sandbox.server_version.has_oauth_metadata:
            # RFC 8414 §3.1 puts the tenant last.
            well_known = "/.well-known/oauth-authorization-server"
            app.router.add_get(well_known, self.discovery)
            app.router.add_get(f"{well_known}/{{tenant}}", self.discovery)
        for prefix in ("", "/{tenant}"):
            discovery = f"{prefix}/.well-known/openid-configuration"
            app.router.add_get(discovery, self.discovery)
            app.router.add_get(f"{discovery}/jwks", self.jwks)

    async def discovery(self, request: web.Request) -> web.Response:
        """Give the server's metadata."""
        tenant = request.match_info.get("tenant")
        base = self._sandbox.base_of(tenant)
        truth: Changes = {"issuer": self._sandbox.issuer_of(tenant)}
        truth |= self._common(base) | self._of_server_version(base)
        return web.json_response(apply_overrides(truth, self._sandbox.overrides.metadata))

    def _common(self, base: str) -> Changes:
        version = self._sandbox.server_version
        scopes = {name for client in self._sandbox.clients.values() for name in client.scopes}
        return {
            "jwks_uri": f"{base}/.well-known/openid-configuration/jwks",
            "authorization_endpoint": f"{base}/connect/authorize",
            "token_endpoint": f"{base}/connect/token",
            "userinfo_endpoint": f"{base}/connect/userinfo",
            "end_session_endpoint": f"{base}/connect/endsession",
            "check_session_iframe": f"{base}/connect/checksession",
            "revocation_endpoint": f"{base}/connect/revocation",
            "introspection_endpoint": f"{base}/connect/introspect",
            "device_authorization_endpoint": f"{base}/connect/deviceauthorization",
            "frontchannel_logout_supported": True,
            "frontchannel_logout_session_supported": True,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
            "scopes_supported": sorted(scopes),
            "claims_supported": ["email", "name", "preferred_username", "sub"],
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
            "response_modes_supported": [*_MODES, *(_SIGNED if version.signs_responses else ())],
            "token_endpoint_auth_methods_supported": self._methods,
            "id_token_signing_alg_values_supported": [version.signing_algorithm],
            "subject_types_supported": ["public"],
            # IdentityServer always advertises plain, although clients refuse it by default.
            "code_challenge_methods_supported": ["plain", "S256"],
            "request_parameter_supported": True,
            "require_signed_request_object": self._sandbox.request_objects.is_required,
        }

    @property
    def _methods(self) -> list[str]:
        return [*_METHODS, *(_BY_CERTIFICATE if self._sandbox.asks_for_certificates else ())]

    def _of_server_version(self, base: str) -> Changes:
        version = self._sandbox.server_version
        members: Changes = {}
        if version.has_extended_metadata:
            members["revocation_endpoint_auth_methods_supported"] = self._methods
            members["introspection_endpoint_auth_methods_supported"] = self._methods
            members["prompt_values_supported"] = ["none", "login", "consent", "select_account"]
        if version.returns_iss:
            members["authorization_response_iss_parameter_supported"] = True
        if version.signs_responses:
            members["authorization_signing_alg_values_supported"] = [version.signing_algorithm]
        if version.decrypts_requests:
            algorithms, contents = list(ENCRYPTION_ALGORITHMS), list(CONTENT_ENCRYPTIONS)
            members["request_object_encryption_alg_values_supported"] = algorithms
            members["request_object_encryption_enc_values_supported"] = contents
        if version.supports_registration:
            members["registration_endpoint"] = f"{base}/connect/dcr"
        if self._sandbox.asks_for_certificates:
            members["tls_client_certificate_bound_access_tokens"] = True
        if version.supports_ciba:
            members["backchannel_authentication_endpoint"] = f"{base}/connect/ciba"
            # IdentityServer knows poll mode alone.
            ping = ["ping"] if version.signs_responses else []
            members["backchannel_token_delivery_modes_supported"] = ["poll", *ping]
        if version.supports_dpop:
            members["dpop_signing_alg_values_supported"] = list(ALGORITHMS)
        if version.supports_par:
            members["token_endpoint_auth_signing_alg_values_supported"] = list(CLIENT_ALGORITHMS)
            members["request_object_signing_alg_values_supported"] = list(CLIENT_ALGORITHMS)
            members["pushed_authorization_request_endpoint"] = f"{base}/connect/par"
            required = self._sandbox.pushed_requests.is_required
            members["require_pushed_authorization_requests"] = required
        return members

    async def jwks(self, _request: web.Request) -> web.Response:
        """Give the public keys (RFC 7517 §5)."""
        keys = [key.public for key in self._sandbox.issuer.keys]
        if self._sandbox.server_version.decrypts_requests:
            keys.append(encryption_key())
        return web.json_response({"keys": [*self._sandbox.overrides.keys, *keys]})
