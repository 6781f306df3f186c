"""The strict converter: a type means exactly that type."""

import attrs
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
        ({"text": 5}, "text must be a string"),
        ({"text": ["a"]}, "text must be a string"),
        ({"count": True}, "count must be an integer"),
        ({"count": 3.9}, "count must be an integer"),
        ({"count": "1"}, "count must be an integer"),
        ({"flag": "false"}, "flag must be true or false"),
        ({"flag": 1}, "flag must be true or false"),
        ({"number": "1"}, "number must be a number"),
        ({"number": True}, "number must be a number"),
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
