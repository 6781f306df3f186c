"""The strict converter: a type means exactly that type."""

from unittest import mock

import attrs
import cattrs
import pytest

from aritma_auth.protocol.redaction import HiddenStr, Members
from aritma_auth.protocol.strict_json import StructureError, WireNumber, WireScope, structure


@attrs.frozen
class Model:
    text: str = ""
    count: int = 0
    flag: bool = False
    number: float = 0.0


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, Model()),
        ({"text": "a", "count": 1, "flag": True, "number": 1}, Model("a", 1, True, 1.0)),
        ({"text": None, "unknown": 5}, Model()),
    ],
)
def test_exact_types_pass(members, expected):
    """Values of the exact type pass, null counts as absent, and unknown members are ignored."""
    assert structure(Members(members), Model) == expected


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"text": 5}, "text must be a string, not a number"),
        ({"text": ["a"]}, "text must be a string, not a list"),
        ({"count": True}, "count must be an integer, not a boolean"),
        ({"count": 3.9}, "count must be an integer, not a number"),
        ({"count": "1"}, "count must be an integer, not a string of length 1"),
        ({"flag": "false"}, "flag must be true or false, not a string of length 5"),
        ({"flag": {}}, "flag must be true or false, not an object"),
        ({"number": "1"}, "number must be a number, not a string of length 1"),
        ({"number": True}, "number must be a number, not a boolean"),
    ],
)
def test_other_types_are_refused(members, problem):
    """No value is converted silently."""
    with pytest.raises(StructureError) as caught:
        structure(Members(members), Model)

    assert caught.value.problems == (problem,)


def test_texts_that_hide_are_texts():
    """The hidden parameters of a callback are structured like JSON members."""

    @attrs.frozen
    class Fragment:
        text: str
        number: WireNumber
        scope: WireScope

    members = {"text": "a", "number": "3600", "scope": "api openid"}
    hidden = Members({name: HiddenStr(text) for name, text in members.items()})

    assert structure(hidden, Fragment) == Fragment("a", 3600.0, ("api", "openid"))


def test_the_error_quotes_no_value(canary):
    """The planted secret is in no part of the error."""
    with pytest.raises(StructureError) as caught:
        structure(Members({"count": canary.text}), Model)

    assert caught.value.__context__ is None
    assert canary.text not in str(caught.value)


def test_problems_of_other_kinds_are_named_without_detail():
    """The error of a model's own validator is reported without its text."""

    @attrs.frozen
    class Picky:
        text: str = attrs.field(validator=attrs.validators.min_len(3))

    with pytest.raises(StructureError) as caught:
        structure(Members({"text": "ab"}), Picky)

    assert len(caught.value.problems) == 1
    assert "ab" not in caught.value.problems[0].replace("invalid", "")


@attrs.frozen
class Nested:
    text: str
    count: int | None = None


@attrs.frozen(kw_only=True)
class Whole:
    """Every kind of field that a model of the package has."""

    text: str
    number: WireNumber | None = None
    scope: WireScope | None = None
    flag: bool = False
    since: float = 0.0
    names: tuple[str, ...] = ()
    nested: tuple[Nested, ...] = ()
    urls: dict[str, str] = attrs.field(factory=dict)


SCALARS = [None, True, 0, 1, -1.5, float("nan"), float("inf"), 10**400, "", "1", "1.5", "a b"]
LISTS = [
    [],
    ["a", "b"],
    [1],
    [None],
    [["a"]],
    [{"text": "a"}, {"text": "b", "count": 1}],
    [{"count": 1}],
]
OBJECTS = [{}, {"a": "b"}, {"a": 1}, {"text": "a"}, {"text": "a", "count": True}]


def outcome_of(members):
    try:
        return structure(members, Whole)
    except StructureError as error:
        return error.problems


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Whole)])
def test_the_quick_converter_takes_nothing_that_the_thorough_one_refuses(name):
    """An object is read by one that stops at the first problem; another finds all of them."""
    given = [Members({"text": "a"} | {name: value}) for value in (*SCALARS, *LISTS, *OBJECTS)]
    quick = [outcome_of(members) for members in given]

    with mock.patch.object(cattrs, "BaseConverter", side_effect=TypeError):
        thorough = [outcome_of(members) for members in given]

    assert list(map(repr, quick)) == list(map(repr, thorough))


def test_a_healthy_response_compiles_no_function():
    """A compiled function for a class costs more than a service's responses of a day."""
    with mock.patch.object(cattrs, "Converter", side_effect=AssertionError):
        value = structure(Members({"text": "a", "nested": [{"text": "b"}]}), Whole)

    assert value == Whole(text="a", nested=(Nested("b"),))
