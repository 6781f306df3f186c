"""A client's connection to its server: authenticated requests, and the server's clock."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import attrs
from yarl import URL

from aritma_auth.client.discovery import Discovery
from aritma_auth.environment import Environment
from aritma_auth.errors import (
    AritmaAuthError,
    ConfigurationError,
    InvalidResponseError,
    OAuthError,
    require_seconds,
    wrong_kind,
)
from aritma_auth.network.transport import Transport
from aritma_auth.protocol.client_auth import ClientAuth, ClientCredential, generate_jti
from aritma_auth.protocol.credentials import CredentialSource
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.http_messages import (
    HttpRequest,
    HttpResponse,
    Parameters,
    parse_http_date,
)
from aritma_auth.protocol.redaction import HiddenStr, SecretText
from aritma_auth.protocol.tokens import Token
from aritma_auth.runtime.clock import Clock
from aritma_auth.runtime.tasks import run_within

if TYPE_CHECKING:
    from aritma_auth.certificate import ClientCertificate
    from aritma_auth.client.dpop_proofs import ProofMaker
    from aritma_auth.client.proven_requests import ServerView
    from aritma_auth.protocol.dpop import DPoP
    from aritma_auth.protocol.jwe import DecryptionKey
    from aritma_auth.protocol.profiles import Profile
    from aritma_auth.protocol.unsigned_jwt import UnsignedJwt

T = TypeVar("T")

Form: TypeAlias = Parameters | Callable[[ClientCredential], Awaitable[Parameters]]
"""A form without the client's authentication, or what writes one for each request."""

_PROVEN = frozenset({"pushed_authorization_request_endpoint", "token_endpoint"})
"""Where a proof binds something to its key: a code or a token (RFC 9449 §5, §10.1)."""

_BEARER, _DPOP = frozenset({"bearer"}), frozenset({"dpop"})

BEGUN_ELSEWHERE = (
    "a sign-in must be completed by the client that has begun it: another client has begun this one"
)


class ServerConnection:
    """
    One client's way to its authorization server.

    Attributes:
        transport: Sends the requests.

        certificate: The client's certificate, or None.

        certificate_files: The same, if it was given as a `ClientCertificate`.

        proofs: Makes the proofs of a client whose tokens are bound to a key, or None.

        profile: The security profile that the client keeps to, or None.

        decryption_key: The key to which the server encrypts tokens, or None.

        discovery: The server's endpoints, metadata and keys.

        clock_skew: Seconds that the server's clock is ahead of ours, by its latest ``Date``.
    """

    def __init__(
        self,
        transport: Transport,
        environment: Environment,
        client_id: str,
        client_auth: ClientAuth,
        clock: Clock,
        *,
        is_auth_chosen: bool = True,
        dpop: "DPoP | None" = None,
        profile: "Profile | None" = None,
        decryption_key: "DecryptionKey | None" = None,
        certificate: object = None,
        requires_bound_tokens: bool = False,
    ) -> None:
        self.profile = profile
        self.decryption_key = decryption_key
        self.environment = environment
        self.client_id = client_id
        self.client_auth = client_auth
        self.clock = clock
        self.clock_skew = 0.0
        self.discovery = Discovery(
            environment,
            self.send,
            clock,
            by_certificate=certificate is not None,
        )
        self.transport = transport
        self.certificate = certificate
        self.certificate_files = find_certificate_files(certificate)
        self._is_auth_chosen = is_auth_chosen
        self.proofs = None if dpop is None else self._make_proofs(dpop)
        self._requires_bound_tokens = requires_bound_tokens
        is_comparable = dpop is not None or self.certificate_files is not None
        if requires_bound_tokens and not is_comparable and profile is None:
            raise ConfigurationError(
                "requires_bound_tokens must be False, or the client must have a key: give it "
                "dpop=DPoP(key), or a ClientCertificate"
            )

    def _make_proofs(self, dpop: "DPoP") -> "ProofMaker":
        from aritma_auth.client.dpop_proofs import ProofMaker  # few clients have one

        return ProofMaker(dpop, self.clock, lambda: self.server_time, self.transport.timeout)

    @property
    def server_time(self) -> float:
        """POSIX seconds by the server's clock, as its responses have shown it."""
        return self.clock.time() + self.clock_skew

    async def send(
        self, request: HttpRequest, *, timeout: float | None = None, is_one_time: bool = False
    ) -> HttpResponse:
        """Send a request, and read the server's clock from its response."""
        if self.certificate_files is not None:
            await self.certificate_files.refresh()
            # A connection kept alive would present the certificate that it began with.
            is_one_time = True
        response = await self.transport.send(request, timeout=timeout, is_one_time=is_one_time)
        date = parse_http_date(response.headers.get("date", ""))
        # A cache's response carries the time at which it was stored (RFC 9111 §5.1).
        if date is not None and "age" not in response.headers:
            self.clock_skew = date - self.clock.time()
        if self.proofs is not None:
            self.proofs.learn(URL(request.url), response.headers.get("dpop-nonce"))
        return attrs.evolve(response, sent=request.secrets)

    async def sign(self, jwt: "UnsignedJwt") -> HiddenStr:
        """Sign a JWT with its key, wherever that is."""
        from aritma_auth.client.signatures import sign_jwt  # few clients have a key

        return await sign_jwt(jwt, within=self.transport.timeout)

    async def send_with_token(self, request: HttpRequest, token: Token) -> HttpResponse:
        """
        Send a request that carries an access token, with a proof if the token is bound to a key.

        Args:
            request: Has the token in its ``Authorization`` header.

            token: The token.
        """
        proofs = self.proofs
        if proofs is None:
            return await self.send(request)
        return await proofs.send_with_token(request, token, self.send)

    async def post_authenticated(
        self,
        endpoint: str,
        form: Form,
        parse: Callable[[HttpResponse, float], T],
        *,
        timeout: float | None = None,
        is_one_time: bool = False,
    ) -> T:
        """
        Post a form with client authentication and parse the response.

        A refused secret is loaded once more, and the request repeated if it has changed: Aritma
        rotates by adding a secret, switching, and deleting the old one.

        Args:
            endpoint: Metadata name of the endpoint.

            form: The form.

            parse: Makes a value of the response and the POSIX seconds when the request left.

            timeout: Seconds for one request, or None for the transport's own.

            is_one_time: The form presents what can be presented once.
        """
        url = await self.discovery.endpoint(endpoint)
        client_auth = await self.discovery.choose_client_auth(
            self.client_auth, is_chosen=self._is_auth_chosen
        )
        known = ClientCredential(
            self.client_id,
            # Whatever endpoint it goes to, an assertion names the token endpoint (RFC 7523 §3).
            token_endpoint=await self.discovery.endpoint("token_endpoint"),
            issuer=await self.discovery.issuer(),
        )
        proofs = self.proofs if endpoint in _PROVEN else None

        async def send(secret: SecretText | None, view: "ServerView | None" = None) -> T:
            sent_at = self.clock.time()
            credential = attrs.evolve(
                known, secret=secret, now=self.server_time, jti=generate_jti()
            )
            request = await self._authenticate(url, form, client_auth, credential)
            if proofs is not None:
                request = await proofs.add_to(request, view=view)
            response = await self.send(request, timeout=timeout, is_one_time=is_one_time)
            if proofs is not None:
                proofs.require_accepted(response)
            return parse(response, sent_at)

        async def post(secret: SecretText | None) -> T:
            try:
                if proofs is None:
                    return await send(secret)
                return await proofs.send_repeatedly(URL(url), lambda view: send(secret, view))
            except AritmaAuthError as error:
                from aritma_auth.client.refusals import explain  # at the first failure

                is_fixed = self.discovery.is_fixed_path(endpoint)
                method = client_auth.method
                refusal = explain(error, method=method, url=url, is_fixed_path=is_fixed)
            raise refusal

        secret = await self._load_own_secret()
        try:
            return await post(secret)
        except AritmaAuthError as error:
            refusal = error
        fresher = await self._load_fresher(secret, refusal)
        if fresher is None:
            raise refusal
        return await post(fresher)

    async def _authenticate(
        self,
        url: str,
        form: Form,
        client_auth: ClientAuth,
        credential: ClientCredential,
    ) -> HttpRequest:
        # With the first request: a service imports this while it starts.
        from aritma_auth.protocol.token_endpoint import build_authenticated_request

        parameters = form if isinstance(form, tuple) else await form(credential)
        assertion = self.client_auth.build_assertion(credential)
        if assertion is not None:
            credential = attrs.evolve(credential, assertion=await self.sign(assertion))
        return build_authenticated_request(
            url, parameters, client_auth=client_auth, credential=credential
        )

    async def fetch_token(self, grant: Grant, *, timeout: float | None = None) -> Token:
        """Ask the token endpoint for a token; `OAuthClient.fetch_token` says more."""
        if timeout is not None:
            require_seconds("timeout", timeout)
        if self.profile is not None:
            self.profile.require_grant(grant)
        problems = grant.problems()
        if problems:
            raise ConfigurationError("; ".join(problems))
        if not grant.is_for(self.client_id, self.environment.issuer):
            raise ConfigurationError(BEGUN_ELSEWHERE)
        single_use = grant.single_use
        if single_use is not None and not single_use.take():
            raise ConfigurationError(
                "a code must be exchanged once, and this one was: begin a new sign-in"
            )
        try:
            if grant.sources():
                return await self._fetch_with_sources(grant, timeout)
            return await self._present(grant, grant.parameters(), timeout)
        except AritmaAuthError as error:
            from aritma_auth.client.refusals import is_unused

            if single_use is not None and is_unused(error):
                single_use.give_back()
            raise

    async def _present(
        self,
        grant: Grant,
        form: Form,
        timeout: float | None,
    ) -> Token:
        from aritma_auth.protocol.token_endpoint import parse_token_response

        token_types = (_BEARER if self.proofs is None else _DPOP) | grant.token_types

        def parse(response: HttpResponse, sent_at: float) -> Token:
            try:
                token = parse_token_response(response, sent_at=sent_at, token_types=token_types)
                self._require_usable(grant, token)
            except OAuthError as error:
                from aritma_auth.client.refusals import advise

                refusal = advise(error, grant.explain(error.error))
            except InvalidResponseError:
                from aritma_auth.protocol.successors import keep_successor

                keep_successor(response, sent_at=sent_at)
                raise
            else:
                return token
            raise refusal

        token = await self.post_authenticated(
            "token_endpoint", form, parse, timeout=timeout, is_one_time=not grant.is_reusable
        )
        if self.decryption_key is None:
            return token
        from aritma_auth.client.received_tokens import decrypt_id_token

        return decrypt_id_token(token, self.decryption_key)

    def _require_usable(self, grant: Grant, token: Token) -> None:
        problem = grant.find_problem(token)
        if problem is not None:
            raise InvalidResponseError(
                f"the token response is unusable: {problem}", status=200, problems=(problem,)
            )
        if self._requires_bound_tokens:
            from aritma_auth.client.received_tokens import require_own_binding  # few do

            thumbprint = None if self.proofs is None else self.proofs.dpop.thumbprint
            require_own_binding(token, thumbprint=thumbprint, certificate=self.certificate_files)

    async def _fetch_with_sources(self, grant: Grant, timeout: float | None) -> Token:
        from aritma_auth.client.grant_sources import fetch_with_sources  # few grants have any

        return await fetch_with_sources(
            grant,
            self._load_secret,
            self.sign,
            lambda write: self._present(grant, write, timeout),
            within=self.transport.timeout,
        )

    async def _load_own_secret(self) -> SecretText | None:
        source = self.client_auth.secret
        return None if source is None else await self._load_secret(source)

    async def _load_fresher(
        self, refused: SecretText | None, refusal: AritmaAuthError
    ) -> SecretText | None:
        """Load a secret that may be accepted where another was refused; None if there is none."""
        from aritma_auth.client.refusals import may_be_about_the_secret

        if not may_be_about_the_secret(refusal):
            return None
        fresher = await self._load_own_secret()
        return None if fresher == refused else fresher

    async def _load_secret(self, source: CredentialSource) -> SecretText:
        timeout = self.transport.timeout
        failure: AritmaAuthError
        try:
            return await run_within(timeout, _load(source), "aritma-auth secret")
        except AritmaAuthError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a caller's own source raises
            from aritma_auth.caller_code import explain_failure  # of wrong code only

            what = "the source of the client's credential"
            failure = explain_failure(what, error, within=timeout)
        # Outside the except block: the caught error may hold the secret.
        raise failure


async def _load(source: CredentialSource) -> SecretText:
    given = await source.load()
    if isinstance(given, SecretText):
        return given
    problem = wrong_kind("what load() of a credential returns", "a SecretText", given)
    # A traceback with local variables would show the secret.
    del given
    raise problem


def find_certificate_files(certificate: object) -> "ClientCertificate | None":
    """Return a client's certificate if it was given by its files, which may be replaced."""
    if certificate is None:
        return None
    from aritma_auth.certificate import ClientCertificate  # few clients have one

    return certificate if isinstance(certificate, ClientCertificate) else None
