"""What the Banking APIs ask of a token."""

from collections.abc import Iterable

from aiohttp import web

from aritma_auth.sandbox.banking.problems import Problem
from aritma_auth.sandbox.identity.token_issuer import IssuedToken
from aritma_auth.sandbox.state import SandboxState

_SCOPES = ("bankservice", "api")


class BearerCheck:
    """
    Judges the tokens that come with requests.

    Args:
        sandbox: Who owns the tokens and the clock.
    """

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def token(self, request: web.Request, scope: Iterable[str] = _SCOPES) -> IssuedToken:
        """
        TokenVerifier a request's token.

        Args:
            request: The request.

            scope: Of these the token must have one.

        Raises:
            Problem: 401 or 403, with a challenge (RFC 6750 §3).
        """
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            raise _challenge(401, "There is no token.", "Bearer")
        token = self._sandbox.issuer.judge(text)
        if isinstance(token, str):
            challenge = f'Bearer error="invalid_token", error_description="{token}"'
            raise _challenge(401, token, challenge)
        if not set(scope).intersection(token.scope):
            named = next(iter(scope))
            challenge = f'Bearer error="insufficient_scope", scope="{named}"'
            raise _challenge(403, "The token is for something else.", challenge)
        return token

    def require_sign_in(
        self, token: IssuedToken, acr_values: list[str], max_age: int | None
    ) -> None:
        """
        Ask for a stronger or fresher sign-in.

        Args:
            token: The request's.

            acr_values: Of these the sign-in must have reached one; empty asks for none.

            max_age: Seconds since the sign-in that will do, or None.

        Raises:
            Problem: 401, with what to ask for (RFC 9470 §3).
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


def _challenge(status: int, detail: str, challenge: str) -> Problem:
    return Problem(status, detail, {"WWW-Authenticate": challenge})
