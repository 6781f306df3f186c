"""
ID tokens: who has signed in, and every check before that is believed.

Nothing is optional by omission. What an ID token must prove is an `IdTokenExpectation`, whose
``nonce`` has no default: a request without a nonce says so by None, and a token that carries one
then is as wrong as one that lacks it.

Spec: OpenID Connect Core 1.0 §3.1.3.7.
"""

import json
from collections.abc import Iterable

import attrs

from aritma_auth.errors import IdTokenError, VerificationError
from aritma_auth.protocol.jws import SIGNATURE_ALGORITHMS, encode_base64url
from aritma_auth.protocol.jwt import (
    JsonWebKey,
    SignedToken,
    describe_claim,
    find_seconds,
    is_audience,
    verify_signature,
)
from aritma_auth.protocol.redaction import HiddenStr, JsonValue, Members, is_same_text
from aritma_auth.protocol.tenants import TENANT_CLAIM, find_tenant_problem, is_issuer_of
from aritma_auth.protocol.urls import describe_issuer

DEFAULT_ALGORITHMS = frozenset({"ES256", "PS256", "RS256"})
"""IdentityServer signs with RS256; FAPI 2.0 demands PS256, ES256 or EdDSA."""

_REQUIRED = ("iss", "sub", "aud", "exp", "iat")


def _hide(text: str | None) -> HiddenStr | None:
    return None if text is None else HiddenStr(text)


@attrs.frozen(kw_only=True)
class IdTokenExpectation:
    """
    What an ID token must prove.

    Attributes:
        issuers: The issuer and its aliases, compared exactly; a template is filled with ``tid``.

        tenants: One of them must be the ``tid``; none means any.

        client_id: The client that it must be for.

        issuer: The issuer that the authorization response has named, or None: then one of
            ``issuers`` will do.

        nonce: What the authorization request carried; None means that it carried none, and then
            the token must carry none either.

        max_age: Seconds since the authentication at most, or None if the request did not say.

        acr_values: One of them must be the ``acr``; none means any, or none at all.

        expected_claims: Further claims that it must have; of an object the named members alone,
            and None stands for any value.

        issued_within: Seconds since it was issued at most, or None for any time.

        access_token: The access token that came with it, for ``at_hash``.

        code: The code that came with it, for ``c_hash``.

        state: The state that came with it, for ``s_hash``, which few servers write.

        is_front_channel: It came through the browser: then the hashes must be there.

        trusted_audiences: Further audiences that it may name; any other is refused.

        algorithms: Signature algorithms accepted.

        leeway: Seconds that the clocks may differ.
    """

    issuers: frozenset[str]
    client_id: str
    issuer: str | None = None
    nonce: str | None = attrs.field(repr=False, converter=_hide)
    max_age: float | None = None
    acr_values: tuple[str, ...] = ()
    expected_claims: Members = attrs.field(factory=Members)
    issued_within: float | None = None
    access_token: str | None = attrs.field(default=None, repr=False, converter=_hide)
    code: str | None = attrs.field(default=None, repr=False, converter=_hide)
    state: str | None = attrs.field(default=None, repr=False, converter=_hide)
    is_front_channel: bool = False
    trusted_audiences: frozenset[str] = frozenset()
    algorithms: frozenset[str] = DEFAULT_ALGORITHMS
    tenants: frozenset[str] = frozenset()
    leeway: float = 30.0


def verify_id_token(
    id_token: str, keys: Iterable[JsonWebKey], expected: IdTokenExpectation, *, now: float
) -> Members:
    """
    Verify an ID token and return its claims.

    Args:
        id_token: The compact serialisation.

        keys: The issuer's JSON Web Keys.

        expected: What it must prove.

        now: POSIX seconds by the server's clock as well as we know it.

    Raises:
        IdTokenError: A check failed; ``claim`` names it. Treat the sign-in as hostile.

        ConfigurationError: The extra ``oidc`` is not installed.

    Spec: OpenID Connect Core 1.0 §3.1.3.7, §3.2.2.9, §3.2.2.11, §3.3.2.11, §3.3.2.12;
    RFC 8725 §3.11.
    """
    id_token = HiddenStr(id_token)
    problem: str
    try:
        signed = verify_signature(id_token, keys, algorithms=expected.algorithms)
    except VerificationError as error:
        problem = str(error)
    else:
        # Neither an access token (at+jwt), nor a proof or a logout token.
        if not signed.has_type():
            typ = describe_claim(signed.header.get("typ"))
            raise IdTokenError(f"typ must be JWT, as of an ID token, not {typ}", claim="typ")
        _check_presence(signed.claims)
        _check_parties(signed.claims, expected)
        _check_times(signed.claims, expected, now)
        _check_nonce(signed.claims, expected.nonce)
        _check_acr(signed.claims, expected.acr_values)
        _check_claims(signed.claims, expected.expected_claims)
        is_front = expected.is_front_channel
        _check_hash(signed, "at_hash", expected.access_token, is_required=is_front)
        _check_hash(signed, "c_hash", expected.code, is_required=is_front)
        _check_hash(signed, "s_hash", expected.state, is_required=False)
        return signed.claims
    raise IdTokenError(problem)


def _check_presence(claims: Members) -> None:
    missing = [name for name in _REQUIRED if claims.get(name) is None]
    if missing:
        raise IdTokenError(f"the ID token lacks {', '.join(missing)}", claim=missing[0])
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise IdTokenError("sub must be a string that is not empty", claim="sub")


def _check_parties(claims: Members, expected: IdTokenExpectation) -> None:
    issuer = claims["iss"]
    is_known = is_issuer_of(issuer, expected.issuers, claims.get(TENANT_CLAIM))
    if not is_known or expected.issuer not in {None, issuer}:
        wanted = expected.issuers if expected.issuer is None else {expected.issuer}
        raise IdTokenError(
            f"iss must be {' or '.join(sorted(wanted))}, not {describe_issuer(issuer)}",
            claim="iss",
        )
    problem = find_tenant_problem(claims, expected.tenants)
    if problem is not None:
        raise IdTokenError(problem, claim=TENANT_CLAIM)
    # A further audience could use the token as well: it must be named as trusted.
    if not is_audience(claims["aud"], expected.client_id, expected.trusted_audiences):
        raise IdTokenError(
            f"aud must be {expected.client_id!r}, beside none that is not in trusted_audiences; it "
            f"is {_describe(claims['aud'], expected)}",
            claim="aud",
        )
    if claims.get("azp") not in (None, expected.client_id):
        azp = _describe(claims["azp"], expected)
        raise IdTokenError(f"azp must be {expected.client_id!r}, not {azp}", claim="azp")


def _describe(claim: JsonValue, expected: IdTokenExpectation) -> str:
    sent = (expected.nonce, expected.access_token, expected.code, expected.state)
    return describe_claim(claim, filter(None, sent))


def _check_times(claims: Members, expected: IdTokenExpectation, now: float) -> None:
    leeway = expected.leeway
    ago = now - _seconds(claims, "exp")
    if ago >= leeway:
        raise IdTokenError(
            f"the ID token has expired, or the clocks differ: it was valid until {ago:.0f} s ago",
            claim="exp",
        )
    for name in ("iat", "nbf"):
        ahead = 0.0 if claims.get(name) is None else _seconds(claims, name) - now
        if ahead > leeway:
            raise IdTokenError(
                f"{name} is in the future by {ahead:.0f} s: check the clocks", claim=name
            )
    within = expected.issued_within
    if within is not None and _seconds(claims, "iat") + within + leeway < now:
        raise IdTokenError("the ID token is older than the sign-in", claim="iat")
    if expected.max_age is None:
        return
    if claims.get("auth_time") is None:
        raise IdTokenError("auth_time is missing although max_age was asked", claim="auth_time")
    age = now - _seconds(claims, "auth_time")
    if age > expected.max_age + leeway:
        raise IdTokenError(
            f"the sign-in must be at most {expected.max_age:g} s old (max_age), not {age:.0f} s: "
            "sign in again",
            claim="auth_time",
        )


def _seconds(claims: Members, name: str) -> float:
    seconds = find_seconds(claims, name)
    if seconds is None:
        found = describe_claim(claims.get(name))
        raise IdTokenError(f"{name} must be a number of seconds, not {found}", claim=name)
    return seconds


def _check_nonce(claims: Members, nonce: str | None) -> None:
    given = claims.get("nonce")
    if nonce is None:
        if given is not None:
            raise IdTokenError("nonce is there although none was asked", claim="nonce")
    elif given is None:
        raise IdTokenError("nonce must be that of this sign-in, and is missing", claim="nonce")
    elif not isinstance(given, str) or not is_same_text(given, nonce):
        raise IdTokenError("nonce is not that of this sign-in", claim="nonce")


def _check_acr(claims: Members, acr_values: tuple[str, ...]) -> None:
    if acr_values and claims.get("acr") not in acr_values:
        found = describe_claim(claims.get("acr"))
        raise IdTokenError(f"acr must be one of {', '.join(acr_values)}, not {found}", claim="acr")


def _check_claims(claims: Members, expected: Members) -> None:
    for name, value in expected.items():
        if not _has_value(claims.get(name), value):
            raise IdTokenError(f"{name} is not what expected_claims demands", claim=name)


def _has_value(found: JsonValue, expected: JsonValue) -> bool:
    if expected is None:
        return found is not None
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            _has_value(found.get(name), value) for name, value in expected.items()
        )
    # As JSON, since True equals 1 in Python.
    return json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)


def _check_hash(signed: SignedToken, claim: str, text: str | None, *, is_required: bool) -> None:
    given = signed.claims.get(claim)
    if text is None or (given is None and not is_required):
        return
    algorithm = SIGNATURE_ALGORITHMS[str(signed.header["alg"])]
    digest = algorithm.digest(text.encode()).digest()
    half = encode_base64url(digest[: len(digest) // 2])
    if not isinstance(given, str) or not is_same_text(given, half):
        raise IdTokenError(f"{claim} does not fit what came with the ID token", claim=claim)
