"""
Sign-ins without a browser (CIBA): the server asks the end-user on a device that it knows.

The client polls as for a device code, or is told by a notification when it may ask (ping mode). A
notification carries no token: whoever forges one gains a token request, and even that only with the
secret that the client has given to the server.

Spec: OpenID Connect Client-Initiated Backchannel Authentication Flow - Core 1.0.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Self, TypedDict

import attrs

from aritma_auth.errors import (
    ConfigurationError,
    InvalidResponseError,
    StateMismatchError,
    VerificationError,
    require_seconds,
    wrong_kind,
)
from aritma_auth.protocol.authorization_details import (
    AuthorizationDetail,
    encode_authorization_details,
    parse_authorization_details,
)
from aritma_auth.protocol.grants import BackchannelGrant
from aritma_auth.protocol.http_messages import HttpResponse, Parameters
from aritma_auth.protocol.json_response import parse_json_response
from aritma_auth.protocol.parameters import parse_extra, parse_resource, parse_scope, parse_words
from aritma_auth.protocol.redaction import (
    HiddenBytes,
    HiddenStr,
    JsonValue,
    SecretText,
    as_optional_secret,
    as_secret,
    is_same_text,
    require_secret,
)
from aritma_auth.protocol.signing import Signer, UnsignedJwt
from aritma_auth.protocol.strict_json import (
    JsonError,
    StructureError,
    WireNumber,
    parse_json_object,
    structure,
)
from aritma_auth.runtime.values import Value

_DEFAULT_INTERVAL = 5.0
_MIN_INTERVAL = 1.0
_REQUEST_LIFETIME = 300
_FORMAT = 1
_HINTS = ("login_hint", "login_hint_token", "id_token_hint")
_MAX_NOTIFICATION = 1 << 14
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
    extra: Mapping[str, str] | None
    notify: bool
    sign: bool


def _require_seconds(_value: object, field: "attrs.Attribute[float]", value: object) -> None:
    require_seconds(field.name, value)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class BackchannelAuthentication(Value):
    """
    A sign-in that the server asks the end-user for.

    Attributes:
        expires_at: POSIX seconds at which it ends without the end-user's decision.

        interval: Seconds between two polls at least.

        is_notified: The server tells the client when it may ask for the tokens (ping mode).

    Spec: CIBA Core 1.0 §7.3.
    """

    _auth_req_id: SecretText = attrs.field(converter=as_secret, validator=require_secret)
    expires_at: float = attrs.field(validator=_require_seconds)
    interval: float = attrs.field(validator=_require_seconds)
    _notification_token: SecretText | None = attrs.field(default=None, converter=as_optional_secret)

    @property
    def is_notified(self) -> bool:
        """The server tells the client when it may ask for the tokens (ping mode)."""
        return self._notification_token is not None

    @property
    def grant(self) -> BackchannelGrant:
        """The grant that asks for the tokens."""
        return BackchannelGrant(self._auth_req_id)

    def is_notification(self, auth_req_id: str, token: str) -> bool:
        """Tell in constant time whether a notification is of this sign-in."""
        expected = self._notification_token
        is_ours = is_same_text(auth_req_id, self._auth_req_id.text)
        return expected is not None and is_same_text(token, expected.text) and is_ours

    def to_json(self) -> str:
        """Serialise it for the process that the notification reaches; it holds secrets."""
        token = self._notification_token
        members = {
            "format": _FORMAT,
            "auth_req_id": self._auth_req_id.text,
            "expires_at": self.expires_at,
            "interval": self.interval,
            "notification_token": None if token is None else token.text,
        }
        return HiddenStr(json.dumps(members))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Deserialise what `to_json` wrote.

        Raises:
            StateMismatchError: It is no pending sign-in of this version: begin a new one.
        """
        text = HiddenStr(text)
        try:
            fields = dict(parse_json_object(text.encode()).items())
            if fields.pop("format") == _FORMAT:
                return cls(**fields)  # type: ignore[arg-type] # the fields check themselves
        except Exception:  # noqa: BLE001 - a foreign text can break anything
            fields = {}
        fields.clear()
        # Outside the except block: what was caught may hold the text.
        raise StateMismatchError(
            "the text is no backchannel sign-in that to_json of this version wrote: begin a new one"
        )


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
    resources: list[JsonValue] = [str(value) for name, value in parameters if name == "resource"]
    claims: dict[str, JsonValue] = {
        **{name: str(value) for name, value in parameters},
        **({"resource": resources} if len(resources) > 1 else {}),
        "iss": client_id,
        "aud": issuer,
        "jti": jti,
        "iat": issued_at,
        "nbf": issued_at,
        "exp": issued_at + _REQUEST_LIFETIME,
    }
    return UnsignedJwt(signer, claims)


@attrs.frozen(repr=False)
class _BackchannelResponse:
    auth_req_id: str
    expires_in: WireNumber
    interval: WireNumber | None = None


def parse_backchannel_response(
    response: HttpResponse, *, sent_at: float, notification_token: SecretText | None = None
) -> BackchannelAuthentication:
    """
    Parse the backchannel authentication endpoint's response.

    Args:
        response: The response.

        sent_at: POSIX seconds when the request left.

        notification_token: The secret of the notification that was asked for, or None.

    Raises:
        OAuthError: The server refused: the end-user is not known, or the client is not allowed.

        InvalidResponseError: A member is missing or not usable.

    Spec: CIBA Core 1.0 §7.3, §13.
    """
    members = parse_json_response(
        response,
        now=sent_at,
        what="the backchannel authentication endpoint",
        is_authenticated=True,
    )
    problems: tuple[str, ...]
    try:
        received = structure(members, _BackchannelResponse)
    except StructureError as error:
        problems = error.problems
    else:
        problems = _find_problems(received)
        if not problems:
            interval = received.interval
            return BackchannelAuthentication(
                auth_req_id=received.auth_req_id,
                expires_at=sent_at + received.expires_in,
                interval=max(
                    _MIN_INTERVAL,
                    _DEFAULT_INTERVAL if interval is None or interval <= 0 else interval,
                ),
                notification_token=notification_token,
            )
    raise InvalidResponseError(
        f"the backchannel authentication response is unusable: {'; '.join(problems)}",
        status=response.status,
        problems=problems,
    )


def _find_problems(received: _BackchannelResponse) -> tuple[str, ...]:
    problems = []
    identifier = received.auth_req_id
    if not identifier or not all("!" <= char <= "~" for char in identifier):
        problems.append("auth_req_id must be visible ASCII and not empty")
    if not received.expires_in > 0:
        problems.append("expires_in must be greater than 0")
    return tuple(problems)


def validate_backchannel_notification(
    pending: Iterable[BackchannelAuthentication], *, authorization: str | None, body: bytes
) -> BackchannelAuthentication:
    """
    Validate a notification that the server has posted, and find the sign-in that it is about.

    Respond 204 to a valid one and 401 to every other, and read no more than 16 KiB of it.

    Args:
        pending: The sign-ins that wait for one.

        authorization: The ``Authorization`` header, or None.

        body: The body as received.

    Returns:
        The sign-in, for `OAuthClient.complete_backchannel_sign_in`.

    Raises:
        VerificationError: It is malformed, or of no pending sign-in: ignore it.

    Spec: CIBA Core 1.0 §10.2.
    """
    scheme, _, token = (authorization or "").partition(" ")
    token, hidden = HiddenStr(token.strip()), HiddenBytes(body[: _MAX_NOTIFICATION + 1])
    del authorization, body
    identifier = _read_identifier(hidden)
    if scheme.lower() == "bearer" and identifier is not None:
        # Each is compared, so that the time tells nothing of which was close.
        found = [known for known in pending if known.is_notification(identifier, token)]
        if found:
            return found[0]
    raise VerificationError(
        "the notification must carry the token and the auth_req_id of a pending sign-in: ignore it"
    )


def _read_identifier(body: bytes) -> HiddenStr | None:
    if len(body) > _MAX_NOTIFICATION:
        return None
    try:
        identifier = parse_json_object(body).get("auth_req_id")
    except JsonError:
        return None
    return HiddenStr(identifier) if isinstance(identifier, str) else None
