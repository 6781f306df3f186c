"""
DPoP proofs and their nonces, as the identity server and the Banking APIs validate them.

Spec: RFC 9449 §4.3, §8, §9. Source: IdentityServer's DefaultDPoPProofValidator.
"""

import json
import secrets
from collections import deque
from collections.abc import Mapping

from aiohttp import web

from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.base64url import decode_base64url, hash_base64url
from aritma_auth.sandbox.identity.parameters import ErrorResponse

INVALID, USE_NONCE = "invalid_dpop_proof", "use_dpop_nonce"

ALGORITHMS = {
    # joserfc warns of the name EdDSA.
    "EdDSA": "Ed25519",
    **{name: name for name in ("Ed25519", "ES256", "ES384", "ES512")},
    **{f"{kind}{size}": f"{kind}{size}" for kind in ("PS", "RS") for size in (256, 384, 512)},
}
_MAX_LENGTH = 4000
_VALIDITY = 60
_SKEW = 300
_PRIVATE = frozenset({"d", "k", "p", "q"})


class Nonces:
    """
    The nonces of one server.

    Attributes:
        is_required: Each proof must carry one.

        uses: Proofs for which a nonce is accepted, and as many more while its successor is in use;
            None never changes it.

        are_single: Each response carries a nonce of its own, which is accepted once.

        only_newest: Of those, only the newest is accepted.
    """

    def __init__(self) -> None:
        self.is_required = False
        self.uses: int | None = None
        self.are_single = False
        self.only_newest = False
        self._used = 0
        self._known: deque[str] = deque([secrets.token_urlsafe(16)], maxlen=2)
        self._single: set[str] = set()
        self._refusals: deque[tuple[str, bool]] = deque()
        self._is_offered = False

    @property
    def is_offered(self) -> bool:
        """Responses carry the nonce."""
        return self.is_required or self._is_offered

    @property
    def current(self) -> str:
        """The newest nonce."""
        return self._known[-1]

    def offer(self) -> str:
        """Return the nonce of one response."""
        if not self.are_single:
            return self.current
        nonce = secrets.token_urlsafe(16)
        if self.only_newest:
            self._single.clear()
        self._single.add(nonce)
        return nonce

    def roll(self, *, keep_old: bool = True) -> None:
        """Give another nonce from now on; the one before it stays accepted on request."""
        if not keep_old:
            self._known.clear()
        self._known.append(secrets.token_urlsafe(16))
        self._used = 0

    def refuse_next(self, error: str, times: int, *, offers_nonce: bool) -> None:
        """Refuse the next proofs, whatever they carry."""
        self._refusals.extend([(error, offers_nonce)] * times)

    def require(self, nonce: object) -> None:
        """
        Require a proof's nonce to be a known one.

        Raises:
            ErrorResponse: It is missing or stale, or a test has planned a refusal.
        """
        if self._refusals:
            error, offers_nonce = self._refusals.popleft()
            if offers_nonce:
                self.roll()
                self._is_offered = True
            raise ErrorResponse(error)
        if not self.is_required:
            return
        if self.are_single and nonce in self._single:
            self._single.remove(str(nonce))
            return
        if self.are_single or nonce not in self._known:
            raise ErrorResponse(USE_NONCE, "Invalid 'nonce' value.")
        self._used += 1
        if self.uses is not None and self._used >= self.uses:
            self.roll()


class ProofValidator:
    """
    Validates proofs, and accepts each once.

    Attributes:
        identity: The nonces of the identity server.

        api: The nonces of the Banking APIs.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._seen: set[object] = set()
        self.identity = Nonces()
        self.api = Nonces()

    def validate(
        self, request: web.Request, nonces: Nonces, access_token: str | None = None
    ) -> str | None:
        """
        Validate a request's proof.

        Args:
            request: The request.

            nonces: Those of the server that it came to.

            access_token: The token that it carries, or None at the token endpoint.

        Returns:
            The thumbprint of the key (RFC 7638), or None if there is no proof.

        Raises:
            ErrorResponse: The proof is invalid, or wants a nonce.
        """
        proofs = request.headers.getall("DPoP", [])
        if not proofs:
            return None
        if len(proofs) > 1 or len(proofs[0]) > _MAX_LENGTH:
            raise ErrorResponse(INVALID, "There must be one proof.")
        claims, thumbprint = _open(proofs[0])
        target = f"{request.scheme}://{request.host}{request.rel_url.raw_path}"
        issued_at = claims.get("iat")
        expected = {"htm": request.method, "htu": target}
        if access_token is not None:
            expected["ath"] = hash_base64url(access_token)
        for name, value in expected.items():
            if claims.get(name) != value:
                raise ErrorResponse(INVALID, f"Invalid '{name}' value.")
        if not isinstance(issued_at, int) or not self._is_fresh(issued_at):
            raise ErrorResponse(INVALID, "Invalid 'iat' value.")
        nonces.require(claims.get("nonce"))
        jti = claims.get("jti")
        if not isinstance(jti, str) or jti in self._seen:
            raise ErrorResponse(INVALID, "Detected DPoP proof token replay.")
        self._seen.add(jti)
        return thumbprint

    def _is_fresh(self, issued_at: int) -> bool:
        age = self._clock.time() - issued_at
        return -_SKEW <= age <= _VALIDITY + _SKEW


def _open(proof: str) -> tuple[Mapping[str, object], str]:
    """Return a proof's claims and its key's thumbprint, once the signature is verified."""
    from joserfc import jwk, jws  # extra "sandbox"

    try:
        signing_input, _, signature = proof.rpartition(".")
        header, claims = (json.loads(decode_base64url(each)) for each in signing_input.split("."))
        public = header["jwk"]
        key = jwk.import_key(public)
        verifier = jws.JWSRegistry.algorithms[ALGORITHMS[header["alg"]]]
        verifier.check_key(key)
        is_valid = (
            header["typ"] == "dpop+jwt"
            and not _PRIVATE.intersection(public)
            and verifier.verify(signing_input.encode(), decode_base64url(signature), key)
        )
        found = dict(claims), str(key.thumbprint())
    except Exception:  # noqa: BLE001 - joserfc raises many kinds
        is_valid = False
    if not is_valid:
        raise ErrorResponse(INVALID, "Invalid signature.")
    return found
