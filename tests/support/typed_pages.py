"""
Write the code of README.md and docs/ into a folder, as modules that type checkers read:
``python tests/support/typed_pages.py FOLDER``. ``nox -s types`` does, and judges them strictly.
"""

import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n(?P<code>.*?)```", re.DOTALL)


def pages():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def modules():
    """Yield each module's name and text: a program becomes a module as it stands."""
    for page in pages():
        stem = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
        for number, block in enumerate(BLOCK.finditer(page.read_text())):
            yield f"{stem}_{number}", block["code"]


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob("*.py"):
        left_over.unlink()
    # The examples are judged too, and the tutorial's program imports one.
    examples = os.path.relpath(ROOT / "docs/examples", folder)
    settings = {"include": [".", examples], "extraPaths": [str(ROOT), examples]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    for name, text in modules():
        (folder / f"{name}.py").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
