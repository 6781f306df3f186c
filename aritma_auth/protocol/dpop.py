"""
DPoP: each request proves that its sender holds the key to which the token is bound.

Spec: RFC 9449.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import final

import attrs
from yarl import URL

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.jws import encode_base64url
from aritma_auth.protocol.redaction import JsonValue
from aritma_auth.protocol.signing import Signer, require_signer
from aritma_auth.protocol.unsigned_jwt import UnsignedJwt
from aritma_auth.protocol.urls import origin_of
from aritma_auth.protocol.www_authenticate import parse_challenges
from aritma_auth.runtime.hidden_arguments import with_hidden_arguments
from aritma_auth.runtime.values import Value

__all__ = ["DPoP", "build_proof", "normalize_target", "parse_nonce", "refuses_proof"]

USE_NONCE = "use_dpop_nonce"
"""The error of a server that wants its nonce in the proof (RFC 9449 §8, §9)."""

INVALID_PROOF = "invalid_dpop_proof"
"""The error of a proof that is refused for another reason (RFC 9449 §5)."""

_PROOF_ERRORS = frozenset({USE_NONCE, INVALID_PROOF})
_DEFAULT_PORTS = {"http": 80, "https": 443}

# 1*NQCHAR (RFC 9449 §8.1). A server may seal its state in one; a longer one than this would make
# the proof's header longer than what servers read.
_NONCE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,4096}")


def _require_key(_dpop: object, field: "attrs.Attribute[Signer]", value: object) -> None:
    if not require_signer(field.name, value).thumbprint:
        raise ConfigurationError(
            f"{field.name} must be a RemoteSigner with its public_jwk: a proof carries the public "
            "key (RFC 9449 §4.2)"
        )


@final
@with_hidden_arguments
@attrs.frozen(eq=False, repr=False)
class DPoP(Value):
    """
    Tokens bound to a key: a thief who has the token alone cannot use it.

    A key of this process needs the extra ``oidc``. Tokens in a store are found again by the same
    key only: give all processes one key, from a secret of the deployment or from the store itself
    (`aritma_auth.stores.load_signing_key`).

    Attributes:
        key: A `SigningKey`, or a `RemoteSigner` with its ``public_jwk``.

    Raises:
        ConfigurationError: The key is neither, or a remote one whose public half is not known.

    Spec: RFC 9449.
    """

    key: Signer = attrs.field(validator=_require_key)

    @property
    def thumbprint(self) -> str:
        """The key's thumbprint, which ``jkt`` and ``dpop_jkt`` name (RFC 9449 §6, §10)."""
        return self.key.thumbprint


def build_proof(
    key: Signer,
    method: str,
    url: URL,
    *,
    now: float,
    jti: str,
    nonce: str = "",
    access_token: str | None = None,
) -> UnsignedJwt:
    """
    Build the proof of one request, still to be signed.

    Args:
        key: The key to which the token is bound.

        method: The request's method.

        url: Where it goes.

        now: POSIX seconds by the server's clock, as well as we know it.

        jti: A fresh identifier; no two proofs share one.

        nonce: The latest nonce of the server, or an empty text.

        access_token: The token that the request carries; None at the token endpoint.

    Spec: RFC 9449 §4.2.
    """
    claims: dict[str, JsonValue] = {
        "jti": jti,
        "htm": method,
        "htu": normalize_target(url),
        "iat": int(now),
    }
    if nonce:
        claims["nonce"] = nonce
    if access_token is not None:
        claims["ath"] = encode_base64url(sha256(access_token.encode()).digest())
    # The key itself is in the header, so a kid would say nothing.
    header: Mapping[str, JsonValue] = {
        "typ": "dpop+jwt",
        "kid": None,
        "jwk": {**(key.public_jwk or {})},
    }
    return UnsignedJwt(key, claims, header)


def normalize_target(url: URL) -> str:
    """
    Return a request's target without query and fragment, as ``htu`` names it.

    Args:
        url: An absolute URL; a WebSocket's is that of the HTTP request which opens it.

    Spec: RFC 9449 §4.2, §4.3; RFC 3986 §6.2.2, §6.2.3.
    """
    origin = origin_of(url)
    text = origin.url
    if origin.port == _DEFAULT_PORTS.get(origin.scheme):
        text = text.rpartition(":")[0]
    return f"{text}{url.raw_path or '/'}"


def parse_nonce(field: str | None) -> str:
    """
    Parse the nonce that a server has sent.

    Args:
        field: The value of ``DPoP-Nonce``, or None.

    Returns:
        The nonce; empty if there is none or it is malformed.

    Spec: RFC 9449 §8.1, §8.2.
    """
    return field if field is not None and _NONCE.fullmatch(field) else ""


def refuses_proof(fields: Iterable[str]) -> str:
    """
    Find the challenge by which an API refuses a proof and not the token.

    Args:
        fields: The values of the response's ``WWW-Authenticate`` fields.

    Returns:
        ``use_dpop_nonce``, ``invalid_dpop_proof``, or an empty text.

    Spec: RFC 9449 §7.1, §9.
    """
    for challenge in parse_challenges(fields):
        error = challenge.parameters.get("error", "")
        if challenge.scheme == "dpop" and error in _PROOF_ERRORS:
            return error
    return ""
