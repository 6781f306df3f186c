"""A client certificate whose files may be replaced while the process runs."""

import logging
import os
import ssl
import time
from hashlib import sha256
from pathlib import Path
from typing import NoReturn, final

from aritma_auth.errors import ConfigurationError, require_seconds, wrong_kind
from aritma_auth.files import (
    FileProblemError,
    read_content,
    require_path,
    require_readable,
    show_path,
)
from aritma_auth.protocol.jws import encode_base64url
from aritma_auth.protocol.redaction import HiddenStr, SecretText
from aritma_auth.runtime.hidden_arguments import hides_arguments
from aritma_auth.runtime.tasks import run_within
from aritma_auth.runtime.threads import WorkerThreads

_log = logging.getLogger("aritma_auth")

_THREADS = WorkerThreads("aritma-auth certificates", limit=1)

_READ_WITHIN = 2.0
"""Seconds that a look for replaced files may take: a disk that hangs holds no request longer."""

_PEM_FILE = "the path of a file in PEM"

_LIMIT = 1 << 20
"""Bytes of a certificate with its chain, or of a key."""

_CA_LIMIT = 1 << 24
"""Bytes of the authorities: a system's bundle has a few hundred thousand."""

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

_Stamp = tuple[tuple[int, int, int], ...]


@final
class ClientCertificate:
    """
    A client's certificate and private key for mutual TLS.

    One object serves token requests and calls to APIs: give it to `TlsClientAuth` or to
    `OAuthClient`, and open the session to the API with `TokenProvider.session`. Replaced files are
    loaded without a restart; `TokenProvider.session` does not use a connection any more that began
    with the certificate before.
    A replacement that cannot be used is logged, and the certificate before it stays in use.

    Args:
        cert_file: The certificate in PEM, and the intermediate ones after it.

        key_file: The private key in PEM; None if it is in ``cert_file``.

        ca_file: Authorities that the servers' certificates are verified with; None takes the
            system's.

        password: Of the private key, or None.

        check_interval: Seconds between two looks for replaced files.

    Attributes:
        ssl_context: An ``ssl.SSLContext`` that presents the certificate: the same object for ever.

        problem: Why the files of now could not be loaded, or None.

    Raises:
        ConfigurationError: A file is missing or unusable, or the key does not fit.

    Spec: RFC 8705; RFC 8446.
    """

    __slots__ = (
        "_cert_file",
        "_check_interval",
        "_key_file",
        "_looked_at",
        "_password",
        "_stamp",
        "_thumbprints",
        "problem",
        "ssl_context",
    )

    @hides_arguments
    def __init__(
        self,
        cert_file: str | os.PathLike[str],
        key_file: str | os.PathLike[str] | None = None,
        *,
        ca_file: str | os.PathLike[str] | None = None,
        password: str | None = None,
        check_interval: float = 30.0,
    ) -> None:
        hidden = None if password is None else _hide(password)
        del password
        require_seconds("check_interval", check_interval)
        self._cert_file = require_path("cert_file", _PEM_FILE, cert_file)
        self._key_file = (
            self._cert_file if key_file is None else require_path("key_file", _PEM_FILE, key_file)
        )
        self._password = hidden
        self._check_interval = check_interval
        self._looked_at = time.monotonic()
        self._thumbprints: tuple[str, ...] = ()
        self._stamp: _Stamp = ()
        self.problem: str | None = None
        self.ssl_context = create_context("ca_file", ca_file)
        problem = self._load()
        if problem is not None:
            raise ConfigurationError(problem)

    @property
    def thumbprint(self) -> str:
        """The certificate's SHA-256 thumbprint, as ``x5t#S256`` names it (RFC 8705 §3.1)."""
        return self._thumbprints[0]

    def is_own(self, thumbprint: str) -> bool:
        """
        Tell whether a thumbprint is that of the certificate, or of the one before it.

        Args:
            thumbprint: The ``x5t#S256`` of a token.
        """
        return thumbprint in self._thumbprints

    async def reload(self) -> bool:
        """
        Load the files now, in a thread of its own.

        Returns:
            Whether the certificate is another one than before.

        Raises:
            ConfigurationError: They cannot be used; the certificate before stays in use.
        """
        before = self.thumbprint
        problem = await _THREADS.run(self._load)
        if problem is not None:
            raise ConfigurationError(problem)
        return self.thumbprint != before

    async def refresh(self) -> None:
        """Load the files if they were replaced; look at most once in ``check_interval``."""
        if time.monotonic() - self._looked_at >= self._check_interval:
            await self._look()

    async def load(self) -> SecretText:
        """
        Look for replaced files now, as the client does before each token request.

        Returns:
            The thumbprint: a refused certificate is tried again if it has changed.
        """
        await self._look()
        return SecretText(self.thumbprint)

    async def _look(self) -> None:
        self._looked_at = time.monotonic()
        try:
            problem = await run_within(_READ_WITHIN, _THREADS.run(self._load_replaced))
        except TimeoutError:
            problem = f"the files were not read within {_READ_WITHIN:g} seconds"
        if problem is not None and problem != self.problem:
            _log.warning("a replaced client certificate is not used: %s", problem)
        self.problem = problem

    def _load_replaced(self) -> str | None:
        try:
            if _stamp_of(self._cert_file, self._key_file) == self._stamp:
                return None
        except OSError as error:
            return self._describe(error)
        return self._load()

    def _load(self) -> str | None:
        """Load the files, and return the problem: a traceback would show the password."""
        try:
            # A mounted secret is replaced by turning one link: both files of one version.
            cert, key = self._cert_file.resolve(), self._key_file.resolve()
            stamp = _stamp_of(cert, key)
            # What stands around the certificates may be of any encoding.
            content = read_content(cert, _LIMIT, bytes).decode("ascii", errors="replace")
            thumbprint = _compute_thumbprint(content)
            require_readable(key, _LIMIT)
            for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self.ssl_context):
                # First into one that nobody uses: a failure would leave half a pair behind.
                context.load_cert_chain(cert, key, self._password or "")
        except (FileProblemError, OSError, ValueError, RuntimeError) as error:
            # RuntimeError: links that lead in a circle, until Python 3.13.
            return self._describe(error)
        self._stamp = stamp
        if thumbprint not in self._thumbprints[:1]:
            self._thumbprints = (thumbprint, *self._thumbprints[:1])
        self.problem = None
        return None

    def _describe(self, error: Exception) -> str:
        key = "" if self._key_file == self._cert_file else f" in {show_path(self._key_file)}"
        return (
            f"the certificate in {show_path(self._cert_file)} must be in PEM, with the private key "
            f"that fits it{key} ({_reason_of(error)}): check the files"
        )

    def __repr__(self) -> str:
        shown = self._thumbprints[0] if getattr(self, "_thumbprints", ()) else "none"
        return f"<ClientCertificate {shown}>"

    def __copy__(self) -> "ClientCertificate":
        return self

    def __deepcopy__(self, memo: object) -> "ClientCertificate":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a ClientCertificate is not pickled: make it anew in the other process")


def _hide(password: object) -> HiddenStr:
    if not isinstance(password, str):
        raise wrong_kind("password", "a text or None", password)
    return HiddenStr(password)


def create_context(name: str, given: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """
    Create a TLS context of version 1.2 or later that verifies servers.

    Args:
        name: The argument that names the authorities.

        given: A file of their certificates in PEM; None trusts the system's.

    Raises:
        ConfigurationError: The file cannot be read, or has no certificates.
    """
    ca_file = None if given is None else require_path(name, _PEM_FILE, given)
    problem = ""
    try:
        if ca_file is not None:
            require_readable(ca_file, _CA_LIMIT)
        context = ssl.create_default_context(cafile=ca_file)
    except (FileProblemError, OSError, ValueError) as error:
        problem = _reason_of(error)
    if problem:
        found = "the system's file" if ca_file is None else show_path(ca_file)
        raise ConfigurationError(
            f"{name} must be a file of certificates in PEM, and {found} is none ({problem})"
        )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _stamp_of(*files: Path) -> _Stamp:
    stats = (file.stat() for file in files)
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


def _compute_thumbprint(pem: str) -> str:
    # The first certificate is the client's own, those after it lead to an authority.
    start = pem.index(_BEGIN)
    der = ssl.PEM_cert_to_DER_cert(pem[start : pem.index(_END, start) + len(_END)])
    return encode_base64url(sha256(der).digest())


def _reason_of(error: Exception) -> str:
    if isinstance(error, FileProblemError):
        return str(error)
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return f"{type(error).__name__}{f': {reason}' if reason else ''}"
