"""The report of one run: `report/index.html` and `report.md`, figures and tables beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from . import comparison as compare
from . import tables
from .answer import answer
from .frames import load_run, write_tables
from .health import concerns
from .ledger import without_password
from .rendering import draw, html, owned, replaced, text, write_frames
from .run import Run, RunError


def write_report(path: str | Path, cards: Sequence[str | Path] = ()) -> Path:
    """Writes `trials.csv`, `curves.csv` and `report/`; a crash leaves the report that was there.

    Works while a sweep is running, on what has been written so far.

    Args:
        path: the run directory.
        cards: Python files with cards of one's own (see `reports.cards.every`).

    Returns:
        The path of `report/index.html`.

    Raises:
        RunError: the path is not a run directory, it cannot be written to, or a file of cards is
            none.
    """
    run = load_run(path)
    try:
        write_tables(run)
        with replaced(run.path / "report") as folder:
            content = _fill(folder, run, cards)
            (folder / "report.md").write_text(text("report.md", content), encoding="utf-8")
            (folder / "index.html").write_text(html("index.html", content), encoding="utf-8")
    except PermissionError as error:
        raise RunError(
            f"a report is written into its run directory, but {run.path} does not let us: {error}; "
            "copy the directory to a place of your own and report on the copy"
        ) from error
    return run.path / "report" / "index.html"


def write_gallery(path: str | Path, folder: str | Path) -> Path:
    """Writes `report.md` with its figures into a folder, small enough for a repository.

    Args:
        path: the run directory.
        folder: what is made, or replaced if it is such a report already.

    Returns:
        The path of `report.md`.

    Raises:
        RunError: the path is not a run directory, or the folder holds something else.
    """
    run, folder = load_run(path), owned(Path(folder))
    with replaced(folder) as part:
        content = _fill(part, run)
        (part / "report.md").write_text(text("report.md", content), encoding="utf-8")
        for table in (part / "tables").glob("card_*.csv"):
            table.unlink()
    return folder / "report.md"


def _fill(folder: Path, run: Run, files: Sequence[str | Path] = ()) -> dict[str, Any]:
    from . import cards

    content = _content(run)
    shown = {name: content[name] for name in ("results", "differences", "budgets")}
    write_frames(folder, _frames(run), shown)
    made = cards.build(run, cards.every(files))
    return content | {"cards": [draw(folder, name, card) for name, card in made.items()]}


def _frames(run: Run) -> dict[str, pd.DataFrame]:
    return {
        "results": compare.contenders(run),
        "differences": compare.differences(run),
        "budgets": compare.budgets(run),
        "failures": compare.failures(run),
    }


def _content(run: Run) -> dict[str, Any]:
    return {
        "run": run,
        "name": run.name,
        "answer": answer(run),
        "concerns": [*run.notes, *concerns(run)],
        "results": tables.results(run),
        "differences": tables.differences(run),
        "other_tests": tables.other_tests(run),
        "budgets": tables.budgets(run),
        "failures": tables.failures(run),
        "parameters": tables.parameters(run),
        "facts": tables.facts(run),
        "cards": [],
        "trials": tables.trials(run),
        "n_trials": len(run.trials),
        "command": without_password(str(run.plan.get("command") or "")),
        "written": pd.Timestamp.now(tz="UTC").strftime("%Y-%m-%d %H:%M UTC"),
    }
