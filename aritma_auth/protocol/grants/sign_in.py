"""Grants of an end-user who signs in: a code, a device code, a password."""

import warnings
from typing import TYPE_CHECKING, ClassVar

import attrs

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.grants.base import Grant
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.parameters import require_text
from aritma_auth.protocol.redaction import SecretText, as_secret, require_secret
from aritma_auth.protocol.single_use import SingleUse
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments

if TYPE_CHECKING:
    from aritma_auth.protocol.authorization_response import AuthorizationResponse
else:
    # A type that cattrs can resolve: the real one is loaded when the first code is exchanged.
    AuthorizationResponse = object


def _with_code(response: AuthorizationResponse) -> AuthorizationResponse:
    # Imported here: a service that signs nobody in does not load the sign-in.
    from aritma_auth.protocol import authorization_response

    # Exact type: only validate_authorization_response can create one.
    if type(response) is not authorization_response.AuthorizationResponse:
        raise wrong_kind("response", "what validate_authorization_response returned", response)
    if response.code is None:
        raise ConfigurationError(
            "response must hold a code: ask for one by response_type, and give what "
            "validate_authorization_response returned"
        )
    return response


@with_hidden_arguments
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


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class BackchannelGrant(Grant):
    """
    A sign-in that the server asks the end-user for, on a device that it knows.

    Attributes:
        auth_req_id: The identifier that the backchannel authentication endpoint gave.

    Spec: CIBA Core 1.0 §10.1.
    """

    grant_type: ClassVar[str] = "urn:openid:params:grant-type:ciba"
    is_reusable: ClassVar[bool] = False
    auth_req_id: SecretText = attrs.field(
        converter=as_secret, validator=require_secret, kw_only=False
    )

    def own_parameters(self) -> Parameters:
        """Return the identifier."""
        return (("auth_req_id", self.auth_req_id.text),)


@with_hidden_arguments
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


@with_hidden_arguments
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
    username: str = attrs.field(validator=require_text, kw_only=False)
    password: SecretText = attrs.field(converter=as_secret, validator=require_secret, kw_only=False)

    def __attrs_post_init__(self) -> None:
        warnings.warn(
            "the password grant is discouraged (RFC 9700 §2.4): let end-users sign in at Aritma ID",
            DeprecationWarning,
            stacklevel=4,
        )

    def own_parameters(self) -> Parameters:
        """Return name and password."""
        return (("username", self.username), ("password", self.password.text))
