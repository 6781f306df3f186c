"""
Signed tokens: which key may have signed one, and whether it did.

The token is not believed about itself. Of its header ``alg`` must be an algorithm that the caller
accepts, ``kid`` chooses among the issuer's keys, and everything else is ignored or refused: a key
or a URL that a token brings along would let its forger choose what verifies it.

Spec: RFC 7515; RFC 7517; RFC 8725.
"""

from collections.abc import Iterable, Mapping

import attrs

from aritma_auth.errors import (
    InvalidResponseError,
    VerificationError,
    printable,
    type_name,
    wrong_kind,
)
from aritma_auth.protocol.jws import (
    MIN_RSA_BITS,
    SIGNATURE_ALGORITHMS,
    count_modulus_bits,
    decode_base64url,
    is_signed_by,
    parse_algorithms,
)
from aritma_auth.protocol.redaction import HiddenStr, JsonValue, Members
from aritma_auth.protocol.strict_json import parse_json_object
from aritma_auth.protocol.tenants import TENANT_CLAIM, is_issuer_of
from aritma_auth.runtime.hidden_arguments import hides_arguments

JsonWebKey = Mapping[str, JsonValue]

_MAX_LENGTH = 1 << 17
_MAX_SHOWN = 80
_MOST_SHOWN = 4


@attrs.frozen
class SignedToken:
    """
    A token whose signature is verified.

    Attributes:
        header: Its header; only ``alg``, ``kid`` and ``typ`` mean anything.

        claims: Its payload.
    """

    header: Members
    claims: Members

    def has_type(self, types: frozenset[str] = frozenset({"jwt", "application/jwt"})) -> bool:
        """
        Tell whether its ``typ`` is right: a token of another kind must not be taken for this one.

        Args:
            types: In lower case; a token without ``typ`` is a JWT.

        Spec: RFC 8725 §3.11.
        """
        typ = self.header.get("typ", "JWT")
        return isinstance(typ, str) and typ.lower() in types


def verify_signature(
    token: str, keys: Iterable[JsonWebKey], *, algorithms: frozenset[str]
) -> SignedToken:
    """
    Verify a compact JWT with the keys of its issuer.

    The header chooses among the keys by ``kid``, and nothing else of it is believed: no ``jku``, no
    ``x5u``, no ``jwk``. A key counts only if its kind, use and algorithm fit.

    Args:
        token: The compact serialisation.

        keys: The issuer's JSON Web Keys; unusable ones are passed over.

        algorithms: Algorithms that this client accepts, all of them asymmetric.

    Raises:
        VerificationError: It is no JWT, of another algorithm, or no key has signed it.

        ConfigurationError: An accepted algorithm is not asymmetric, or joserfc is missing.

    Spec: RFC 7515 §5.2; RFC 7517 §4; RFC 8725 §3.1, §3.10; FAPI 2.0 §5.4.3.
    """
    accepted = parse_algorithms(algorithms)
    header, claims = _open(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in accepted:
        raise VerificationError(
            "the token is signed with an algorithm that is not accepted: it must be one of "
            f"{', '.join(sorted(accepted))}, not {describe_claim(algorithm)}"
        )
    if "crit" in header:
        raise VerificationError(
            "the token's header demands an extension (crit), which must not be ignored"
        )
    known = tuple(keys)
    fitting = [key for key in known if _fits(key, algorithm, kid) and _signs_for(key, claims)]
    if not any(is_signed_by(token, key, algorithm) for key in fitting):
        raise VerificationError(
            f"no key of the issuer has signed the token: {len(fitting)} of its {len(known)} keys "
            f"fit kid {describe_claim(kid)} and {algorithm}"
        )
    return SignedToken(header, claims)


def _open(token: str) -> tuple[Members, Members]:
    parts = [HiddenStr(part) for part in token.split(".")]
    if len(parts) == 3 and len(token) <= _MAX_LENGTH and token.isascii():
        try:
            # Reject non-canonical base64url: each signature has exactly one encoding.
            header, claims, _ = map(decode_base64url, parts)
            return parse_json_object(header), parse_json_object(claims)
        except ValueError:
            pass
    raise VerificationError("the token is no signed JWT in compact serialisation")


def _fits(key: JsonWebKey, algorithm: str, kid: JsonValue) -> bool:
    wanted = SIGNATURE_ALGORITHMS[algorithm]
    return (
        key.get("kty") == wanted.key_type
        and key.get("crv") == wanted.curve
        and key.get("use", "sig") == "sig"
        and _may_verify(key.get("key_ops"))
        and key.get("alg", algorithm) == algorithm
        # Without a kid, each key that fits is tried.
        and (kid is None or key.get("kid") == kid)
        and (key.get("kty") != "RSA" or count_modulus_bits(key) >= MIN_RSA_BITS)
    )


def _signs_for(key: JsonWebKey, claims: Members) -> bool:
    """
    Tell whether a key may sign for the token's issuer.

    A server that publishes the keys of several issuers in one set says of a key whose it is:
    otherwise one tenant's key would verify the tokens of all.
    """
    owner = key.get("issuer")
    return not isinstance(owner, str) or is_issuer_of(
        claims.get("iss"), (owner,), claims.get(TENANT_CLAIM)
    )


def _may_verify(operations: JsonValue) -> bool:
    return operations is None or (isinstance(operations, list) and "verify" in operations)


def names_unknown_key(token: str, keys: Iterable[JsonWebKey]) -> bool:
    """
    Tell whether a token names a key that is not among these.

    Args:
        token: The compact serialisation.

        keys: The keys known so far.
    """
    try:
        kid = _open(token)[0].get("kid")
    except VerificationError:
        return False
    return kid is not None and all(key.get("kid") != kid for key in keys)


def parse_key_set(members: Members) -> list[dict[str, JsonValue]]:
    """
    Parse a key set; members that are no keys are left out.

    Args:
        members: The set's members.

    Raises:
        InvalidResponseError: There is no list of keys.

    Spec: RFC 7517 §5.
    """
    keys = members.get("keys")
    if not isinstance(keys, list):
        raise InvalidResponseError("the key set has no list of keys", status=200)
    return [key for key in keys if isinstance(key, dict)]


def find_seconds(claims: Members, name: str) -> float | None:
    """Find a time in claims, in POSIX seconds; None if there is none (RFC 7519 §2)."""
    value = claims.get(name)
    # Fractions are allowed; bool is an int in Python and not in JSON.
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        return None
    return float(value)


def describe_claim(value: JsonValue, sent: Iterable[str] = ()) -> str:
    """
    Describe what a token says for an error: made printable and short, or its type, or none.

    Args:
        value: A claim, or a member of the header; no secret, but it may repeat one.

        sent: Secrets that are not shown.
    """
    texts = value if isinstance(value, list) else [value]
    named = [text for text in texts if isinstance(text, str)]
    if not named or len(named) < len(texts):
        return describe_type(value)
    # Imported here: only what is refused is described.
    from aritma_auth.protocol.echoes import hide_echoes

    secrets = tuple(sent)
    return ", ".join(
        repr(printable(hide_echoes(text, secrets), _MAX_SHOWN)) for text in named[:_MOST_SHOWN]
    )


def describe_type(value: JsonValue) -> str:
    """Describe a value of a wrong kind for an error, by its type alone."""
    return "none" if value is None else f"of type {type_name(value)}"


def is_audience(audience: JsonValue, client_id: str, trusted: frozenset[str]) -> bool:
    """
    Tell whether a token is for a client, and for no one else that the client does not trust.

    Args:
        audience: The claim ``aud``.

        client_id: The client that must be among them.

        trusted: Further audiences that the client trusts with the token.

    Spec: OpenID Connect Core 1.0 §3.1.3.7 (3).
    """
    named = audience if isinstance(audience, list) else [audience]
    others = [name for name in named if name != client_id]
    return client_id in named and all(isinstance(n, str) and n in trusted for n in others)


@hides_arguments
def parse_unverified_claims(access_token: str) -> Members | None:
    """
    Parse the claims of an access token without verifying anything.

    Args:
        access_token: The token's text.

    Returns:
        The claims, or None if the token is opaque, as it may well be.

    Raises:
        ConfigurationError: It is not a string.

    Spec: RFC 9068 §6 (a client must not look inside; a developer may).
    """
    if not isinstance(access_token, str):
        raise wrong_kind("access_token", "the token's text", access_token)
    parts = access_token.split(".")
    if len(parts) != 3:
        return None
    try:
        return parse_json_object(decode_base64url(parts[1]))
    except ValueError:
        return None
