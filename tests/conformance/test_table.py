"""The table of modules in the documentation says what these tests do, no more and no less."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reference" / "supported-specs.md"
MODULE = re.compile(r"(oidcc|fapi\d-[a-z-]+-final|fapi-ciba-id1)-client-[a-z0-9_-]*test[a-z0-9_-]*")
ROW = re.compile(r"^\| `([a-z0-9_-]+)` \| `conformance/(\w+)::(\w+)` \|$", re.MULTILINE)


def names_in(tree):
    """Give the module names that a test file holds as texts."""
    texts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
    return {text for text in texts if isinstance(text, str) and MODULE.fullmatch(text)}


def functions_in(tree):
    return {n.name for n in tree.body if isinstance(n, ast.AsyncFunctionDef | ast.FunctionDef)}


def test_the_table_names_every_module_that_has_a_test():
    """The table of the specifications page names every module of the suite, with its test."""
    others = [path for path in HERE.glob("test_*.py") if path != Path(__file__)]
    trees = {path.stem: ast.parse(path.read_text()) for path in others}
    rows = ROW.findall(PAGE.read_text())

    assert {module for module, _, _ in rows} == set().union(*map(names_in, trees.values()))
    assert len(rows) == len({module for module, _, _ in rows})
    for module, file, function in rows:
        assert module in names_in(trees[file])
        assert function in functions_in(trees[file])


def test_what_has_no_test_is_said_to_be_unsupported():
    """The page lists the rest of the suite's modules, each with a reason."""
    page = PAGE.read_text().partition("## The OpenID Foundation's client modules")[2]
    unsupported = set(re.findall(r"^\| `([a-z0-9_-]+)` \| [A-Z]", page, re.MULTILINE))

    assert "oidcc-client-test-request-uri-signed-none" in unsupported
    assert not unsupported & {module for module, _, _ in ROW.findall(page)}
