"""
The same comparisons in instructions, which repeat where time does not:
python tests/benchmarks/instructions.py

Needs valgrind. A run with few calls is taken from one with many, so that start and imports cancel
out. Imports are counted beyond what `import aiohttp` takes, from bytecode: without a writable
`__pycache__` (PYTHONDONTWRITEBYTECODE) the compiler would be measured.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
EMPTY = "import cyclopts; cyclopts.App(name='empty', help='Nothing.')(['--help'])"
HELP = "from aritma_auth.cli import run; run(['--help'])"
IMPORTS = {
    "import aritma_auth": "import aritma_auth",
    "TokenProvider and OAuthClient": "from aritma_auth import OAuthClient, TokenProvider",
    "and the middleware": "from aritma_auth import BearerMiddleware, OAuthClient, TokenProvider",
    "cattrs, with the first answer": "import cattrs",
}


def count(*arguments):
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    ran = subprocess.run(
        [*command, sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=HERE,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": ""},
    )
    return int(re.search(r"I\s+refs:\s+([\d,]+)", ran.stderr)[1].replace(",", ""))


def count_call(program, name, few, many):
    # Once for nothing: the first run of all may compile the bytecode.
    count(program, name, "1")
    return (count(program, name, str(many)) - count(program, name, str(few))) / (many - few)


def main():
    for name in ("get_token", "peek", "middleware"):
        ours = count_call("cached_path.py", name, 2_000, 12_000)
        limit = count_call("cached_path.py", f"{name}-limit", 2_000, 12_000)
        print(f"{name:30} {ours:9,.0f}   limit {limit:9,.0f}   ratio {ours / limit:.3f}")
    ours = count_call("stampede.py", "stampede", 500, 3_000)
    limit = count_call("stampede.py", "stampede-limit", 500, 3_000)
    print(
        f"{'stampede, a waiter':30} {ours:9,.0f}   limit {limit:9,.0f}   ratio {ours / limit:.3f}"
    )
    ours = count_call("signed_request.py", "signed", 200, 1_200)
    limit = count_call("signed_request.py", "constant", 200, 1_200)
    print(f"{'signed request':30} {ours:9,.0f}   limit {limit:9,.0f}   ratio {ours / limit:.3f}")
    empty, ours = count("-c", EMPTY), count("-c", HELP)
    print(
        f"{'aritma-auth --help':30} {ours / 1e6:7,.0f} M   empty {empty / 1e6:7,.0f} M   ratio {ours / empty:.3f}"
    )
    base = count("-c", "import aiohttp")
    for name, code in IMPORTS.items():
        more = count("-c", f"import aiohttp; {code}") - base
        print(f"{name:30} {more / 1e6:7,.0f} M beyond aiohttp's {base / 1e6:,.0f} M")


if __name__ == "__main__":
    main()
