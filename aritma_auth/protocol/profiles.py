"""
Security profiles: which of all that OAuth allows a client may use, as values.

A profile is a list of rules. `OAuthClient` applies it twice: at construction, where a setting that
breaks a rule is an error, and at each request, where the rules are turned on.

Spec: FAPI 2.0 Security Profile (Final); FAPI 2.0 Message Signing (Final).
"""

from collections.abc import Iterable

import attrs

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.authorization_parameters import AuthorizationParameters
from aritma_auth.protocol.authorization_request import AuthorizationRequest
from aritma_auth.protocol.client_auth import ClientAuth, PrivateKeyJwt
from aritma_auth.protocol.credentials import CredentialSource
from aritma_auth.protocol.grants import Grant
from aritma_auth.protocol.metadata import ServerMetadata
from aritma_auth.protocol.signing import Signer
from aritma_auth.runtime.values import Value

__all__ = [
    "FAPI2",
    "FAPI2_MESSAGE_SIGNING",
    "ClientSettings",
    "Profile",
    "ProfileReport",
]

_CERTIFICATE_METHODS = frozenset({"self_signed_tls_client_auth", "tls_client_auth"})


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ClientSettings(Value):
    """
    What of a client a profile has rules for.

    Attributes:
        client_auth: How the client authenticates.

        dpop_key: The key that its tokens are bound to, or None.

        has_certificate: Its connections carry a client certificate.

        request_signer: The key that signs its authorization requests, or None.

        id_token_algorithms: Signature algorithms that it accepts, or None for the profile's.

        fixed_endpoints: Names of endpoints that are configured and not discovered.
    """

    client_auth: ClientAuth
    dpop_key: Signer | None = None
    has_certificate: bool = False
    request_signer: Signer | None = None
    id_token_algorithms: frozenset[str] | None = None
    fixed_endpoints: tuple[str, ...] = ()

    @property
    def assertion_algorithm(self) -> str | None:
        """What client assertions are signed with; None for another way to authenticate."""
        auth = self.client_auth
        if not isinstance(auth, PrivateKeyJwt):
            return None
        key = self.assertion_key
        return auth.algorithm or "RS256" if key is None else key.algorithm

    @property
    def assertion_key(self) -> Signer | None:
        """The key of client assertions, if it is known before a request."""
        auth = self.client_auth
        if not isinstance(auth, PrivateKeyJwt) or isinstance(auth.key, CredentialSource):
            return None
        return auth.key


@attrs.frozen(eq=False, repr=False)
class ProfileReport(Value):
    """
    Whether a server and a client are ready for a profile.

    Attributes:
        profile: The profile's name.

        server_problems: What the server's metadata lack; empty if nothing.

        client_problems: What the client's settings break; empty if nothing.
    """

    profile: str
    server_problems: tuple[str, ...] = ()
    client_problems: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Both are."""
        return not self.server_problems and not self.client_problems


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Profile(Value):
    """
    The rules of a security profile.

    Attributes:
        name: Its name.

        algorithms: Signature algorithms, of the client's keys and the server's.

        client_auth_methods: Ways to authenticate.

        refused_grants: Grant types that must not be used.

        signs_requests: Authorization requests are signed (JAR).

        expects_signed_responses: Authorization responses are signed (JARM).
    """

    name: str
    algorithms: frozenset[str]
    client_auth_methods: frozenset[str]
    refused_grants: frozenset[str]
    signs_requests: bool = False
    expects_signed_responses: bool = False

    def find_client_problems(self, client: ClientSettings) -> tuple[str, ...]:
        """
        Find the rules that a client's settings break.

        Args:
            client: The settings.

        Returns:
            One sentence a rule: what must hold, and what to do.

        Spec: FAPI 2.0 Security Profile §5.3.3, §5.4; FAPI 2.0 Message Signing §5.3.
        """
        return tuple(
            problem
            for problem in (
                self._assess_authentication(client),
                self._assess_assertions(client),
                self._assess_sender_constraint(client),
                self._assess_algorithm("dpop's key", client.dpop_key),
                self._assess_request_signer(client),
                self._assess_id_tokens(client.id_token_algorithms),
                self._assess_endpoints(client.fixed_endpoints),
            )
            if problem is not None
        )

    def _assess_authentication(self, client: ClientSettings) -> str | None:
        method = client.client_auth.method
        if method in self.client_auth_methods:
            return None
        return (
            "client_auth must be PrivateKeyJwt or TlsClientAuth, not "
            f"{method}: register a key or a certificate with the server"
        )

    def _assess_assertions(self, client: ClientSettings) -> str | None:
        auth, algorithm = client.client_auth, client.assertion_algorithm
        if not isinstance(auth, PrivateKeyJwt):
            return None
        if algorithm not in self.algorithms:
            return (
                f"client_auth must sign with {self._listed}, not {algorithm}: give PrivateKeyJwt a "
                "SigningKey of one of these, or its algorithm"
            )
        if auth.audience is not None:
            return (
                "client_auth must name the issuer as its audience, and nothing else: leave out "
                "audience"
            )
        return None

    def _assess_sender_constraint(self, client: ClientSettings) -> str | None:
        if client.dpop_key is not None or client.has_certificate:
            return None
        return (
            "dpop must be given unless the client has a certificate: tokens are bound to a key, "
            "such as dpop=DPoP(SigningKey.generate())"
        )

    def _assess_request_signer(self, client: ClientSettings) -> str | None:
        signer = client.request_signer or client.assertion_key
        if signer is None and self.signs_requests:
            return (
                "request_signer must be given, since authorization requests are signed: a "
                "SigningKey or a RemoteSigner, unless PrivateKeyJwt has one"
            )
        return self._assess_algorithm("request_signer", client.request_signer)

    def _assess_algorithm(self, name: str, key: Signer | None) -> str | None:
        if key is None or key.algorithm in self.algorithms:
            return None
        return f"{name} must sign with {self._listed}, not {key.algorithm}"

    def _assess_id_tokens(self, accepted: frozenset[str] | None) -> str | None:
        if accepted is None or accepted <= self.algorithms:
            return None
        return (
            f"id_token_algorithms must be some of {self._listed}, without "
            f"{', '.join(sorted(accepted - self.algorithms))}: leave it out"
        )

    def _assess_endpoints(self, fixed: Iterable[str]) -> str | None:
        names = ", ".join(sorted(fixed))
        if not names:
            return None
        return (
            f"environment must leave its endpoints to the server's metadata: remove {names} "
            "(FAPI 2.0 §5.3.3.1)"
        )

    @property
    def _listed(self) -> str:
        return ", ".join(sorted(self.algorithms))

    def find_server_problems(
        self, metadata: ServerMetadata, client: ClientSettings
    ) -> tuple[str, ...]:
        """
        Find what a server does not offer, by its metadata, of what this client needs.

        Args:
            metadata: What the server publishes.

            client: The client's settings.

        Returns:
            One sentence a lack, with the metadata's member.

        Spec: FAPI 2.0 Security Profile §5.3.2, §5.4; FAPI 2.0 Message Signing §5.3.2, §5.4.1.
        """
        offer = _Offer(metadata)
        algorithm = client.assertion_algorithm
        wanted = (
            offer.endpoint("pushed_authorization_request_endpoint"),
            offer.names("response_types_supported", {"code"}),
            offer.names("code_challenge_methods_supported", {"S256"}),
            offer.names("id_token_signing_alg_values_supported", self.algorithms),
            offer.names("token_endpoint_auth_methods_supported", self._methods(client)),
            None
            if algorithm is None
            else offer.names("token_endpoint_auth_signing_alg_values_supported", {algorithm}),
            self._find_binding_problem(offer, client),
            None
            if self.expects_signed_responses
            else offer.is_true("authorization_response_iss_parameter_supported"),
            *(self._find_signing_problems(offer, client) if self.signs_requests else ()),
        )
        return tuple(problem for problem in wanted if problem)

    def _methods(self, client: ClientSettings) -> frozenset[str]:
        method = client.client_auth.method
        accepted = self.client_auth_methods
        return frozenset({method}) if method in accepted else accepted

    def _find_binding_problem(self, offer: "_Offer", client: ClientSettings) -> str | None:
        if client.dpop_key is not None:
            return offer.names("dpop_signing_alg_values_supported", {client.dpop_key.algorithm})
        by_certificate = offer.is_true("tls_client_certificate_bound_access_tokens")
        if client.has_certificate or by_certificate is None:
            return by_certificate
        return offer.names("dpop_signing_alg_values_supported", self.algorithms)

    def _find_signing_problems(
        self, offer: "_Offer", client: ClientSettings
    ) -> tuple[str | None, ...]:
        signer = client.request_signer or client.assertion_key
        algorithms = self.algorithms if signer is None else frozenset({signer.algorithm})
        return (
            offer.names("request_object_signing_alg_values_supported", algorithms),
            offer.names("response_modes_supported", {"jwt", "query.jwt", "form_post.jwt"}),
            offer.names("authorization_signing_alg_values_supported", self.algorithms),
        )

    def prepare_sign_in(self, parameters: AuthorizationParameters) -> None:
        """Turn on what a sign-in needs and the caller did not ask for."""
        if self.expects_signed_responses:
            parameters.setdefault("response_mode", "jwt")

    def require_request(self, request: AuthorizationRequest) -> None:
        """
        Require an authorization request to keep to the profile.

        Args:
            request: The request; one that is pending may have been begun before its client got the
                profile.

        Raises:
            ConfigurationError: It does not.

        Spec: FAPI 2.0 Security Profile §5.3.3.2; FAPI 2.0 Message Signing §5.4.2.
        """
        if request.response_type != "code":
            raise ConfigurationError(
                f"response_type must be code with the profile {self.name}, not "
                f"{request.response_type}"
            )
        if not request.requires_iss:
            raise ConfigurationError(
                f"the sign-in must be begun with the profile {self.name}, which demands that the "
                "response names its issuer: begin a new one"
            )
        if self.expects_signed_responses and not request.expects_signed_response:
            raise ConfigurationError(
                f"response_mode must be jwt, query.jwt or form_post.jwt with the profile "
                f"{self.name}, not {request.response_mode}"
            )

    def require_grant(self, grant: Grant) -> None:
        """
        Require a grant to be one that the profile allows.

        Raises:
            ConfigurationError: It is not.

        Spec: RFC 9700 §2.4; FAPI 2.0 Security Profile §5.3.2.1.
        """
        name = grant.parameters()[0][1]
        if name in self.refused_grants:
            raise ConfigurationError(
                f"the profile {self.name} does not allow the grant {name}: let end-users sign in "
                "with begin_sign_in"
            )


class _Offer:
    """What a server's metadata say; each method returns a problem, or None."""

    def __init__(self, metadata: ServerMetadata) -> None:
        self._metadata = metadata
        self._members = metadata.members

    def endpoint(self, name: str) -> str | None:
        is_there = name in self._metadata.endpoints
        return None if is_there else f"{name} is missing in the server's metadata"

    def is_true(self, name: str) -> str | None:
        is_true = self._members.get(name) is True
        return None if is_true else f"{name} must be true in the server's metadata"

    def names(self, name: str, wanted: Iterable[str]) -> str | None:
        offered, names = self._members.get(name), sorted(wanted)
        if isinstance(offered, list) and any(one in offered for one in names):
            return None
        return f"{name} must have {' or '.join(names)} in the server's metadata"


_FAPI2_ALGORITHMS = frozenset({"ES256", "Ed25519", "EdDSA", "PS256"})
_FAPI2_METHODS = _CERTIFICATE_METHODS | {"private_key_jwt"}

FAPI2 = Profile(
    name="FAPI 2.0 Security Profile",
    algorithms=_FAPI2_ALGORITHMS,
    client_auth_methods=_FAPI2_METHODS,
    refused_grants=frozenset({"password"}),
)
"""The FAPI 2.0 Security Profile, as a client must keep to it."""

FAPI2_MESSAGE_SIGNING = Profile(
    name="FAPI 2.0 Message Signing",
    algorithms=_FAPI2_ALGORITHMS,
    client_auth_methods=_FAPI2_METHODS,
    refused_grants=frozenset({"password"}),
    signs_requests=True,
    expects_signed_responses=True,
)
"""The same with signed authorization requests and signed authorization responses."""
