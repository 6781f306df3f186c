"""Client authentication by a secret in the form."""

from typing import ClassVar

import attrs

from aritma_auth.protocol.client_auth.base import (
    ClientAuth,
    ClientCredential,
    Proof,
    require_loaded,
)
from aritma_auth.protocol.credentials import CredentialSource, as_source, require_source
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value


@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class ClientSecretPost(Value, ClientAuth):
    """
    The secret in the form, as every sample of Aritma sends it.

    Attributes:
        secret: The secret, or where it comes from.

    Raises:
        ConfigurationError: ``secret`` is neither a string nor a `Secret`.

    Spec: RFC 6749 §2.3.1; Aritma's authentication page.
    """

    method: ClassVar[str] = "client_secret_post"
    secret: CredentialSource = attrs.field(converter=as_source, validator=require_source)

    def prove(self, credential: ClientCredential) -> Proof:
        """Put id and secret into the form."""
        secret = require_loaded(credential, self.method)
        return Proof((("client_id", credential.client_id), ("client_secret", secret)))
