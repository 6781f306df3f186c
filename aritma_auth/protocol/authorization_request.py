"""
The authorization request, as a value that outlives its process.

The callback usually lands in another process than the one that sent the person away; the request
travels there as JSON. `validate_authorization_response` is the only way to a code.
"""

import json
import math
import secrets
from collections.abc import Iterable, Mapping
from typing import Self, TypedDict, Unpack

import attrs

from aritma_auth.errors import ConfigurationError, StateMismatchError, StepUpRequiredError
from aritma_auth.protocol.http_messages import Parameters, encode_form, parse_extra
from aritma_auth.protocol.parameters import (
    Scope,
    parse_prompts,
    parse_resources,
    parse_scope,
    parse_words,
)
from aritma_auth.protocol.pkce import build_code_challenge, generate_code_verifier
from aritma_auth.protocol.redaction import HiddenStr, SecretText, as_optional_secret
from aritma_auth.protocol.single_use import SingleUse
from aritma_auth.protocol.strict_json import parse_json_object
from aritma_auth.protocol.urls import add_query, require_redirect_uri, require_secure_url
from aritma_auth.protocol.www_authenticate import add_step_up

RESPONSE_TYPES = frozenset(
    {
        "code",
        "code id_token",
        "code id_token token",
        "code token",
        "id_token",
        "id_token token",
        "token",
    }
)
RESPONSE_MODES = frozenset({"form_post", "fragment", "query"})
_FORMAT = 1
_TAKEN = frozenset(
    {
        "acr_values",
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "login_hint",
        "max_age",
        "nonce",
        "prompt",
        "redirect_uri",
        "request",
        "request_uri",
        "resource",
        "response_mode",
        "response_type",
        "scope",
        "state",
        "ui_locales",
    }
)


def _response_type(value: str) -> str:
    response_type = " ".join(sorted(value.split()))
    if response_type not in RESPONSE_TYPES:
        raise ConfigurationError("response_type is made of code, token and id_token")
    return response_type


def _issuers(value: str | Iterable[str]) -> frozenset[str]:
    return frozenset((value,) if isinstance(value, str) else value)


def _endpoint(value: str) -> str:
    require_secure_url(value, "authorization_endpoint")
    return value


def _redirect_uri(value: str) -> str:
    return require_redirect_uri(value, "redirect_uri")


def _extra(value: Mapping[str, str] | Iterable[tuple[str, str]]) -> Parameters:
    return parse_extra(value, taken=_TAKEN)


def _check_text(_request: object, field: "attrs.Attribute[str]", value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{field.name} is a text")


def _check_secret(_request: object, field: "attrs.Attribute[SecretText]", value: object) -> None:
    if not isinstance(value, SecretText) or not value.text:
        raise ConfigurationError(f"{field.name} is a text that nobody can guess")


def _check_number(_request: object, field: "attrs.Attribute[float]", value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigurationError(f"{field.name} is a number of seconds")


def _check_age(_request: object, _field: "attrs.Attribute[int]", value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigurationError("max_age is a number of seconds, 0 or more")


@attrs.frozen(kw_only=True, eq=False)
class AuthorizationRequest:
    """
    What a person is sent to the server with, and what is needed to judge the way back.

    Made by `OAuthClient.begin_sign_in`. One request is good for one answer.

    Attributes:
        url: Where to send the person's browser.

        redirect_uri: Where the server sends it back to.

        scope: Scope asked for, or None.

        state: Binds the callback to this request; never shown.

        response_type: ``code``, or what else was asked for.

        response_mode: ``query``, ``fragment`` or ``form_post``: how the answer travels.

        acr_values: How the person should sign in; the server may do otherwise.

        requires_acr: It may not: the ID token's ``acr`` must be one of these.

        created_at: POSIX seconds.

        lifetime: Seconds within which the answer must come.

    Spec: RFC 6749 §4.1.1, §4.2.1; OpenID Connect Core 1.0 §3.1.2.1; RFC 7636 §4.3; RFC 8707 §2.
    """

    authorization_endpoint: str = attrs.field(converter=_endpoint)
    issuers: frozenset[str] = attrs.field(converter=_issuers)
    requires_iss: bool = False
    client_id: str = attrs.field(validator=_check_text)
    redirect_uri: str = attrs.field(converter=_redirect_uri)
    response_type: str = attrs.field(default="code", converter=_response_type)
    response_mode: str = ""
    scope: Scope | None = attrs.field(default=None, converter=parse_scope)
    state: SecretText = attrs.field(converter=as_optional_secret, validator=_check_secret)
    nonce: SecretText | None = attrs.field(default=None, converter=as_optional_secret)
    code_verifier: SecretText | None = attrs.field(default=None, converter=as_optional_secret)
    prompt: tuple[str, ...] = attrs.field(default=(), converter=parse_prompts)
    max_age: int | None = attrs.field(default=None, validator=attrs.validators.optional(_check_age))
    login_hint: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(_check_text), repr=False
    )
    acr_values: tuple[str, ...] = attrs.field(default=(), converter=parse_words)
    requires_acr: bool = False
    ui_locales: tuple[str, ...] = attrs.field(default=(), converter=parse_words)
    resource: tuple[str, ...] = attrs.field(default=(), converter=parse_resources)
    extra: Parameters = attrs.field(default=(), converter=_extra, repr=False)
    created_at: float = attrs.field(validator=_check_number)
    lifetime: float = attrs.field(default=600.0, validator=_check_number)
    single_use: SingleUse = attrs.field(factory=SingleUse, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.response_mode:
            object.__setattr__(self, "response_mode", self._usual_mode)
        if self.response_mode not in RESPONSE_MODES:
            raise ConfigurationError("response_mode is query, fragment or form_post")
        if self.response_type != "code" and self.response_mode == "query":
            raise ConfigurationError("tokens never travel in a query: use fragment or form_post")
        if "id_token" in self.response_type:
            if not self.expects_id_token:
                raise ConfigurationError("an ID token needs the scope openid")
            if self.nonce is None:
                raise ConfigurationError("an ID token that a browser brings needs a nonce")
        elif self.response_type == "token" and self.expects_id_token:
            raise ConfigurationError("openid needs an ID token: ask for one, or for a code")
        if self.requires_acr and not (self.acr_values and self.expects_id_token):
            raise ConfigurationError("requires_acr needs acr_values and the scope openid")

    @property
    def expects_id_token(self) -> bool:
        """The answer must prove who signed in."""
        return "openid" in (self.scope or ())

    def is_by(self, client_id: str, issuer: str) -> bool:
        """
        Tell whether a client has made this request: its code is for nobody else.

        Args:
            client_id: The client's identifier.

            issuer: The server that the client would send the code to.

        Spec: RFC 9700 §4.4.2.
        """
        return client_id == self.client_id and issuer in self.issuers

    @property
    def _usual_mode(self) -> str:
        return "query" if self.response_type == "code" else "fragment"

    @property
    def url(self) -> str:
        """Where to send the person's browser."""
        return add_query(self.authorization_endpoint, encode_form(self._parameters()).decode())

    def _parameters(self) -> Parameters:
        verifier, mode = self.code_verifier, self.response_mode
        optional = (
            ("scope", None if self.scope is None else " ".join(self.scope)),
            ("state", self.state.text),
            ("response_mode", None if mode == self._usual_mode else mode),
            ("nonce", None if self.nonce is None else self.nonce.text),
            ("code_challenge", None if verifier is None else build_code_challenge(verifier.text)),
            ("code_challenge_method", None if verifier is None else "S256"),
            ("prompt", " ".join(self.prompt) or None),
            ("max_age", None if self.max_age is None else str(self.max_age)),
            ("login_hint", self.login_hint),
            ("acr_values", " ".join(self.acr_values) or None),
            ("ui_locales", " ".join(self.ui_locales) or None),
        )
        return (
            ("response_type", self.response_type),
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            *((name, value) for name, value in optional if value is not None),
            *(("resource", resource) for resource in self.resource),
            *self.extra,
        )

    def to_json(self) -> str:
        """
        Write the request down, for the process that will meet the callback.

        It holds the verifier: keep it in a server's session or encrypted, never in plain sight, and
        delete it when it is taken, so that nobody can answer it twice.

        Raises:
            StateMismatchError: It has been answered already.
        """
        if not self.single_use.is_left:
            raise StateMismatchError("this sign-in was answered already: start a new one")
        fields = attrs.asdict(
            self, filter=lambda field, _: field.name != "single_use", recurse=False
        )
        plain = {
            name: value.text if isinstance(value, SecretText) else value
            for name, value in fields.items()
        }
        return HiddenStr(json.dumps({"format": _FORMAT, **plain, "issuers": sorted(self.issuers)}))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Read what `to_json` wrote.

        Args:
            text: The JSON text.

        Raises:
            StateMismatchError: It is no pending sign-in of this version: start a new one.
        """
        text = HiddenStr(text)
        try:
            fields = dict(parse_json_object(text.encode()).items())
            if fields.pop("format") == _FORMAT:
                return cls(**fields)  # type: ignore[arg-type] # the fields check themselves
        except Exception:  # noqa: BLE001 - whatever a foreign text breaks
            fields = {}
        fields.clear()
        # Outside the except block: what was caught may hold the text.
        raise StateMismatchError("this is no pending sign-in: start a new one")


class AuthorizationParameters(TypedDict, total=False):
    """
    What an application may ask of a sign-in beyond its scope; a key that is left out asks nothing.

    Attributes:
        response_type: ``code`` (default), or for old servers what comes through the browser:
            ``token``, ``id_token`` or a combination (OAuth 2.0 Multiple Response Types).

        response_mode: ``query``, ``fragment`` or ``form_post``: how the parameters come back.
            Default: ``query`` for a code, ``fragment`` for everything else.

        prompt: ``none`` alone, or some of ``login``, ``consent``, ``select_account`` and
            ``create``, as text or a list (OpenID Connect Core 1.0 §3.1.2.1).

        max_age: Seconds since the end-user's last authentication; an older one is repeated.

        login_hint: The identifier that the end-user is likely to sign in with.

        acr_values: Authentication contexts, the preferred first, as text or a list;
            `build_acr_values` writes Aritma's.

        requires_acr: True demands that the ID token's ``acr`` is one of ``acr_values``; otherwise
            the server may choose another.

        ui_locales: Language tags of the server's pages, the preferred first, as text or a list.

        resource: Absolute URI of the API that the tokens are for, or several (RFC 8707 §2).

        extra: Further parameters of this server, name to value.

        step_up: What an API demanded: added to the scope, ``acr_values`` and ``max_age``
            (RFC 9470 §4).

        lifetime: Seconds within which the response must arrive (default 600).

    Spec: RFC 6749 §4.1.1; OpenID Connect Core 1.0 §3.1.2.1.
    """

    response_type: str
    response_mode: str
    prompt: str | Iterable[str]
    max_age: int | None
    login_hint: str | None
    acr_values: str | Iterable[str]
    requires_acr: bool
    ui_locales: str | Iterable[str]
    resource: str | Iterable[str]
    extra: Mapping[str, str] | None
    step_up: StepUpRequiredError | None
    lifetime: float


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
    unknown = parameters.keys() - AuthorizationParameters.__annotations__.keys()
    if unknown:
        raise ConfigurationError(f"a sign-in has no parameter {', '.join(sorted(unknown))}")
    wish = add_step_up(
        scope,
        parameters.pop("acr_values", ()),
        parameters.pop("max_age", None),
        parameters.pop("step_up", None),
    )
    return AuthorizationRequest(
        authorization_endpoint=authorization_endpoint,
        issuers=issuers,
        requires_iss=requires_iss,
        client_id=client_id,
        redirect_uri=redirect_uri,
        scope=wish.scope,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32) if "openid" in (wish.scope or ()) else None,
        code_verifier=(
            generate_code_verifier()
            if "code" in parameters.get("response_type", "code").split()
            else None
        ),
        acr_values=wish.acr_values,
        max_age=wish.max_age,
        created_at=now,
        extra=parameters.pop("extra", None) or {},
        **parameters,  # type: ignore[misc,arg-type]
    )
