"""What a test makes go wrong: on the wire, and with tokens, keys and authorization requests."""

from collections import deque

from aritma_auth.errors import require_count, require_flag
from aritma_auth.sandbox.arguments import (
    require_known,
    require_optional_text,
    require_text,
    require_times,
)
from aritma_auth.sandbox.faults.wire import WireFaults
from aritma_auth.sandbox.identity.certificates import ClientCertificates
from aritma_auth.sandbox.identity.keys import DECOY, signing_key
from aritma_auth.sandbox.identity.proofs import Nonces, ProofValidator
from aritma_auth.sandbox.identity.pushed_requests import PushedRequests
from aritma_auth.sandbox.identity.refresh_tokens import RefreshTokens
from aritma_auth.sandbox.identity.request_objects import RequestObjects
from aritma_auth.sandbox.identity.token_issuer import TokenIssuer
from aritma_auth.sandbox.overrides import ResponseOverrides


class Faults(WireFaults):
    """
    The faults of one sandbox; ``sandbox.faults`` is one.

    Those of the wire take ``where``: ``api`` for the Banking APIs, else the identity server's
    ``token``, ``discovery``, ``jwks``, ``authorize``, ``userinfo``, ``introspect``, ``revocation``,
    ``deviceauthorization``, ``par``, ``ciba``, ``dcr`` or ``endsession``.

    Args:
        issuer: Knows the access tokens.

        refresh_tokens: Knows the refresh tokens.

        pushed_requests: Knows the pushed authorization requests.

        request_objects: Verifies the signed ones.

        overrides: Where decoy keys are published.

        proofs: Validates the DPoP proofs, and knows their nonces.

        certificates: Knows the clients' certificates.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        refresh_tokens: RefreshTokens,
        pushed_requests: PushedRequests,
        request_objects: RequestObjects,
        overrides: ResponseOverrides,
        proofs: ProofValidator,
        certificates: ClientCertificates,
    ) -> None:
        super().__init__()
        self._issuer = issuer
        self._refresh_tokens = refresh_tokens
        self._pushed_requests = pushed_requests
        self._request_objects = request_objects
        self._overrides = overrides
        self._proofs = proofs
        self._certificates = certificates
        self._denials: deque[tuple[str, str | None]] = deque()

    def deny_next(self, error: str = "access_denied", description: str | None = None) -> None:
        """
        Respond to the next authorization request with an error.

        Errors that IdentityServer never sends back are shown on its own page instead.

        Args:
            error: The error code.

            description: Its ``error_description``, or None.
        """
        require_text("error", error)
        require_optional_text("description", description)
        self._denials.append((error, description))

    def take_denial(self) -> tuple[str, str | None] | None:
        """Give the error that a test has planned for this authorization request, if any."""
        return self._denials.popleft() if self._denials else None

    def revoke_all(self, *, refresh_tokens: bool = False) -> None:
        """
        Revoke every access token issued so far: the APIs respond with 401.

        Args:
            refresh_tokens: The refresh tokens too; refreshing is then ``invalid_grant``.
        """
        require_flag("refresh_tokens", refresh_tokens)
        self._issuer.revoke_all()
        if refresh_tokens:
            self._refresh_tokens.revoke_all()

    def require_pushed_requests(self, *, is_on: bool = True) -> None:
        """
        Refuse every authorization request that was not pushed; the metadata says so (RFC 9126 §5).

        Args:
            is_on: False stops it.
        """
        require_flag("is_on", is_on)
        self._pushed_requests.is_required = is_on

    def require_signed_requests(self, *, is_on: bool = True) -> None:
        """
        Refuse authorization requests that are not signed; the metadata says so (RFC 9101 §10.5).

        Args:
            is_on: False stops it.
        """
        require_flag("is_on", is_on)
        self._request_objects.is_required = is_on

    def expire_pushed_requests(self) -> None:
        """Let the references of all pushed authorization requests expire at once."""
        self._pushed_requests.expire_all()

    def require_dpop_nonces(
        self,
        *,
        uses: int | None = None,
        are_single: bool = False,
        only_newest: bool = False,
        where: str = "token",
        is_on: bool = True,
    ) -> None:
        """
        Require a nonce in each DPoP proof; every response carries the current one (RFC 9449 §8).

        Args:
            uses: Proofs after which a nonce is replaced; it is still accepted until its successor
                is replaced too. None keeps one nonce.

            are_single: Each response carries a nonce of its own, which is accepted once.

            only_newest: Of such nonces only the newest is accepted, so that requests in parallel
                refuse one another.

            where: ``token`` for the identity server, or ``api`` for the Banking APIs.

            is_on: False stops it.
        """
        if uses is not None:
            require_count("uses", uses, least=1)
        require_flag("are_single", are_single)
        require_flag("only_newest", only_newest)
        require_flag("is_on", is_on)
        nonces = self._nonces(where)
        nonces.is_required, nonces.uses = is_on, uses
        nonces.are_single, nonces.only_newest = are_single or only_newest, only_newest

    def expire_dpop_nonce(self, where: str = "token") -> None:
        """
        Make every nonce given so far stale, also for requests under way.

        Args:
            where: ``token`` for the identity server, or ``api`` for the Banking APIs.
        """
        self._nonces(where).roll(keep_old=False)

    def refuse_proof_next(
        self,
        error: str = "use_dpop_nonce",
        *,
        offers_nonce: bool = True,
        times: int = 1,
        where: str = "token",
    ) -> None:
        """
        Refuse the next DPoP proofs, whatever they carry.

        Args:
            error: ``use_dpop_nonce`` or ``invalid_dpop_proof``.

            offers_nonce: Another nonce comes with the refusal; otherwise the one before it, or none
                where no nonces are required.

            times: Number of proofs.

            where: ``token`` for the identity server, or ``api`` for the Banking APIs.
        """
        known = ("use_dpop_nonce", "invalid_dpop_proof")
        require_known("error", error, known)
        require_flag("offers_nonce", offers_nonce)
        require_times(times)
        self._nonces(where).refuse_next(error, times, offers_nonce=offers_nonce)

    def swap_certificate_next(self, *, times: int = 1, where: str = "token") -> None:
        """
        Let the next requests with a certificate look as if they had another client's.

        Args:
            times: Number of requests.

            where: ``token``, ``userinfo`` or ``api``.
        """
        require_times(times)
        places = ("token", "userinfo", "api")
        self._certificates.swap_next(require_known("where", where, places), times)

    def bind_next_to_another_key(self, *, times: int = 1) -> None:
        """
        Bind the next access tokens to a key that nobody has, so that no API accepts them.

        Args:
            times: Number of tokens.
        """
        require_times(times)
        self._issuer.bind_next_to_another_key(times=times)

    def _nonces(self, where: str) -> Nonces:
        places = {"token": self._proofs.identity, "api": self._proofs.api}
        return places[require_known("where", where, places)]

    def publish_decoys(self) -> None:
        """
        Publish keys under the valid key's id that must not verify anything.

        Each has another type, algorithm or use, or is malformed.
        """
        valid = self._issuer.keys[0].public
        other = signing_key(DECOY).public["n"]
        curve = {"crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}
        point = {"y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
        self._overrides.keys += [
            {"kty": "EC", "kid": valid["kid"], "use": "sig", "alg": "ES256", **curve, **point},
            {**valid, "n": other, "use": "enc", "alg": "RSA-OAEP"},
            {**valid, "n": other, "alg": "RS512"},
            {"kty": "XYZ", "kid": valid["kid"]},
            {"kty": "RSA", "kid": valid["kid"], "use": "sig", "alg": "RS256"},
        ]
