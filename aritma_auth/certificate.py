"""A client certificate in files, which are read anew when they change."""

import os
import ssl
from hashlib import sha256
from pathlib import Path
from types import NoneType
from typing import NoReturn, final

from aritma_auth.errors import ConfigurationError, require_instance
from aritma_auth.protocol.redaction import SecretText
from aritma_auth.runtime.threads import WorkerThreads

_FILE_LIMIT = 1 << 18
"""Bytes of one file read at most."""

_PATH = "the path of a file in PEM"

_THREADS = WorkerThreads("aritma-auth certificates")


@final
class CertificateFiles:
    """
    A client certificate and its key in files; a renewed one is used without a restart.

    The files are compared before each token request. A changed pair makes a new ``ssl_context``, so
    that the next connection presents the new certificate. Files that do not fit together, as while
    they are being replaced, leave the old one in use.

    Args:
        certificate: The certificate in PEM, with its chain.

        key: Its private key in PEM, without a password; None if it is in the same file.

        authorities: Certificates of the authorities that the server's is verified with, in PEM;
            None means those of the system.

    Raises:
        ConfigurationError: A file cannot be read, or is no certificate or key.

    Spec: RFC 8705 §2.
    """

    __slots__ = ("_current", "_files", "_paths")

    def __init__(
        self,
        certificate: str | os.PathLike[str],
        key: str | os.PathLike[str] | None = None,
        *,
        authorities: str | os.PathLike[str] | None = None,
    ) -> None:
        require_instance("certificate", _PATH, certificate, (str, os.PathLike))
        for name, path in (("key", key), ("authorities", authorities)):
            require_instance(name, _PATH, path, (str, os.PathLike, NoneType))
        self._paths = (certificate, key, authorities)
        self._files = [Path(path) for path in self._paths if path is not None]
        self._current = self._read()

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """TLS settings with the certificate as it was when it was last compared."""
        return self._current[0]

    async def load(self) -> SecretText:
        """
        Compare the files, and load them if they have changed.

        Returns:
            A digest of what is in use.
        """
        self._current = await _THREADS.run(self._compare)
        return SecretText(self._current[1])

    def _compare(self) -> tuple[ssl.SSLContext, str]:
        try:
            return self._current if self._digest() == self._current[1] else self._read()
        except ConfigurationError:
            return self._current

    def _read(self) -> tuple[ssl.SSLContext, str]:
        certificate, key, authorities = self._paths
        digest = self._digest()
        try:
            context = ssl.create_default_context(cafile=authorities)
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ValueError) as error:
            problem = getattr(error, "reason", None) or type(error).__name__
        else:
            return context, digest
        raise ConfigurationError(f"{self!r} cannot be used ({problem})")

    def _digest(self) -> str:
        hashed = sha256()
        problem = ""
        for file in self._files:
            try:
                with file.open("rb") as opened:
                    hashed.update(sha256(opened.read(_FILE_LIMIT)).digest())
            except OSError as error:
                problem = f"{file} cannot be read: {error.strerror or type(error).__name__}"
        if problem:
            raise ConfigurationError(problem)
        return hashed.hexdigest()

    def __repr__(self) -> str:
        return f"<CertificateFiles {', '.join(map(str, self._files))}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("CertificateFiles are not pickled: make them anew in the other process")
