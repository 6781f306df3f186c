"""Every check of the project; plain ``nox`` runs them all."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

INTERPRETERS = ["3.11", "3.12", "3.13", "3.14"]

ONCE = [
    "tests/cli/test_shell_page.py",
    "tests/conformance",
    "tests/docs/test_typed_pages.py",
    "tests/integrations/test_web_sessions.py",
    "tests/issuers",
    "tests/provider/shared/test_explorer.py",
    "tests/provider/shared/test_fleet_invariants.py",
    "tests/provider/test_invariants.py",
    "tests/servers",
    "tests/simulation/test_mutations.py",
    "tests/simulation/test_payments.py",
    "tests/simulation/test_simulation.py",
    "tests/test_echo.py",
]
"""Long tests of what does not depend on the interpreter: they run on the newest one."""

LOOP_TESTS = [
    "tests/client/test_cached_document.py",
    "tests/client/test_discovery.py",
    "tests/client/test_sign_in.py",
    "tests/network",
    "tests/provider/shared/test_adopt.py",
    "tests/provider/shared/test_claim.py",
    "tests/provider/shared/test_lead.py",
    "tests/provider/shared/test_shared_backoff.py",
    "tests/provider/shared/test_sign_ins.py",
    "tests/provider/shared/test_store_outages.py",
    "tests/provider/test_forget.py",
    "tests/provider/test_hangs.py",
    "tests/provider/test_middleware.py",
    "tests/provider/test_pool.py",
    "tests/provider/test_provider.py",
    "tests/provider/test_refresh_tokens.py",
    "tests/provider/test_refusals.py",
    "tests/provider/test_short_loops.py",
    "tests/runtime",
    "tests/sandbox/test_faults.py",
    "tests/stores",
]
"""The tests of everything that awaits: they run on uvloop and with eager tasks too."""

PROJECT = nox.project.load_toml("pyproject.toml")

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.stop_on_first_error = True
# An interpreter that this machine lacks is skipped with a line that says so.
nox.options.error_on_missing_interpreters = False
nox.options.sessions = [
    "lint",
    "types",
    "tests",
    "coverage",
    "docs",
    "browser",
]

BUILT_DOCS: dict[str, str] = {}
"""Where the session ``docs`` has put the pages, for the session ``browser`` after it."""


def switch_on_pyenv() -> None:
    """Let pyenv's shims answer for all of its versions: they do only for those switched on."""
    if shutil.which("pyenv") and "PYENV_VERSION" not in os.environ:
        listed = subprocess.run(
            ["pyenv", "versions", "--bare"],  # noqa: S607 - found on PATH
            capture_output=True,
            text=True,
            check=False,
        )
        os.environ["PYENV_VERSION"] = ":".join(reversed(listed.stdout.split()))


switch_on_pyenv()
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")


def install_groups(session: nox.Session, *groups: str) -> None:
    """Install dependency groups of pyproject.toml."""
    # Once, not by each process that a test starts: uv leaves it out, unlike pip.
    session.env["UV_COMPILE_BYTECODE"] = "1"
    session.install(*nox.project.dependency_groups(PROJECT, *groups))


def run_tests(session: nox.Session, *arguments: str, measures_coverage: bool = False) -> None:
    """Run the suite, or a part of it, against the installed package, not the checkout."""
    session.run(
        *(("coverage", "run", "-m") if measures_coverage else ("python", "-m")),
        # Tests wait a part of their time, so one more runs than there are cores.
        *("pytest", f"--numprocesses={(os.cpu_count() or 1) + 1}"),
        # A file is one process's: its servers start once. tests/conftest.py puts them in order.
        *("--dist=loadfile", "--no-loadscope-reorder"),
        *arguments,
        env={"PYTHONSAFEPATH": "1"},
    )


def interpreters_here() -> list[str]:
    """Give the supported interpreters that this machine has, the oldest first."""
    return [version for version in INTERPRETERS if shutil.which(f"python{version}")]


def leave_out(paths: list[str]) -> list[str]:
    """Make pytest's options that leave out some tests."""
    return [f"--ignore={path}" for path in paths]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and the direction of the imports."""
    install_groups(session, "lint")
    # None of these imports a dependency.
    session.install("--no-deps", "-e", ".")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package, of a program that uses it, and of the code in the docs."""
    install_groups(session, "types", "test")
    session.install("-e", ".[all]")
    pages = session.create_tmp()
    session.run("python", "tests/support/typed_pages.py", pages)
    examples = [str(file) for file in Path("docs/examples").rglob("*.py")]

    def run_mypy() -> None:
        session.run("mypy")
        session.run("mypy", "tests/typing")
        session.run(
            *("mypy", "--explicit-package-bases", pages, *examples),
            env={"MYPYPATH": "docs/examples"},
        )

    def run_pyright() -> None:
        python = session_python(session)
        session.run("pyright", "--pythonpath", python, "tests/typing")
        session.run("pyright", "--pythonpath", python, "--project", pages)

    # Each of the two is one process, and takes a core.
    with ThreadPoolExecutor() as pool:
        for checked in [pool.submit(run_mypy), pool.submit(run_pyright)]:
            checked.result()


def session_python(session: nox.Session) -> str:
    """Give the path of a session's interpreter."""
    return str(Path(session.bin) / "python")


def install_newest(session: nox.Session) -> None:
    """Install the package with the newest dependencies."""
    session.install("--no-deps", "--force-reinstall", ".")
    session.install(".[all]")


def install_oldest(session: nox.Session) -> None:
    """Install the package with the oldest dependencies that it promises to work with."""
    if session.venv_backend != "uv":
        session.warn("only uv resolves the oldest versions: the newest ones are tested")
        install_newest(session)
        return
    # The SDK of the tests works with its own version of the API alone.
    groups = nox.project.dependency_groups(PROJECT, "test")
    sdk = [name for name in groups if name.startswith("opentelemetry")]
    session.install("--resolution=lowest-direct", "--force-reinstall", ".[all]", *sdk)


@nox.session(python=INTERPRETERS)
def tests(session: nox.Session) -> None:
    """
    Run the suite on one interpreter.

    The newest one on the machine runs all tests, the fleet's too, with the newest dependencies. The
    oldest one measures coverage, with the oldest dependencies. Those between them run what awaits,
    on other event loops.
    """
    install_groups(session, "test")
    if session.posargs:
        install_newest(session)
        run_tests(session, *session.posargs)
        return
    here = interpreters_here()
    is_oldest, is_newest = session.python == here[0], session.python == here[-1]
    if is_oldest:
        install_oldest(session)
        run_tests(session, *leave_out(ONCE), measures_coverage=True)
        if not is_newest:
            return
    install_newest(session)
    if is_newest:
        run_tests(session)
        run_fleet(session)
    if not is_newest or len(here) < 3:
        # Eager tasks are new in 3.12.
        loops = ["--loop=uvloop"] + ["--loop=eager"] * (session.python != "3.11")
        run_tests(session, *loops, *LOOP_TESTS)


@nox.session
def coverage(session: nox.Session) -> None:
    """Demand that the suite has taken every branch of the package."""
    session.install("coverage>=7.10")
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
@nox.parametrize(
    "faults",
    [
        "crash outage",
        "forget outage",
        "sign-in outage",
        "forget crash",
        "sign-in crash",
        "sign-in forget",
        "--walks 20000 sign-in forget crash outage",
    ],
)
def interleavings(session: nox.Session, faults: str) -> None:
    """Visit every interleaving of a refresh with two faults, and go random ways through four."""
    install_groups(session, "test")
    session.install(".[all]")
    session.run(
        *("python", "-m", "support.explorer", *faults.split()),
        env={"PYTHONSAFEPATH": "1", "PYTHONPATH": "tests"},
    )


@nox.session
def simulation(session: nox.Session) -> None:
    """
    Run seeds: ``-- [payments|deaths] FIRST LAST``, or ``SEED`` alone for all of one failure.

    ``-- mutations`` takes the package's mends away, and shows what tells that each is missing.
    """
    install_groups(session, "test")
    session.install(".[all]")
    usual = (("0", "2000"), ("payments", "0", "500"), ("deaths", "0", "400"))
    for seeds in (session.posargs,) if session.posargs else usual:
        session.run(
            *("python", "-m", "support.simulation", *seeds),
            env={"PYTHONSAFEPATH": "1", "PYTHONPATH": "tests"},
        )
    if not session.posargs:
        session.run(
            *("pytest", "tests/provider/shared/test_fleet_invariants.py"),
            env={"PYTHONSAFEPATH": "1", "FLEET_EXAMPLES": "300"},
        )


@nox.session
def soak(session: nox.Session) -> None:
    """Let mixed load with faults go on twice for ten minutes: ``-- SECONDS`` for less."""
    install_groups(session, "test")
    session.install(".[all]")
    seconds = session.posargs or ("600",)
    session.run("python", "tests/benchmarks/soak.py", *seconds, env={"PYTHONSAFEPATH": "1"})


@nox.session
def peers(session: nox.Session) -> None:
    """Measure the provider and other libraries side by side, and print a table."""
    install_groups(session, "peers")
    session.install(".")
    session.run(
        *("python", "tests/benchmarks/peers.py"),
        env={"PYTHONSAFEPATH": "1", "PYTHONPATH": "tests/benchmarks"},
    )


@nox.session
@nox.parametrize("extra", sorted(PROJECT["project"]["optional-dependencies"]))
def extras(session: nox.Session, extra: str) -> None:
    """Install one extra alone: what it is for works, and the rest names the extra that it needs."""
    session.install("--force-reinstall", f".[{extra}]")
    session.run("python", "tests/support/one_extra.py", extra, env={"PYTHONSAFEPATH": "1"})


@nox.session
def fleet(session: nox.Session) -> None:
    """Let real processes share one token, and be killed while they do; `tests` does so too."""
    install_groups(session, "test")
    session.install(".[all]")
    run_fleet(session)


def run_fleet(session: nox.Session) -> None:
    """Run the tests of real processes, which wait for most of their time."""
    session.run("pytest", "--numprocesses=3", "tests/fleet", env={"PYTHONSAFEPATH": "1"})


BROWSERS = ("chromium-headless-shell", "chromium")
"""Either will do; the first has no windows and takes half the time."""


def install_chromium(session: nox.Session) -> None:
    """Install the first of Debian's browsers that can be had, where that is possible."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return

    def run_apt(*arguments: str) -> None:
        session.run(
            *("apt-get", "-qq", *arguments),
            env={"DEBIAN_FRONTEND": "noninteractive"},
            external=True,
            success_codes=range(256),
        )

    run_apt("update")
    for package in BROWSERS:
        run_apt("install", "-y", package)
        if shutil.which(package):
            return


@nox.session
def browser(session: nox.Session) -> None:
    """Let a real browser go through the sandbox's pages, and the docs' search and applications."""
    if not shutil.which(BROWSERS[0]):
        install_chromium(session)
    if not any(map(shutil.which, BROWSERS)):
        session.skip("needs Debian's chromium: install it, or run this as root on Debian")
    built = BUILT_DOCS.get("docs", "")
    install_groups(session, "browser", *(() if built else ("docs",)))
    session.install("-e", ".[all]")
    session.run(
        *("pytest", "--numprocesses=auto", "--dist=loadgroup", "tests/browser"),
        env={"PYTHONSAFEPATH": "1", "BUILT_DOCS": built},
    )


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; every warning is an error."""
    install_groups(session, "docs")
    session.install("-e", ".[all]")
    # Afresh: Sphinx leaves the index's entries of unchanged pages out of the search.
    options = ("--fresh-env", "--write-all", "--quiet", "--fail-on-warning", "--jobs=auto")
    session.run("sphinx-build", *options, "docs", "docs/_build/html")
    BUILT_DOCS["docs"] = str(Path("docs/_build/html").resolve())


if not any(shutil.which(f"python{version}") for version in INTERPRETERS):
    sys.exit("none of the supported interpreters is on PATH")
