"""
Extension grants: Aritma's delegation, and token exchange.

Source: Aritma ID's page on delegation. Spec: RFC 8693.
"""

import json
from collections.abc import Mapping

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.assertions import ID_JAG
from aritma_auth.sandbox.identity.parameters import ErrorResponse
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent
from aritma_auth.sandbox.identity.signed_jwts import is_signed_by, parse_jwt
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
_TYPES = frozenset({ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt"})
_WANTED = _TYPES | {ID_JAG}


@attrs.frozen
class ExchangedIdentity:
    """
    The identities in an exchanged token.

    Attributes:
        sign_in: The subject's authentication event.

        actor: The subject of the acting party, or None.
    """

    sign_in: AuthenticationEvent
    actor: str | None = None


class SubjectTokens:
    """
    Validates the tokens that clients present to exchange them.

    Attributes:
        external_tokens: Subjects by provider and token.
    """

    def __init__(self, issuer: TokenIssuer, clock: SandboxClock) -> None:
        self._issuer = issuer
        self._clock = clock
        self.external_tokens: dict[tuple[str, str], str] = {}

    def delegation(self, form: Mapping[str, str]) -> ExchangedIdentity:
        """
        Validate a delegation's token: the sandbox's own, or a trusted external provider's.

        Raises:
            ErrorResponse: ``invalid_grant``.
        """
        provider, text = form.get("provider"), form.get("token", "")
        if provider is None:
            return ExchangedIdentity(self._own(text, "invalid_grant"))
        subject = self.external_tokens.get((provider, text))
        if subject is None:
            raise ErrorResponse("invalid_grant")
        return ExchangedIdentity(self.authentication_event(subject, provider))

    def exchange(self, form: Mapping[str, str]) -> ExchangedIdentity:
        """
        Validate the tokens of a token exchange.

        Raises:
            ErrorResponse: ``invalid_request``, for an invalid token too (RFC 8693 §2.2.2).
        """
        wanted = form.get("requested_token_type", ACCESS_TOKEN)
        if wanted not in _WANTED:
            raise ErrorResponse("invalid_request", "requested_token_type is not supported")
        sign_in = self._presented(form, "subject_token")
        if "actor_token" not in form:
            return ExchangedIdentity(sign_in)
        return ExchangedIdentity(sign_in, self._presented(form, "actor_token").subject)

    def _presented(self, form: Mapping[str, str], name: str) -> AuthenticationEvent:
        if form.get(f"{name}_type") == ID_TOKEN:
            return self._signed_in(form.get(name, ""))
        if form.get(f"{name}_type") not in _TYPES:
            raise ErrorResponse("invalid_request", f"{name}_type is not supported")
        return self._own(form.get(name, ""), "invalid_request")

    def _signed_in(self, id_token: str) -> AuthenticationEvent:
        keys = (json.dumps(key.public) for key in self._issuer.keys)
        _, claims = parse_jwt(id_token)
        expires_at = claims.get("exp")
        if (
            not any(is_signed_by(id_token, key) for key in keys)
            or not isinstance(expires_at, int)
            or self._clock.time() >= expires_at
        ):
            raise ErrorResponse("invalid_request", "The ID token is not valid, or any more.")
        return self.authentication_event(str(claims["sub"]))

    def _own(self, text: str, error: str) -> AuthenticationEvent:
        token = self._issuer.validate(text)
        if isinstance(token, str):
            raise ErrorResponse(error)
        if token.sign_in is not None:
            return token.sign_in
        # The subject of a client-credentials token is the client.
        return self.authentication_event(token.client_id)

    def authentication_event(self, subject: str, idp: str = "local") -> AuthenticationEvent:
        """Make the authentication event of an end-user who is not here."""
        return AuthenticationEvent(
            subject=subject, auth_time=self._clock.time(), session_id="DELEGATED", idp=idp
        )
