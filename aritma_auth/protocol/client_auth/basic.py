"""Client authentication by a secret in the ``Authorization`` header."""

from base64 import b64encode
from typing import ClassVar

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.client_auth.base import (
    ClientAuth,
    ClientCredential,
    Proof,
    require_loaded,
)
from aritma_auth.protocol.credentials import CredentialSource, as_source, require_source
from aritma_auth.protocol.http_messages import form_encode
from aritma_auth.protocol.parameters import require_bool
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class ClientSecretBasic(Value, ClientAuth):
    """
    The secret in the ``Authorization`` header.

    Attributes:
        secret: The secret, or where it comes from.

        is_form_encoded: Id and secret are form-encoded before base64, as RFC 6749 demands and
            IdentityServer undoes. False is for servers that take them as they come.

    Raises:
        ConfigurationError: ``secret`` is neither a string nor a `Secret`; or the client id holds a
            colon and must not be encoded.

    Spec: RFC 6749 §2.3.1; RFC 7617 §2.
    """

    method: ClassVar[str] = "client_secret_basic"
    secret: CredentialSource = attrs.field(converter=as_source, validator=require_source)
    is_form_encoded: bool = attrs.field(default=True, kw_only=True, validator=require_bool)

    def prove(self, credential: ClientCredential) -> Proof:
        """Put id and secret into the header."""
        name, secret = credential.client_id, require_loaded(credential, self.method)
        if self.is_form_encoded:
            name, secret = form_encode(name), form_encode(secret)
        elif ":" in name:
            raise ConfigurationError(
                "the client id must not hold a colon unless it is form-encoded (RFC 7617 §2)"
            )
        pair = HiddenStr(f"{name}:{secret}")
        return Proof(
            headers={"Authorization": HiddenStr(f"Basic {b64encode(pair.encode()).decode()}")}
        )
