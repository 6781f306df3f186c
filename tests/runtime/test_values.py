"""Values whose equality, hash and repr are written once."""

import attrs
import pytest

from aritma_auth.runtime.values import Value


@attrs.frozen(eq=False, repr=False)
class Pair(Value):
    name: str
    secret: str = attrs.field(default="", repr=False)


@attrs.frozen(eq=False, repr=False)
class Named(Value):
    _name: str


@attrs.frozen(eq=False, repr=False)
class Other(Value):
    name: str
    secret: str = attrs.field(default="", repr=False)


def test_equal_fields_of_one_class_are_equal():
    """Two values of the same class with equal fields are equal and have one hash."""
    assert Pair("a", "b") == Pair("a", "b")
    assert len({Pair("a", "b"), Pair("a", "b")}) == 1


@pytest.mark.parametrize(
    "other", [Pair("a", "c"), Pair("b", "b"), Other("a", "b"), ("a", "b"), None]
)
def test_anything_else_is_not_equal(other):
    """Another field, another class or another type makes a value unequal."""
    assert Pair("a", "b") != other


def test_the_repr_shows_what_it_may():
    """A field is named as its argument is; with repr=False it is left out, as attrs does."""
    assert repr(Pair("a", "b")) == "Pair(name='a')"
    assert repr(Named("a")) == "Named(name='a')"
    assert repr(Pair("a", "b")) == repr(attrs.make_class("Pair", {"name": attrs.field()})("a"))


@attrs.frozen(eq=False, repr=False)
class Marked(Value):
    name: str
    note: str = attrs.field(default="", eq=False)
    pairs: dict = attrs.field(factory=dict, hash=False)


def test_the_fields_own_settings_count():
    """A field that attrs would leave out of equality or hash is left out here too."""
    assert Marked("a", "x") == Marked("a", "y")
    assert hash(Marked("a", pairs={"k": 1})) == hash(Marked("a", pairs={"k": 2}))
    assert Marked("a", pairs={"k": 1}) != Marked("a", pairs={"k": 2})


def test_a_class_inside_a_function_shows_its_own_name():
    """The repr names the class and not the function around it."""

    @attrs.frozen(eq=False, repr=False)
    class Inner(Value):
        name: str

    assert repr(Inner("a")) == "Inner(name='a')"
