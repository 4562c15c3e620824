"""From what a user types to a space: a catalogue name, ``file.py`` or ``file.py:NAME``."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from .catalogue import CATALOGUE, catalogued
from .checks import SpaceError, check
from .space import Space


@dataclass(frozen=True)
class Loaded:
    """A space and where it came from.

    Attributes:
        space: checked and ready to run.
        reference: finds it again from any working directory.
        source: sha256 of the user's file; empty for the catalogue.
        folder: where the user's file lies; None for the catalogue.
        modules: the user's own modules that it needs; they are not installed on the workers, so
            they travel there by value.
    """

    space: Space
    reference: str
    source: str = ""
    folder: str | None = None
    modules: tuple[ModuleType, ...] = field(default=(), compare=False)


def load(reference: str) -> Loaded:
    """Finds, loads and checks a space.

    Raises:
        SpaceError: no such name (with the nearest ones) or file, a file that does not load or that
            defines no space or several, a space that cannot be searched.
    """
    path, name = reference, ""
    if ":" in reference and reference.rpartition(":")[2].isidentifier():
        path, _, name = reference.rpartition(":")
    if path.endswith(".py") or "/" in path or Path(path).is_file():
        return _from_file(Path(path), name)
    if reference not in CATALOGUE:
        near = difflib.get_close_matches(reference, CATALOGUE, n=3, cutoff=0.4) or list(CATALOGUE)
        raise SpaceError(
            f"no space {reference!r} in the catalogue; did you mean {', '.join(near)}? "
            "`momentune spaces` lists all; your own space is given as file.py or file.py:NAME"
        )
    return Loaded(check(catalogued(reference)), reference)


def _from_file(path: Path, name: str) -> Loaded:
    if not path.is_file():
        raise SpaceError(f"no file {str(path)!r} (seen from {Path.cwd()})")
    path = path.resolve()
    content = path.read_bytes()
    before = set(sys.modules)
    module = _execute(path)
    space, found = _choose(module, path, name)
    return Loaded(
        check(space),
        f"{path}:{found}",
        hashlib.sha256(content).hexdigest(),
        str(path.parent),
        (module, *_neighbours(path.parent, set(sys.modules) - before - {module.__name__})),
    )


def _execute(path: Path) -> ModuleType:
    # The name holds the path's hash, so that a file called models.py replaces no other module.
    unique = f"momentune_space_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise SpaceError(f"{path} is no Python file; a space file ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    sys.path.insert(0, str(path.parent))  # a space file may import its neighbours first
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise SpaceError(f"{path}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        raise SpaceError(f"{path}{_line_in(path, error)}: {_said(error)}") from error
    finally:
        sys.path.remove(str(path.parent))
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # and its functions may do so later, but shadow nothing
    return module


def _choose(module: ModuleType, path: Path, name: str) -> tuple[Space, str]:
    spaces = {n: value for n, value in vars(module).items() if isinstance(value, Space)}
    if name:
        if name not in spaces:
            known = ", ".join(spaces) or "none"
            raise SpaceError(f"{path} defines no space {name!r}; it defines: {known}")
        return spaces[name], name
    if not spaces:
        raise SpaceError(
            f"{path} defines no space; assign one at the top level: "
            "my_space = Space('my-space', variants=[...])"
        )
    if len(spaces) > 1:
        raise SpaceError(
            f"{path} defines {len(spaces)} spaces; say which one: "
            + ", ".join(f"{path.name}:{found}" for found in spaces)
        )
    found, space = next(iter(spaces.items()))
    return space, found


def _neighbours(folder: Path, loaded: set[str]) -> tuple[ModuleType, ...]:
    """The modules beside a space file that it imported, first seen now."""
    modules = (sys.modules[name] for name in sorted(loaded) if name in sys.modules)
    return tuple(m for m in modules if _lies_in(getattr(m, "__file__", None), folder))


def _lies_in(file: str | None, folder: Path) -> bool:
    if file is None:
        return False
    inside = Path(file).resolve()
    return inside.is_relative_to(folder) and "site-packages" not in inside.parts


def _line_in(path: Path, error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
