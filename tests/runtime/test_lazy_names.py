"""Tests of the names that a package loads when they are first used."""

import sys
from importlib import import_module

import pytest

from aritma_auth.runtime.lazy_names import lazy_names


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules that loads its names lazily; returns its name."""
    home = tmp_path / "lazy_example"
    home.mkdir()
    (home / "__init__.py").write_text(
        "from aritma_auth.runtime.lazy_names import lazy_names\n"
        "homes = {'first': ('b', 'a'), 'second': ('c',)}\n"
        "__all__, __getattr__, __dir__ = lazy_names(__name__, homes, ('second',))\n"
    )
    (home / "first.py").write_text("a, b = object(), object()\n")
    (home / "second.py").write_text("c = object()\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "lazy_example"
    for module in [name for name in sys.modules if name.startswith("lazy_example")]:
        del sys.modules[module]


def test_a_module_is_loaded_by_the_first_use_of_one_of_its_names(package):
    """Importing the package loads none of its modules; a name loads its own alone."""
    lazy = __import__(package)
    assert not any(name.startswith(f"{package}.") for name in sys.modules)

    first = lazy.a

    assert f"{package}.first" in sys.modules
    assert f"{package}.second" not in sys.modules
    assert first is sys.modules[f"{package}.first"].a


def test_a_name_that_was_used_is_an_attribute_of_the_package(package):
    """The second use of a name calls nothing, since a hot path may be spelled with it."""
    lazy = __import__(package)
    assert "a" not in vars(lazy)

    first = lazy.a

    assert vars(lazy)["a"] is first


def test_the_names_are_listed_in_order_before_any_is_used(package):
    """``__all__`` is sorted, so that a star import works, and ``dir`` has the public modules too."""
    lazy = __import__(package)

    assert lazy.__all__ == ["a", "b", "c"]
    assert dir(lazy) == ["a", "b", "c", "second"]


def test_a_public_module_is_loaded_as_an_attribute_and_by_no_star_import(package):
    """No program depends on whether another part of it has imported the module before."""
    names = {}
    exec(f"from {package} import *", names)
    lazy = __import__(package)

    assert "second" not in names
    assert lazy.second is sys.modules[f"{package}.second"]


def test_a_name_of_no_module_is_the_attribute_error_of_any_module(package):
    """The message names the package and the name, as Python's own does."""
    lazy = __import__(package)

    with pytest.raises(AttributeError, match="module 'lazy_example' has no attribute 'nonsense'"):
        _ = lazy.nonsense
    assert not hasattr(lazy, "__path_of_nothing__")


def test_a_home_may_be_beside_the_package():
    """A home that begins with a dot is looked for in the package itself."""
    package = import_module("aritma_auth.protocol.client_auth").__name__
    _, load, _ = lazy_names(package, {".credentials": ("PlainSecret",)})

    assert load("PlainSecret").__module__ == "aritma_auth.protocol.credentials"
