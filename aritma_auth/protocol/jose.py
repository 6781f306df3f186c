"""JSON Web Signatures; the only module that knows joserfc (extra ``oidc``)."""

import json
from collections.abc import Mapping

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.sealed import HiddenStr, JsonValue, Sealed

SIGNING_ALGORITHMS = frozenset(
    {"ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}
)
"""What IdentityServer accepts of a client: asymmetric algorithms alone."""


def sign(
    claims: Mapping[str, JsonValue], key: Sealed, *, algorithm: str, key_id: str | None = None
) -> HiddenStr:
    """
    Sign claims as a compact JWT.

    Args:
        claims: The payload.

        key: A private key, in PEM or as a JSON Web Key.

        algorithm: One of `SIGNING_ALGORITHMS` that fits the key.

        key_id: The header's ``kid``, if the server wants one.

    Raises:
        ConfigurationError: joserfc is missing, the key is none, or it does not fit the algorithm.

    Spec: RFC 7515 §3.1, RFC 7519 §7.1.
    """
    header = {"alg": algorithm, "typ": "JWT"} | ({} if key_id is None else {"kid": key_id})
    payload = HiddenStr(json.dumps(dict(claims), separators=(",", ":")))
    try:
        from joserfc import jws  # noqa: PLC0415 - extra "oidc"
        from joserfc.jwk import ECKey, RSAKey  # noqa: PLC0415 - extra "oidc"

        kind = ECKey if algorithm.startswith("ES") else RSAKey
        value = json.loads(key.text) if key.text.lstrip().startswith("{") else key.text
        private = kind.import_key(value)
        if not private.is_private:
            raise ValueError  # noqa: TRY301 - told below, like all that is wrong with a key
        return HiddenStr(jws.serialize_compact(header, payload, private, [algorithm]))
    except ImportError:
        problem = 'signing needs joserfc: pip install "aritma-auth[oidc]"'
    except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds
        problem = f"the key cannot sign with {algorithm} ({type(error).__name__}): check the key"
    # Outside the except block: the caught error may hold the key.
    raise ConfigurationError(problem)


def is_signed_by(token: str, key: Mapping[str, JsonValue], algorithm: str) -> bool:
    """
    Tell whether a public key has signed a compact JWT.

    Args:
        token: The compact serialisation.

        key: A JSON Web Key of the algorithm's kind.

        algorithm: The one algorithm that counts, one of `SIGNING_ALGORITHMS`.

    Raises:
        ConfigurationError: joserfc is missing.

    Spec: RFC 7515 §5.2.
    """
    try:
        from joserfc import jws  # noqa: PLC0415 - extra "oidc"
        from joserfc.jwk import ECKey, RSAKey  # noqa: PLC0415 - extra "oidc"
    except ImportError:
        is_missing = True
    else:
        is_missing = False
    if is_missing:
        raise ConfigurationError(
            'checking signatures needs joserfc: pip install "aritma-auth[oidc]"'
        )
    kind = ECKey if algorithm.startswith("ES") else RSAKey
    public: dict[str, str | list[str]] = {
        name: value
        for name in ("kty", "n", "e", "crv", "x", "y")
        if isinstance(value := key.get(name), str)
    }
    try:
        jws.deserialize_compact(token, kind.import_key(public), [algorithm])
    except Exception:  # noqa: BLE001 - one bad key must not take its issuer down
        return False
    return True
