"""
The figures of `instructions.py` for each interpreter, as a table:
python tests/benchmarks/interpreters.py .venv/bin/python /opt/python3.14t/bin/python

Each needs aiohttp, attrs, cattrs and yarl, and cyclopts for the command's row. A free-threaded build
is named with a t.
"""

import json
import subprocess
import sys
from pathlib import Path

NAMED = (
    "import sys, sysconfig; print('.'.join(map(str, sys.version_info[:3]))"
    " + 't' * bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
)


def measure(python):
    """Return an interpreter's name and its figures by name, ready to be shown."""
    name = subprocess.run([python, "-c", NAMED], capture_output=True, text=True, check=True).stdout
    program = str(Path(__file__).with_name("instructions.py"))
    ran = subprocess.run([python, program, "--json"], stdout=subprocess.PIPE, text=True, check=True)
    figures = {}
    for line in ran.stdout.splitlines():
        what, ours, limit = json.loads(line)
        if ours is None:
            figures[what] = "not measured"
        elif "import" in what or "token" in what.split() or what == "cattrs alone":
            figures[what] = f"{ours / 1e6:.1f} M"
        else:
            figures[what] = f"{ours / limit:.2f}"
    return name.strip(), figures


def main():
    measured = [measure(python) for python in sys.argv[1:]]
    print(f"| | {' | '.join(name for name, _ in measured)} |")
    print("|---" * (len(measured) + 1) + "|")
    for what in measured[0][1]:
        print(f"| {what} | {' | '.join(figures[what] for _, figures in measured)} |")


if __name__ == "__main__":
    main()
