"""
A sign-in by browser: its beginning, and the names of what it is made of.

The request (`authorization_request`) goes out with a person and judges what comes back; the answer
(`authorization_answer`) holds what passed.
"""

import secrets
from collections.abc import Iterable, Mapping

from aritma_auth.errors import StepUpRequiredError
from aritma_auth.protocol.authorization_answer import AuthorizationAnswer
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.pkce import generate_code_verifier
from aritma_auth.protocol.step_up import add_step_up

__all__ = ["AuthorizationAnswer", "AuthorizationRequest", "generate_authorization_request"]


def generate_authorization_request(
    *,
    authorization_endpoint: str,
    issuers: Iterable[str],
    requires_iss: bool,
    client_id: str,
    redirect_uri: str,
    response_type: str = "code",
    response_mode: str = "",
    scope: str | Iterable[str] | None,
    prompt: str | Iterable[str] = (),
    max_age: int | None = None,
    login_hint: str | None = None,
    acr_values: str | Iterable[str] = (),
    requires_acr: bool = False,
    ui_locales: str | Iterable[str] = (),
    resource: str | Iterable[str] = (),
    extra: Mapping[str, str] | None = None,
    step_up: StepUpRequiredError | None = None,
    now: float,
    lifetime: float = 600.0,
) -> AuthorizationRequest:
    """
    Make an authorization request with a new state, nonce and verifier.

    The arguments are `AuthorizationRequest`'s; a nonce goes along with the scope ``openid``, a
    verifier with the response type ``code``. What an API asked for in ``step_up`` is added to
    scope, acr_values and max_age.

    Raises:
        ConfigurationError: An argument makes no sense.

    Spec: RFC 6749 §4.1.1; RFC 7636 §4; RFC 9470 §4; OpenID Connect Core 1.0 §3.1.2.1, §15.5.2.
    """
    wish = add_step_up(scope, acr_values, max_age, step_up)
    return AuthorizationRequest(
        authorization_endpoint=authorization_endpoint,
        issuers=issuers,
        requires_iss=requires_iss,
        client_id=client_id,
        redirect_uri=redirect_uri,
        response_type=response_type,
        response_mode=response_mode,
        scope=wish.scope,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32) if "openid" in (wish.scope or ()) else None,
        code_verifier=generate_code_verifier() if "code" in response_type.split() else None,
        prompt=prompt,
        max_age=wish.max_age,
        login_hint=login_hint,
        acr_values=wish.acr_values,
        requires_acr=requires_acr,
        ui_locales=ui_locales,
        resource=resource,
        extra=extra or {},
        created_at=now,
        lifetime=lifetime,
    )
