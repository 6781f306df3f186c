"""
The authorization request, as a value that outlives its process.

The callback usually reaches another process than the one that redirected the browser; the request
travels there as JSON. `validate_authorization_response` is the only way from it to a code.
"""

from collections.abc import Iterable, Mapping
from typing import Self

import attrs

from aritma_auth.errors import ConfigurationError, StateMismatchError, require_seconds, wrong_kind
from aritma_auth.protocol.authorization_details import (
    AuthorizationDetail,
    encode_authorization_details,
    parse_authorization_details,
)
from aritma_auth.protocol.http_messages import Parameters, encode_form
from aritma_auth.protocol.json_parameters import parse_expected_claims
from aritma_auth.protocol.kept_values import dump_value, parse_pending
from aritma_auth.protocol.parameters import (
    OPTIONAL_TEXT,
    Scope,
    parse_extra,
    parse_prompt,
    parse_resource,
    parse_scope,
    parse_words,
    require_bool,
    require_duration,
    require_text,
)
from aritma_auth.protocol.pkce import build_code_challenge
from aritma_auth.protocol.redaction import (
    HiddenStr,
    Members,
    SecretParameters,
    SecretText,
    as_optional_secret,
    as_secret,
    require_secret,
)
from aritma_auth.protocol.single_use import SingleUse
from aritma_auth.protocol.urls import add_query, require_redirect_uri, require_secure_url
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import show

RESPONSE_MODES = frozenset(
    {"form_post", "form_post.jwt", "fragment", "fragment.jwt", "jwt", "query", "query.jwt"}
)
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

ALREADY_USED = "a response to this sign-in was accepted already: begin a new one"

_DEFAULT_LIFETIME = 600.0
_RESERVED = frozenset(
    {
        "acr_values",
        "authorization_details",
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


def parse_response_type(value: str) -> str:
    """Parse a response type: its words in any order (OAuth 2.0 Multiple Response Types §3)."""
    if not isinstance(value, str):
        raise wrong_kind("response_type", "a combination of code, token and id_token", value)
    response_type = " ".join(sorted(value.split()))
    if response_type not in RESPONSE_TYPES:
        raise ConfigurationError(
            f"response_type must be a combination of code, token and id_token, not {value!r:.60}"
        )
    return response_type


def _parse_issuers(value: str | Iterable[str]) -> frozenset[str]:
    return frozenset((value,) if isinstance(value, str) else value)


def _parse_endpoint(value: str) -> str:
    require_secure_url(value, "authorization_endpoint")
    return value


def _parse_redirect_uri(value: str) -> str:
    return require_redirect_uri(value, "redirect_uri")


def _parse_acr_values(value: str | Iterable[str]) -> tuple[str, ...]:
    return parse_words(value, "acr_values")


def _parse_ui_locales(value: str | Iterable[str]) -> tuple[str, ...]:
    return parse_words(value, "ui_locales")


def _parse_extra(value: Mapping[str, str] | SecretParameters) -> SecretParameters:
    return parse_extra(value, reserved=_RESERVED)


def _encode_details(details: tuple[AuthorizationDetail, ...]) -> Parameters:
    name = "authorization_details"
    return ((name, encode_authorization_details(details)),) if details else ()


def parse_max_age(value: int | None) -> int | None:
    """Parse ``max_age``: a whole number of seconds, or None (OpenID Connect Core 1.0 §3.1.2.1)."""
    if value is not None:
        if type(value) is not int:
            raise wrong_kind("max_age", "a whole number of seconds, 0 or more", value)
        require_seconds("max_age", value)
    return value


@with_hidden_arguments
@attrs.frozen(kw_only=True, eq=False, repr=False)
class AuthorizationRequest:
    """
    What the browser is redirected with, and what is needed to validate the response.

    Made by `OAuthClient.begin_sign_in`. One request is good for one response.

    Attributes:
        url: Where to redirect the end-user's browser.

        redirect_uri: Where the server redirects it back to.

        scope: Scope asked for, or None.

        state: Binds the callback to this request; never shown.

        response_type: ``code``, or what else was asked for.

        response_mode: ``query``, ``fragment`` or ``form_post``: how the response travels; with
            ``.jwt``, or ``jwt`` for the usual way, it is signed.

        authorization_details: What the tokens are to be good for, finer than a scope.

        acr_values: How the end-user should sign in; the server may choose another way.

        requires_acr: It may not: the ID token's ``acr`` must be one of these.

        expected_claims: Claims that the ID token must have.

        created_at: POSIX seconds.

        lifetime: Seconds within which the response must arrive.

        request_uri_expires_at: POSIX seconds until which the browser must arrive at ``url``, since
            the request was pushed; None if the URL carries the request itself.

    Spec: RFC 6749 §4.1.1, §4.2.1; OpenID Connect Core 1.0 §3.1.2.1; RFC 7636 §4.3; RFC 8707 §2;
    RFC 9101 §5; RFC 9126 §4; RFC 9396 §3.
    """

    authorization_endpoint: str = attrs.field(converter=_parse_endpoint)
    issuers: frozenset[str] = attrs.field(converter=_parse_issuers)
    requires_iss: bool = attrs.field(default=False, validator=require_bool)
    client_id: str = attrs.field(validator=require_text)
    redirect_uri: str = attrs.field(converter=_parse_redirect_uri)
    response_type: str = attrs.field(default="code", converter=parse_response_type)
    response_mode: str = ""
    scope: Scope | None = attrs.field(default=None, converter=parse_scope)
    state: SecretText = attrs.field(converter=as_secret, validator=require_secret)
    nonce: SecretText | None = attrs.field(default=None, converter=as_optional_secret)
    code_verifier: SecretText | None = attrs.field(default=None, converter=as_optional_secret)
    prompt: tuple[str, ...] = attrs.field(default=(), converter=parse_prompt)
    max_age: int | None = attrs.field(default=None, converter=parse_max_age)
    login_hint: str | None = attrs.field(default=None, validator=OPTIONAL_TEXT, repr=False)
    acr_values: tuple[str, ...] = attrs.field(default=(), converter=_parse_acr_values)
    requires_acr: bool = attrs.field(default=False, validator=require_bool)
    expected_claims: Members = attrs.field(factory=Members, converter=parse_expected_claims)
    ui_locales: tuple[str, ...] = attrs.field(default=(), converter=_parse_ui_locales)
    resource: tuple[str, ...] = attrs.field(default=(), converter=parse_resource)
    authorization_details: tuple[AuthorizationDetail, ...] = attrs.field(
        default=(), converter=parse_authorization_details
    )
    extra: SecretParameters = attrs.field(default=SecretParameters(), converter=_parse_extra)
    created_at: float = attrs.field(validator=require_duration)
    lifetime: float = attrs.field(default=_DEFAULT_LIFETIME, validator=require_duration)
    request_object: SecretText | None = attrs.field(default=None, converter=as_optional_secret)
    request_uri: SecretText | None = attrs.field(default=None, converter=as_optional_secret)
    request_uri_expires_at: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(require_duration)
    )
    single_use: SingleUse = attrs.field(factory=SingleUse, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.response_mode:
            object.__setattr__(self, "response_mode", self._default_mode)
        if str(self.response_mode) not in RESPONSE_MODES:
            raise ConfigurationError(
                "response_mode must be query, fragment or form_post, with or without .jwt, or jwt, "
                f"not {self.response_mode!r:.60}"
            )
        if self.response_type != "code" and self.response_place == "query":
            raise ConfigurationError(
                "response_mode must not be query, since tokens never travel in a query: "
                "use fragment or form_post"
            )
        if "id_token" in self.response_type:
            if not self.expects_id_token:
                raise ConfigurationError(
                    f"scope must contain openid for the response_type {self.response_type!r}"
                )
            if self.nonce is None:
                raise ConfigurationError(
                    "nonce must not be None where a browser brings an ID token: draw one at random"
                )
        elif self.response_type == "token" and self.expects_id_token:
            raise ConfigurationError(
                "response_type must ask for an ID token or a code where scope contains openid, not "
                "for 'token' alone"
            )
        if self.requires_acr and not (self.acr_values and self.expects_id_token):
            raise ConfigurationError(
                "acr_values must not be empty, and scope must contain openid, with requires_acr"
            )
        if self.expected_claims and not self.expects_id_token:
            raise ConfigurationError(
                "scope must contain openid with expected_claims: an ID token must have them"
            )

    def __repr__(self) -> str:
        return show(self)

    @property
    def expects_id_token(self) -> bool:
        """The response must prove who signed in."""
        return "openid" in (self.scope or ())

    def is_by(self, client_id: str, issuer: str) -> bool:
        """
        Tell whether a client made this request; no other client may exchange its code.

        Args:
            client_id: The client's identifier.

            issuer: The server that the client would send the code to.

        Spec: RFC 9700 §4.4.2.
        """
        return client_id == self.client_id and issuer in self.issuers

    @property
    def expects_signed_response(self) -> bool:
        """The response must be a JWT that the server has signed (JARM §2.3)."""
        return self.response_mode.endswith("jwt")

    @property
    def response_place(self) -> str:
        """Where the response's parameters are: ``query``, ``fragment`` or ``form_post``."""
        place = self.response_mode.removesuffix("jwt").removesuffix(".")
        return place or self._default_mode

    @property
    def _default_mode(self) -> str:
        return "query" if self.response_type == "code" else "fragment"

    @property
    def url(self) -> str:
        """Where to redirect the end-user's browser."""
        return add_query(self.authorization_endpoint, encode_form(self._query()).decode())

    def _query(self) -> Parameters:
        if self.request_uri is None:
            return self.sent_parameters()
        # Nothing else: the server ignores or refuses what it has been sent before (RFC 9126 §4).
        return (("client_id", self.client_id), ("request_uri", self.request_uri.text))

    def sent_parameters(self) -> Parameters:
        """Return the parameters as they travel: a signed request is one JWT (RFC 9101 §5)."""
        if self.request_object is None:
            return self.parameters()
        return (("client_id", self.client_id), ("request", self.request_object.text))

    def parameters(self) -> Parameters:
        """Return what the request asks of the server."""
        verifier, mode = self.code_verifier, self.response_mode
        optional = (
            ("scope", None if self.scope is None else " ".join(self.scope)),
            ("state", self.state.text),
            ("response_mode", None if mode == self._default_mode else mode),
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
            *_encode_details(self.authorization_details),
            *self.extra,
        )

    def to_json(self) -> str:
        """
        Serialise the request for the process that will receive the callback.

        It holds the code verifier: keep it in a server-side session or encrypted, and delete it
        when it is read, so that no second response is accepted for it.

        Raises:
            StateMismatchError: A response was accepted already.
        """
        if not self.single_use.is_left:
            raise StateMismatchError(ALREADY_USED)
        fields = attrs.asdict(
            self, filter=lambda field, _: field.name != "single_use", recurse=False
        )
        plain = {
            name: value.text if isinstance(value, SecretText) else value
            for name, value in fields.items()
        }
        special = {
            "issuers": sorted(self.issuers),
            "authorization_details": [d.to_members() for d in self.authorization_details],
            "expected_claims": dict(self.expected_claims.items()),
            "extra": list(self.extra),
        }
        return dump_value({**plain, **special})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Deserialise what `to_json` wrote.

        Args:
            text: The JSON text.

        Raises:
            StateMismatchError: It is no pending sign-in of this version: begin a new one.
        """
        # An error reporter may show this frame's locals.
        text = HiddenStr(text)
        return parse_pending(text, cls, "pending sign-in")
