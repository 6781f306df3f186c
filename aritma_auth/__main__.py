"""The ``aritma-auth`` command; what it does is in `aritma_auth.cli`."""

import sys
from importlib.util import find_spec


def main() -> int:
    """
    Run the command.

    Returns:
        The exit code: 0 for success, 1 for an error, 2 for a call that makes no sense.
    """
    missing = [name for name in ("cyclopts", "rich") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f'error: {" and ".join(missing)} missing: pip install "aritma-auth[cli,sandbox]"\n'
        )
        return 1
    from aritma_auth.cli import run  # noqa: PLC0415 - needs the extra "cli"

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
