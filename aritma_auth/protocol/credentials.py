"""Where a client's secrets and private keys come from: as texts, or loaded for each request."""

from collections.abc import Awaitable, Generator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, final, runtime_checkable

import attrs

from aritma_auth.errors import ConfigurationError, wrong_kind
from aritma_auth.protocol.redaction import SecretText, require_secret
from aritma_auth.runtime.values import Value

if TYPE_CHECKING:
    from aritma_auth.protocol.signing import Signer, SigningKey


@runtime_checkable
class CredentialSource(Protocol):
    """Where a secret comes from; `aritma_auth.Secret` is one."""

    def load(self) -> Awaitable[SecretText]:
        """Return the secret as it is now."""
        ...


@final
@attrs.frozen(eq=False, repr=False)
class PlainSecret(Value):
    """A secret that was given as text: the same each time it is loaded."""

    text: SecretText

    def load(self) -> Awaitable[SecretText]:
        """Return the secret."""
        return self

    def __await__(self) -> Generator[None, None, SecretText]:
        yield from ()
        return self.text


def holds_controls(secret: str) -> bool:
    """
    Tell whether a secret holds control characters, as one does that was cut out of a file.

    Args:
        secret: The secret. A key has lines, in PEM and often as a JSON Web Key; a secret has none.
    """
    if secret.isprintable():
        return False
    is_key = "-----BEGIN " in secret or secret.lstrip().startswith("{")
    allowed = "\t\r\n" if is_key else ""
    return any(not (char.isprintable() or char in allowed) for char in secret)


def as_source(value: str | SecretText | CredentialSource) -> CredentialSource:
    """Wrap a text; a source stays as it is, and anything else is left to `require_source`."""
    if isinstance(value, str):
        value = SecretText(value)
    return PlainSecret(value) if isinstance(value, SecretText) else value


def require_source(
    _auth: object, field: "attrs.Attribute[CredentialSource]", value: object
) -> None:
    """Require an attribute to be where a secret comes from; a validator for attrs."""
    _require_secret(field, "a string or a Secret", value)


def _require_secret(field: "attrs.Attribute[Any]", required: str, value: object) -> None:
    if isinstance(value, type) or not isinstance(value, CredentialSource):
        problem = wrong_kind(field.name, required, value)
        # A traceback with local variables would show the value.
        del value
        raise problem
    if isinstance(value, PlainSecret):
        require_secret(value, field, value.text)
        if not value.text.text.strip() or holds_controls(value.text.text):
            del value
            raise ConfigurationError(
                f"{field.name} must hold no control characters and not be blank: leave out the "
                "line break at its end, or let Secret.from_file read it"
            )


def as_key(
    value: "str | SecretText | CredentialSource | Signer",
) -> "CredentialSource | Signer":
    """Wrap a key given as text; any other stays as it is."""
    return as_source(value) if isinstance(value, str | SecretText) else value


def require_key(
    _auth: object, field: "attrs.Attribute[CredentialSource | Signer]", value: object
) -> None:
    """Require an attribute to be a private key, or where one comes from; a validator for attrs."""
    # Imported here: a client with a secret does not load what signs.
    from aritma_auth.protocol.signing import RemoteSigner, SigningKey

    if not isinstance(value, SigningKey | RemoteSigner):
        kinds = "a private key in PEM, a Secret, a SigningKey or a RemoteSigner"
        _require_secret(field, kinds, value)


def load_signer(
    key: "CredentialSource | Signer", loaded: SecretText | None, algorithm: str | None, what: str
) -> "Signer":
    """
    Return what signs: the key itself, or one made of the text that was loaded from its source.

    Args:
        key: The key, or where it comes from.

        loaded: What the source gave.

        algorithm: Of a key given as text; None takes RS256, or the key's own if it makes none.

        what: What is signed, for the error.

    Raises:
        ConfigurationError: The key was not loaded or is unusable; the message names its source.
    """
    if not isinstance(key, CredentialSource):
        return key
    if loaded is None:
        raise ConfigurationError(f"{what} needs a private key, but none was loaded")
    problem = ""
    # Every server takes RS256 of an RSA key; the others have one algorithm each.
    for each in ("RS256", None) if algorithm is None else (algorithm,):
        try:
            return _import_key(loaded, each)
        except ConfigurationError as error:
            problem = str(error)
    origin = getattr(key, "origin", None)
    raise ConfigurationError(f"{origin} cannot be used: {problem}" if origin else problem)


# Importing an RSA key validates it, which takes eighty times as long as a signature. A key that was
# replaced is another text; few are remembered, so that it does not stay.
@lru_cache(maxsize=16)
def _import_key(text: SecretText, algorithm: str | None) -> "SigningKey":
    # Imported here: a client with a secret does not load what signs.
    from aritma_auth.protocol.signing import SigningKey

    return SigningKey(text, algorithm=algorithm)


def require_key_algorithm(
    owner: object, field: "attrs.Attribute[str | None]", value: object
) -> None:
    """Require an attribute to be the algorithm of its owner's ``key``, or None."""
    # Imported here: a client with a secret does not load what signs.
    from aritma_auth.protocol.signing import RemoteSigner, SigningKey, require_algorithm

    if value is None:
        return
    require_algorithm(field.name, value)
    key = getattr(owner, "key", None)
    if isinstance(key, SigningKey | RemoteSigner) and value != key.algorithm:
        raise ConfigurationError(
            f"{field.name} must be that of the key, {key.algorithm}, not {value}: leave it out"
        )
