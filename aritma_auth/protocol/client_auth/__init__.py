"""
Client authentication at the token endpoint, by the names of the IANA registry.

A method is a frozen value. What it needs for one request, its secret above all, is loaded outside
and handed in as a `ClientCredential`, so that nothing here awaits. A family is loaded when one of
its names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aritma_auth.protocol.client_auth.assertion import ClientAssertion as ClientAssertion
    from aritma_auth.protocol.client_auth.assertion import PrivateKeyJwt as PrivateKeyJwt
    from aritma_auth.protocol.client_auth.base import ClientAuth as ClientAuth
    from aritma_auth.protocol.client_auth.base import ClientCredential as ClientCredential
    from aritma_auth.protocol.client_auth.base import NoClientAuth as NoClientAuth
    from aritma_auth.protocol.client_auth.base import Proof as Proof
    from aritma_auth.protocol.client_auth.base import generate_jti as generate_jti
    from aritma_auth.protocol.client_auth.certificate import (
        SelfSignedTlsClientAuth as SelfSignedTlsClientAuth,
    )
    from aritma_auth.protocol.client_auth.certificate import TlsClientAuth as TlsClientAuth
    from aritma_auth.protocol.client_auth.secret_jwt import ClientSecretJwt as ClientSecretJwt
    from aritma_auth.protocol.client_auth.shared_secret import (
        ClientSecretBasic as ClientSecretBasic,
    )
    from aritma_auth.protocol.client_auth.shared_secret import ClientSecretPost as ClientSecretPost
    from aritma_auth.protocol.credentials import CredentialSource as CredentialSource
    from aritma_auth.protocol.credentials import PlainSecret as PlainSecret

_HOMES = {
    "client_auth.assertion": ("ClientAssertion", "PrivateKeyJwt"),
    "client_auth.base": ("ClientAuth", "ClientCredential", "NoClientAuth", "Proof", "generate_jti"),
    "client_auth.secret_jwt": ("ClientSecretJwt",),
    "client_auth.certificate": ("SelfSignedTlsClientAuth", "TlsClientAuth"),
    "client_auth.shared_secret": ("ClientSecretBasic", "ClientSecretPost"),
    "credentials": ("CredentialSource", "PlainSecret"),
}
_HOME_OF = {
    name: f"aritma_auth.protocol.{home}" for home, names in _HOMES.items() for name in names
}

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
