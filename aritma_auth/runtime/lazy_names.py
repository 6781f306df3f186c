"""Names of a package that are loaded when they are first used (PEP 562)."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(
    package: str, homes: Mapping[str, tuple[str, ...]], modules: tuple[str, ...] = ()
) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """
    Return what a package assigns to ``__all__``, ``__getattr__`` and ``__dir__``.

    The package imports the same names under ``TYPE_CHECKING``, and this under its opposite.

    Args:
        package: The package's ``__name__``.

        homes: The names by the module that defines them, which is named as a relative import names
            it, without the first dot: ``errors``, ``protocol.tokens``, ``.sibling_of_the_package``.

        modules: Public modules of the package. Python makes each an attribute once somebody has
            imported it; here it is one from the start, so that no program depends on who was first.
            ``__all__`` has none of them: a star import would load them.
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    public = sorted(home_of)

    def load(name: str) -> object:
        if name in modules:
            return import_module(f".{name}", package)
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f".{home}", package), name)
        # Found without this function from now on.
        setattr(sys.modules[package], name, value)
        return value

    return public, load, lambda: sorted((*public, *modules))
