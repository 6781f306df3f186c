"""Tests of the public names: sorted, complete, documented, and changed only on purpose."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import is_typeddict

import pytest

import aritma_auth
from support.internals import homes_of

HERE = Path(__file__).parent
REFERENCE = HERE.parent / "docs" / "reference"
MODULES = ["banking", "events", "integrations", "sandbox", "stores", "testing"]


def test_the_names_are_sorted_and_loadable():
    """Each name leads to something, and nothing else is public."""
    names = aritma_auth.__all__

    assert names == sorted(names)
    assert dir(aritma_auth) == sorted([*names, *MODULES])
    assert all(getattr(aritma_auth, name) is not None for name in names)


def test_the_names_are_what_type_checkers_see():
    """The lazy names and those under TYPE_CHECKING are the same."""
    tree = ast.parse(inspect.getsource(aritma_auth))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname for imported in block.body for alias in imported.names}

    assert seen == set(dir(aritma_auth))


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_is_an_attribute_of_the_package(name):
    """It is one from the start, and not only once somebody has imported the module."""
    program = f"import aritma_auth as aa; print(aa.{name}.__name__); print(*aa.{name}.__all__)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines()[0] == f"aritma_auth.{name}"


def test_an_unknown_name_is_an_attribute_error():
    """The package raises the AttributeError that any module raises."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = aritma_auth.nonsense


@pytest.mark.parametrize("name", ["grants", "client_auth", "redaction"])
def test_a_public_module_lists_its_public_names(name):
    """Its ``__all__`` is sorted and complete: every class and function that the module defines."""
    module = importlib.import_module(f"aritma_auth.protocol.{name}")
    defined = {
        key
        for key, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ and not key.startswith("_")
    }

    assert module.__all__ == sorted(module.__all__)
    assert defined <= set(module.__all__)


def test_every_event_is_public():
    """``aritma_auth.events.__all__`` is sorted and has every event of the module."""
    events = importlib.import_module("aritma_auth.events")
    for home, names in homes_of(events).items():
        module = importlib.import_module(f"aritma_auth.events.{home}")
        defined = [
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__
        ]

        assert [name for name in names if inspect.isclass(getattr(module, name))] == [
            name for name in defined if name in events.__all__
        ]
        assert set(defined) <= set(events.__all__)
    assert events.__all__ == dir(events) == sorted(events.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = events.nonsense


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ("", "listeners"),
        ("on_event=None", "listeners"),
        ("on_event=seen.append", "base listeners refreshes"),
    ],
)
def test_a_service_loads_only_the_events_that_it_sees(settings, seen):
    """A healthy one makes none for a log that would drop them, and else five classes."""
    program = (
        "import sys, asyncio, aritma_auth as aa\n"
        "from aritma_auth.testing import FakeClient\n"
        "names = lambda: {n.split('.')[-1] for n in sys.modules if n.startswith('aritma_auth.events.')}\n"
        "seen = []\n"
        f"tokens = aa.TokenProvider(FakeClient(), aa.ClientCredentialsGrant(), {settings})\n"
        "aa.BearerMiddleware, aa.OAuthClient\n"
        "print(*sorted(names()))\n"
        "asyncio.run(tokens.get_token())\n"
        "print(*sorted(names()))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines() == ["listeners", seen]


@pytest.mark.parametrize("name", aritma_auth.__all__)
def test_every_name_is_documented(name):
    """It has a docstring of its own, or a line in the source, and a place in the reference."""
    thing = getattr(aritma_auth, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert inspect.getdoc(thing)
    pages = [page.read_text() for page in REFERENCE.rglob("*.md")]
    assert any(name in page for page in pages)


def describe(name):
    """Give a name's public shape, a line for each member."""
    thing = getattr(aritma_auth, name)
    if not inspect.isclass(thing):
        yield f"{name}: {type(thing).__name__}"
        return
    if is_typeddict(thing):
        yield from (f"{name}[{key}]({kind})" for key, kind in thing.__annotations__.items())
        return
    yield name if issubclass(thing, Exception) else f"{name}{signature_of(thing)}"
    for member, value in sorted(vars(thing).items()):
        if member.startswith("_"):
            continue
        if isinstance(value, property):
            yield f"{name}.{member}"
        elif callable(getattr(thing, member)):
            yield f"{name}.{member}{signature_of(getattr(thing, member))}"


def signature_of(thing):
    """Write a signature without addresses."""
    return re.sub(
        r"<(?:function )?([\w.]+)[^<>]* at 0x\w+>", r"<\1>", str(inspect.signature(thing))
    )


def test_the_public_api_is_the_one_agreed_on():
    """A change updates tests/public_api.txt on purpose: ``python tests/test_public_api.py``."""
    shape = "\n".join(line for name in aritma_auth.__all__ for line in describe(name)) + "\n"
    agreed = (HERE / "public_api.txt").read_text()

    assert [line.partition("(")[0] for line in shape.splitlines()] == [
        line.partition("(")[0] for line in agreed.splitlines()
    ]
    if sys.version_info[:2] == (3, 11):
        assert shape == agreed


def own_files(pattern):
    """Find files of the tests, and none of the servers that the tests install beside their own."""
    installed = {".venv", "node_modules"}
    return [path for path in HERE.rglob(pattern) if installed.isdisjoint(path.parts)]


def test_no_test_file_imports_another():
    """What several of them need is in tests/support."""
    files = {path.stem for path in own_files("test_*.py")}
    imported = {
        f"{path.name}: {name}"
        for path in own_files("*.py")
        for name in re.findall(r"^(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE)
        if name.rpartition(".")[2] in files
    }

    assert not imported


def private_names(path):
    """Name what a file of the tests reads of others' private attributes, or imports of ours."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    own |= {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
    imported = {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aritma_auth")
        for alias in node.names
    }
    names = {node.attr for node in attributes} - own | imported
    return {name for name in names if re.match("_[^_]", name)}


def test_one_module_of_the_tests_looks_behind_what_is_public():
    """Private attributes of the package are read in tests/support/internals.py alone."""
    # Of Python and of aiohttp.
    others = {"_cached_build_middleware", "_exit", "_log_destroy_pending", "_set_running_loop"}
    files = {*own_files("test_*.py"), *(HERE / "support").glob("*.py")}
    found = {path.name: private_names(path) - others for path in files}
    del found["internals.py"]

    assert not {name: names for name, names in found.items() if names}


def test_importing_the_package_loads_nothing_heavy():
    """An import of the package loads no library that is not used yet."""
    heavy = ["aiohttp", "cattrs", "joserfc", "redis", "cryptography", "rich", "cyclopts"]
    code = f"import sys, aritma_auth; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


def test_using_the_provider_loads_no_extra():
    """A provider needs no library of an extra, and cattrs only when a response comes."""
    extras = ["cattrs", "joserfc", "redis", "cryptography", "rich", "cyclopts", "keyring"]
    code = (
        "import sys, aritma_auth as aa; aa.TokenProvider, aa.OAuthClient, aa.BearerMiddleware;"
        f"print([m for m in {extras} if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


def test_the_package_is_typed():
    """Type checkers read the annotations of a package with a py.typed file."""
    assert (Path(aritma_auth.__file__).parent / "py.typed").exists()


PURE = sorted(
    [
        *(Path(aritma_auth.__file__).parent / "protocol").glob("*.py"),
        *(
            Path(aritma_auth.__file__).parent / f"{name}.py"
            for name in (
                "environment",
                "errors",
                "provider/backoff",
                "provider/lifecycle",
                "provider/policy",
            )
        ),
    ]
)


@pytest.mark.parametrize("path", PURE, ids=lambda path: path.name)
def test_nothing_awaits_in_the_pure_modules(path):
    """No coroutine is defined or awaited in the pure modules."""
    module = "aritma_auth." + ".".join(
        path.relative_to(Path(aritma_auth.__file__).parent).with_suffix("").parts
    )
    source = inspect.getsource(importlib.import_module(module.removesuffix(".__init__")))

    assert "async def" not in source
    assert "await " not in source.replace("Nothing in this folder awaits", "")


if __name__ == "__main__":
    (HERE / "public_api.txt").write_text(
        "\n".join(line for name in aritma_auth.__all__ for line in describe(name)) + "\n"
    )
