"""
The authorization request, as a value that outlives its process, and the answer it allows.

The callback usually lands in another process than the one that sent the person away; the request
travels there as JSON. `AuthorizationRequest.validate_callback` is the only way to a code.
"""

import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Self

import attrs
from yarl import URL

from aritma_auth.errors import (
    ConfigurationError,
    IssuerMismatchError,
    StateMismatchError,
    VerificationError,
    oauth_error,
)
from aritma_auth.protocol.callback import Callback, read_callback
from aritma_auth.protocol.inspection import read_unverified_claims
from aritma_auth.protocol.once import Once
from aritma_auth.protocol.pkce import generate_code_verifier, make_code_challenge
from aritma_auth.protocol.scopes import Scope, make_scope
from aritma_auth.protocol.sealed import Members, Sealed, seal_optional
from aritma_auth.protocol.token_response import read_token
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.urls import require_secure_url
from aritma_auth.protocol.wire import Parameters, encode_form

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
_PROMPTS = frozenset({"consent", "create", "login", "none", "select_account"})
_FORMAT = 1
_PROTECTED = frozenset(
    {
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "nonce",
        "redirect_uri",
        "request",
        "request_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
    }
)


def make_acr_values(
    *others: str,
    mfa: bool = False,
    verify: bool = False,
    idp: str | None = None,
    tenant: str | None = None,
) -> tuple[str, ...]:
    """
    Say how a person should sign in, in Aritma's words.

    Args:
        others: Further values, as they are.

        mfa: A fresh second factor.

        verify: Verification anew with BankID, for calls that an API refused with that reason.

        idp: Scheme of the identity provider to go to at once.

        tenant: Name of the tenant.

    Raises:
        ConfigurationError: A value is empty or holds a space.

    Source: Aritma ID's page on acr_values; IdentityServer's authorize endpoint.
    """
    named = (("idp", idp), ("tenant", tenant))
    values = (
        *(("mfa",) if mfa else ()),
        *(("verify",) if verify else ()),
        *(f"{name}:{value}" for name, value in named if value is not None),
        *others,
    )
    return _words(values)


def _words(value: str | Iterable[str]) -> tuple[str, ...]:
    words = tuple(value.split()) if isinstance(value, str) else tuple(value)
    if not all(word and word.isprintable() and " " not in word for word in words):
        raise ConfigurationError("prompt, acr_values and ui_locales are lists of single words")
    return words


def _prompts(value: str | Iterable[str]) -> tuple[str, ...]:
    prompts = _words(value)
    if not _PROMPTS.issuperset(prompts) or ("none" in prompts and len(prompts) > 1):
        raise ConfigurationError(f"prompt is none alone, or some of {', '.join(sorted(_PROMPTS))}")
    return prompts


def _response_type(value: str) -> str:
    response_type = " ".join(sorted(value.split()))
    if response_type not in RESPONSE_TYPES:
        raise ConfigurationError("response_type is made of code, token and id_token")
    return response_type


def _frozenset(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


def _tuple(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _redirect_uri(value: str) -> str:
    try:
        url = URL(value)
    except ValueError:
        url = URL()
    is_private = "." in url.scheme and url.scheme not in {"http", "https"}
    if is_private and not url.fragment:
        # A native app's own scheme, in reverse-domain form (RFC 8252 §7.1).
        return value
    require_secure_url(value, "redirect_uri")
    return value


def _extra(value: Mapping[str, str] | Iterable[tuple[str, str]]) -> Parameters:
    extra = dict(value)
    taken = _PROTECTED & extra.keys()
    if taken:
        raise ConfigurationError(f"extra must not replace {', '.join(sorted(taken))}")
    return tuple(extra.items())


@attrs.frozen(kw_only=True, eq=False)
class AuthorizationRequest:
    """
    What a person is sent to the server with, and what is needed to judge the way back.

    Made by `OAuthClient.authorization_request`. One request is good for one answer.

    Attributes:
        url: Where to send the person's browser.

        redirect_uri: Where the server sends it back to.

        scope: Scope asked for, or None.

        state: Binds the callback to this request; never shown.

        response_type: ``code``, or what else was asked for.

        response_mode: ``query``, ``fragment`` or ``form_post``: how the answer travels.

        created_at: POSIX seconds.

        lifetime: Seconds within which the answer must come.

    Spec: RFC 6749 §4.1.1, §4.2.1; OpenID Connect Core 1.0 §3.1.2.1; RFC 7636 §4.3; RFC 8707 §2.
    """

    authorization_endpoint: str
    issuers: frozenset[str] = attrs.field(converter=_frozenset)
    requires_iss: bool = False
    client_id: str
    redirect_uri: str = attrs.field(converter=_redirect_uri)
    response_type: str = attrs.field(default="code", converter=_response_type)
    response_mode: str = attrs.field(default="")
    scope: Scope | None = attrs.field(default=None, converter=make_scope)
    state: Sealed = attrs.field(converter=seal_optional)
    nonce: Sealed | None = attrs.field(default=None, converter=seal_optional)
    code_verifier: Sealed | None = attrs.field(default=None, converter=seal_optional)
    prompt: tuple[str, ...] = attrs.field(default=(), converter=_prompts)
    max_age: int | None = None
    login_hint: str | None = attrs.field(default=None, repr=False)
    acr_values: tuple[str, ...] = attrs.field(default=(), converter=_words)
    ui_locales: tuple[str, ...] = attrs.field(default=(), converter=_words)
    resource: tuple[str, ...] = attrs.field(default=(), converter=_tuple)
    extra: Parameters = attrs.field(default=(), converter=_extra, repr=False)
    created_at: float
    lifetime: float = 600.0
    once: Once = attrs.field(factory=Once, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        front = self.response_type != "code"
        if not self.response_mode:
            object.__setattr__(self, "response_mode", "fragment" if front else "query")
        if self.response_mode not in RESPONSE_MODES:
            raise ConfigurationError("response_mode is query, fragment or form_post")
        if front and self.response_mode == "query":
            raise ConfigurationError("tokens never travel in a query: use fragment or form_post")
        if "id_token" in self.response_type and "openid" not in (self.scope or ()):
            raise ConfigurationError("an ID token needs the scope openid")
        if self.max_age is not None and self.max_age < 0:
            raise ConfigurationError("max_age is a number of seconds, 0 or more")

    @property
    def expects_id_token(self) -> bool:
        """The answer must prove who signed in."""
        return "openid" in (self.scope or ())

    @property
    def url(self) -> str:
        """Where to send the person's browser."""
        joint = "&" if URL(self.authorization_endpoint).query_string else "?"
        return f"{self.authorization_endpoint}{joint}{encode_form(self._parameters()).decode()}"

    def _parameters(self) -> Parameters:
        is_usual = self.response_mode == ("query" if self.response_type == "code" else "fragment")
        verifier = self.code_verifier
        optional = (
            ("scope", None if self.scope is None else " ".join(self.scope)),
            ("state", self.state.text),
            ("response_mode", None if is_usual else self.response_mode),
            ("nonce", None if self.nonce is None else self.nonce.text),
            ("code_challenge", verifier and make_code_challenge(verifier.text)),
            ("code_challenge_method", verifier and "S256"),
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
            *((name, value) for name, value in optional if isinstance(value, str)),
            *(("resource", resource) for resource in self.resource),
            *self.extra,
        )

    def to_json(self) -> str:
        """
        Write the request down, for the process that will meet the callback.

        It holds the verifier: keep it in a server's session or encrypted, never in plain sight.

        Raises:
            StateMismatchError: It has been answered already.
        """
        if not self.once.is_left:
            raise StateMismatchError("this sign-in was answered already: start a new one")
        fields = attrs.asdict(self, filter=lambda field, _: field.name != "once", recurse=False)
        plain = {
            name: value.text if isinstance(value, Sealed) else value
            for name, value in fields.items()
        }
        return json.dumps({"format": _FORMAT, **plain, "issuers": sorted(self.issuers)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Read what `to_json` wrote.

        Args:
            text: The JSON text.

        Raises:
            StateMismatchError: It is no pending sign-in of this version: start a new one.
        """
        try:
            fields = json.loads(text)
            if fields.pop("format") == _FORMAT:
                return cls(**fields)
        except Exception:  # noqa: BLE001 - whatever a foreign text breaks
            fields = None
        raise StateMismatchError("this is no pending sign-in: start a new one")

    def validate_callback(self, callback: Callback, *, now: float) -> "AuthorizationAnswer":
        """
        Judge what the browser brought back.

        Args:
            callback: The callback's URL; for form_post its body; or the decoded pairs of either,
                such as ``request.query`` or ``await request.post()`` of aiohttp.

            now: POSIX seconds.

        Returns:
            The answer, good for one exchange.

        Raises:
            StateMismatchError: It belongs to another sign-in, comes too late or a second time.

            IssuerMismatchError: It comes from another server (mix-up).

            VerificationError: A parameter is missing or given twice.

            OAuthError: The server or the person said no.

        Spec: RFC 6749 §4.1.2, §4.2.2, §10.12; RFC 9207 §2.4; RFC 9700 §4.4, §4.7.
        """
        answer = read_callback(callback, response_mode=self.response_mode)
        state = answer.get("state")
        if not isinstance(state, str) or not _equal(state, self.state.text):
            raise StateMismatchError("the callback belongs to another sign-in: start a new one")
        if not self.once.take():
            raise StateMismatchError("this sign-in was answered already: start a new one")
        if not self.created_at - 60 <= now <= self.created_at + self.lifetime:
            raise StateMismatchError("the sign-in took too long: start a new one")
        self._check_issuer(answer)
        _raise_refusal(answer)
        return self._accept(answer, now)

    def _check_issuer(self, answer: Members) -> None:
        issuer = answer.get("iss")
        if issuer is None and self.requires_iss and "id_token" in self.response_type.split():
            # Servers such as oidc-provider leave it to an ID token beside it to name them.
            issuer = _issuer_of(answer.get("id_token"))
        if issuer is None and self.requires_iss:
            raise IssuerMismatchError("the callback does not say which server it is from")
        if issuer is not None and issuer not in self.issuers:
            raise IssuerMismatchError("the callback is from another authorization server")

    def _accept(self, answer: Members, now: float) -> "AuthorizationAnswer":
        wanted = self.response_type.split()
        members = {"code": "code", "token": "access_token", "id_token": "id_token"}
        missing = [members[name] for name in wanted if members[name] not in answer]
        if missing:
            raise VerificationError(f"the callback brought no {' and no '.join(missing)}")
        token = read_token(answer, status=200, sent_at=now) if "token" in wanted else None
        return AuthorizationAnswer(
            _VALIDATED,
            request=self,
            code=_text(answer, "code") if "code" in wanted else None,
            token=None if token is None else _without_others(token),
            id_token=_text(answer, "id_token") if "id_token" in wanted else None,
        )


def _issuer_of(id_token: object) -> str | None:
    claims = read_unverified_claims(id_token) if isinstance(id_token, str) else None
    issuer = None if claims is None else claims.get("iss")
    return issuer if isinstance(issuer, str) else None


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())


def _text(answer: Members, name: str) -> str:
    return str(answer[name])


def _raise_refusal(answer: Members) -> None:
    error = answer.get("error")
    if isinstance(error, str):
        description, uri = answer.get("error_description"), answer.get("error_uri")
        raise oauth_error(
            error,
            description if isinstance(description, str) else None,
            uri=uri if isinstance(uri, str) else None,
        )


def _without_others(token: Token) -> Token:
    """Keep the access token alone: a browser brings no refresh token (RFC 6749 §4.2.2)."""
    return attrs.evolve(token, refresh_token=None, id_token=None, extra=Members())


_VALIDATED = object()


@attrs.frozen(init=False, eq=False)
class AuthorizationAnswer:
    """
    A callback that has passed every check; only `AuthorizationRequest.validate_callback` makes one.

    Attributes:
        request: The request that it answers.

        code: The code, for one exchange, or None.

        token: An access token that came through the browser: usable until it expires, and it
            cannot be renewed. None in the code flow.

        id_token: An ID token that came through the browser, not yet checked, or None.
    """

    request: AuthorizationRequest
    code: Sealed | None
    token: Token | None
    id_token: Sealed | None
    once: Once = attrs.field(repr=False)

    def __init__(
        self,
        proof: object,
        *,
        request: AuthorizationRequest,
        code: str | None,
        token: Token | None,
        id_token: str | None,
    ) -> None:
        if proof is not _VALIDATED:
            raise ConfigurationError("an answer comes from AuthorizationRequest.validate_callback")
        self.__attrs_init__(request, seal_optional(code), token, seal_optional(id_token), Once())


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
    ui_locales: str | Iterable[str] = (),
    resource: Iterable[str] = (),
    extra: Mapping[str, str] | None = None,
    now: float,
    lifetime: float = 600.0,
) -> AuthorizationRequest:
    """
    Make an authorization request with a new state, nonce and verifier.

    The arguments are `AuthorizationRequest`'s; a nonce goes along with the scope ``openid``, a
    verifier with the response type ``code``.

    Raises:
        ConfigurationError: An argument makes no sense.

    Spec: RFC 6749 §4.1.1; RFC 7636 §4; OpenID Connect Core 1.0 §3.1.2.1, §15.5.2.
    """
    scope = make_scope(scope)
    return AuthorizationRequest(
        authorization_endpoint=authorization_endpoint,
        issuers=frozenset(issuers),
        requires_iss=requires_iss,
        client_id=client_id,
        redirect_uri=redirect_uri,
        response_type=response_type,
        response_mode=response_mode,
        scope=scope,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32) if "openid" in (scope or ()) else None,
        code_verifier=generate_code_verifier() if "code" in response_type.split() else None,
        prompt=prompt,
        max_age=max_age,
        login_hint=login_hint,
        acr_values=acr_values,
        ui_locales=ui_locales,
        resource=resource,
        extra=extra or {},
        created_at=now,
        lifetime=lifetime,
    )
