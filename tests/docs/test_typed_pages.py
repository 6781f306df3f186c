"""Tests of the modules that the type checkers read instead of the pages."""

import ast

from support import typed_pages


def test_every_page_with_code_becomes_modules(tmp_path):
    """Each module is there, those of other libraries too, and none of a page that is gone."""
    (tmp_path / "a_page_that_is_gone.py").touch()
    typed_pages.main(tmp_path)
    written = {file.stem for file in tmp_path.glob("*.py")}

    text = "".join(page.read_text() for page in typed_pages.pages())
    assert len(written) == text.count("```python\n")
    assert {name for name, _ in typed_pages.modules()} == written


def test_every_function_on_a_page_has_types():
    """A function without annotations would not be checked: ``mypy --strict`` refuses it."""
    untyped = [
        f"{name}: {node.name}"
        for name, text in typed_pages.modules()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is None
    ]

    assert untyped == []
