"""Imports run one way: models -> spaces -> search -> run directory -> reports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("models", "spaces", "search", "reports")
FORBIDDEN = {
    "models": {"momentune.spaces", "momentune.search", "momentune.reports", "ray", "optuna"},
    "spaces": {"momentune.search", "momentune.reports", "ray"},
    "search": {"momentune.reports", "torch"},
    "reports": {"momentune.search", "momentune.spaces", "momentune.models", "ray", "torch"},
}
# The command line stands on top: it may ask for a report, inside the function that needs one.
ALLOWED = {("search/cli.py", "momentune.reports")}


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """Full name of every module that a file imports, and whether at its top level."""
    tree = ast.parse(path.read_text())
    package = ["momentune", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(tree):
        top = node in tree.body
        if isinstance(node, ast.Import):
            yield from ((name.name, top) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, node.module or ""]).rstrip(".")
            yield stem, top
            yield from ((f"{stem}.{name.name}", top) for name in node.names)


def trespasses(path: Path) -> list[str]:
    place = str(path.relative_to(ROOT))
    found = []
    for name, top in imported(path):
        for banned in FORBIDDEN[place.split("/")[0]]:
            if name == banned or name.startswith(f"{banned}."):
                if (place, banned) in ALLOWED and not top:
                    continue
                found.append(f"{place} imports {name}")
    return found


FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_imports_against_the_direction_of_the_house(path):
    assert trespasses(path) == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("from ..search import plan", True),
        ("from .. import search", True),
        ("import momentune.search.plan", True),
        ("import ray.tune", True),
        ("def f():\n    from ray import tune", True),
        ("from ..models import fit", False),
        ("import rayon", False),
    ],
)
def test_the_rule_sees_every_way_to_import(tmp_path, monkeypatch, line, wrong):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "spaces").mkdir()
    path = tmp_path / "spaces/new.py"
    path.write_text(line)
    assert bool(trespasses(path)) is wrong
