"""Access tokens, ID tokens and logout tokens: issued, remembered and validated."""

import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

import attrs

from aritma_auth.errors import require_flag
from aritma_auth.sandbox.clock import SandboxClock
from aritma_auth.sandbox.identity.base64url import encode_base64url
from aritma_auth.sandbox.identity.keys import SigningKey, encrypt, signing_key
from aritma_auth.sandbox.identity.registrations import IDENTITY_SCOPES, SandboxClient
from aritma_auth.sandbox.identity.server_versions import ServerVersion
from aritma_auth.sandbox.identity.sessions import AuthenticationEvent
from aritma_auth.sandbox.overrides import Changes, ResponseOverrides, apply_overrides


@attrs.define
class IssuedToken:
    """
    An access token's record.

    Attributes:
        client_id: The client that it was issued to.

        scope: The granted scope.

        expires_at: POSIX seconds by the sandbox's clock.

        claims: Its claims, without overrides.

        sign_in: The end-user's authentication event, or None for client credentials.

        is_revoked: A test has revoked it.

        is_used: An API has validated it.

        confirmation: The key that it is bound to (``cnf``, RFC 7800); empty for a bearer token.
    """

    client_id: str
    scope: tuple[str, ...]
    expires_at: float
    claims: Changes
    sign_in: AuthenticationEvent | None = None
    is_revoked: bool = False
    is_used: bool = False
    confirmation: Changes = attrs.field(factory=dict)

    @property
    def subject(self) -> str | None:
        """The end-user's ``sub``, or None for client credentials."""
        return None if self.sign_in is None else self.sign_in.subject


class TokenIssuer:
    """
    Issues tokens and validates access tokens.

    Attributes:
        repeats_access_tokens: A token request gets the access token of the request before it, for
            as long as that lives, and even if the APIs refuse it; ``expires_in`` counts down.
    """

    def __init__(
        self,
        clock: SandboxClock,
        server_version: ServerVersion,
        overrides: ResponseOverrides,
        clients: Mapping[str, SandboxClient],
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._server_version = server_version
        self._overrides = overrides
        self.repeats_access_tokens = False
        self._confirmation: Changes = {}
        self._false_bindings = 0
        self._access: dict[str, IssuedToken] = {}
        self._latest: dict[tuple[object, ...], str] = {}
        self._id_tokens: dict[str, tuple[str, str]] = {}
        self._key_number = 0
        self._first_key = 0
        self._is_rolling_soon = False

    @property
    def keys(self) -> Sequence[SigningKey]:
        """The published keys: the signing key first, then those that it replaced."""
        algorithm = self._server_version.signing_algorithm
        return [signing_key(n, algorithm) for n in range(self._key_number, self._first_key - 1, -1)]

    def roll_keys(self, *, at_next_id_token: bool = False, keep_old: bool = True) -> None:
        """
        Sign with a new key from now on.

        Args:
            at_next_id_token: Wait until the next ID token is issued, in the middle of a sign-in.

            keep_old: The old keys stay published.
        """
        require_flag("at_next_id_token", at_next_id_token)
        require_flag("keep_old", keep_old)
        if at_next_id_token:
            self._is_rolling_soon = True
            return
        self._is_rolling_soon = False
        self._key_number += 1
        if not keep_old:
            self._first_key = self._key_number

    def bind_next_to_another_key(self, *, times: int = 1) -> None:
        """Bind the next access tokens to a key that nobody has, whatever the requests proved."""
        self._false_bindings += times

    @contextlib.contextmanager
    def binding(self, confirmation: Changes) -> Iterator[None]:
        """Bind the access tokens issued inside to a key; nothing inside awaits."""
        self._confirmation = confirmation
        if confirmation and self._false_bindings:
            self._false_bindings -= 1
            self._confirmation = dict.fromkeys(confirmation, secrets.token_urlsafe(32))
        try:
            yield
        finally:
            self._confirmation = {}

    def issue_access_token(
        self,
        issuer: str,
        client: SandboxClient,
        scope: Sequence[str],
        sign_in: AuthenticationEvent | None = None,
        *,
        resource: str | None = None,
        actor: str | None = None,
    ) -> str:
        """
        Issue an access token, its claims in the order of Aritma's sample or of Duende's.

        Source: Aritma's authentication page (Example Response).
        """
        exactly = self._clock.time()
        confirmation = self._confirmation
        key = tuple(confirmation.items())
        wanted = (issuer, client.client_id, tuple(scope), sign_in, resource, actor, key)
        latest = self._latest.get(wanted)
        if latest and self.repeats_access_tokens and exactly < self._access[latest].expires_at:
            return latest
        now = int(exactly)
        apis = [name for name in scope if name not in IDENTITY_SCOPES]
        audience = [*apis, f"{issuer}/resources"] if resource is None else [resource]
        tenant = urlsplit(issuer).path.strip("/")
        claims: Changes = {
            "nbf": now,
            "exp": now + client.lifetime,
            "iss": issuer,
            # A single audience is a string, not a list.
            "aud": audience if len(audience) > 1 else audience[0],
            "client_id": client.client_id,
            "iat": now,
            "scope": list(scope),
            **({"tid": tenant} if tenant else {}),
            **({} if actor is None else {"act": {"sub": actor}}),
            **({"cnf": confirmation} if confirmation else {}),
            # Aritma's sample has no jti; sid makes two tokens of one second differ.
            "sid": secrets.token_hex(8),
        }
        if sign_in is not None:
            claims |= {**sign_in.claims, "sid": sign_in.session_id, "jti": secrets.token_hex(16)}
        claims = {name: claims[name] for name in self._server_version.leading_claims} | claims
        text = self.keys[0].sign(
            apply_overrides(claims, self._overrides.access_token), {"typ": "at+jwt"}
        )
        self._access[text] = IssuedToken(
            client.client_id,
            tuple(scope),
            exactly + client.lifetime,
            claims,
            sign_in,
            confirmation=confirmation,
        )
        self._latest[wanted] = text
        return text

    def find(self, text: str) -> IssuedToken:
        """Find the record of an access token that was issued here."""
        return self._access[text]

    def issue_id_token(
        self,
        issuer: str,
        client_id: str,
        sign_in: AuthenticationEvent,
        *,
        access_token: str | None = None,
        code: str | None = None,
    ) -> str:
        """
        Issue an ID token, valid for five minutes as IdentityServer's.

        Spec: OpenID Connect Core 1.0 §2, §3.3.2.11.
        """
        if self._is_rolling_soon:
            self.roll_keys()
        now = int(self._clock.time())
        optional = {
            "nonce": sign_in.nonce,
            "at_hash": _half_hash(access_token),
            "c_hash": _half_hash(code),
        }
        claims: Changes = {
            "iss": issuer,
            "nbf": now,
            "iat": now,
            "exp": now + 300,
            "aud": client_id,
            **{name: value for name, value in optional.items() if value is not None},
            "sid": sign_in.session_id,
            **sign_in.claims,
        }
        text = self._sign_identity(apply_overrides(claims, self._overrides.id_token), "JWT")
        self._id_tokens[text] = (client_id, sign_in.subject)
        return self._encrypt(text, client_id)

    def issue_logout_token(
        self, issuer: str, client_id: str, subject: str, session_id: str | None
    ) -> str:
        """
        Issue a logout token.

        Spec: OpenID Connect Back-Channel Logout 1.0 §2.4.
        """
        now = int(self._clock.time())
        claims: Changes = {
            "iss": issuer,
            "aud": client_id,
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_hex(16),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "sub": subject,
            "sid": session_id,
        }
        typ = self._server_version.logout_token_type
        return self._sign_identity(apply_overrides(claims, self._overrides.logout_token), typ)

    def _encrypt(self, text: str, client_id: str) -> str:
        """Encrypt what is signed to a client that is registered with a key for it."""
        client = self._clients.get(client_id)
        key = None if client is None else client.encryption_key
        return text if key is None else encrypt(text, key)

    def _sign_identity(self, claims: Changes, typ: str) -> str:
        return self.keys[0].sign(
            claims, {"typ": typ} | self._overrides.header, self._overrides.signature
        )

    def sign_authorization_response(
        self, issuer: str, client_id: str, members: Mapping[str, object]
    ) -> str:
        """
        Sign an authorization response; an override of a parameter replaces a claim too.

        Spec: JARM §2.1.
        """
        claims: Changes = {
            "iss": issuer,
            "aud": client_id,
            "exp": int(self._clock.time()) + 600,
            **members,
        }
        said = apply_overrides(claims, self._overrides.authorization_response)
        text = self.keys[0].sign(said, {"typ": "JWT"}, self._overrides.response_signature)
        return self._encrypt(text, client_id)

    def sign_userinfo(self, issuer: str, client_id: str, claims: Changes) -> str:
        """
        Sign a UserInfo response; overrides of ID tokens' headers and signatures count here, too.

        Spec: OpenID Connect Core 1.0 §5.3.2.
        """
        text = self._sign_identity({"iss": issuer, "aud": client_id, **claims}, "JWT")
        return self._encrypt(text, client_id)

    def sign_introspection(self, issuer: str, caller: str, claims: Changes) -> str:
        """
        Sign an introspection response.

        Spec: RFC 9701 §5.
        """
        body: Changes = {
            "iss": issuer,
            "aud": caller,
            "iat": int(self._clock.time()),
            "token_introspection": claims,
        }
        return self.keys[0].sign(body, {"typ": "token-introspection+jwt"})

    def validate(self, text: str) -> IssuedToken | str:
        """
        Validate an access token as an API does.

        Returns:
            The token's record, or the ``error_description`` if it is invalid.
        """
        token = self._access.get(text)
        if token is None:
            return "The signature is invalid"
        if token.is_revoked:
            return "The token was revoked"
        if self._clock.time() >= token.expires_at:
            return "The access token expired"
        token.is_used = True
        return token

    def find_id_token(self, id_token: str) -> tuple[str, str] | None:
        """
        Find an issued ID token, expired ones too, that comes as ``id_token_hint``.

        Returns:
            Its audience and its subject, or None.
        """
        return self._id_tokens.get(id_token)

    def revoke_all(self) -> None:
        """Revoke every access token issued so far."""
        for token in self._access.values():
            token.is_revoked = True


def _half_hash(text: str | None) -> str | None:
    if text is None:
        return None
    return encode_base64url(hashlib.sha256(text.encode()).digest()[:16])
