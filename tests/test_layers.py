"""A module imports only from its own layer and those above it in docs/architecture.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "gossamer"


def layers() -> dict[str, int]:
    """Returns the place of each top-level module, read from the list in the architecture page."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    block = page.split("## Layers.")[1].split("\n\n")[1]
    places: dict[str, int] = {}
    for place, line in enumerate(block.splitlines()):
        names = re.split(r"\s{2,}", line.strip())[0]
        places |= {name.strip(" /"): place for name in names.split(",")}
    return places


def imported(path: Path) -> set[str]:
    """Returns the top-level modules of gossamer that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gossamer"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("gossamer.")}
    return found


def test_every_module_has_a_place() -> None:
    modules = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert modules - {"__init__", "__main__"} == set(layers())


def test_imports_go_up_only() -> None:
    places = layers()
    wrong = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in SOURCE.rglob("*.py")
        if (own := path.relative_to(SOURCE).parts[0].removesuffix(".py")) in places
        for name in imported(path) & set(places)
        if places[name] > places[own]
    ]
    assert wrong == []
