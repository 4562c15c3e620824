"""Trials that no sweep of ours has run: an Optuna study, or a table of trials."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.trial import TrialState

from .journal import Journal
from .plan import BadInput, without_password


class Ended(NamedTuple):
    """A trial that ran to its end somewhere.

    Attributes:
        number: there.
        params: what is known of its parameters.
        value: by the deciding metric, on validation data.
    """

    number: int
    params: dict[str, Any]
    value: float


def of_study(url: str, direction: str) -> list[Ended]:
    """The complete trials of an Optuna study.

    Args:
        url: of a database or a journal file; ``#NAME`` after it says which of several studies.
        direction: which way the study must go.

    Raises:
        BadInput: there is no such study, it goes another way, or its storage cannot be read.
    """
    place, _, wanted = url.partition("#")
    told = without_password(place)
    try:
        storage = _opened(place)
        studies = {study.study_name: study for study in storage.get_all_studies()}
    except Exception as error:  # whatever the database's driver raises, or that there is none
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadInput(f"--from {told} cannot be read as an Optuna storage: {first}") from error
    names = ", ".join(studies) or "none"
    if wanted not in studies and (wanted or len(studies) != 1):
        asked = f"has no study {wanted!r}" if wanted else "must say which study, as URL#NAME"
        raise BadInput(f"--from {told} {asked}; there: {names}")
    study = studies[wanted or names]
    ways = [way.name.lower() for way in study.directions]
    if ways != [direction]:
        raise BadInput(
            f"--from {told}: study {study.study_name!r} must {direction} one value, as the space "
            f"does, and it is to {' and '.join(ways)}"
        )
    trials = storage.get_all_trials(study._study_id, deepcopy=False, states=(TrialState.COMPLETE,))
    return [Ended(t.number, t.params, t.values[0]) for t in trials if t.values]


def _opened(place: str) -> BaseStorage:
    file = Path(place.removeprefix("sqlite:///"))
    if ("://" not in place or place.startswith("sqlite:///")) and not file.is_file():
        raise BadInput(f"there is no file {file}")  # which SQLite would make
    if "://" in place:
        return RDBStorage(place, skip_table_creation=True)
    return JournalStorage(Journal(file))


def of_table(path: Path, whose: str | None, epochs: int) -> dict[str, list[Ended]]:
    """The complete search trials in a CSV file with the columns of ``trials.csv``, by variant.

    ``value`` and a ``param.NAME`` for each parameter must be there; ``variant``, ``state``,
    ``phase``, ``control``, ``epochs`` and ``trial`` may be. A row of other epochs is left out.

    Args:
        path: of the file.
        whose: the variant of rows that do not say theirs.
        epochs: of a full training.

    Raises:
        BadInput: it is no such file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(f"--from {path} cannot be read as CSV: {error}") from error
    columns = rows[0].keys() if rows else ()
    missing = {"value", *(() if whose else ("variant",))} - set(columns)
    if missing or not any(name.startswith("param.") for name in columns):
        raise BadInput(
            f"--from {path} must have the columns value, variant (or --from VARIANT=FILE) and a "
            f"param.NAME for each parameter, as trials.csv; seen: {', '.join(columns) or 'none'}"
        )
    found: defaultdict[str, list[Ended]] = defaultdict(list)
    for number, row in enumerate(rows):
        value = _number(row["value"])
        if value is not None and _counts(row, epochs):
            params = {n[6:]: _read(v) for n, v in row.items() if n and n.startswith("param.") and v}
            own = int(_number(row.get("trial")) or number)
            found[row.get("variant") or whose or ""].append(Ended(own, params, value))
    return found


def _counts(row: dict[str, str], epochs: int) -> bool:
    """Whether a row is of a search trial that ran to its end, as far as it says so."""
    whole = _number(row.get("epochs"))
    return (
        (row.get("state") or "COMPLETE").upper() == "COMPLETE"
        and (row.get("phase") or "search") == "search"
        and not row.get("control")
        and whole in (None, epochs)
    )


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _read(text: str) -> Any:
    """A parameter's value as a table holds it: ``64.0`` is 64 where other rows were empty."""
    words: dict[str, Any] = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return int(value) if isinstance(value, float) and value.is_integer() else value


def named(variants: Sequence[str], text: str) -> tuple[str | None, str]:
    """``VARIANT=PLACE`` in its parts; the variant is None where none is named."""
    whose, equals, place = text.partition("=")
    return (whose, place) if equals and whose in variants else (None, text)
