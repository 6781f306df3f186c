"""
Equality, hash and repr of frozen attrs classes, written once.

attrs compiles these three for each class when it is imported. A service that only asks for tokens
loads some fifty such classes, and compiling was a third of what their import cost. No value of them
is compared or shown in a hot path.
"""

from typing import Any, ClassVar

import attrs

_UNSET = object()


class Value:
    """
    A value: equal to one of the same class with equal fields; ``repr`` shows what it may.

    Use it with ``@attrs.frozen(eq=False, repr=False)``, which leaves the three to this class. The
    fields' own ``eq``, ``hash`` and ``repr`` count as they do for attrs.
    """

    __slots__ = ()
    __attrs_attrs__: ClassVar[Any]
    """What attrs knows a class by."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(
            getattr(self, field.name) == getattr(other, field.name)
            for field in _fields(self)
            if field.eq
        )

    def __hash__(self) -> int:
        hashed = (
            getattr(self, field.name)
            for field in _fields(self)
            if (field.eq if field.hash is None else field.hash)
        )
        return hash((type(self), *hashed))

    def __repr__(self) -> str:
        return show(self)


def show(value: attrs.AttrsInstance) -> str:
    """
    Show the fields of an attrs class that may be shown, under the names that its constructor has.

    A value whose construction has failed has not all of its fields; an error reporter that shows
    the frame of the constructor must not fail on it.

    Args:
        value: An instance of an attrs class.
    """
    named = (
        (field.alias, getattr(value, field.name, _UNSET)) for field in _fields(value) if field.repr
    )
    shown = ", ".join(f"{name}={given!r}" for name, given in named if given is not _UNSET)
    return f"{type(value).__qualname__.rpartition('>.')[2]}({shown})"


def _fields(value: attrs.AttrsInstance) -> "tuple[attrs.Attribute[Any], ...]":
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(type(value))
    return fields
