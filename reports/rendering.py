"""Content -> files: templates filled in, charts drawn, a folder put in its place whole."""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from . import latex, markdown
from .card import Card
from .frames import to_csv
from .run import RunError
from .tables import Table, of_frame

TEMPLATES = Path(__file__).parent / "templates"
MARKER = ".momentune-report"  # a file in every folder that a report may replace
MANY = 1000  # rows, from where a canvas draws faster than SVG


def owned(target: Path) -> Path:
    """The folder, if a report may be put in its place.

    Raises:
        RunError: it holds anything that no report of ours has put there.
    """
    free = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    if not free and not (target / MARKER).is_file():
        raise RunError(
            f"a report replaces an empty folder or such a report (it holds {MARKER}), but "
            f"{target} is something else; give another folder, or move that away"
        )
    return target


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """An empty sibling to fill and mark, which takes the target's place once it is whole."""
    part = target.with_name(f".{target.name}-{uuid4().hex[:8]}")
    old = part.with_name(f"{part.name}-old")
    part.mkdir(parents=True)
    try:
        yield part
        (part / MARKER).touch()
        if target.exists():
            target.rename(old)
        part.rename(target)
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for rest in (part, old):
            shutil.rmtree(rest, ignore_errors=True)


@dataclass(frozen=True)
class Drawn:
    """A card as the pages need it: its chart's specification, its numbers, what went wrong."""

    name: str
    title: str
    finding: str
    spec: dict[str, Any] | None
    renderer: str
    svg: bool
    table: Table
    rows: int
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A PNG in the page, and the file of it that Markdown shows."""

    shows: str
    data: str
    file: str


def draw(folder: Path, name: str, card: Card) -> Drawn:
    """Writes the card's frame and figure into `tables/` and `figures/`; what fails is a note."""
    try:
        return _drawn(folder, name, card)
    except Exception as error:
        note = f"This card could not be shown ({type(error).__name__}: {error})."
        return _drawn(folder, name, Card(_title(name, card), note, pd.DataFrame()))


def _title(name: str, card: Card) -> str:
    return str(card.title or name.replace("_", " ").capitalize())


def _drawn(folder: Path, name: str, card: Card) -> Drawn:
    spec, svg, finding = None, False, str(card.finding or "")
    to_csv(card.frame, folder / "tables" / f"card_{name}.csv")
    if card.chart is not None:
        try:
            spec, svg = _specified(folder / "figures" / f"{name}.svg", card.chart), True
        except Exception as error:
            finding = f"{finding} The chart could not be drawn ({type(error).__name__}: {error})."
    renderer = "canvas" if len(card.frame) > MANY else "svg"
    table, rows = of_frame(card.frame), len(card.frame)
    pictures = tuple(_pictured(folder, name, card))
    return Drawn(name, _title(name, card), finding, spec, renderer, svg, table, rows, pictures)


def _pictured(folder: Path, name: str, card: Card) -> Iterator[Picture]:
    for nth, (shows, png) in enumerate(card.pictures.items(), start=1):
        file = folder / "figures" / f"{name}_{nth}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(png)
        data = f"data:image/png;base64,{b64encode(png).decode('ascii')}"
        yield Picture(str(shows), data, f"figures/{file.name}")


def _specified(file: Path, chart: Any) -> dict[str, Any]:
    """The chart's specification, after it has been drawn into an SVG file on white."""
    import vl_convert

    from .charts.theme import on_paper, themed

    spec = themed(chart)
    file.parent.mkdir(exist_ok=True)
    file.write_text(vl_convert.vegalite_to_svg(on_paper(spec)), encoding="utf-8")
    return spec


def write_frames(folder: Path, frames: dict[str, pd.DataFrame], tables: dict[str, Table]) -> None:
    """Writes frames as CSV with all their figures, and tables as people read them as LaTeX."""
    (folder / "tables").mkdir()
    for name, frame in frames.items():
        to_csv(frame, folder / "tables" / f"{name}.csv")
    for name, table in tables.items():
        if table.rows:
            file = folder / "tables" / f"{name}.tex"
            file.write_text(latex.tabular(table), encoding="utf-8")


def html(template: str, content: dict[str, Any]) -> str:
    """A page that needs nothing but itself."""
    return (
        _environment(autoescape=True)
        .get_template(template)
        .render(
            content,
            nonce=uuid4().hex,
            style=_own("page.css"),
            script=_own("page.js"),
            vega=_vega(),
        )
    )


@cache
def _vega() -> Markup:
    """The library that draws the charts, as one script."""
    import vl_convert

    return Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def text(template: str, content: dict[str, Any]) -> str:
    """The same as Markdown; every value is escaped as it is put in."""
    environment = _environment(autoescape=False)
    environment.finalize = markdown.escape
    environment.filters["grid"] = markdown.grid
    environment.filters["code_block"] = markdown.code_block
    return environment.get_template(template).render(content)


def _environment(autoescape: bool) -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _own(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))
