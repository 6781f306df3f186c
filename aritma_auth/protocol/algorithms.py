"""Signature algorithms: which are known, and what each asks of a key."""

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256, sha384, sha512
from typing import Literal, Protocol

import attrs

from aritma_auth.errors import ConfigurationError


class _Hash(Protocol):
    def digest(self) -> bytes: ...


@attrs.frozen
class SignatureAlgorithm:
    """
    One algorithm of JSON Web Signatures; all of them are asymmetric.

    Attributes:
        name: Its ``alg``.

        key_type: The ``kty`` of its keys.

        digest: The hash that ID tokens signed with it bind their neighbours by.

        curve: The ``crv`` of its keys, or None.

    Spec: RFC 7518 §3.1; RFC 8037 §3.1; RFC 9864 §2.2; OpenID Connect Core 1.0 §3.1.3.6.
    """

    name: str
    key_type: Literal["EC", "OKP", "RSA"]
    digest: Callable[[bytes], _Hash]
    curve: str | None = None


SIGNATURE_ALGORITHMS: Mapping[str, SignatureAlgorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        SignatureAlgorithm("ES256", "EC", sha256, "P-256"),
        SignatureAlgorithm("ES384", "EC", sha384, "P-384"),
        SignatureAlgorithm("ES512", "EC", sha512, "P-521"),
        # Two names of one: RFC 9864 says which curve the older one means.
        SignatureAlgorithm("Ed25519", "OKP", sha512, "Ed25519"),
        SignatureAlgorithm("EdDSA", "OKP", sha512, "Ed25519"),
        SignatureAlgorithm("PS256", "RSA", sha256),
        SignatureAlgorithm("PS384", "RSA", sha384),
        SignatureAlgorithm("PS512", "RSA", sha512),
        SignatureAlgorithm("RS256", "RSA", sha256),
        SignatureAlgorithm("RS384", "RSA", sha384),
        SignatureAlgorithm("RS512", "RSA", sha512),
    )
}
"""The algorithms by name. A shared secret signs nothing here, and ``none`` is no algorithm."""


def make_algorithms(names: str | Iterable[str]) -> frozenset[str]:
    """
    Read the algorithms that a caller accepts.

    Args:
        names: One name, or several.

    Raises:
        ConfigurationError: There is none, or one is not known.

    Spec: RFC 8725 §3.1.
    """
    algorithms = frozenset((names,) if isinstance(names, str) else names)
    if not algorithms or not algorithms <= SIGNATURE_ALGORITHMS.keys():
        known = ", ".join(SIGNATURE_ALGORITHMS)
        raise ConfigurationError(f"accept asymmetric signature algorithms, some of {known}")
    return algorithms
