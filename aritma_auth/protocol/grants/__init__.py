"""
Grants as frozen values: what entitles a client to a token.

A new grant is one class in the module of its family: its ``grant_type`` and its own parameters.
What the end-user or the caller keeps secret is a `SecretText`, further parameters are
`SecretParameters`: neither a log nor a serialiser of the grant shows them. A family is loaded when
one of its names is first used.
"""

from typing import TYPE_CHECKING

from aritma_auth.runtime.lazy_names import lazy_names

_HOMES = {
    "base": ("Grant",),
    "custom": ("CustomGrant",),
    "exchange": ("DelegationGrant", "JwtBearerGrant", "TokenExchangeGrant"),
    "kept": ("RefreshTokenGrant", "SignedInGrant"),
    "service": ("ClientCredentialsGrant",),
    "sign_in": ("AuthorizationCodeGrant", "BackchannelGrant", "DeviceCodeGrant", "PasswordGrant"),
    "sources": ("JwtAssertion", "SubjectTokenSource"),
}

if TYPE_CHECKING:
    from aritma_auth.protocol.grants.base import Grant as Grant
    from aritma_auth.protocol.grants.custom import CustomGrant as CustomGrant
    from aritma_auth.protocol.grants.exchange import DelegationGrant as DelegationGrant
    from aritma_auth.protocol.grants.exchange import JwtBearerGrant as JwtBearerGrant
    from aritma_auth.protocol.grants.exchange import TokenExchangeGrant as TokenExchangeGrant
    from aritma_auth.protocol.grants.kept import RefreshTokenGrant as RefreshTokenGrant
    from aritma_auth.protocol.grants.kept import SignedInGrant as SignedInGrant
    from aritma_auth.protocol.grants.service import ClientCredentialsGrant as ClientCredentialsGrant
    from aritma_auth.protocol.grants.sign_in import AuthorizationCodeGrant as AuthorizationCodeGrant
    from aritma_auth.protocol.grants.sign_in import BackchannelGrant as BackchannelGrant
    from aritma_auth.protocol.grants.sign_in import DeviceCodeGrant as DeviceCodeGrant
    from aritma_auth.protocol.grants.sign_in import PasswordGrant as PasswordGrant
    from aritma_auth.protocol.grants.sources import JwtAssertion as JwtAssertion
    from aritma_auth.protocol.grants.sources import SubjectTokenSource as SubjectTokenSource
else:
    # A type checker that sees __getattr__ takes any misspelled name for a public one.
    __all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)
