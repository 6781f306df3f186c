"""How the Banking APIs refuse: problem details (RFC 9457) and bearer challenges (RFC 6750)."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.proofs import INVALID
from aritma_auth.sandbox.identity.token_issuer import IssuedToken
from aritma_auth.sandbox.state import SandboxState

_SUPPORTED = "1.0"
_DEPRECATED = "0.9"


class Problem(Exception):  # noqa: N818 - a response, not an error of ours
    """A response with problem details."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self._status = status
        self._detail = detail
        self._headers = headers

    def response(self, request: web.Request) -> web.Response:
        """Build the response."""
        return web.json_response(
            {
                "type": "about:blank",
                "title": HTTPStatus(self._status).phrase,
                "status": self._status,
                "detail": self._detail,
                "instance": request.path,
            },
            status=self._status,
            headers=self._headers,
            content_type="application/problem+json",
        )


def read_object(body: bytes) -> dict[str, object]:
    """
    Parse a request's body.

    Raises:
        Problem: It is no JSON object.
    """
    try:
        given = json.loads(body or b"{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise Problem(400, "The body must be a JSON object.")
    return given


@web.middleware
async def show_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond with the problem that a handler raised."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        headers = {name: value for name, value in error.headers.items() if name == "Allow"}
        detail = f"There is no {request.method} {request.path}."
        return Problem(error.status, detail, headers).response(request)


@web.middleware
async def show_versions(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Name the supported versions of v4, and refuse every other."""
    if not request.path.startswith("/api/") or request.path.startswith("/api/v3/"):
        return await handler(request)
    version = request.headers.get("api-version", _SUPPORTED)
    if version in {_SUPPORTED, _DEPRECATED}:
        response = await handler(request)
    else:
        response = Problem(
            400, f"api-version must be {_SUPPORTED} or {_DEPRECATED}, not {version}."
        ).response(request)
    response.headers["api-supported-versions"] = _SUPPORTED
    response.headers["api-deprecated-versions"] = _DEPRECATED
    return response


_SCOPES = ("bankservice", "api")


class BearerCheck:
    """Validates the access tokens of requests."""

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def token(self, request: web.Request, scope: Iterable[str] = _SCOPES) -> IssuedToken:
        """
        Validate a request's access token.

        Raises:
            Problem: 401 or 403, with a challenge (RFC 6750 §3).
        """
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "dpop":
            return self._bound_token(request, text, scope)
        if scheme != "Bearer":
            raise _challenge(401, "The request has no access token.", "Bearer")
        token = self._sandbox.issuer.validate(text)
        if isinstance(token, IssuedToken) and "jkt" in token.confirmation:
            # A stolen token without its key (RFC 9449 §7.2).
            token = "The token is bound to a key"
        elif isinstance(token, IssuedToken) and self._sandbox.certificates.is_bound_elsewhere(
            request, token.confirmation, "api"
        ):
            token = "The token is bound to another certificate"
        if isinstance(token, str):
            challenge = f'Bearer error="invalid_token", error_description="{token}"'
            raise _challenge(401, token, challenge)
        return _require_scope(token, scope, "Bearer")

    def _bound_token(self, request: web.Request, text: str, scope: Iterable[str]) -> IssuedToken:
        """Validate a token that is bound to a key, and the proof that comes with it."""
        proofs = self._sandbox.proofs
        try:
            thumbprint = proofs.validate(request, proofs.api, text)
            if thumbprint is None:
                raise ErrorResponse(INVALID, "There must be one proof.")  # noqa: TRY301 - as others
        except ErrorResponse as refused:
            said = refused.description or "The proof was refused"
            raise _challenge(
                401, said, f'DPoP error="{refused.error}", error_description="{said}"'
            ) from None
        token = self._sandbox.issuer.validate(text)
        if isinstance(token, IssuedToken) and token.confirmation.get("jkt") != thumbprint:
            token = "The token is bound to another key"
        if isinstance(token, str):
            challenge = f'DPoP error="invalid_token", error_description="{token}"'
            raise _challenge(401, token, challenge)
        return _require_scope(token, scope, "DPoP")

    def require_sign_in(
        self, token: IssuedToken, acr_values: list[str], max_age: int | None
    ) -> None:
        """
        Require a strong enough and fresh enough sign-in.

        Raises:
            Problem: 401, with a challenge that names what is required (RFC 9470 §3).
        """
        sign_in = token.sign_in
        if (
            sign_in is not None
            and (not acr_values or set(acr_values).intersection(sign_in.acr))
            and (max_age is None or self._sandbox.clock.time() - sign_in.auth_time <= max_age)
        ):
            return
        said = "A different authentication level is required"
        wanted = [f'error="insufficient_user_authentication", error_description="{said}"']
        if acr_values:
            wanted.append(f'acr_values="{" ".join(acr_values)}"')
        if max_age is not None:
            wanted.append(f'max_age="{max_age}"')
        raise _challenge(401, f"{said}.", f"Bearer {', '.join(wanted)}")


def _require_scope(token: IssuedToken, scope: Iterable[str], scheme: str) -> IssuedToken:
    if not set(scope).intersection(token.scope):
        named = next(iter(scope))
        challenge = f'{scheme} error="insufficient_scope", scope="{named}"'
        raise _challenge(403, "The token has another scope.", challenge)
    return token


def _challenge(status: int, detail: str, challenge: str) -> Problem:
    return Problem(status, detail, {"WWW-Authenticate": challenge})
