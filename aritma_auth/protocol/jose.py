"""JSON Web Signatures; the only module that knows joserfc (extra ``oidc``)."""

import json
from collections.abc import Mapping

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.algorithms import SIGNATURE_ALGORITHMS
from aritma_auth.protocol.base64url import decode_base64url, encode_base64url
from aritma_auth.protocol.sealed import HiddenStr, JsonValue, Sealed

_PUBLIC = ("kty", "n", "e", "crv", "x", "y")


def sign(
    claims: Mapping[str, JsonValue], key: Sealed, *, algorithm: str, key_id: str | None = None
) -> HiddenStr:
    """
    Sign claims as a compact JWT.

    Args:
        claims: The payload.

        key: A private key, in PEM or as a JSON Web Key.

        algorithm: One of `SIGNATURE_ALGORITHMS` that fits the key.

        key_id: The header's ``kid``, if the server wants one.

    Raises:
        ConfigurationError: joserfc is missing, the key is none, or it does not fit the algorithm.

    Spec: RFC 7515 §3.1, RFC 7519 §7.1.
    """
    header = {"alg": algorithm, "typ": "JWT"} | ({} if key_id is None else {"kid": key_id})
    signing_input = HiddenStr(".".join(map(_encode, (header, dict(claims)))))
    try:
        from joserfc import jwk, jws  # noqa: PLC0415 - extra "oidc"

        value = json.loads(key.text) if key.text.lstrip().startswith("{") else key.text
        private = jwk.import_key(value, SIGNATURE_ALGORITHMS[algorithm].key_type)
        if not private.is_private:
            raise ValueError  # noqa: TRY301 - told below, like all that is wrong with a key
        signer = jws.JWSRegistry.algorithms[_implementation(algorithm)]
        signer.check_key(private)
        signature = signer.sign(signing_input.encode(), private)
        return HiddenStr(f"{signing_input}.{encode_base64url(signature)}")
    except ImportError:
        problem = 'signing needs joserfc: pip install "aritma-auth[oidc]"'
    except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds
        problem = f"the key cannot sign with {algorithm} ({type(error).__name__}): check the key"
    # Outside the except block: the caught error may hold the key.
    raise ConfigurationError(problem)


def require_joserfc() -> None:
    """
    Say at once that signatures cannot be checked, before a person signs in for nothing.

    Raises:
        ConfigurationError: joserfc is missing.
    """
    try:
        import joserfc  # noqa: F401, PLC0415 - extra "oidc"
    except ImportError:
        is_missing = True
    else:
        is_missing = False
    if is_missing:
        raise ConfigurationError(
            'checking signatures needs joserfc: pip install "aritma-auth[oidc]"'
        )


def is_signed_by(token: str, key: Mapping[str, JsonValue], algorithm: str) -> bool:
    """
    Tell whether a public key has signed a compact JWT.

    Args:
        token: The compact serialisation.

        key: A JSON Web Key of the algorithm's kind and curve.

        algorithm: The one algorithm that counts, one of `SIGNATURE_ALGORITHMS`.

    Raises:
        ConfigurationError: joserfc is missing.

    Spec: RFC 7515 §5.2.
    """
    require_joserfc()
    from joserfc import jwk, jws  # noqa: PLC0415 - extra "oidc"

    signing_input, _, signature = token.rpartition(".")
    public: dict[str, str | list[str]] = {
        name: value for name in _PUBLIC if isinstance(value := key.get(name), str)
    }
    try:
        known = jwk.import_key(public, SIGNATURE_ALGORITHMS[algorithm].key_type)
        verifier = jws.JWSRegistry.algorithms[_implementation(algorithm)]
        return verifier.verify(signing_input.encode(), decode_base64url(signature), known)
    except Exception:  # noqa: BLE001 - one bad key must not take its issuer down
        return False


def _implementation(algorithm: str) -> str:
    # joserfc warns of the older name, under which it takes other curves too.
    return "Ed25519" if algorithm == "EdDSA" else algorithm


def _encode(members: object) -> HiddenStr:
    return HiddenStr(encode_base64url(json.dumps(members, separators=(",", ":")).encode()))
