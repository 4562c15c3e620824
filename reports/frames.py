"""Run directory -> pandas frames, and frames -> CSV and back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
from optuna.trial import FrozenTrial

from .ledger import frozen_trials
from .run import SERIES_COLUMNS, Run, read_plan

WHO = ["trial", "variant", "control", "phase", "seed"]
TRIAL_COLUMNS = [*WHO, "state", "reason", "value", "epochs", "attempts", "started", "seconds"]
CURVE_COLUMNS = [*WHO, "attempt", "step", "time"]
DTYPES = {
    **dict.fromkeys(("variant", "control", "phase", "state", "reason", "message"), "str"),
    **dict.fromkeys(("trial", "seed", "epochs", "attempts", "attempt", "step"), "int64"),
    **dict.fromkeys(("value", "seconds", "time"), "float64"),
    "started": "datetime64[us, UTC]",
}
# A report's own columns, and the names that tables and cards put beside the metrics.
OWN = {"trial", "attempt", "step", "time", "seconds"}
TAKEN = ({*DTYPES, "contender", "name", "limit"}) - OWN
LARGEST = 2**53  # of a number that counts something; none is larger in earnest


def load_run(path: str | Path) -> Run:
    """Reads a run directory, finished or still running, without changing anything in it.

    A trial killed while it was being created has no number yet, and no row.

    Raises:
        RunError: the path is not a run directory, or its storage cannot be read.
    """
    path = Path(path)
    plan = read_plan(path)
    records = [
        _record(variant, phase, trial)
        for variant, phase, trial in frozen_trials(path, plan)
        if "trial" in trial.user_attrs
    ]
    lines = list(_lines(path / "metrics.jsonl"))
    reports = [line for line in lines if _is_report(line)]
    curves = _curves(reports, records)
    notes = tuple(_skipped(len(lines) - len(reports)))
    return Run(path, plan, _trials(records, curves), curves, _series(reports, curves), notes)


def write_tables(run: Run) -> tuple[Path, Path]:
    """Writes `trials.csv` and `curves.csv` into the run directory, each in one step."""
    files = run.path / "trials.csv", run.path / "curves.csv"
    for file, frame in zip(files, (run.trials, run.curves), strict=True):
        write_atomically(file, frame)
    return files


def to_csv(frame: pd.DataFrame, file: Path) -> None:
    """Writes a frame as CSV: no index, missing values empty."""
    frame.to_csv(file, index=False, lineterminator="\n")


def read_table(file: str | Path) -> pd.DataFrame:
    """Reads `trials.csv` or `curves.csv` back into the very frame that was written."""
    frame = pd.read_csv(
        file,
        dtype={
            name: "str" for name, dtype in DTYPES.items() if dtype in ("str", DTYPES["started"])
        },
        dtype_backend="numpy_nullable",
        keep_default_na=False,
        na_values=[""],
    )
    return _settled(frame)


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, one dict each."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def write_atomically(file: Path, frame: pd.DataFrame) -> None:
    """Writes a sibling, then puts it in the file's place: whole, or not at all."""
    part = file.with_name(f".{file.name}.{uuid4().hex[:8]}")
    try:
        to_csv(frame, part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _record(variant: str, phase: str, trial: FrozenTrial) -> dict[str, Any]:
    attrs = trial.user_attrs
    who, attempt, outcome = attrs["trial"], attrs.get("attempt", {}), attrs.get("outcome", {})
    told = _told(trial)
    return {
        "trial": who["number"],
        "variant": variant,
        "control": who.get("control"),
        "phase": phase,
        "seed": who["seed"],
        "state": trial.state.name,
        "reason": outcome.get("reason"),
        "value": _value(trial),
        "epochs": max(told, default=0),
        "attempts": attempt.get("number", 0),
        "started": attempt.get("started"),
        "seconds": outcome.get("seconds"),
        **{f"param.{k}": _param(v) for k, v in (who.get("params") or trial.params).items()},
        "message": _text(outcome.get("message")),
    }


def _value(trial: FrozenTrial) -> float | None:
    if trial.state.name not in ("COMPLETE", "PRUNED"):
        return None
    if trial.values:
        return float(trial.values[0])
    told = _told(trial)
    return told[max(told)] if told else None


def _told(trial: FrozenTrial) -> dict[int, float]:
    """The reports that count: where only an earlier attempt came, the ledger has NaN."""
    return {
        step: value for step, value in trial.intermediate_values.items() if not math.isnan(value)
    }


def _param(value: Any) -> Any:
    """A parameter as one cell; what CSV cannot hold is told in text."""
    if isinstance(value, bool | int | float):
        return value
    return _text(value) if isinstance(value, str) else str(value)


def _text(value: str | None) -> str | None:
    """Text that any file can hold: a lone surrogate becomes its escape; empty is missing."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if value else None


def _lines(file: Path) -> Iterator[Any]:
    """The whole lines of the metrics log; one that a kill tore apart is skipped."""
    if not file.is_file():
        return
    for line in file.read_bytes().split(b"\n"):
        with suppress(ValueError, RecursionError):
            yield json.loads(line)


def _is_report(line: Any) -> bool:
    """Does the line say which trial, attempt and step it is of, each by a whole number?"""
    return (
        isinstance(line, dict)
        and all(
            type(line.get(k)) is int and abs(line[k]) < LARGEST
            for k in ("trial", "attempt", "step")
        )
        and all(isinstance(line.get(k), int | float | None) for k in ("time", "seconds"))
    )


def _skipped(lines: int) -> Iterator[str]:
    if lines:
        those = "1 line" if lines == 1 else f"{lines:,} lines"
        yield (
            f"{those} of metrics.jsonl could not be used: a report gives trial, attempt and step "
            "as whole numbers, and time and seconds as numbers. The rest was read."
        )


def _curves(reports: Iterable[dict[str, Any]], records: list[dict[str, Any]]) -> pd.DataFrame:
    who = {record["trial"]: {key: record[key] for key in WHO} for record in records}
    known = [who[r["trial"]] | _measured(r) for r in reports if r["trial"] in who]
    frame = pd.DataFrame(known, dtype=object)
    frame = frame.reindex(columns=_ordered(frame, CURVE_COLUMNS))
    return _settled(_valid(_settled(frame)))


def _measured(report: dict[str, Any]) -> dict[str, Any]:
    """A report's metrics; one that is named like a column of ours is set apart by a prefix."""
    return {
        (f"metric.{key}" if key in TAKEN else key): _metric(value)
        for key, value in report.items()
        if not isinstance(value, list)
    }


def _series(reports: Iterable[dict[str, Any]], curves: pd.DataFrame) -> pd.DataFrame:
    """The metrics that are lists, of the reports that count."""
    kept = set(zip(curves["trial"], curves["attempt"], curves["step"], strict=True))
    lists = [
        (report, name, values)
        for report in reports
        for name, values in report.items()
        if isinstance(values, list) and (report["trial"], report["attempt"], report["step"]) in kept
    ]
    found = [
        (report["trial"], report["step"], _text(name), index, value)
        for report, name, values in lists
        for index, value in enumerate(values)
        if isinstance(value, int | float)
    ]
    kinds = zip(SERIES_COLUMNS, ("int64", "int64", "str", "int64", "float64"), strict=True)
    return pd.DataFrame(found, columns=SERIES_COLUMNS).astype(dict(kinds))


def _metric(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float) else _text(str(value))


def _valid(curves: pd.DataFrame) -> pd.DataFrame:
    """Drops what a later attempt did again.

    An attempt goes on from a checkpoint, so of the attempts before it only the steps below its
    first one stand.
    """
    if curves.empty:
        return curves
    starts = curves.groupby(["trial", "attempt"])["step"].min().iloc[::-1]
    later = starts.groupby("trial").cummin().groupby("trial").shift(fill_value=2**62)
    limit = curves.join(later.rename("limit"), on=["trial", "attempt"])["limit"]
    kept = curves[curves["step"] < limit].drop_duplicates(["trial", "step"], keep="last")
    return kept.sort_values(["trial", "step"], ignore_index=True)


def _trials(records: list[dict[str, Any]], curves: pd.DataFrame) -> pd.DataFrame:
    last = {row["trial"]: row for row in rows(curves.groupby("trial").tail(1))}
    metrics = [str(c) for c in curves if c not in (*CURVE_COLUMNS, "epoch")]
    full = [_with_last(record, last.get(record["trial"]), metrics) for record in records]
    frame = pd.DataFrame(full, dtype=object)
    frame = frame.reindex(columns=_ordered(frame, TRIAL_COLUMNS, tail="message"))
    return _settled(frame).sort_values("trial", ignore_index=True)


def _with_last(
    record: dict[str, Any], report: dict[str, Any] | None, metrics: list[str]
) -> dict[str, Any]:
    if report is None:
        return record
    found = {f"metric.{m.removeprefix('metric.')}": report[m] for m in metrics}
    present = {key: value for key, value in found.items() if not pd.isna(value)}
    return record | {"epochs": report["step"]} | present


def _ordered(frame: pd.DataFrame, first: list[str], tail: str | None = None) -> list[str]:
    rest = [str(c) for c in frame if c not in first and c != tail]
    rest.sort(key=lambda c: (not c.startswith("param."), c.startswith("metric.")))
    return [*first, *rest, *([tail] if tail else [])]


def _settled(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the same types whether it comes from the ledger or from CSV."""
    return pd.DataFrame(
        {name: _typed(str(name), column) for name, column in frame.items()},
        columns=frame.columns,
    )


def _typed(name: str, column: pd.Series[Any]) -> pd.Series[Any]:
    if name == "started":
        column = pd.to_datetime(column, utc=True, format="ISO8601")
    dtype: Any = DTYPES.get(name) or _dtype(column)
    typed: pd.Series[Any] = column.astype(dtype)
    return typed


def _dtype(column: pd.Series[Any]) -> str:
    """bool, whole number, number or text: the narrowest that holds every value present."""
    kinds = {type(value) for value in column.dropna().tolist()}
    full = not column.hasnans
    if not kinds or (float in kinds and kinds <= {int, float}):
        return "float64"
    if kinds == {int}:
        return "int64" if full else "Int64"
    if kinds == {bool}:
        return "bool" if full else "boolean"
    return "str"
