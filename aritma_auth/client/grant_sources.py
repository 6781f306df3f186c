"""Loads what a grant presents anew for each request: secrets, other providers' tokens, and JWTs."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

import attrs

from aritma_auth.caller_code import call, explain_failure
from aritma_auth.errors import AritmaAuthError, ConfigurationError, InvalidGrantError, OAuthError
from aritma_auth.protocol.client_auth import ClientCredential, generate_jti
from aritma_auth.protocol.credentials import CredentialSource
from aritma_auth.protocol.grants import Grant, JwtAssertion, SubjectTokenSource
from aritma_auth.protocol.http_messages import Parameters
from aritma_auth.protocol.redaction import HiddenStr, SecretText
from aritma_auth.protocol.tokens import Token
from aritma_auth.protocol.unsigned_jwt import UnsignedJwt
from aritma_auth.runtime.tasks import run_within

LoadSecret = Callable[[CredentialSource], Awaitable[SecretText]]
Sign = Callable[[UnsignedJwt], Awaitable[HiddenStr]]
WriteForm = Callable[[ClientCredential], Awaitable[Parameters]]


_log = logging.getLogger("aritma_auth")


async def fetch_with_sources(
    grant: Grant,
    load_secret: LoadSecret,
    sign: Sign,
    present: Callable[[WriteForm], Awaitable[Token]],
    *,
    within: float,
) -> Token:
    """
    Present a grant whose parts are loaded anew, and other parts once more if these are refused.

    A token that was revoked early is refused although it lives: its provider has another.

    Args:
        grant: The grant.

        load_secret: Loads a secret, or raises a typed error.

        sign: Signs a JWT, wherever its key is.

        present: Sends a form that is written anew for each request.

        within: Seconds that another provider may take for its token.

    Raises:
        AritmaAuthError: A source has failed, so that nothing was sent; or the server's refusal.
    """
    loaded = await LoadedGrant.load(grant, load_secret, within=within)
    refusal: OAuthError
    try:
        return await present(lambda credential: loaded.write(credential, sign))
    except OAuthError as error:
        if not loaded.may_be_replaced(error):
            raise
        refusal = error.copy()
    again = await LoadedGrant.load(grant, load_secret, within=within)
    if again.grant == loaded.grant:
        raise refusal
    return await present(lambda credential: again.write(credential, sign))


@attrs.frozen(repr=False)
class LoadedGrant:
    """
    A grant whose sources have been loaded for one exchange.

    Attributes:
        grant: The grant, with the texts of its sources.

        assertions: What the client signs for each request, with its key if that was loaded.

        tokens: Which provider has given which token.
    """

    grant: Grant
    assertions: Mapping[str, tuple[JwtAssertion, SecretText | None]]
    tokens: tuple[tuple[SubjectTokenSource, Token], ...]

    @classmethod
    async def load(cls, grant: Grant, load_secret: LoadSecret, *, within: float) -> Self:
        """
        Load a grant's sources.

        Args:
            grant: The grant.

            load_secret: Loads a secret, or raises a typed error.

            within: Seconds that another provider may take for its token.

        Raises:
            AritmaAuthError: A source has failed; nothing was sent.
        """
        texts: dict[str, SecretText] = {}
        assertions: dict[str, tuple[JwtAssertion, SecretText | None]] = {}
        tokens: list[tuple[SubjectTokenSource, Token]] = []
        for name, source in grant.sources().items():
            if isinstance(source, JwtAssertion):
                key = source.key
                secret = await load_secret(key) if isinstance(key, CredentialSource) else None
                assertions[name] = source, secret
            elif isinstance(source, CredentialSource):
                texts[name] = await load_secret(source)
            else:
                token = await _get_token(source, within)
                tokens.append((source, token))
                texts[name] = _choose(grant, name, token)
        return cls(grant.with_texts(texts), assertions, tuple(tokens))

    async def write(self, credential: ClientCredential, sign: Sign) -> Parameters:
        """
        Write the form of one request, with assertions of its own.

        Args:
            credential: Names client, server and time.

            sign: Signs a JWT, wherever its key is.
        """
        signed = {}
        for name, (assertion, key) in self.assertions.items():
            # An identifier of its own: the client's assertion in the same form has another.
            mine = attrs.evolve(credential, secret=key, jti=generate_jti(), assertion=None)
            signed[name] = SecretText(await sign(assertion.build(mine)))
        return self.grant.with_texts(signed).parameters()

    def may_be_replaced(self, error: OAuthError) -> bool:
        """Tell whether other tokens of the providers may help against a refusal; report these."""
        # RFC 8693 §2.2.2 names invalid_request for a subject token that is not accepted.
        if not isinstance(error, InvalidGrantError) and error.error != "invalid_request":
            return False
        # Every one is reported: which of them was refused is not known.
        reported = [_report(source, token) for source, token in self.tokens]
        return any(reported)


def _choose(grant: Grant, name: str, token: Token) -> SecretText:
    text = grant.choose(name, token)
    if text is None:
        raise ConfigurationError(
            f"{name} must come from a provider whose token has what {name}_type names: ask for "
            "openid to have an ID token, and for offline_access to have a refresh token"
        )
    return SecretText(text)


def _report(source: SubjectTokenSource, token: Token) -> bool:
    try:
        return call("report_rejected of a grant's source", source.report_rejected, token)
    except AritmaAuthError as error:
        # The server's refusal says more to the caller.
        _log.error("%s", error)
        return False


async def _ask(source: SubjectTokenSource, within: float) -> Token:
    return await source.get_token(within)


async def _get_token(source: SubjectTokenSource, within: float) -> Token:
    problem: AritmaAuthError
    try:
        token = await run_within(within, _ask(source, within), "aritma-auth subject token")
    except AritmaAuthError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a caller's own source raises
        problem = explain_failure("the provider of the subject's token", error, within=within)
    else:
        if isinstance(token, Token):
            return token
        problem = ConfigurationError("the provider of the subject's token must give a Token")
    # Outside the except block: the caught error may hold a token.
    raise problem
