"""The cards of the report: each a function `(run) -> Card`, in the order of `CARDS`.

A card that does not apply to a run (no second metric, no series) answers None and is left out.
"""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pandas as pd

from ..card import Card
from ..run import Run, RunError
from . import ablation, course, outcome, published, search, space

Make = Callable[[Run], Card | None]
GROUP = "momentune.cards"  # entry points of other packages

CARDS: dict[str, Make] = {
    "confirmed": outcome.confirmed,
    "gains": outcome.gains,
    "others": outcome.others,
    "published": published.published,
    "curves": course.curves,
    "readings": course.readings,
    "series": course.series,
    "samples": course.samples,
    "history": search.history,
    "budget": space.budget,
    "momentum": ablation.momentum,
    "importance": space.importance,
    "slices": search.slices,
    "parallel": space.parallel,
    "front": space.front,
    "slots": space.slots,
}


def build(run: Run, cards: dict[str, Make] | None = None) -> dict[str, Card]:
    """Every card that applies, by its short name; one that raises becomes a note in its place."""
    made = {name: safely(name, make, run) for name, make in (cards or every()).items()}
    return {name: card for name, card in made.items() if card is not None}


def every(files: Iterable[str | Path] = ()) -> dict[str, Make]:
    """Our cards, those of installed packages, and those of the given files.

    A package adds a card by an entry point of the group `momentune.cards`; a file by a dict
    `CARDS: {name: function}`. Of two cards with one name the later counts; a name becomes part of
    a file's name, so that what is no letter, digit or underscore in it is replaced by one.

    Raises:
        RunError: a file is not there, fails, or has no `CARDS`.
    """
    found = CARDS | {_named(entry.name): _lazily(entry) for entry in entry_points(group=GROUP)}
    for file in files:
        found |= {_named(name): make for name, make in _read(Path(file)).items()}
    return found


def _named(name: object) -> str:
    """The name as a file's name and a place in the page: letters, digits and underscores."""
    return re.sub(r"\W+", "_", str(name)).strip("_")[:60] or "card"


def _lazily(entry: EntryPoint) -> Make:
    """Loads the entry point inside the card, so that a broken package becomes a note too."""

    def make(run: Run) -> Card | None:
        card: Card | None = entry.load()(run)
        return card

    return make


def _read(file: Path) -> dict[str, Make]:
    spec = importlib.util.spec_from_file_location(f"momentune_cards_{file.stem}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise RunError(f"cards are read from a Python file, but {file} is none; check the path")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return dict(module.CARDS)
    except (Exception, SystemExit) as error:
        raise RunError(
            f"{file} must define CARDS = {{name: function of a run}}, but reading it gave "
            f"{type(error).__name__}: {error}"
        ) from error


def safely(name: str, make: Callable[[Any], Card | None], seen: Any) -> Card | None:
    """The card, or a note on what went wrong with it."""
    try:
        return _checked(make(seen))
    except (Exception, SystemExit) as error:  # a card may call code that exits
        told = f"{type(error).__name__}: {error}"
        warnings.warn(f"the card {name!r} could not be made: {told}", stacklevel=2)
        title = name.replace("_", " ").capitalize()
        return Card(title, f"This card could not be made ({told}).", pd.DataFrame())


def _checked(card: object) -> Card | None:
    if card is None:
        return None
    if not isinstance(card, Card):
        raise TypeError(f"a card function returns a Card or None, got {type(card).__name__}")
    if not isinstance(card.frame, pd.DataFrame):
        raise TypeError(f"a card's frame is a DataFrame, got {type(card.frame).__name__}")
    return card
