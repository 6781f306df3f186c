"""What a caller's own function has raised is named by its class and place."""

from pathlib import Path

import aritma_auth
from aritma_auth.runtime.raised import describe_raised


def raised_in(file):
    """Return the error of a function that stands in a file of this name."""
    names = {}
    exec(compile("def load():\n    raise KeyError('secret')\n", file, "exec"), names)
    try:
        names["load"]()
    except KeyError as error:
        return error


def test_the_place_in_a_package_whose_name_begins_like_ours_is_told():
    """Packages are installed side by side, and only our own frames are left out."""
    ours = Path(aritma_auth.__file__).parent
    beside = f"{ours}_at_the_bank/vault.py"

    assert describe_raised(raised_in(beside)).endswith("vault.py:2 in load")
    assert "vault.py" not in describe_raised(raised_in(str(ours / "vault.py")))
    assert "secret" not in describe_raised(raised_in(beside))
