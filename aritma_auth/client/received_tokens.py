"""What few clients do with a token that has come: compare its binding, decrypt its ID token."""

from typing import TYPE_CHECKING

import attrs

from aritma_auth.errors import VerificationError
from aritma_auth.protocol.jwe import DecryptionKey, is_encrypted
from aritma_auth.protocol.token_binding import find_confirmation, unbound
from aritma_auth.protocol.tokens import Token

if TYPE_CHECKING:
    from aritma_auth.certificate import ClientCertificate


def require_own_binding(
    token: Token, *, thumbprint: str | None, certificate: "ClientCertificate | None"
) -> None:
    """
    Require an access token to name its client's own key or certificate, if it can be read.

    Args:
        token: The token.

        thumbprint: That of the client's key, or None without one.

        certificate: The client's certificate. None without a key stands for an ``ssl.SSLContext``,
            which does not show its certificate: the token must name one.

    Raises:
        InvalidResponseError: It names another one, or none.
    """
    named = find_confirmation(token.access_token)
    if named is None:
        return
    if thumbprint is not None:
        is_own = named.get("jkt") == thumbprint
    elif certificate is not None:
        is_own = certificate.is_own(str(named.get("x5t#S256")))
    else:
        is_own = isinstance(named.get("x5t#S256"), str)
    if not is_own:
        raise unbound("x5t#S256" if thumbprint is None else "jkt", named)


def decrypt_id_token(token: Token, key: DecryptionKey) -> Token:
    """Decrypt a token's ID token; one that cannot be is refused later, with nothing lost."""
    if token.id_token is None or not is_encrypted(token.id_token):
        return token
    try:
        return attrs.evolve(token, id_token=key.decrypt(token.id_token))
    except VerificationError:
        # A refresh token that came along must reach the store (RFC 9700 §4.14).
        return token
