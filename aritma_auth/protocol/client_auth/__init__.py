"""
Client authentication at the token endpoint, by the names of the IANA registry.

A method is a frozen value. What it needs for one request, its secret above all, is loaded outside
and handed in as a `ClientCredential`, so that nothing here awaits. A family is loaded when one of
its names is first used.
"""

from typing import TYPE_CHECKING

from aritma_auth.runtime.lazy_names import lazy_names

_HOMES = {
    "assertion": ("ClientAssertion", "PrivateKeyJwt"),
    "base": ("ClientAuth", "ClientCredential", "Proof", "generate_jti"),
    "basic": ("ClientSecretBasic",),
    "post": ("ClientSecretPost",),
    "public": ("NoClientAuth",),
    "secret_jwt": ("ClientSecretJwt",),
    "certificate": ("SelfSignedTlsClientAuth", "TlsClientAuth"),
    ".credentials": ("CredentialSource", "PlainSecret"),
}

if TYPE_CHECKING:
    from aritma_auth.protocol.client_auth.assertion import ClientAssertion as ClientAssertion
    from aritma_auth.protocol.client_auth.assertion import PrivateKeyJwt as PrivateKeyJwt
    from aritma_auth.protocol.client_auth.base import ClientAuth as ClientAuth
    from aritma_auth.protocol.client_auth.base import ClientCredential as ClientCredential
    from aritma_auth.protocol.client_auth.base import Proof as Proof
    from aritma_auth.protocol.client_auth.base import generate_jti as generate_jti
    from aritma_auth.protocol.client_auth.basic import ClientSecretBasic as ClientSecretBasic
    from aritma_auth.protocol.client_auth.certificate import (
        SelfSignedTlsClientAuth as SelfSignedTlsClientAuth,
    )
    from aritma_auth.protocol.client_auth.certificate import TlsClientAuth as TlsClientAuth
    from aritma_auth.protocol.client_auth.post import ClientSecretPost as ClientSecretPost
    from aritma_auth.protocol.client_auth.public import NoClientAuth as NoClientAuth
    from aritma_auth.protocol.client_auth.secret_jwt import ClientSecretJwt as ClientSecretJwt
    from aritma_auth.protocol.credentials import CredentialSource as CredentialSource
    from aritma_auth.protocol.credentials import PlainSecret as PlainSecret
else:
    # A type checker that sees __getattr__ takes any misspelled name for a public one.
    __all__, __getattr__, __dir__ = lazy_names(__name__, _HOMES)
