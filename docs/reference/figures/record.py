"""
Record the terminal pictures of the command: python docs/reference/figures/record.py

Each is what the command writes, run here and now against its own stand-in, in a terminal of 100
columns. Nothing is drawn by hand, and the pictures load nothing from elsewhere.
"""

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
COLUMNS = 100
PICTURES = {
    "demo": ["demo"],
    "watch": ["watch", "--sandbox", "--lifetime", "16", "--failures", "2", "--seconds", "30"],
}


def run(arguments: list[str]) -> str:
    """Run the command as on a terminal with colours, and give what it wrote."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ARITMA_")},
        "COLUMNS": str(COLUMNS),
        "FORCE_COLOR": "1",
        "TERM": "xterm-256color",
        "PYTHONIOENCODING": "utf-8",
        "NO_COLOR": "",
    }
    command = [sys.executable, "-m", "aritma_auth", *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout


def last_picture(output: str) -> str:
    """Keep the last picture of a view: what stands after the last empty line before its title."""
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in output.splitlines()]
    titles = [number for number, line in enumerate(plain) if "not Aritma" in line]
    return "\n".join(output.splitlines()[titles[-1] :])


def draw(name: str, arguments: list[str]) -> str:
    """Draw a command's output as a terminal's window."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "dim"), f"aritma-auth {' '.join(arguments)}\n"))
    console.print(Text.from_ansi(last_picture(run(arguments))))
    svg = console.export_svg(title=f"aritma-auth {arguments[0]}", unique_id=f"aritma-{name}")
    # Fonts of this machine: a page of the docs asks no other server for anything.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code", "ui-monospace, Menlo, Consolas")


if __name__ == "__main__":
    for name, arguments in PICTURES.items():
        (HERE / f"{name}.svg").write_text(draw(name, arguments), encoding="utf-8")
