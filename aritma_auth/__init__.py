"""
The asyncio-first client for Aritma ID and Aritma's Open Banking APIs.

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from typing import TYPE_CHECKING

from aritma_auth.runtime.lazy_names import lazy_names
from aritma_auth.version import __version__ as __version__

_HOMES = {
    "apis": (
        "APIS",
        "Api",
    ),
    "certificate": ("ClientCertificate",),
    "client.client": ("OAuthClient",),
    "client.options": ("ClientOptions",),
    "client.pending_sign_ins": (
        "PendingSignIn",
        "PendingSignIns",
    ),
    "client.registrar": ("ClientRegistrar",),
    "client.tls": ("create_tls_context",),
    "environment": (
        "DEVELOPMENT",
        "Environment",
        "PRODUCTION",
    ),
    "errors": (
        "AccessDeniedError",
        "AritmaAuthError",
        "AuthorizationPendingError",
        "ConfigurationError",
        "EndpointMissingError",
        "ExpiredTokenError",
        "IdTokenError",
        "InvalidClientError",
        "InvalidGrantError",
        "InvalidResponseError",
        "IssuerMismatchError",
        "OAuthError",
        "ProviderClosedError",
        "ReauthenticationRequiredError",
        "SlowDownError",
        "StateMismatchError",
        "StepUpRequiredError",
        "StoreError",
        "TokenTimeoutError",
        "TransportError",
        "VerificationError",
    ),
    "events": ("Event",),
    "native_app.login": (
        "login_with_browser",
        "login_with_device",
        "signed_in_provider",
    ),
    "protocol.authorization_details": (
        "AuthorizationDetail",
        "find_ungranted_details",
        "parse_granted_details",
    ),
    "protocol.authorization_parameters": ("AuthorizationParameters",),
    "protocol.authorization_request": ("AuthorizationRequest",),
    "protocol.authorization_response": (
        "AuthorizationResponse",
        "validate_authorization_response",
    ),
    "protocol.ciba": (
        "BackchannelAuthentication",
        "validate_backchannel_notification",
    ),
    "protocol.ciba_request": ("BackchannelParameters",),
    "protocol.client_auth": (
        "ClientAssertion",
        "ClientAuth",
        "ClientSecretBasic",
        "ClientSecretJwt",
        "ClientSecretPost",
        "NoClientAuth",
        "PrivateKeyJwt",
        "SelfSignedTlsClientAuth",
        "TlsClientAuth",
    ),
    "protocol.device_authorization": ("DeviceAuthorization",),
    "protocol.dpop": ("DPoP",),
    "protocol.grants": (
        "AuthorizationCodeGrant",
        "BackchannelGrant",
        "ClientCredentialsGrant",
        "CustomGrant",
        "DelegationGrant",
        "DeviceCodeGrant",
        "Grant",
        "JwtAssertion",
        "JwtBearerGrant",
        "PasswordGrant",
        "RefreshTokenGrant",
        "SignedInGrant",
        "SubjectTokenSource",
        "TokenExchangeGrant",
    ),
    "protocol.jwe": (
        "DecryptionKey",
        "RequestEncryption",
    ),
    "protocol.jwt": ("parse_unverified_claims",),
    "protocol.login_initiation": (
        "LoginInitiation",
        "parse_login_initiation",
    ),
    "protocol.logout": (
        "LogoutToken",
        "validate_front_channel_logout",
        "validate_logout_callback",
    ),
    "protocol.metadata": ("ServerMetadata",),
    "protocol.parameters": ("build_acr_values",),
    "protocol.profiles": (
        "FAPI2",
        "FAPI2_MESSAGE_SIGNING",
        "Profile",
        "ProfileReport",
    ),
    "protocol.registered_client": ("RegisteredClient",),
    "protocol.session_management": (
        "SessionPage",
        "build_session_page",
    ),
    "protocol.sign_in": ("SignIn",),
    "protocol.signing": (
        "RemoteSigner",
        "SigningKey",
    ),
    "protocol.tenants": ("validate_tenant",),
    "protocol.token_management": ("Introspection",),
    "protocol.tokens": ("Token",),
    "protocol.www_authenticate": (
        "Challenge",
        "parse_challenges",
    ),
    "provider.keyed_middleware": ("KeyedBearerMiddleware",),
    "provider.middleware": ("BearerMiddleware",),
    "provider.options": ("ProviderOptions",),
    "provider.policy": ("RefreshPolicy",),
    "provider.pool": ("TokenProviderPool",),
    "provider.provider": ("TokenProvider",),
    "provider.settings": ("TokenSource",),
    "provider.sharing_policy": (
        "RefreshTokenUsage",
        "SharingPolicy",
    ),
    "provider.status": (
        "PoolStatus",
        "ProviderStatus",
    ),
    "runtime.clock": (
        "Clock",
        "SYSTEM_CLOCK",
    ),
    "secret": ("Secret",),
    "stores.contract": (
        "Record",
        "TokenStore",
    ),
    "stores.encryption": ("EncryptionKeys",),
    "stores.file": ("FileTokenStore",),
    "stores.keyring": ("KeyringTokenStore",),
    "stores.memory": ("MemoryTokenStore",),
    "stores.redis": ("RedisTokenStore",),
}

_MODULES = ("banking", "events", "integrations", "sandbox", "stores", "testing")

if TYPE_CHECKING:
    from aritma_auth import banking as banking
    from aritma_auth import events as events
    from aritma_auth import integrations as integrations
    from aritma_auth import sandbox as sandbox
    from aritma_auth import stores as stores
    from aritma_auth import testing as testing
    from aritma_auth.apis import APIS as APIS
    from aritma_auth.apis import Api as Api
    from aritma_auth.certificate import ClientCertificate as ClientCertificate
    from aritma_auth.client.client import OAuthClient as OAuthClient
    from aritma_auth.client.options import ClientOptions as ClientOptions
    from aritma_auth.client.pending_sign_ins import PendingSignIn as PendingSignIn
    from aritma_auth.client.pending_sign_ins import PendingSignIns as PendingSignIns
    from aritma_auth.client.registrar import ClientRegistrar as ClientRegistrar
    from aritma_auth.client.tls import create_tls_context as create_tls_context
    from aritma_auth.environment import DEVELOPMENT as DEVELOPMENT
    from aritma_auth.environment import PRODUCTION as PRODUCTION
    from aritma_auth.environment import Environment as Environment
    from aritma_auth.errors import AccessDeniedError as AccessDeniedError
    from aritma_auth.errors import AritmaAuthError as AritmaAuthError
    from aritma_auth.errors import AuthorizationPendingError as AuthorizationPendingError
    from aritma_auth.errors import ConfigurationError as ConfigurationError
    from aritma_auth.errors import EndpointMissingError as EndpointMissingError
    from aritma_auth.errors import ExpiredTokenError as ExpiredTokenError
    from aritma_auth.errors import IdTokenError as IdTokenError
    from aritma_auth.errors import InvalidClientError as InvalidClientError
    from aritma_auth.errors import InvalidGrantError as InvalidGrantError
    from aritma_auth.errors import InvalidResponseError as InvalidResponseError
    from aritma_auth.errors import IssuerMismatchError as IssuerMismatchError
    from aritma_auth.errors import OAuthError as OAuthError
    from aritma_auth.errors import ProviderClosedError as ProviderClosedError
    from aritma_auth.errors import ReauthenticationRequiredError as ReauthenticationRequiredError
    from aritma_auth.errors import SlowDownError as SlowDownError
    from aritma_auth.errors import StateMismatchError as StateMismatchError
    from aritma_auth.errors import StepUpRequiredError as StepUpRequiredError
    from aritma_auth.errors import StoreError as StoreError
    from aritma_auth.errors import TokenTimeoutError as TokenTimeoutError
    from aritma_auth.errors import TransportError as TransportError
    from aritma_auth.errors import VerificationError as VerificationError
    from aritma_auth.events import Event as Event
    from aritma_auth.native_app.login import login_with_browser as login_with_browser
    from aritma_auth.native_app.login import login_with_device as login_with_device
    from aritma_auth.native_app.login import signed_in_provider as signed_in_provider
    from aritma_auth.protocol.authorization_details import (
        AuthorizationDetail as AuthorizationDetail,
    )
    from aritma_auth.protocol.authorization_details import (
        find_ungranted_details as find_ungranted_details,
    )
    from aritma_auth.protocol.authorization_details import (
        parse_granted_details as parse_granted_details,
    )
    from aritma_auth.protocol.authorization_parameters import (
        AuthorizationParameters as AuthorizationParameters,
    )
    from aritma_auth.protocol.authorization_request import (
        AuthorizationRequest as AuthorizationRequest,
    )
    from aritma_auth.protocol.authorization_response import (
        AuthorizationResponse as AuthorizationResponse,
    )
    from aritma_auth.protocol.authorization_response import (
        validate_authorization_response as validate_authorization_response,
    )
    from aritma_auth.protocol.ciba import BackchannelAuthentication as BackchannelAuthentication
    from aritma_auth.protocol.ciba import (
        validate_backchannel_notification as validate_backchannel_notification,
    )
    from aritma_auth.protocol.ciba_request import BackchannelParameters as BackchannelParameters
    from aritma_auth.protocol.client_auth import ClientAssertion as ClientAssertion
    from aritma_auth.protocol.client_auth import ClientAuth as ClientAuth
    from aritma_auth.protocol.client_auth import ClientSecretBasic as ClientSecretBasic
    from aritma_auth.protocol.client_auth import ClientSecretJwt as ClientSecretJwt
    from aritma_auth.protocol.client_auth import ClientSecretPost as ClientSecretPost
    from aritma_auth.protocol.client_auth import NoClientAuth as NoClientAuth
    from aritma_auth.protocol.client_auth import PrivateKeyJwt as PrivateKeyJwt
    from aritma_auth.protocol.client_auth import SelfSignedTlsClientAuth as SelfSignedTlsClientAuth
    from aritma_auth.protocol.client_auth import TlsClientAuth as TlsClientAuth
    from aritma_auth.protocol.device_authorization import DeviceAuthorization as DeviceAuthorization
    from aritma_auth.protocol.dpop import DPoP as DPoP
    from aritma_auth.protocol.grants import AuthorizationCodeGrant as AuthorizationCodeGrant
    from aritma_auth.protocol.grants import BackchannelGrant as BackchannelGrant
    from aritma_auth.protocol.grants import ClientCredentialsGrant as ClientCredentialsGrant
    from aritma_auth.protocol.grants import CustomGrant as CustomGrant
    from aritma_auth.protocol.grants import DelegationGrant as DelegationGrant
    from aritma_auth.protocol.grants import DeviceCodeGrant as DeviceCodeGrant
    from aritma_auth.protocol.grants import Grant as Grant
    from aritma_auth.protocol.grants import JwtAssertion as JwtAssertion
    from aritma_auth.protocol.grants import JwtBearerGrant as JwtBearerGrant
    from aritma_auth.protocol.grants import PasswordGrant as PasswordGrant
    from aritma_auth.protocol.grants import RefreshTokenGrant as RefreshTokenGrant
    from aritma_auth.protocol.grants import SignedInGrant as SignedInGrant
    from aritma_auth.protocol.grants import SubjectTokenSource as SubjectTokenSource
    from aritma_auth.protocol.grants import TokenExchangeGrant as TokenExchangeGrant
    from aritma_auth.protocol.jwe import DecryptionKey as DecryptionKey
    from aritma_auth.protocol.jwe import RequestEncryption as RequestEncryption
    from aritma_auth.protocol.jwt import parse_unverified_claims as parse_unverified_claims
    from aritma_auth.protocol.login_initiation import LoginInitiation as LoginInitiation
    from aritma_auth.protocol.login_initiation import (
        parse_login_initiation as parse_login_initiation,
    )
    from aritma_auth.protocol.logout import LogoutToken as LogoutToken
    from aritma_auth.protocol.logout import (
        validate_front_channel_logout as validate_front_channel_logout,
    )
    from aritma_auth.protocol.logout import validate_logout_callback as validate_logout_callback
    from aritma_auth.protocol.metadata import ServerMetadata as ServerMetadata
    from aritma_auth.protocol.parameters import build_acr_values as build_acr_values
    from aritma_auth.protocol.profiles import FAPI2 as FAPI2
    from aritma_auth.protocol.profiles import FAPI2_MESSAGE_SIGNING as FAPI2_MESSAGE_SIGNING
    from aritma_auth.protocol.profiles import Profile as Profile
    from aritma_auth.protocol.profiles import ProfileReport as ProfileReport
    from aritma_auth.protocol.registered_client import RegisteredClient as RegisteredClient
    from aritma_auth.protocol.session_management import SessionPage as SessionPage
    from aritma_auth.protocol.session_management import build_session_page as build_session_page
    from aritma_auth.protocol.sign_in import SignIn as SignIn
    from aritma_auth.protocol.signing import RemoteSigner as RemoteSigner
    from aritma_auth.protocol.signing import SigningKey as SigningKey
    from aritma_auth.protocol.tenants import validate_tenant as validate_tenant
    from aritma_auth.protocol.token_management import Introspection as Introspection
    from aritma_auth.protocol.tokens import Token as Token
    from aritma_auth.protocol.www_authenticate import Challenge as Challenge
    from aritma_auth.protocol.www_authenticate import parse_challenges as parse_challenges
    from aritma_auth.provider.keyed_middleware import KeyedBearerMiddleware as KeyedBearerMiddleware
    from aritma_auth.provider.middleware import BearerMiddleware as BearerMiddleware
    from aritma_auth.provider.options import ProviderOptions as ProviderOptions
    from aritma_auth.provider.policy import RefreshPolicy as RefreshPolicy
    from aritma_auth.provider.pool import TokenProviderPool as TokenProviderPool
    from aritma_auth.provider.provider import TokenProvider as TokenProvider
    from aritma_auth.provider.settings import TokenSource as TokenSource
    from aritma_auth.provider.sharing_policy import RefreshTokenUsage as RefreshTokenUsage
    from aritma_auth.provider.sharing_policy import SharingPolicy as SharingPolicy
    from aritma_auth.provider.status import PoolStatus as PoolStatus
    from aritma_auth.provider.status import ProviderStatus as ProviderStatus
    from aritma_auth.runtime.clock import SYSTEM_CLOCK as SYSTEM_CLOCK
    from aritma_auth.runtime.clock import Clock as Clock
    from aritma_auth.secret import Secret as Secret
    from aritma_auth.stores.contract import Record as Record
    from aritma_auth.stores.contract import TokenStore as TokenStore
    from aritma_auth.stores.encryption import EncryptionKeys as EncryptionKeys
    from aritma_auth.stores.file import FileTokenStore as FileTokenStore
    from aritma_auth.stores.keyring import KeyringTokenStore as KeyringTokenStore
    from aritma_auth.stores.memory import MemoryTokenStore as MemoryTokenStore
    from aritma_auth.stores.redis import RedisTokenStore as RedisTokenStore
else:
    # A type checker that sees __getattr__ takes any misspelled name for a public one.
    __all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES, _MODULES)
