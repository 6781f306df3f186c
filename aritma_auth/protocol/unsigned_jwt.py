"""
A JWT that waits for its signature.

Nothing here awaits. An `UnsignedJwt` gives the bytes to sign and takes the signature; who awaits
one from a key management service stands between the two.

Spec: RFC 7515; RFC 7518 §3.4.
"""

from collections.abc import Mapping
from typing import final

import attrs

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.jws import (
    MIN_RSA_BITS,
    SIGNATURE_ALGORITHMS,
    encode_base64url,
    encode_json,
)
from aritma_auth.protocol.redaction import HiddenBytes, HiddenStr, JsonValue
from aritma_auth.protocol.signing import RemoteSigner, Signer, SigningKey
from aritma_auth.runtime.values import Value

__all__ = ["UnsignedJwt"]

_EC_BYTES = {"P-256": 32, "P-384": 48, "P-521": 66}


@final
@attrs.frozen(eq=False, repr=False)
class UnsignedJwt(Value):
    """
    A JWT that waits for its signature.

    Attributes:
        signer: The key that signs it; the header's ``alg`` and ``kid`` are the key's.

        claims: The payload.

        header: Further members of the header; ``typ`` is ``JWT`` unless it is among them. One that
            is None is left out.

        signing_input: The bytes that the signature is of, as text; never shows.

    Spec: RFC 7515 §5.1; RFC 7519 §7.1.
    """

    signer: Signer
    claims: Mapping[str, JsonValue] = attrs.field(repr=False)
    header: Mapping[str, JsonValue] = attrs.field(factory=dict, repr=False)
    signing_input: HiddenStr = attrs.field(init=False, repr=False, eq=False)

    @signing_input.default
    def _write(self) -> HiddenStr:
        header: dict[str, JsonValue] = {
            "alg": self.signer.algorithm,
            "typ": "JWT",
            "kid": self.signer.key_id,
            **self.header,
        }
        header = {name: value for name, value in header.items() if value is not None}
        return HiddenStr(f"{encode_json(header)}.{encode_json(dict(self.claims))}")

    def sign(self) -> HiddenStr:
        """
        Sign it here and now.

        Returns:
            The compact serialisation.

        Raises:
            ConfigurationError: The signer is a `RemoteSigner`, whose signature must be awaited.
        """
        if isinstance(self.signer, RemoteSigner):
            raise ConfigurationError("a RemoteSigner's signature must be awaited: use OAuthClient")
        return self.with_signature(self.signer.sign(self.signing_input.encode()))

    def with_signature(self, signature: bytes) -> HiddenStr:
        """
        Put the JWT together.

        Args:
            signature: Of ``signing_input``, as the signer gave it.

        Returns:
            The compact serialisation.

        Raises:
            ConfigurationError: It is no signature of the signer's algorithm.
        """
        return HiddenStr(
            f"{self.signing_input}.{encode_base64url(_require_signature(self.signer, signature))}"
        )


def _require_signature(signer: Signer, given: object) -> bytes:
    """Return a signature as JSON Web Signatures have it (RFC 7518 §3.4)."""
    if isinstance(signer, SigningKey) and isinstance(given, bytes):
        return given
    algorithm = SIGNATURE_ALGORITHMS[signer.algorithm]
    half = _EC_BYTES.get(algorithm.curve or "")
    if not isinstance(given, bytes | bytearray):
        raise wrong_kind("the RemoteSigner's signature", "bytes", given)
    signature = HiddenBytes(given)
    if half is not None:
        raw = signature if len(signature) == 2 * half else _parse_der(signature, half)
        if raw is not None:
            return raw
        wanted = f"of {2 * half} bytes, R and S, or in DER"
    elif algorithm.key_type == "RSA":
        if len(signature) * 8 >= MIN_RSA_BITS:
            return signature
        wanted = f"of at least {MIN_RSA_BITS // 8} bytes"
    else:
        if len(signature) == 64:
            return signature
        wanted = "of 64 bytes"
    raise ConfigurationError(
        f"the RemoteSigner must return a signature with {algorithm.name}, {wanted}; it returned "
        f"{len(signature)} bytes"
    )


def _parse_der(signature: bytes, half: int) -> bytes | None:
    """
    Parse an ECDSA signature in DER: SEQUENCE { r INTEGER, s INTEGER } (RFC 3279 §2.2.3).

    A RemoteSigner needs no extra, so cryptography may be missing.
    """
    header = 3 if signature[1:2] == b"\x81" else 2
    if len(signature) < header or signature[0] != 0x30:
        return None
    if signature[header - 1] != len(signature) - header:
        return None
    numbers, rest = [], signature[header:]
    for _ in range(2):
        size = rest[1] if len(rest) > 1 else 0
        if rest[:1] != b"\x02" or not 0 < size <= len(rest) - 2:
            return None
        numbers.append(int.from_bytes(rest[2 : 2 + size]))
        rest = rest[2 + size :]
    if rest or any(number.bit_length() > 8 * half for number in numbers):
        return None
    return b"".join(number.to_bytes(half) for number in numbers)
