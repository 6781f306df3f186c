"""
The same comparisons in instructions, which repeat where time does not:
python tests/benchmarks/instructions.py

Needs valgrind. A run with few calls is taken from one with many, so that start and imports cancel
out. Imports are counted beyond what `import aiohttp` takes, from bytecode: without a writable
`__pycache__` (PYTHONDONTWRITEBYTECODE) the compiler would be measured.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
EMPTY = "import cyclopts; cyclopts.App(name='empty', help='Nothing.')(['--help'])"
HELP = "from aritma_auth.cli import run; run(['--help'])"
USED = (
    "from aritma_auth import BearerMiddleware, ClientCredentialsGrant, OAuthClient, TokenProvider"
)
FIRST_TOKEN = f"""
import asyncio
{USED}
from aritma_auth.network.transport import Transport
from aritma_auth.protocol.http_messages import HttpResponse

async def send(self, request, **_settings):
    token = b'{{"access_token": "x", "token_type": "Bearer", "expires_in": 3600}}'
    return HttpResponse(200, {{"content-type": "application/json"}}, token)

async def main():
    Transport.send = send
    grant = ClientCredentialsGrant("bankservice")
    async with TokenProvider(OAuthClient("id", "secret"), grant) as tokens:
        await tokens.get_token()

asyncio.run(main())
"""
IMPORTS = {
    "import aritma_auth": "import aritma_auth",
    "import of provider, client, middleware": USED,
    "the same and a first token": FIRST_TOKEN,
    "cattrs alone": "import cattrs",
}
PATHS = {
    "get_token": ("cached_path.py", "get_token", "get_token-limit", 2_000, 12_000),
    "get_token with Telemetry": ("cached_path.py", "observed", "get_token", 2_000, 12_000),
    "peek": ("cached_path.py", "peek", "peek-limit", 2_000, 12_000),
    "middleware": ("cached_path.py", "middleware", "middleware-limit", 2_000, 12_000),
    "stampede, a waiter": ("stampede.py", "stampede", "stampede-limit", 500, 3_000),
    "signed request": ("signed_request.py", "signed", "constant", 200, 1_200),
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


def count_twice(*arguments):
    """Count the second run: the first of all may compile the bytecode."""
    count(*arguments)
    return count(*arguments)


def count_call(program, name, few, many):
    fewer = count_twice(program, name, str(few))
    return (count(program, name, str(many)) - fewer) / (many - few)


def measure():
    """Yield name, ours and the limit's: instructions of a call, a start or an import."""
    for name, (program, ours, limit, few, many) in PATHS.items():
        yield name, count_call(program, ours, few, many), count_call(program, limit, few, many)
    try:
        yield "aritma-auth --help", count_twice("-c", HELP), count_twice("-c", EMPTY)
    except subprocess.CalledProcessError:
        # An interpreter for which the command's libraries are not installed.
        yield "aritma-auth --help", None, None
    base = count_twice("-c", "import aiohttp")
    for name, code in IMPORTS.items():
        yield name, count_twice("-c", f"import aiohttp; {code}") - base, base


def main():
    for name, ours, limit in measure():
        if sys.argv[1:] == ["--json"]:
            print(json.dumps([name, ours, limit]), flush=True)
        elif name in IMPORTS:
            print(f"{name:40} {ours / 1e6:9,.1f} M beyond aiohttp's {limit / 1e6:,.0f} M")
        elif ours is not None:
            print(f"{name:40} {ours:13,.0f}   limit {limit:13,.0f}   ratio {ours / limit:.3f}")


if __name__ == "__main__":
    main()
