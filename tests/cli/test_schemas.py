"""
What the commands write with ``--json``, as schemas. That their output follows them is seen in every
test of a command (tests/cli/conftest.py).

``python tests/cli/test_schemas.py`` writes the reference.
"""

import json
from pathlib import Path

import jsonschema
import pytest

from aritma_auth import cli
from aritma_auth.cli.exit_codes import ExitCode
from aritma_auth.cli.schemas import DOCUMENT, SCHEMAS

FOLDER = Path(__file__).parents[2] / "docs/reference"
PAGE, FILE = FOLDER / "cli-json.md", FOLDER / "cli.schema.json"
BEGIN, END = "<!-- members: begin -->\n", "<!-- members: end -->\n"


def describe_all():
    """Write all schemas as Markdown."""
    return "\n".join(describe(name, schema) for name, schema in SCHEMAS.items())


def describe(name, schema):
    """Write one command's section: its members as a table."""
    title = "Failures" if name == "error" else f"aritma-auth {name}"
    lines = [f"## {title}", "", schema["description"]]
    for each in schema.get("oneOf", [schema]):
        if each is not schema:
            lines += ["", f"**{each['description']}**"]
        rows = [*rows_of(each, "")]
        if rows:
            lines += ["", "| member | type | meaning |", "|---|---|---|", *rows]
    return "\n".join([*lines, ""])


def rows_of(schema, prefix):
    """Yield the rows of an object's members, and of what is in them."""
    for name, member in schema.get("properties", {}).items():
        yield f"| `{prefix}{name}` | {type_of(member)} | {member.get('description', '')} |"
        yield from rows_of(member, f"{prefix}{name}.")
        yield from rows_of(member.get("items", {}), f"{prefix}{name}[].")
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        yield from rows_of(inner, f"{prefix}NAME.")


def type_of(member):
    """Say a member's type as people do."""
    if "const" in member:
        return f"`{json.dumps(member['const'])}`"
    if "enum" in member:
        return ", ".join(f"`{json.dumps(value)}`" for value in member["enum"])
    kinds = member.get("type", "any JSON")
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)


def file_text():
    """Write the file that a program validates with."""
    return json.dumps(DOCUMENT, indent=2) + "\n"


def test_the_reference_has_every_member():
    """The page and the file are what the package says; this file writes them."""
    assert PAGE.read_text().partition(BEGIN)[2].partition(END)[0].strip() == describe_all().strip()
    assert FILE.read_text() == file_text()


def test_every_command_with_json_has_a_schema():
    """Only a command that writes nothing of its own has none."""
    named = {name.split()[0] for name in SCHEMAS} - {"error"}

    assert named == {command.name for command in cli.COMMANDS} - {"exec"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name):
    """It keeps to JSON Schema 2020-12, and its members are explained."""
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    rows = [row for row in describe(name, SCHEMAS[name]).splitlines() if row.startswith("| `")]

    assert all(row.split("|")[3].strip() for row in rows)


@pytest.mark.parametrize("words", [["call"], ["config", "check"], ["error"]])
def test_a_schema_is_printed(capsys, words):
    """A program may ask the command itself."""
    assert cli.run(["schema", *words]) == ExitCode.DONE
    printed = json.loads(capsys.readouterr().out)

    assert printed.pop("$schema") == DOCUMENT["$schema"]
    assert printed == SCHEMAS[" ".join(words)]


def test_all_schemas_are_printed_at_once(capsys):
    """Without a command, all of them come as definitions of one schema."""
    assert cli.run(["schema"]) == ExitCode.DONE
    assert capsys.readouterr().out == file_text()


def test_an_unknown_command_has_no_schema(capsys):
    """The error names those that there are."""
    assert cli.run(["schema", "exec"]) == ExitCode.USAGE
    assert "call, completion, config check" in capsys.readouterr().err


@pytest.mark.parametrize("name", [n for n in SCHEMAS if "required" in SCHEMAS[n]])
def test_a_member_that_is_missing_or_new_is_seen(name):
    """The schema names every member, so that neither a lost nor an unpublished one stays unseen."""
    schema = SCHEMAS[name]
    validator = jsonschema.Draft202012Validator(schema)

    assert [error.validator for error in validator.iter_errors({})] == (
        ["required"] * len(schema["required"])
    )
    assert "additionalProperties" in [e.validator for e in validator.iter_errors({"new": 1})]


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{describe_all()}\n{END}{rest.partition(END)[2]}")
    FILE.write_text(file_text())
