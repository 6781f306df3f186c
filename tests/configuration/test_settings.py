"""
The table of settings is the one in docs/how-to/configure-a-service.md;
``python tests/configuration/test_settings.py`` writes it there.
"""

from pathlib import Path

import pytest

from aritma_auth.configuration.settings import SETTINGS

PAGE = Path(__file__).parents[2] / "docs/how-to/configure-a-service.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"


def table():
    """Write the settings as a table in Markdown."""
    rows = ["| variable | key in the file | meaning | default |", "|---|---|---|---|"]
    for setting in SETTINGS.values():
        variable = f"`{setting.variable}`" if setting.is_variable else ""
        key = f"`{setting.name}`" if setting.is_in_file else ""
        rows.append(f"| {variable} | {key} | {setting.summary} | {setting.default} |")
    return "\n".join([*rows, ""])


def test_the_page_has_the_table_of_the_settings():
    """The page says what the code reads; this file writes it."""
    assert PAGE.read_text().partition(BEGIN)[2].partition(END)[0] == table()


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_a_secret_stands_in_no_file_and_everything_stands_somewhere(setting):
    """What is itself a secret has a variable alone; its whereabouts may be in the file."""
    holds_a_secret = setting.name in {"client_secret", "private_key"}

    assert setting.is_in_file is not holds_a_secret
    assert setting.is_variable or setting.name.endswith("_variable")
    assert setting.is_hidden is (holds_a_secret or setting.name == "proxy")


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}")
