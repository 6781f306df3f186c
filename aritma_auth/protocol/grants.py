"""
Grants as frozen values: what entitles a client to a token.

A new grant is one class here: its ``grant_type`` and its own parameters. What the end-user or the
caller keeps secret is a `SecretText`, further parameters are `SecretParameters`: neither a log nor
a serialiser of the grant shows them.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

import attrs

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.parameters import (
    IDENTITY_SCOPES,
    Scope,
    parse_extra,
    parse_names,
    parse_resource,
    parse_scope,
)
from aritma_auth.protocol.redaction import (
    SecretParameters,
    SecretText,
    as_optional_secret,
    as_secret,
    require_secret,
)
from aritma_auth.protocol.single_use import SingleUse
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.protocol.authorization_details import AuthorizationDetail
    from aritma_auth.protocol.authorization_response import AuthorizationResponse
    from aritma_auth.protocol.redaction import JsonValue
else:
    # A type that cattrs can resolve: the real one is loaded when the first code is exchanged.
    AuthorizationDetail = AuthorizationResponse = object

__all__ = [
    "AuthorizationCodeGrant",
    "ClientCredentialsGrant",
    "CustomGrant",
    "DelegationGrant",
    "DeviceCodeGrant",
    "Grant",
    "PasswordGrant",
    "RefreshTokenGrant",
    "SignedInGrant",
    "TokenExchangeGrant",
]

_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"

_RESERVED = frozenset(
    {
        "authorization_details",
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "grant_type",
        "resource",
        "scope",
    }
)


_Extra = Mapping[str, str] | SecretParameters


def _extra(value: _Extra) -> SecretParameters:
    # The client's authentication is not for callers to write.
    return parse_extra(value, reserved=_RESERVED)


def _details(
    value: "Iterable[AuthorizationDetail | Mapping[str, JsonValue]]",
) -> "tuple[AuthorizationDetail, ...]":
    if value == ():
        return ()
    # Imported here: few services ask for more than a scope.
    from aritma_auth.protocol.authorization_details import (  # noqa: PLC0415
        parse_authorization_details,
    )

    return parse_authorization_details(value)


def _encode_details(details: "tuple[AuthorizationDetail, ...]") -> Parameters:
    if not details:
        return ()
    from aritma_auth.protocol.authorization_details import (  # noqa: PLC0415 - as above
        encode_authorization_details,
    )

    return (("authorization_details", encode_authorization_details(details)),)


def _fields(value: _Extra) -> SecretParameters:
    return parse_extra(value, reserved=_RESERVED, name="fields")


def _require_text(_grant: object, field: "attrs.Attribute[str]", value: object) -> None:
    if not isinstance(value, str):
        raise wrong_kind(field.name, "a string", value)
    if not value:
        raise ConfigurationError(f"{field.name} must not be empty")


_OPTIONAL_TEXT = attrs.validators.optional(_require_text)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Grant(Value, ABC):
    """
    What entitles a client to a token.

    Attributes:
        scope: Scope to ask for: text or tokens; None sends none.

        resource: Absolute URIs of the APIs that the token is for (RFC 8707).

        authorization_details: What it is to be good for, finer than a scope: `AuthorizationDetail`
            or mappings with a ``type`` (RFC 9396).

        extra: Further parameters of this server, name to value; never shown.

    Raises:
        ConfigurationError: An argument is of the wrong kind, or ``extra`` replaces a parameter.
    """

    grant_type: ClassVar[str]
    is_reusable: ClassVar[bool] = True
    """The same value may be presented again: for the next token, or after a lost response."""
    is_requestable: ClassVar[bool] = True
    """It can be sent to a token endpoint."""

    scope: Scope | None = attrs.field(default=None, converter=parse_scope)
    resource: tuple[str, ...] = attrs.field(default=(), converter=parse_resource)
    authorization_details: tuple[AuthorizationDetail, ...] = attrs.field(
        default=(), converter=_details
    )
    extra: SecretParameters = attrs.field(default=SecretParameters(), converter=_extra)

    @extra.validator
    def _replaces_nothing(self, _attribute: object, extra: SecretParameters) -> None:
        if len(extra):
            parse_extra(extra, reserved=(name for name, _ in self.own_parameters()))

    def parameters(self) -> Parameters:
        """Return the form of this grant, without the client's authentication."""
        scope = () if self.scope is None else (("scope", " ".join(self.scope)),)
        resources = tuple(("resource", resource) for resource in self.resource)
        return (
            ("grant_type", self.grant_type),
            *self.own_parameters(),
            *scope,
            *resources,
            *_encode_details(self.authorization_details),
            *self.extra,
        )

    def is_for(self, client_id: str, issuer: str) -> bool:  # noqa: ARG002 - see AuthorizationCodeGrant
        """Tell whether this client may present it to this server."""
        return True

    @property
    def single_use(self) -> SingleUse | None:
        """A mark that is taken when the grant is presented, if it can be presented once only."""
        return None

    @abstractmethod
    def own_parameters(self) -> Parameters:
        """Return the parameters that only this grant has."""

    def identity(self) -> Parameters | None:
        """
        Return what caches and stores know this grant's tokens by.

        By default that is the request: two grants are the same if the server cannot tell their
        requests apart. None means that the grant takes part in no store.
        """
        return self.parameters()

    def problems(self) -> tuple[str, ...]:
        """Say what the server is known to refuse about this grant, before it is sent."""
        return ()


@attrs.frozen(eq=False, repr=False)
class ClientCredentialsGrant(Grant):
    """
    The client on its own behalf.

    Spec: RFC 6749 §4.4; Aritma's authentication page.
    """

    grant_type: ClassVar[str] = "client_credentials"
    scope: Scope | None = attrs.field(default=None, converter=parse_scope, kw_only=False)

    def own_parameters(self) -> Parameters:
        """Return none: the client's authentication is the grant."""
        return ()

    def problems(self) -> tuple[str, ...]:
        """Refuse identity scopes, which IdentityServer refuses with ``invalid_scope``."""
        wrong = sorted(IDENTITY_SCOPES.intersection(self.scope or ()))
        if not wrong:
            return ()
        return (
            f"client_credentials must not ask for the scope {' '.join(wrong)}: no end-user signs "
            "in; leave it out",
        )


@attrs.frozen(eq=False, repr=False)
class RefreshTokenGrant(Grant):
    """
    A refresh token; treated as usable once, since servers may rotate it.

    Spec: RFC 6749 §6.
    """

    grant_type: ClassVar[str] = "refresh_token"
    is_reusable: ClassVar[bool] = False
    refresh_token: SecretText = attrs.field(
        converter=as_secret, validator=require_secret, kw_only=False
    )

    def own_parameters(self) -> Parameters:
        """Return the refresh token."""
        return (("refresh_token", self.refresh_token.text),)


def _with_code(response: AuthorizationResponse) -> AuthorizationResponse:
    # Imported here: a service that signs nobody in does not load the sign-in.
    from aritma_auth.protocol import authorization_response  # noqa: PLC0415

    # Exact type: only validate_authorization_response can create one.
    if type(response) is not authorization_response.AuthorizationResponse:
        raise wrong_kind("response", "what validate_authorization_response returned", response)
    if response.code is None:
        raise ConfigurationError(
            "response must hold a code: ask for one by response_type, and give what "
            "validate_authorization_response returned"
        )
    return response


@attrs.frozen(eq=False, repr=False)
class AuthorizationCodeGrant(Grant):
    """
    The code of a validated authorization response; it can be presented once.

    Attributes:
        response: What `validate_authorization_response` returned: code, redirect URI and verifier.

    Raises:
        ConfigurationError: The response has no code: the request did not ask for one.

    Spec: RFC 6749 §4.1.3; RFC 7636 §4.5.
    """

    grant_type: ClassVar[str] = "authorization_code"
    is_reusable: ClassVar[bool] = False
    response: AuthorizationResponse = attrs.field(converter=_with_code, kw_only=False)

    def is_for(self, client_id: str, issuer: str) -> bool:
        """Tell whether the client began this sign-in, at the same server."""
        return self.response.request.is_by(client_id, issuer)

    @property
    def single_use(self) -> SingleUse:
        """A mark that is taken when the code is presented."""
        return self.response.single_use

    def own_parameters(self) -> Parameters:
        """Return code, redirect URI and verifier."""
        request, code = self.response.request, self.response.code
        verifier = request.code_verifier
        named = (
            ("code", code and code.text),
            ("redirect_uri", request.redirect_uri),
            ("code_verifier", verifier and verifier.text),
        )
        return tuple((name, value) for name, value in named if value)


@attrs.frozen(eq=False, repr=False)
class SignedInGrant(Grant):
    """
    A sign-in that has taken place, or will: it cannot be sent itself.

    Its provider lives on the token that `TokenProvider.set_token` or a store brings, and on that
    token's refresh token; without either the end-user must sign in.

    Attributes:
        end_user: Distinguishes the stored tokens of several end-users: the subject, a session's
            identifier, or any other text. Without it the tokens are kept in no store.

    Spec: RFC 6749 §1.5.
    """

    grant_type: ClassVar[str] = "signed_in"
    is_reusable: ClassVar[bool] = False
    is_requestable: ClassVar[bool] = False
    end_user: str | None = attrs.field(default=None, kw_only=False)

    @end_user.validator
    def _is_text(self, _attribute: object, end_user: object) -> None:
        if end_user is not None and not isinstance(end_user, str):
            raise wrong_kind("end_user", "a string or None", end_user)

    def own_parameters(self) -> Parameters:
        """Return none."""
        return ()

    def identity(self) -> Parameters | None:
        """Return whose sign-in it is; None if that is unknown: it could be any end-user's."""
        if self.end_user is None or not self.end_user.strip():
            return None
        return (("end_user", self.end_user), *self.parameters())

    def problems(self) -> tuple[str, ...]:
        """Say that it cannot be sent."""
        return ("a SignedInGrant is no request: give it to a TokenProvider",)


@attrs.frozen(eq=False, repr=False)
class PasswordGrant(Grant):
    """
    An end-user's own name and password, typed into your program.

    Aritma documents it and advises against it, as RFC 9700 §2.4 does: making one warns.

    Attributes:
        username: The end-user's name.

        password: The end-user's password.

    Spec: RFC 6749 §4.3.2; Aritma's authentication page.
    """

    grant_type: ClassVar[str] = "password"
    username: str = attrs.field(validator=_require_text, kw_only=False)
    password: SecretText = attrs.field(converter=as_secret, validator=require_secret, kw_only=False)

    def __attrs_post_init__(self) -> None:
        warnings.warn(
            "the password grant is discouraged (RFC 9700 §2.4): let end-users sign in at Aritma ID",
            DeprecationWarning,
            stacklevel=3,
        )

    def own_parameters(self) -> Parameters:
        """Return name and password."""
        return (("username", self.username), ("password", self.password.text))

    def identity(self) -> None:
        """
        Return None: only the server can check the password.

        An entry of the username alone would serve any password, and a key made of the password
        could be guessed from the entry's name.
        """
        return


@attrs.frozen(eq=False, repr=False)
class DeviceCodeGrant(Grant):
    """
    A device code, while the end-user signs in on another device.

    Attributes:
        device_code: The code that the device authorization endpoint gave.

    Spec: RFC 8628 §3.4.
    """

    grant_type: ClassVar[str] = "urn:ietf:params:oauth:grant-type:device_code"
    is_reusable: ClassVar[bool] = False
    device_code: SecretText = attrs.field(
        converter=as_secret, validator=require_secret, kw_only=False
    )

    def own_parameters(self) -> Parameters:
        """Return the device code."""
        return (("device_code", self.device_code.text),)


@attrs.frozen(eq=False, repr=False)
class DelegationGrant(Grant):
    """
    Another token, exchanged for one to call on with: Aritma's own grant, not RFC 8693.

    Attributes:
        token: An access token of Aritma, or of a trusted external provider.

        provider: Id of the external provider, or None for a token of Aritma.

    Source: Aritma ID's page on delegation.
    """

    grant_type: ClassVar[str] = "delegation"
    token: SecretText = attrs.field(converter=as_secret, validator=require_secret, kw_only=False)
    provider: str | None = attrs.field(default=None, validator=_OPTIONAL_TEXT)

    def own_parameters(self) -> Parameters:
        """Return the token and where it comes from."""
        provider = () if self.provider is None else (("provider", self.provider),)
        return (("token", self.token.text), *provider)


def _audience(value: str | Iterable[str]) -> tuple[str, ...]:
    return parse_names(value, "audience")


@attrs.frozen(eq=False, repr=False)
class TokenExchangeGrant(Grant):
    """
    A token exchanged for another.

    Attributes:
        subject_token: The token of whom the new one is for.

        subject_token_type: Its kind, as a URI of RFC 8693 §3.

        actor_token: The token of who acts, or None.

        actor_token_type: Its kind.

        requested_token_type: The kind wanted, or None for the server's choice.

        audience: Names of the services that the token is for: one, or several.

    Spec: RFC 8693 §2.1.
    """

    grant_type: ClassVar[str] = "urn:ietf:params:oauth:grant-type:token-exchange"
    subject_token: SecretText = attrs.field(
        converter=as_secret, validator=require_secret, kw_only=False
    )
    subject_token_type: str = attrs.field(default=_ACCESS_TOKEN, validator=_require_text)
    actor_token: SecretText | None = attrs.field(
        default=None,
        converter=as_optional_secret,
        validator=attrs.validators.optional(require_secret),
    )
    actor_token_type: str = attrs.field(default=_ACCESS_TOKEN, validator=_require_text)
    requested_token_type: str | None = attrs.field(default=None, validator=_OPTIONAL_TEXT)
    audience: tuple[str, ...] = attrs.field(default=(), converter=_audience)

    def own_parameters(self) -> Parameters:
        """Return the tokens with their kinds, the kind wanted and the audience."""
        actor, wanted = self.actor_token, self.requested_token_type
        return (
            ("subject_token", self.subject_token.text),
            ("subject_token_type", self.subject_token_type),
            *(
                ()
                if actor is None
                else (("actor_token", actor.text), ("actor_token_type", self.actor_token_type))
            ),
            *(() if wanted is None else (("requested_token_type", wanted),)),
            *(("audience", name) for name in self.audience),
        )


@attrs.frozen(eq=False, repr=False)
class CustomGrant(Grant):
    """
    An extension grant of a server's own.

    Whether it may be presented again is unknown, so it is treated as usable once.

    Attributes:
        name: Its ``grant_type``, as the server names it.

        fields: Its own parameters, name to value; never shown.

    Spec: RFC 6749 §4.5.
    """

    grant_type: ClassVar[str] = ""
    is_reusable: ClassVar[bool] = False
    name: str = attrs.field(validator=_require_text, kw_only=False)
    fields: SecretParameters = attrs.field(
        default=SecretParameters(), converter=_fields, kw_only=False
    )

    def parameters(self) -> Parameters:
        """Return the form of this grant, without the client's authentication."""
        return (("grant_type", self.name), *super().parameters()[1:])

    def identity(self) -> Parameters | None:
        """Return the request, unless it is a password grant by another class."""
        return None if self.name == PasswordGrant.grant_type else self.parameters()

    def own_parameters(self) -> Parameters:
        """Return the server's own parameters."""
        return tuple(self.fields)
