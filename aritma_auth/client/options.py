"""What a client without code takes in code: for type checkers, so that a service never loads it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

from aritma_auth.runtime.clock import Clock

if TYPE_CHECKING:
    import ssl

    import aiohttp

    from aritma_auth.certificate import ClientCertificate
    from aritma_auth.protocol.dpop import DPoP
    from aritma_auth.protocol.jwe import DecryptionKey, RequestEncryption
    from aritma_auth.protocol.profiles import Profile
    from aritma_auth.protocol.signing import Signer


class ClientOptions(TypedDict, total=False):
    """
    What a client without code takes in code; `OAuthClient` itself says what each of them is.

    What is given here replaces the setting of the same name.
    """

    session: "aiohttp.ClientSession | None"
    proxy: str | None
    timeout: float
    clock: Clock
    id_token_algorithms: str | Iterable[str] | None
    leeway: float
    trusted_audiences: str | Iterable[str]
    request_signer: "Signer | None"
    request_encryption: "RequestEncryption | None"
    dpop: "DPoP | None"
    profile: "Profile | None"
    certificate: "ClientCertificate | ssl.SSLContext | None"
    requires_bound_tokens: bool
    decryption_key: "DecryptionKey | None"
