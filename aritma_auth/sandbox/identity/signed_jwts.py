"""JWTs that clients have signed: assertions and request objects."""

import binascii
import json
from typing import Literal

from aritma_auth.sandbox.identity.base64url import decode_base64url

_KEY_TYPES: dict[str, Literal["EC", "OKP", "RSA"]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "Ed25519": "OKP",
}

CLIENT_ALGORITHMS = (*_KEY_TYPES, "EdDSA")
"""What clients may sign with; the last is another name of Ed25519."""


def parse_jwt(text: str) -> tuple[dict[str, object], dict[str, object]]:
    """Parse header and claims, unverified; both are empty if it is no JWT."""
    try:
        header, claims, _ = text.split(".")
        return _parse_part(header), _parse_part(claims)
    except (binascii.Error, ValueError):
        return {}, {}


def _parse_part(part: str) -> dict[str, object]:
    members = json.loads(decode_base64url(part))
    return members if isinstance(members, dict) else {}


def is_signed_by(text: str, public_key: str) -> bool:
    """
    Tell whether a key has signed a JWT.

    Args:
        text: The compact serialisation.

        public_key: In PEM, or a JSON Web Key as text.
    """
    from joserfc import jwk, jws  # extra "sandbox"

    named = str(parse_jwt(text)[0].get("alg"))
    # joserfc warns of the older name, under which Ed25519 signs the same.
    algorithm = "Ed25519" if named == "EdDSA" else named
    if algorithm not in _KEY_TYPES:
        return False
    value = json.loads(public_key) if public_key.startswith("{") else public_key
    signing_input, _, signature = text.rpartition(".")
    try:
        key = jwk.import_key(value, _KEY_TYPES[algorithm])
        verifier = jws.JWSRegistry.algorithms[algorithm]
        verifier.check_key(key)
        return verifier.verify(signing_input.encode(), decode_base64url(signature), key)
    except Exception:  # noqa: BLE001 - joserfc and cryptography raise many kinds
        return False
