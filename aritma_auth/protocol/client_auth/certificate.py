"""Client authentication by the certificate of the connection (RFC 8705)."""

from typing import ClassVar

import attrs

from aritma_auth.errors import require_instance, wrong_kind
from aritma_auth.protocol.client_auth.base import ClientAuth, ClientCredential, Proof
from aritma_auth.protocol.credentials import CredentialSource
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value


def _require_certificate(_auth: object, field: "attrs.Attribute[object]", value: object) -> None:
    # The pure rooms do not import ssl: a context is what can wrap a socket.
    context = getattr(value, "ssl_context", value)
    if isinstance(value, type) or not callable(getattr(context, "wrap_bio", None)):
        raise wrong_kind(
            field.name, "a ClientCertificate, or an ssl.SSLContext with one loaded", value
        )


def _require_thumbprint(_auth: object, field: "attrs.Attribute[str]", value: object) -> None:
    require_instance(field.name, "a string", value, str)


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class TlsClientAuth(Value, ClientAuth):
    """
    A client certificate of an authority that the server trusts, instead of a secret.

    Attributes:
        certificate: A `ClientCertificate`, or an ``ssl.SSLContext`` with the certificate loaded.

        thumbprint: The certificate's, to keep its tokens apart in a store: those of one certificate
            are then never used by another. Leave it out if certificates are renewed: a token of the
            one before is refreshed when an API refuses it, and a sign-in outlives that.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Spec: RFC 8705 §2.1, §3.1.
    """

    method: ClassVar[str] = "tls_client_auth"
    certificate: object = attrs.field(repr=False, validator=_require_certificate)
    thumbprint: str = attrs.field(default="", validator=_require_thumbprint)
    secret: CredentialSource | None = attrs.field(init=False, eq=False, repr=False)

    @secret.default
    def _find_files(self) -> CredentialSource | None:
        return self.certificate if isinstance(self.certificate, CredentialSource) else None

    def prove(self, credential: ClientCredential) -> Proof:
        """Name the client; the connection carries the certificate (RFC 8705 §2)."""
        return Proof((("client_id", credential.client_id),))


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class SelfSignedTlsClientAuth(TlsClientAuth):
    """
    A client certificate that the server knows itself, by ``jwks`` or ``jwks_uri``.

    Attributes:
        certificate: A `ClientCertificate`, or an ``ssl.SSLContext`` with the certificate loaded.

        thumbprint: The certificate's, as for `TlsClientAuth`.

    Raises:
        ConfigurationError: An argument is of the wrong kind; the message names it.

    Spec: RFC 8705 §2.2.
    """

    method: ClassVar[str] = "self_signed_tls_client_auth"
