"""
Equality, hash and repr of frozen attrs classes, written once.

attrs compiles these three for each class when it is imported, which costs a service that starts
more than everything else here; no value of these classes is compared or shown in a hot path.
"""

import attrs


class Value:
    """
    A value: equal to one of the same class with equal fields; ``repr`` shows what it may.

    Use it with ``@attrs.frozen(eq=False, repr=False)``, which leaves the three to this class.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{field.name}={getattr(self, field.name)!r}"
            for field in attrs.fields(type(self))  # type: ignore[arg-type] # an attrs class
            if field.repr
        )
        return f"{type(self).__qualname__}({shown})"

    def _fields(self) -> tuple[object, ...]:
        return tuple(
            getattr(self, field.name)
            for field in attrs.fields(type(self))  # type: ignore[arg-type] # an attrs class
        )
