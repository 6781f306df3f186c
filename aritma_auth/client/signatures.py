"""Signs JWTs: at once with a key of this process, or by awaiting a key that is kept elsewhere."""

from collections.abc import Awaitable

from aritma_auth.errors import AritmaAuthError, ConfigurationError, TransportError
from aritma_auth.protocol.redaction import HiddenStr
from aritma_auth.protocol.signing import RemoteSigner
from aritma_auth.protocol.unsigned_jwt import UnsignedJwt
from aritma_auth.runtime.raised import describe_raised
from aritma_auth.runtime.tasks import WorkBrokenOffError, run_within


async def sign_jwt(jwt: UnsignedJwt, *, within: float) -> HiddenStr:
    """
    Sign a JWT with its key.

    Args:
        jwt: The JWT.

        within: Seconds that a `RemoteSigner` may take.

    Returns:
        The compact serialisation.

    Raises:
        TransportError: The remote signer failed, or took too long; nothing was sent to the server.

        ConfigurationError: The key makes no signature of its algorithm.
    """
    signer = jwt.signer
    if isinstance(signer, RemoteSigner):
        return jwt.with_signature(await _await_signature(signer, jwt.signing_input, within))
    return jwt.sign()


async def _await_signature(signer: RemoteSigner, signing_input: HiddenStr, within: float) -> bytes:
    async def call() -> bytes:
        signature = signer.sign(signing_input.encode())
        if not isinstance(signature, Awaitable):
            raise ConfigurationError("sign of the RemoteSigner must be an async function")
        return await signature

    try:
        return await run_within(within, call(), "aritma-auth signature")
    except AritmaAuthError:
        raise
    except TimeoutError:
        problem = f"it did not sign within {within:g} seconds"
    except WorkBrokenOffError as broken:
        problem = f"its function raised {broken.raised}"
    except Exception as error:  # noqa: BLE001 - whatever a caller's function raises
        problem = f"its function raised {describe_raised(error)}"
    # Outside the except block: the caught error may hold what was to be signed. A key management
    # service is as likely to come back as a server, so the failure is no permanent one.
    raise TransportError(
        f"the RemoteSigner gave no signature, since {problem}: try again later",
        may_have_arrived=False,
    )
