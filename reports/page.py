"""The report: `report/index.html` and `report.md`, with the figures and tables beside them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from . import comparison as compare
from . import markdown
from .answer import answer
from .card import Card
from .frames import load_run, to_csv, write_tables
from .health import concerns
from .ledger import without_password
from .run import Run, RunError

TEMPLATES = Path(__file__).parent / "templates"
MANY = 5000  # rows, from where a canvas draws faster than SVG


def write_report(path: str | Path) -> Path:
    """Writes `trials.csv`, `curves.csv` and `report/`; a crash leaves the report that was there.

    Works while a sweep is running, on what has been written so far.

    Returns:
        The path of `report/index.html`.

    Raises:
        RunError: the path is not a run directory, or it cannot be written to.
    """
    run = load_run(path)
    try:
        write_tables(run)
        with _replaced(run.path / "report") as folder:
            _fill(folder, run)
    except PermissionError as error:
        raise RunError(
            f"a report is written into its run directory, but {run.path} does not let us: {error}; "
            "copy the directory to a place of your own and report on the copy"
        ) from error
    return run.path / "report" / "index.html"


@contextmanager
def _replaced(target: Path) -> Iterator[Path]:
    """An empty sibling to fill, which takes the target's place once it is whole."""
    part = target.with_name(f".{target.name}-{uuid4().hex[:8]}")
    old = part.with_name(f"{part.name}-old")
    part.mkdir()
    try:
        yield part
        if target.exists():
            target.rename(old)
        part.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for rest in (part, old):
            shutil.rmtree(rest, ignore_errors=True)


@dataclass(frozen=True)
class _Drawn:
    """A card as the page needs it: its specification, and what went wrong in drawing it."""

    name: str
    title: str
    finding: str
    spec: dict[str, Any] | None
    renderer: str
    svg: bool


def _fill(folder: Path, run: Run) -> None:
    from . import cards

    made = cards.build(run)
    _write_frames(folder / "tables", run, made)
    drawn = [_draw(folder / "figures", name, card) for name, card in made.items()]
    content = _content(run, drawn)
    (folder / "report.md").write_text(_markdown(content), encoding="utf-8")
    (folder / "index.html").write_text(_html(content), encoding="utf-8")


def _write_frames(folder: Path, run: Run, made: dict[str, Card]) -> None:
    folder.mkdir()
    frames = {
        "contenders": compare.contenders(run),
        "differences": compare.differences(run),
        "budgets": compare.budgets(run),
        "failures": compare.failures(run),
        **{f"card_{name}": card.frame for name, card in made.items()},
    }
    for name, frame in frames.items():
        to_csv(frame, folder / f"{name}.csv")


def _draw(folder: Path, name: str, card: Card) -> _Drawn:
    spec, svg, finding = None, False, card.finding
    if card.chart is not None:
        try:
            spec, svg = _specified(folder / f"{name}.svg", card.chart), True
        except Exception as error:
            finding = f"{finding} The chart could not be drawn ({type(error).__name__}: {error})."
    renderer = "canvas" if len(card.frame) > MANY else "svg"
    return _Drawn(name, card.title, finding, spec, renderer, svg)


def _specified(file: Path, chart: Any) -> dict[str, Any]:
    """The chart's specification, after it has been drawn into an SVG file on white."""
    import vl_convert

    from .charts import on_paper, themed

    spec = themed(chart)
    file.parent.mkdir(exist_ok=True)
    file.write_text(vl_convert.vegalite_to_svg(on_paper(spec)), encoding="utf-8")
    return spec


def _content(run: Run, drawn: list[_Drawn]) -> dict[str, Any]:
    from . import tables

    count = len(run.trials)
    return {
        "run": run,
        "name": run.plan.get("name") or run.path.resolve().name,
        "answer": answer(run),
        "concerns": concerns(run),
        "results": tables.results(run),
        "differences": tables.differences(run),
        "budgets": tables.budgets(run),
        "failures": tables.failures(run),
        "parameters": tables.parameters(run),
        "facts": tables.facts(run),
        "cards": drawn,
        "trials": tables.trials(run),
        "n_trials": count,
        "hidden": max(0, count - tables.MOST_ROWS),
        "command": without_password(str(run.plan.get("command") or "")),
        "written": pd.Timestamp.now(tz="UTC").strftime("%Y-%m-%d %H:%M UTC"),
    }


def _html(content: dict[str, Any]) -> str:
    import vl_convert

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("index.html").render(
        content,
        nonce=uuid4().hex,
        style=_own("page.css"),
        script=_own("page.js"),
        vega=Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")),
    )


def _own(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _markdown(content: dict[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,
        finalize=markdown.escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["grid"] = markdown.grid
    environment.filters["code_block"] = markdown.code_block
    return environment.get_template("report.md").render(content)
