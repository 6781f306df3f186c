"""The arguments of `OAuthClient`: required to be of their kinds before anything is made of them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from aritma_auth.errors import (
    ConfigurationError,
    require_flag,
    require_instance,
    require_seconds,
    wrong_kind,
)
from aritma_auth.protocol.client_auth import ClientAuth, ClientSecretPost
from aritma_auth.protocol.client_auth.base import require_shared_secret
from aritma_auth.protocol.redaction import HiddenStr, hide
from aritma_auth.runtime.clock import SYSTEM_CLOCK, Clock
from aritma_auth.secret import Secret

if TYPE_CHECKING:
    import ssl

    from aritma_auth.certificate import ClientCertificate


_SECRET_PARAMETERS = frozenset({"id_token_hint", "login_hint_token", "user_code"})


def require_settings(
    client_id: object, clock: Clock, leeway: object, requires_bound_tokens: object
) -> Clock:
    """
    Require what every client has to be of its kind; return the clock, whose faults are ours.

    Raises:
        ConfigurationError: An argument is not; the message names it.
    """
    if not isinstance(client_id, str):
        raise wrong_kind("client_id", "a printable text, as the server gave it", client_id)
    if not client_id.strip() or not client_id.isprintable():
        found = "it holds characters that are not" if client_id.strip() else "it is empty"
        raise ConfigurationError(
            f"client_id must be a printable text, as the server gave it; {found}"
        )
    require_seconds("leeway", leeway)
    require_flag("requires_bound_tokens", requires_bound_tokens)
    if clock is SYSTEM_CLOCK:
        return clock
    from aritma_auth.caller_code import require_clock  # tests and simulations have one

    return require_clock(clock)


def require_keys(
    dpop: object, request_signer: object, request_encryption: object, decryption_key: object
) -> None:
    """
    Require the keys that few clients have to be keys, or None.

    Raises:
        ConfigurationError: One is not; the message names it and shows nothing of it.
    """
    # Imported here: a client without keys loads none of their code.
    if dpop is not None:
        from aritma_auth.protocol.dpop import DPoP

        require_instance("dpop", "a DPoP, such as DPoP(SigningKey.generate())", dpop, DPoP)
    if request_signer is not None:
        from aritma_auth.protocol.signing import require_signer

        require_signer("request_signer", request_signer)
    if request_encryption is not None:
        from aritma_auth.protocol.jwe import RequestEncryption

        require_instance(
            "request_encryption", "a RequestEncryption", request_encryption, RequestEncryption
        )
    if decryption_key is not None:
        from aritma_auth.protocol.jwe import DecryptionKey

        require_instance("decryption_key", "a DecryptionKey", decryption_key, DecryptionKey)


def as_client_auth(given: object) -> ClientAuth:
    """Return the authentication that ``client_auth`` stands for."""
    if given is None:
        from aritma_auth.protocol.client_auth import NoClientAuth  # a service has a secret

        return NoClientAuth()
    if isinstance(given, str):
        require_shared_secret(given, ClientSecretPost.method)
        return ClientSecretPost(Secret(given))
    if isinstance(given, Secret):
        return ClientSecretPost(given)
    if isinstance(given, ClientAuth):
        return given
    raise wrong_kind("client_auth", "a secret's text, a Secret, a ClientAuth or None", given)


def choose_certificate(
    auth: ClientAuth, given: "ClientCertificate | ssl.SSLContext | None"
) -> "ClientCertificate | ssl.SSLContext | None":
    """
    Choose between the certificate of the authentication and that of the client.

    Raises:
        ConfigurationError: Each is another one.
    """
    own = getattr(auth, "certificate", None)
    if own is not None and given is not None and own is not given:
        raise ConfigurationError(
            "certificate must be left out: the client authenticates by one already, and a "
            "connection presents one alone"
        )
    return own if given is None else given


def parse_id_token_algorithms(given: str | Iterable[str] | None) -> frozenset[str] | None:
    """Parse signature algorithms; None stays None, and stands for the default ones."""
    if given is None:
        return None
    from aritma_auth.protocol.jws import parse_algorithms  # a sign-in's

    return parse_algorithms(given, "id_token_algorithms")


def hide_parameters(parameters: object) -> None:
    """
    Hide what of a sign-in's parameters is secret, in their own mapping: frames may show it.

    Args:
        parameters: The keyword arguments of a method that begins a sign-in.
    """
    given = cast("dict[str, object]", parameters)
    for name in _SECRET_PARAMETERS & given.keys():
        given[name] = hide(given[name])
    extra = given.get("extra")
    if isinstance(extra, Mapping):
        given["extra"] = {name: hide(value) for name, value in extra.items()}


def hide_token(name: str, given: object) -> HiddenStr:
    """
    Hide a token's text: a frame that holds it may be shown by an error reporter.

    Raises:
        ConfigurationError: It is no text.
    """
    if not isinstance(given, str):
        raise wrong_kind(name, "the token's text", given)
    return HiddenStr(given)
