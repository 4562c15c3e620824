"""The report on several runs: who is better across tasks, and what changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from . import across, tables
from .answer import answer
from .frames import load_run
from .health import concerns
from .rendering import draw, html, owned, replaced, text, write_frames
from .run import Run, RunError
from .wording import listing, plural


def write_comparison(paths: Sequence[str | Path], out: str | Path) -> Path:
    """Writes `index.html` and `report.md` on several runs into a folder of its own.

    Args:
        paths: run directories, two at least: of different spaces (compared across tasks), of the
            same space (before and after), or both.
        out: the folder that is made, or replaced if it is such a report already.

    Returns:
        The path of `index.html`.

    Raises:
        RunError: fewer than two runs, a path that is none, or a folder that holds something else.
    """
    once = dict.fromkeys(Path(path).resolve() for path in paths)  # one folder has many names
    runs, out = [load_run(path) for path in once], Path(out)
    if len(runs) < 2:
        raise RunError(
            f"a comparison needs two different runs or more, but got {plural(len(runs), 'run')}; "
            "for one run, momentune report RUN"
        )
    with replaced(owned(out)) as folder:
        content = _content(runs, out)
        write_frames(
            folder, {"results": pd.DataFrame(content["rows"])}, {"results": content["results"]}
        )
        content |= {"cards": _cards(folder, runs)}
        (folder / "report.md").write_text(text("comparison.md", content), encoding="utf-8")
        (folder / "index.html").write_text(html("comparison.html", content), encoding="utf-8")
    return out / "index.html"


def _cards(folder: Path, runs: list[Run]) -> list[Any]:
    from .cards import safely
    from .cards.tasks import CARDS

    made = {name: safely(name, make, runs) for name, make in CARDS.items()}
    return [draw(folder, name, card) for name, card in made.items() if card is not None]


def _content(runs: list[Run], out: Path) -> dict[str, Any]:
    names = across.titles(runs)
    return {
        "name": "Comparison",
        "title": f"How do {listing(names) if len(names) < 5 else f'{len(names)} runs'} compare?",
        "runs": [
            {"name": name, "findings": answer(run).findings, "page": _page(run, out)}
            for name, run in zip(names, runs, strict=True)
        ],
        "notes": _notes(runs),
        "results": tables.by_run(names, runs),
        "rows": _rows(names, runs),
        "written": pd.Timestamp.now(tz="UTC").strftime("%Y-%m-%d %H:%M UTC"),
    }


def _rows(names: list[str], runs: list[Run]) -> list[dict[str, Any]]:
    from .comparison import contenders
    from .frames import rows

    pairs = zip(names, runs, strict=True)
    return [{"run": name} | row for name, run in pairs for row in rows(contenders(run))]


def _page(run: Run, out: Path) -> str:
    """Where the run's own report is, seen from here; empty if there is none."""
    page = run.path / "report" / "index.html"
    return Path(os.path.relpath(page, out)).as_posix() if page.is_file() else ""


def _notes(runs: list[Run]) -> list[str]:
    """What the reader must know before the comparison is believed."""
    tasks = across.latest(runs)
    notes = across.unlike(runs) + across.missing(runs)
    if len(tasks) > 1:
        everywhere = across.shared(across.scores(tasks))
        missing = [
            n for n in dict.fromkeys(across.scores(tasks)["contender"]) if n not in everywhere
        ]
        if missing:
            notes.append(f"Not on every task, so not ranked: {listing(map(str, missing))}.")
    named = zip(across.titles(runs), runs, strict=True)
    return notes + [f"{name}: {concern}" for name, run in named for concern in concerns(run)]
