"""
Grants as frozen values: what entitles a client to a token.

A new grant is one class in the module of its family: its ``grant_type`` and its own parameters.
What the end-user or the caller keeps secret is a `SecretText`, further parameters are
`SecretParameters`: neither a log nor a serialiser of the grant shows them. A family is loaded when
one of its names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aritma_auth.protocol.grants.base import Grant as Grant
    from aritma_auth.protocol.grants.exchange import DelegationGrant as DelegationGrant
    from aritma_auth.protocol.grants.exchange import JwtBearerGrant as JwtBearerGrant
    from aritma_auth.protocol.grants.exchange import TokenExchangeGrant as TokenExchangeGrant
    from aritma_auth.protocol.grants.kept import RefreshTokenGrant as RefreshTokenGrant
    from aritma_auth.protocol.grants.kept import SignedInGrant as SignedInGrant
    from aritma_auth.protocol.grants.service import ClientCredentialsGrant as ClientCredentialsGrant
    from aritma_auth.protocol.grants.service import CustomGrant as CustomGrant
    from aritma_auth.protocol.grants.sign_in import AuthorizationCodeGrant as AuthorizationCodeGrant
    from aritma_auth.protocol.grants.sign_in import BackchannelGrant as BackchannelGrant
    from aritma_auth.protocol.grants.sign_in import DeviceCodeGrant as DeviceCodeGrant
    from aritma_auth.protocol.grants.sign_in import PasswordGrant as PasswordGrant
    from aritma_auth.protocol.grants.sources import JwtAssertion as JwtAssertion
    from aritma_auth.protocol.grants.sources import SubjectTokenSource as SubjectTokenSource

_HOMES = {
    "base": ("Grant",),
    "exchange": ("DelegationGrant", "JwtBearerGrant", "TokenExchangeGrant"),
    "kept": ("RefreshTokenGrant", "SignedInGrant"),
    "service": ("ClientCredentialsGrant", "CustomGrant"),
    "sign_in": ("AuthorizationCodeGrant", "BackchannelGrant", "DeviceCodeGrant", "PasswordGrant"),
    "sources": ("JwtAssertion", "SubjectTokenSource"),
}
_HOME_OF = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - one list of names, in _HOMES


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
