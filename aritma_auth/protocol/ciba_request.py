"""
Backchannel authentication requests (CIBA): who the end-user is, and what is asked for.

Spec: OpenID Connect Client-Initiated Backchannel Authentication Flow - Core 1.0 §7.1.
"""

import secrets
from collections.abc import Iterable, Mapping
from typing import TypedDict

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.authorization_details import (
    AuthorizationDetail,
    encode_authorization_details,
    parse_authorization_details,
)
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.json_parameters import build_claims
from aritma_auth.protocol.parameters import parse_extra, parse_resource, parse_scope, parse_words
from aritma_auth.protocol.redaction import HiddenStr, JsonValue, SecretText
from aritma_auth.protocol.signing import Signer
from aritma_auth.protocol.unsigned_jwt import UnsignedJwt

_REQUEST_LIFETIME = 300
_HINTS = ("login_hint", "login_hint_token", "id_token_hint")
_RESERVED = frozenset(
    {
        *_HINTS,
        "acr_values",
        "authorization_details",
        "binding_message",
        "client_id",
        "client_notification_token",
        "request",
        "requested_expiry",
        "resource",
        "scope",
        "user_code",
    }
)


class BackchannelParameters(TypedDict, total=False):
    """
    What an application says of a backchannel sign-in beyond its scope; one hint is needed.

    Attributes:
        login_hint: The identifier that the server knows the end-user by.

        login_hint_token: A token that names the end-user.

        id_token_hint: An ID token that the client got for the end-user before.

        binding_message: Shown on both devices, so that the end-user can compare.

        user_code: What only the end-user knows, where the server wants it.

        requested_expiry: Seconds that the end-user has; the server may decide otherwise.

        acr_values: Authentication contexts, the preferred first, as text or a list.

        resource: Absolute URI of the API that the tokens are for, or several (RFC 8707).

        authorization_details: What the tokens are to be good for (RFC 9396).

        expected_claims: Claims that the ID token must have, with their values: those of an object
            may have further members, and None stands for any value.

        extra: Further parameters of this server, name to value.

        notify: True asks the server for a notification at the client's registered endpoint.

        sign: True sends the request as a JWT that the client has signed.

    Spec: CIBA Core 1.0 §7.1.
    """

    login_hint: str
    login_hint_token: str
    id_token_hint: str
    binding_message: str
    user_code: str
    requested_expiry: int
    acr_values: str | Iterable[str]
    resource: str | Iterable[str]
    authorization_details: Iterable[AuthorizationDetail | Mapping[str, JsonValue]]
    expected_claims: Mapping[str, JsonValue]
    extra: Mapping[str, str] | None
    notify: bool
    sign: bool


def generate_notification_token() -> SecretText:
    """Generate the secret by which the server's notification is known: 256 random bits."""
    return SecretText(secrets.token_urlsafe(32))


def build_backchannel_request(
    scope: str | Iterable[str] | None,
    parameters: BackchannelParameters,
    notification_token: SecretText | None = None,
) -> Parameters:
    """
    Build the form of a backchannel authentication request, without the client's authentication.

    Args:
        scope: Scope to ask for, with ``openid``.

        parameters: What else the request says.

        notification_token: The secret of the notification, or None without one.

    Raises:
        ConfigurationError: A parameter is of the wrong kind or unknown, there is no hint or more
            than one, or the scope lacks ``openid``.

    Spec: CIBA Core 1.0 §7.1.
    """
    unknown = parameters.keys() - BackchannelParameters.__annotations__.keys()
    if unknown:
        raise ConfigurationError(
            f"{', '.join(sorted(unknown))} must be left out: BackchannelParameters lists the rest"
        )
    wanted = parse_scope(scope) or ()
    if "openid" not in wanted:
        raise ConfigurationError("scope must have openid: a backchannel sign-in says who signs in")
    hints = [name for name in _HINTS if parameters.get(name) is not None]
    if len(hints) != 1:
        raise ConfigurationError(
            f"one of {', '.join(_HINTS)} must name the end-user, not {len(hints)} of them"
        )
    details = parse_authorization_details(parameters.get("authorization_details", ()))
    optional = (
        (hints[0], _parse_text(hints[0], parameters.get(hints[0]))),
        ("acr_values", " ".join(parse_words(parameters.get("acr_values", ()), "acr_values"))),
        ("binding_message", _parse_text("binding_message", parameters.get("binding_message"))),
        ("user_code", _parse_text("user_code", parameters.get("user_code"))),
        ("requested_expiry", _parse_expiry(parameters.get("requested_expiry"))),
        ("client_notification_token", notification_token and notification_token.text),
        ("authorization_details", encode_authorization_details(details) if details else None),
    )
    return (
        ("scope", " ".join(wanted)),
        *((name, value) for name, value in optional if value),
        *(("resource", uri) for uri in parse_resource(parameters.get("resource", ()))),
        *parse_extra(parameters.get("extra") or {}, reserved=_RESERVED),
    )


def _parse_text(name: str, value: object) -> HiddenStr | None:
    if value is None:
        return None
    if not isinstance(value, str):
        problem = wrong_kind(name, "a string", value)
        # A traceback with local variables would show a token.
        del value
        raise problem
    if not value:
        raise ConfigurationError(f"{name} must not be empty")
    return HiddenStr(value)


def _parse_expiry(value: object) -> str | None:
    if value is None:
        return None
    if type(value) is not int or value <= 0:
        raise ConfigurationError("requested_expiry must be a whole number of seconds, 1 or more")
    return str(value)


def build_backchannel_request_object(
    client_id: str,
    parameters: Parameters,
    signer: Signer,
    *,
    issuer: str,
    now: float,
    jti: str,
) -> UnsignedJwt:
    """
    Build a signed backchannel authentication request, still to be signed.

    Args:
        client_id: The client's identifier.

        parameters: What `build_backchannel_request` built.

        signer: The client's key.

        issuer: The authorization server's issuer.

        now: POSIX seconds by the server's clock.

        jti: A fresh identifier.

    Spec: CIBA Core 1.0 §7.1.1.
    """
    issued_at = int(now)
    claims: dict[str, JsonValue] = {
        **build_claims(parameters),
        "iss": client_id,
        "aud": issuer,
        "jti": jti,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + _REQUEST_LIFETIME,
    }
    return UnsignedJwt(signer, claims)
