"""What must be closed, and how."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import NoReturn, Self


class AsyncCloseable(ABC):
    """An object with ``aclose()``, usable with ``async with``."""

    __slots__ = ()

    @abstractmethod
    async def aclose(self) -> None:
        """Release everything; closing twice is no error."""

    def __reduce__(self) -> NoReturn:
        # A copy would share the locks and the connections of what it was made of.
        raise TypeError(
            f"a {type(self).__name__} is neither pickled nor copied: make it anew, in another "
            "process too"
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
