"""
What an application may ask of a sign-in, and the authorization request that asks for it.

What an API has demanded (RFC 9470) is joined with what the application asks for.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypedDict, Unpack

from aritma_auth.errors import ConfigurationError, StepUpRequiredError, wrong_kind
from aritma_auth.protocol.authorization_details import AuthorizationDetail
from aritma_auth.protocol.authorization_request import (
    AuthorizationRequest,
    parse_max_age,
    parse_response_type,
)
from aritma_auth.protocol.parameters import Scope, parse_scope, parse_words
from aritma_auth.protocol.pkce import generate_code_verifier
from aritma_auth.protocol.redaction import JsonValue

_OF_DELIVERY = frozenset({"push", "sign"})
"""How the request travels; the client takes them before a request is made."""


class AuthorizationParameters(TypedDict, total=False):
    """
    What an application may ask of a sign-in beyond its scope; a key that is left out asks nothing.

    Attributes:
        response_type: ``code`` (default), or for old servers what comes through the browser:
            ``token``, ``id_token`` or a combination (OAuth 2.0 Multiple Response Types).

        response_mode: ``query``, ``fragment`` or ``form_post``: how the parameters come back.
            Default: ``query`` for a code, ``fragment`` for everything else. ``jwt``, or one of
            these with ``.jwt``, demands a response that the server has signed (JARM).

        prompt: ``none`` alone, or some of ``login``, ``consent``, ``select_account`` and
            ``create``, as text or a list (OpenID Connect Core 1.0 §3.1.2.1).

        max_age: Seconds since the end-user's last authentication; an older one is repeated.

        login_hint: The identifier that the end-user is likely to sign in with.

        acr_values: Authentication contexts, the preferred first, as text or a list;
            `build_acr_values` writes Aritma's.

        requires_acr: True demands that the ID token's ``acr`` is one of ``acr_values``; otherwise
            the server may choose another.

        expected_claims: Claims that the ID token must have, with their values: those of an object
            may have further members, and None stands for any value.

        ui_locales: Language tags of the server's pages, the preferred first, as text or a list.

        resource: Absolute URI of the API that the tokens are for, or several (RFC 8707 §2).

        authorization_details: What the tokens are to be good for, as `AuthorizationDetail` or as
            mappings with a ``type`` (RFC 9396 §2).

        extra: Further parameters of this server, name to value.

        step_up: What an API demanded: added to the scope, ``acr_values`` and ``max_age``
            (RFC 9470 §4).

        lifetime: Seconds within which the response must arrive (default 600).

        sign: True sends the request as a JWT that the client has signed (RFC 9101); False never
            does. Default: if the server's metadata demands it.

        push: True sends the request to the server first, so that the browser carries a reference
            alone (RFC 9126); False never does. Default: if the server's metadata demands it.

    Spec: RFC 6749 §4.1.1; OpenID Connect Core 1.0 §3.1.2.1.
    """

    response_type: str
    response_mode: str
    prompt: str | Iterable[str]
    max_age: int | None
    login_hint: str | None
    acr_values: str | Iterable[str]
    requires_acr: bool
    expected_claims: Mapping[str, JsonValue]
    ui_locales: str | Iterable[str]
    resource: str | Iterable[str]
    authorization_details: Iterable[AuthorizationDetail | Mapping[str, JsonValue]]
    extra: Mapping[str, str] | None
    step_up: StepUpRequiredError | None
    lifetime: float
    sign: bool | None
    push: bool | None


def generate_authorization_request(
    *,
    authorization_endpoint: str,
    issuers: Iterable[str],
    requires_iss: bool,
    client_id: str,
    redirect_uri: str,
    scope: str | Iterable[str] | None,
    now: float,
    **parameters: Unpack[AuthorizationParameters],
) -> AuthorizationRequest:
    """
    Generate an authorization request with a new state, nonce and code verifier.

    A nonce is added for the scope ``openid``, a code verifier for the response type ``code``.

    Raises:
        ConfigurationError: An argument is not valid, or ``parameters`` has an unknown key.

    Spec: RFC 6749 §4.1.1; RFC 7636 §4; RFC 9470 §4; OpenID Connect Core 1.0 §3.1.2.1, §15.5.2.
    """
    known = AuthorizationParameters.__annotations__.keys() - _OF_DELIVERY
    unknown = parameters.keys() - known
    if unknown:
        raise ConfigurationError(
            f"{', '.join(sorted(unknown))} must be left out: AuthorizationParameters lists the rest"
        )
    demands = _add_step_up(
        scope,
        parameters.pop("acr_values", ()),
        parameters.pop("max_age", None),
        parameters.pop("step_up", None),
    )
    response_type = parse_response_type(parameters.pop("response_type", "code"))
    extra = parameters.pop("extra", None) or {}
    further: dict[str, Any] = dict(parameters)  # the fields check themselves
    return AuthorizationRequest(
        authorization_endpoint=authorization_endpoint,
        issuers=issuers,
        requires_iss=requires_iss,
        client_id=client_id,
        redirect_uri=redirect_uri,
        response_type=response_type,
        scope=demands.scope,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32) if "openid" in (demands.scope or ()) else None,
        code_verifier=generate_code_verifier() if "code" in response_type.split() else None,
        acr_values=demands.acr_values,
        max_age=demands.max_age,
        created_at=now,
        extra=extra,
        **further,
    )


class _Demands(NamedTuple):
    scope: Scope | None
    acr_values: tuple[str, ...]
    max_age: int | None


def _add_step_up(
    scope: str | Iterable[str] | None,
    acr_values: str | Iterable[str],
    max_age: int | None,
    step_up: StepUpRequiredError | None,
) -> _Demands:
    """Join both scopes and both lists, the API's first, and take the smaller age (RFC 9470 §4)."""
    wanted, words = parse_scope(scope), parse_words(acr_values, "acr_values")
    if step_up is None:
        return _Demands(wanted, words, max_age)
    if not isinstance(step_up, StepUpRequiredError):
        raise wrong_kind("step_up", "the StepUpRequiredError that an API caused", step_up)
    ages = [age for age in (parse_max_age(max_age), step_up.max_age) if age is not None]
    return _Demands(
        parse_scope((*(wanted or ()), *(step_up.scope or ()))) or wanted,
        parse_words((*step_up.acr_values, *words), "acr_values"),
        min(ages, default=None),
    )
