"""
docs/reference/cli.md has the help of every subcommand; ``python tests/cli/test_reference.py``
writes it there.
"""

import inspect
from pathlib import Path

import pytest

from aritma_auth import cli

PAGE = Path(__file__).parents[2] / "docs/reference/cli.md"
BEGIN, END = "<!-- help: begin -->\n", "<!-- help: end -->\n"


def describe_all():
    """Write the help of all subcommands as Markdown."""
    return "\n".join(section for command in cli.COMMANDS for section in sections_of(command))


def sections_of(command):
    """Yield a subcommand's section, and those of its own subcommands."""
    root = cli.build_app(command.name)
    app = root[command.name]
    inner = [name for name in app if not name.startswith("-")]
    if not inner:
        yield describe(f"aritma-auth {command.name}", app, root)
    for name in inner:
        yield describe(f"aritma-auth {command.name} {name}", app[name], root)


def describe(name, app, root):
    """Write one subcommand's section."""
    arguments = [
        argument
        for argument in app.assemble_argument_collection(
            default_parameter=root.default_parameter, parse_docstring=True
        )
        if argument.show
    ]
    text = inspect.cleandoc(app.help).partition("\nParameters\n---")[0].strip()
    positionals = [a.name for a in arguments if not a.name.startswith("-")]
    lines = [f"### {name}", "", "```text", " ".join([name, "[OPTIONS]", *positionals]), "```"]
    lines += ["", text, "", "| option | meaning |", "|---|---|", *map(row_of, arguments)]
    return "\n".join([*lines, ""])


def row_of(argument):
    """Write an option's row: its spellings, what it takes, what it means."""
    names = ", ".join(f"`{name}`" for name in argument.names)
    default = cli.build_app().default_parameter.show_default(argument.field_info.default)
    hidden = (None, False, True, inspect.Parameter.empty)
    shown = not argument.required and argument.field_info.default not in hidden
    meaning = " ".join((argument.parameter.help or "").split()).replace("|", "\\|")
    return f"| {names} | {meaning}{f' Default: `{default}`.' if shown else ''} |"


def test_the_reference_is_the_help():
    """The page has what the subcommands say of themselves; this file writes it."""
    page = PAGE.read_text()

    assert page.partition(BEGIN)[2].partition(END)[0].strip() == describe_all().strip()


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_option_is_explained(command):
    """No row of the reference is empty: each option has a meaning."""
    for section in sections_of(command):
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        assert rows
        assert all(len(row.split("|")[2].strip()) > 10 for row in rows)


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{describe_all()}\n{END}{rest.partition(END)[2]}")
