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


def name_of(python):
    """Return an interpreter's version."""
    ran = subprocess.run([python, "-c", NAMED], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def begin(python):
    """Let an interpreter count, a line of JSON for each figure."""
    program = str(Path(__file__).with_name("instructions.py"))
    return subprocess.Popen([python, program, "--json"], stdout=subprocess.PIPE, text=True)


def show(what, ours, limit):
    """Return a figure as it stands in the table."""
    if ours is None:
        return "not measured"
    if "import" in what or "token" in what.split() or what == "cattrs alone":
        return f"{ours / 1e6:.1f} M"
    return f"{ours / limit:.2f}"


def main():
    pythons = sys.argv[1:]
    print(f"| | {' | '.join(name_of(python) for python in pythons)} |")
    print("|---" * (len(pythons) + 1) + "|", flush=True)
    # All at once: instructions do not mind who else uses the machine.
    counting = [begin(python) for python in pythons]
    for lines in zip(*(process.stdout for process in counting), strict=True):
        figures = [json.loads(line) for line in lines]
        shown = " | ".join(show(*figure) for figure in figures)
        print(f"| {figures[0][0]} | {shown} |", flush=True)
    statuses = [process.wait() for process in counting]
    if any(statuses):
        sys.exit("an interpreter could not count: see above")


if __name__ == "__main__":
    main()
