"""A mark for what may be used exactly once."""

from typing import NoReturn, Self, final


@final
class SingleUse:
    """
    Can be taken once, by the first caller in any thread; a copy is the same mark.

    Args:
        is_left: It has not been taken yet.
    """

    __slots__ = ("_left",)

    def __init__(self, *, is_left: bool = True) -> None:
        # Popping from a list is one step: two callers cannot both succeed.
        self._left = [None] if is_left else []

    @property
    def is_left(self) -> bool:
        """It has not been taken yet."""
        return bool(self._left)

    def take(self) -> bool:
        """Take it; tell whether it was still there."""
        try:
            self._left.pop()
        except IndexError:
            return False
        return True

    def give_back(self) -> None:
        """Undo `take`, because what it guards was provably not used."""
        if not self._left:
            self._left.append(None)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SingleUse is not pickled: it could be used twice")

    def __repr__(self) -> str:
        return f"<SingleUse {'left' if self._left else 'taken'}>"
