"""What must be closed, and how."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class AsyncCloseable(ABC):
    """An object with ``aclose()``, usable with ``async with``."""

    __slots__ = ()

    @abstractmethod
    async def aclose(self) -> None:
        """Release everything; closing twice is no error."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
