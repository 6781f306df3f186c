"""
Equality, hash and repr of frozen attrs classes, written once.

attrs compiles these three for each class when it is imported, which costs a service that starts
more than everything else here; no value of these classes is compared or shown in a hot path.
"""

import attrs

_UNSET = object()


class Value:
    """
    A value: equal to one of the same class with equal fields; ``repr`` shows what it may.

    Use it with ``@attrs.frozen(eq=False, repr=False)``, which leaves the three to this class.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash((type(self), _values(self)))

    def __repr__(self) -> str:
        return show(self)


def show(value: object) -> str:
    """
    Show the fields of an attrs class that may be shown, as attrs does.

    A value whose construction has failed has not all of its fields; an error reporter that shows
    the frame of the constructor must not fail on it.

    Args:
        value: An instance of an attrs class.
    """
    fields = (field for field in attrs.fields(type(value)) if field.repr)  # type: ignore[arg-type]
    named = ((field.name, getattr(value, field.name, _UNSET)) for field in fields)
    shown = ", ".join(f"{name}={given!r}" for name, given in named if given is not _UNSET)
    return f"{type(value).__qualname__}({shown})"


def _values(value: object) -> tuple[object, ...]:
    fields = attrs.fields(type(value))  # type: ignore[arg-type] # an attrs class
    return tuple(getattr(value, field.name) for field in fields)
