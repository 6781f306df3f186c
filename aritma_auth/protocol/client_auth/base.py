"""What every client authentication is: its parent, what it is handed, and what it gives."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.credentials import CredentialSource
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.redaction import HiddenStr, SecretText
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.protocol.unsigned_jwt import UnsignedJwt


@attrs.frozen(eq=False, repr=False)
class ClientCredential(Value):
    """
    What authenticates one request.

    Attributes:
        client_id: The client's identifier.

        secret: The loaded secret or private key, or None for methods without one.

        token_endpoint: The token endpoint's URL, which assertions name at every endpoint.

        issuer: The authorization server's issuer identifier.

        now: POSIX seconds by the server's clock, as well as we know it.

        jti: A fresh identifier for an assertion, as `generate_jti` makes it.

        assertion: What `ClientAuth.build_assertion` gave, signed; or None.
    """

    client_id: str
    secret: SecretText | None = None
    token_endpoint: str = ""
    issuer: str = ""
    now: float = 0.0
    jti: str = ""
    assertion: HiddenStr | None = attrs.field(default=None, repr=False)


def generate_jti() -> str:
    """Generate an identifier for one assertion or proof: 122 random bits (RFC 9449 §4.2)."""
    import uuid  # aiohttp has loaded it, unlike secrets

    return str(uuid.uuid4())


@attrs.frozen(eq=False, repr=False)
class Proof(Value):
    """Parameters and header fields that authenticate the client; their values never show."""

    parameters: Parameters = attrs.field(default=(), repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)


class ClientAuth(ABC):
    """
    One way for a client to authenticate.

    Attributes:
        method: Its name in the IANA registry of token endpoint authentication methods.

        secret: Where its secret comes from, or None if it has none.

        thumbprint: Of the key that its tokens are bound to; empty for bearer tokens.
    """

    method: ClassVar[str]
    secret: CredentialSource | None = None
    thumbprint: str = ""

    def build_assertion(self, credential: ClientCredential) -> "UnsignedJwt | None":
        """Return what must be signed for one request before `prove`; None if nothing must."""
        del credential
        return None

    @abstractmethod
    def prove(self, credential: ClientCredential) -> Proof:
        """Return the proof for one request."""


def require_loaded(credential: ClientCredential, method: str) -> HiddenStr:
    """Require the secret of a method that has one, and that it may travel."""
    if credential.secret is None:
        raise ConfigurationError(f"{method} needs a secret, but none was loaded")
    require_shared_secret(credential.secret.text, method)
    return credential.secret.text


def require_shared_secret(secret: str, method: str) -> None:
    """
    Require a secret that is sent to the server to be no private key, which must not leave.

    Args:
        secret: What would be sent.

        method: How the client authenticates.

    Raises:
        ConfigurationError: It is a private key, in PEM or as a JSON Web Key.
    """
    if "PRIVATE KEY-----" in secret or ('"kty"' in secret and secret.lstrip().startswith("{")):
        # A traceback with local variables would show the key.
        del secret
        raise ConfigurationError(
            f"{method} must have a secret that the server knows too, and this is a private key: "
            "give PrivateKeyJwt(key), and nothing but a signature is sent"
        )
