"""The one proof of who delivers events: the ``Authorization`` that the subscriber chose."""

from collections.abc import Iterable

from aritma_auth.errors import ConfigurationError
from aritma_auth.protocol.redaction import HiddenStr, is_same_text
from aritma_auth.runtime.tasks import WorkBrokenOffError, run_within
from aritma_auth.secret import Secret


class RefusedError(Exception):
    """
    A request is refused; it never leaves the receiver.

    Attributes:
        status: HTTP status of the response.

        reason: Why, in our own words.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class AcceptedAuthorization:
    """
    The accepted values, one or two while one replaces the other.

    Args:
        given: A Secret, or two of them; each is loaded for each request, so that they rotate.

    Raises:
        ConfigurationError: It is something else.
    """

    def __init__(self, given: object) -> None:
        accepted = given if isinstance(given, list | tuple) else (given,)
        self._secrets = tuple(each for each in accepted if isinstance(each, Secret))
        if len(self._secrets) == len(accepted) and len(accepted) in {1, 2}:
            return
        found = f"{len(accepted)} values"
        if len(accepted) == 1:
            found = f"of type {type(accepted[0]).__name__}"
        # A traceback with local variables would show what was given.
        del given, accepted
        raise ConfigurationError(
            "authorization must be a Secret, or a list of two while one replaces the other; "
            f"it is {found}"
        )

    async def require(self, fields: Iterable[tuple[str, str]], *, timeout: float) -> None:
        """
        Require a request to have one of the accepted values.

        Args:
            fields: The request's header fields.

            timeout: Seconds in which the secrets must be loaded.

        Raises:
            RefusedError: 401 if it has not, 503 if that cannot be told.
        """
        given = [HiddenStr(value) for name, value in fields if name.lower() == "authorization"]
        if len(given) != 1:
            found = "is missing" if not given else f"came {len(given)} times"
            raise RefusedError(401, f"Authorization must come once, and {found}")
        try:
            is_known = await run_within(timeout, self._compare(given[0]), "aritma-auth events")
        except (TimeoutError, WorkBrokenOffError):
            is_known = None
        if is_known is None:
            raise RefusedError(503, "an accepted authorization cannot be loaded")
        if not is_known:
            raise RefusedError(401, "Authorization has none of the accepted values")

    async def _compare(self, given: HiddenStr) -> bool | None:
        """Tell whether a value is accepted, or None if that cannot be told."""
        is_known, is_unsure = False, False
        for secret in self._secrets:
            try:
                accepted = await secret.load()
            except ConfigurationError:
                is_unsure = True
            else:
                # Every secret is compared: the time does not tell which one is near.
                is_known |= is_same_text(accepted.text, given)
        return None if is_unsure and not is_known else is_known
