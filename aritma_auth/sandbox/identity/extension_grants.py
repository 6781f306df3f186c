"""
Grants that IdentityServer does not bring along: Aritma's delegation, and token exchange.

Source: Aritma ID's page on delegation. Spec: RFC 8693.
"""

from collections.abc import Mapping

import attrs

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.authentication_event import SignInFacts
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer
from aritma_auth.sandbox.refusals import Refusal

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
_TYPES = frozenset({ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt"})


@attrs.frozen
class Exchange:
    """
    Whom an exchanged token is for.

    Attributes:
        sign_in: The person's sign-in.

        actor: Who acts for the person, or None.
    """

    sign_in: SignInFacts
    actor: str | None = None


class TokenReader:
    """
    Reads the tokens that are presented to be exchanged.

    Args:
        issuer: Knows the sandbox's own.

        clock: The sandbox's time.

    Attributes:
        external_tokens: Subjects by provider and token.
    """

    def __init__(self, issuer: TokenIssuer, clock: SandboxClock) -> None:
        self._issuer = issuer
        self._clock = clock
        self.external_tokens: dict[tuple[str, str], str] = {}

    def delegation(self, form: Mapping[str, str]) -> Exchange:
        """
        Read a delegation: of a token of ours, or of a trusted provider's.

        Args:
            form: The posted parameters.

        Raises:
            Refusal: ``invalid_grant``.
        """
        provider, text = form.get("provider"), form.get("token", "")
        if provider is None:
            return Exchange(self._own(text, "invalid_grant"))
        subject = self.external_tokens.get((provider, text))
        if subject is None:
            raise Refusal("invalid_grant")
        return Exchange(self._facts(subject, provider))

    def exchange(self, form: Mapping[str, str]) -> Exchange:
        """
        Read a token exchange.

        Args:
            form: The posted parameters.

        Raises:
            Refusal: ``invalid_request``; a bad token is one too (RFC 8693 §2.2.2).
        """
        wanted = form.get("requested_token_type", ACCESS_TOKEN)
        if wanted not in _TYPES:
            raise Refusal("invalid_request", "requested_token_type is not supported")
        sign_in = self._presented(form, "subject_token")
        if "actor_token" not in form:
            return Exchange(sign_in)
        return Exchange(sign_in, self._presented(form, "actor_token").subject)

    def _presented(self, form: Mapping[str, str], name: str) -> SignInFacts:
        if form.get(f"{name}_type") not in _TYPES:
            raise Refusal("invalid_request", f"{name}_type is not supported")
        return self._own(form.get(name, ""), "invalid_request")

    def _own(self, text: str, error: str) -> SignInFacts:
        token = self._issuer.judge(text)
        if isinstance(token, str):
            raise Refusal(error)
        if token.sign_in is not None:
            return token.sign_in
        # A machine's token stands for the machine.
        return self._facts(token.client_id)

    def _facts(self, subject: str, idp: str = "local") -> SignInFacts:
        return SignInFacts(
            subject=subject, auth_time=self._clock.time(), session_id="DELEGATED", idp=idp
        )
