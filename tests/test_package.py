"""What is installed is what is in the tree, and what is pinned is what is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("models", "spaces", "search", "reports")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_wheel_holds_every_file_of_the_tree(tmp_path):
    source = tmp_path / "source"  # a build leaves traces, so not in the tree itself
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tree = {
        f"momentune/{path.relative_to(ROOT)}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and not {"__pycache__", "gallery"} & set(path.parts)  # shown, not run
    }
    assert held == tree


def test_every_dependency_is_pinned_and_torch_to_the_build_without_cuda():
    pinned = dict(
        line.lower().split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.split(r"[\[><=]", line)[0].lower() for line in wanted}
    assert names - {"setuptools", "momentune"} <= set(pinned)
    assert pinned["torch"] == "2.13.0"


def test_ci_runs_what_the_readme_tells_people_to_run():
    ci, readme = (ROOT / ".ci/run").read_text(), (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"^make ([\w-]+)", ci + readme, re.MULTILINE)):
        assert f"\n{target}:" in makefile
    assert "make test" in ci
    assert "make test" in readme
