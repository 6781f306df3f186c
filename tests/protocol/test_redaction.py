"""Wrappers that hide what they hold, and compare and hash by it."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aritma_auth.protocol.redaction import Members, SecretText, is_same_text
from aritma_auth.protocol.single_use import SingleUse


@given(st.text(), st.text())
def test_texts_are_compared_letter_by_letter(one, other):
    """Any two texts are compared by their characters, lone surrogates included."""
    assert is_same_text(one, one)
    assert is_same_text(one, other) == (one == other)
    assert (SecretText(one) == SecretText(other)) == (one == other)


def test_half_a_character_is_not_a_question_mark():
    """A lone surrogate is neither replaced nor an error."""
    assert not is_same_text("\ud800", "?")
    assert len(SecretText("\ud800").fingerprint) == 8


def test_equal_members_have_equal_hashes():
    """Equal members have equal hashes, in whatever order they came."""
    one, other = Members({"a": 1, "b": [2]}), Members({"b": [2], "a": 1})

    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    assert one != Members({"a": 1, "b": 2})
    assert copy.copy(one) is copy.deepcopy(one) is one
    assert one == {"a": 1, "b": [2]}


def test_a_mark_is_taken_once():
    """A mark is taken once, and again only if it is given back."""
    mark = SingleUse()
    assert mark.is_left
    assert repr(mark) == "<SingleUse left>"
    assert mark.take()
    assert not mark.take()
    assert not mark.is_left
    assert repr(mark) == "<SingleUse taken>"

    mark.give_back()
    mark.give_back()
    assert mark.take()
    assert not mark.take()


def test_a_mark_can_be_taken_from_the_start():
    """A mark can be made as taken, for what was used elsewhere."""
    assert not SingleUse(is_left=False).take()


def test_a_copy_is_the_same_mark():
    """A copy is the same mark, so that copying is no second use; pickling is refused."""
    mark = SingleUse()
    twins = [copy.copy(mark), copy.deepcopy(mark)]
    assert mark.take()

    assert not any(twin.take() for twin in twins)
    with pytest.raises(TypeError, match="used twice"):
        pickle.dumps(mark)
