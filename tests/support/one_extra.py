"""
What works with one extra alone, and what the rest says: ``python tests/support/one_extra.py EXTRA``.

``nox -s extras`` runs this in an environment for each extra, with nothing but the package in it.
Everything that needs an extra either works or names an extra that installs what it needs.
"""

import asyncio
import contextlib
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.metadata import requires
from pathlib import Path

import aritma_auth as aa
from aritma_auth.sandbox import Sandbox

ORIGIN = "http://127.0.0.1:8000"


def requirements(extra):
    """Give what an extra installs."""
    marker = f"; extra == '{extra}'"
    return {line.removesuffix(marker) for line in requires("aritma-auth") if marker in line}


def brings(extra, *others):
    """Tell whether an extra installs all that one of the others does."""
    return any(requirements(other) <= requirements(extra) for other in others)


async def use_file():
    with tempfile.TemporaryDirectory() as folder:
        await aa.FileTokenStore(Path(folder) / "tokens").load("key")


async def use_keyring():
    # A machine without a keyring says so, once the extra is there.
    try:
        aa.KeyringTokenStore()
    except aa.ConfigurationError as error:
        if "pip install" in str(error):
            raise


async def use_redis():
    keys = aa.EncryptionKeys.generate()
    async with aa.RedisTokenStore("redis://127.0.0.1:1", keys=keys) as store:
        with contextlib.suppress(aa.StoreError):
            await store.load("key")


async def use_sign_in():
    module = import_module("aritma_auth.integrations.aiohttp_web")
    module.WebSignIn(aa.OAuthClient("client", environment=aa.DEVELOPMENT), ORIGIN)


async def use_fastapi():
    module = import_module("aritma_auth.integrations.fastapi")
    sign_in = module.WebSignIn(aa.OAuthClient("client", environment=aa.DEVELOPMENT), ORIGIN)
    sign_in.install(import_module("fastapi").FastAPI())


async def use_httpx():
    module = import_module("aritma_auth.integrations.httpx")
    client = aa.OAuthClient("client", "a-secret-of-some-length", environment=aa.DEVELOPMENT)
    async with aa.TokenProvider(client, aa.ClientCredentialsGrant("bankservice")) as tokens:
        module.BearerAuth(tokens)


async def use_telemetry():
    import_module("aritma_auth.integrations.opentelemetry").Telemetry()


async def use_signing_key():
    aa.SigningKey.generate("ES256")


async def use_sandbox():
    async with Sandbox() as sandbox:
        me = sandbox.client
        client = aa.OAuthClient(me.client_id, me.client_secret, environment=sandbox.environment)
        async with aa.TokenProvider(client, aa.ClientCredentialsGrant("bankservice")) as tokens:
            await tokens.get_token()


NEEDS = {
    use_fastapi: {"fastapi"},
    use_file: {"file"},
    use_httpx: {"httpx"},
    use_keyring: {"keyring"},
    use_redis: {"redis"},
    use_sandbox: {"sandbox", "oidc"},
    use_sign_in: {"sandbox", "oidc"},
    use_signing_key: {"sandbox", "oidc"},
    use_telemetry: {"otel"},
}
"""What needs an extra, and the extras each of which is enough."""

ARGUMENTS = {
    "call": ["GET", "api/v3/accounts/42"],
    "completion": ["bash"],
    "config": ["list"],
    "demo": ["--calls", "5"],
    "exec": ["--", "true"],
    "rotate-secret": ["--file", "secret"],
    "sandbox": ["--help"],  # without it, it runs on
    "watch": ["--sandbox", "--once"],
}
"""What a subcommand is given, so that it begins."""


async def try_everything(extra):
    """Yield a line for each thing that neither works nor names the extra that it lacks."""
    for use, enough in NEEDS.items():
        try:
            await use()
        except aa.ConfigurationError as error:
            named = set(re.findall(r"aritma-auth\[(\w+)\]", str(error)))
            if brings(extra, *enough) or not enough & named:
                yield f"{use.__name__}: {error}"


def try_command(name, *, works):
    """Yield a line if a subcommand asks for an extra although it is there, or the other way."""
    with tempfile.TemporaryDirectory() as home:
        ended = subprocess.run(
            [sys.executable, "-m", "aritma_auth", name, *ARGUMENTS.get(name, [])],
            env={"HOME": home, "PYTHONSAFEPATH": "1"},
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if works == ("pip install" in ended.stderr) or "Traceback" in ended.stderr:
        yield f"aritma-auth {name} ended with {ended.returncode}: {ended.stderr}"


async def main(extra):
    problems = [line async for line in try_everything(extra)]
    works = brings(extra, "cli")
    if works:
        from aritma_auth.cli import COMMANDS  # the extra may be missing

        names = [command.name for command in COMMANDS]
    else:
        names = ["token"]  # they all begin at the same place
    problems += [line for name in names for line in try_command(name, works=works)]
    print(f"with {extra}: {len(NEEDS)} uses and {len(names)} commands; {problems or 'fine'}")
    return len(problems) > 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
