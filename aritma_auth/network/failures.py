"""What the operating system or OpenSSL says of a connection that failed."""

import errno
import ssl

from aritma_auth.errors import printable

_MAX_REASON = 100


def name_failure(error: Exception) -> str:
    """
    Name an error's class and its reason, such as ``ClientConnectorError: ECONNREFUSED``.

    The error's own text is not shown: it may hold the request, and its language is the machine's.

    Args:
        error: What aiohttp has raised.
    """
    kind = type(error).__name__
    # aiohttp keeps the verification's error under another name than that of the socket.
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    reason = _find_reason(cause)
    return kind if reason is None else f"{kind}: {printable(reason, _MAX_REASON)}"


def _find_reason(cause: object) -> str | None:
    if isinstance(cause, ssl.SSLError):
        # An error that was not made by OpenSSL lacks both.
        found = getattr(cause, "verify_message", None) or getattr(cause, "reason", None)
        return found if isinstance(found, str) else None
    # A resolver's numbers are not the system's: some are negative.
    number = cause.errno if isinstance(cause, OSError) else None
    return None if number is None else errno.errorcode.get(number)
