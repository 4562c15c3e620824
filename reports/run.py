"""A run as the report sees it: plan, trials, curves. Values only; nothing reaches back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd

PLAN_FORMAT = 1
SERIES_COLUMNS = ["trial", "epoch", "name", "index", "value"]


class RunError(ValueError):
    """The path holds no run that can be read; the message says what was seen and the way out."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run directory in memory, at the moment it was read.

    Attributes:
        path: the run directory.
        plan: `plan.json` as it stands.
        trials: one row per trial: `trial, variant, control, phase, seed, state, reason, value,
            epochs, attempts, started, seconds, param.*, metric.*, message`; `metric.*` are those of
            the last report, `seconds` is the trial's wall time, `control` is missing on the
            variants themselves.
        curves: one row per report that counts: `trial, variant, control, phase, seed, attempt,
            step, time` and every metric under its own name.
        series: one row per number of a metric that is a list (a spectrum, a gradient by time
            step): `trial, epoch, name, index, value`.
        notes: what could not be read, in sentences.
    """

    path: Path
    plan: dict[str, Any]
    trials: pd.DataFrame
    curves: pd.DataFrame
    series: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SERIES_COLUMNS))
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the run is called: by its plan, else its folder."""
        return str(self.plan.get("name") or self.path.resolve().name)

    @property
    def cost(self) -> str:
        """A second metric, to be kept low; empty where the space has none."""
        return str(self.space.get("cost") or "")

    @property
    def space(self) -> dict[str, Any]:
        """The question: task, metric, parameters, variants."""
        space: dict[str, Any] = self.plan["space"]
        return space

    @property
    def metric(self) -> str:
        """The metric's bare name, `accuracy` say."""
        return str(self.space["metric"])

    @property
    def sign(self) -> float:
        """What turns a difference of the metric into a gain: +1 when maximizing, else -1."""
        return 1.0 if self.space["direction"] == "maximize" else -1.0

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants, in the order of the space."""
        return tuple(variant["name"] for variant in self.space["variants"])

    @property
    def baseline(self) -> str:
        """Name of the variant that all others are measured against."""
        return next(str(v["name"]) for v in self.space["variants"] if v.get("baseline"))

    @property
    def validation(self) -> str:
        """The objective's column in the curves: a generator without splits gives a bare metric."""
        split = f"validation_{self.metric}"
        return split if split in self.curves or self.metric not in self.curves else self.metric

    def variant(self, name: str) -> dict[str, Any]:
        """What the plan says of one variant.

        Raises:
            RunError: no variant has this name.
        """
        for variant in self.space["variants"]:
            if variant["name"] == name:
                return dict(variant)
        raise RunError(f"no variant {name!r} in this run; it has: {', '.join(self.variants)}")

    def controls(self, variant: str) -> dict[str, dict[str, Any]]:
        """The variant's controls: name -> the parameters it overrides."""
        return self.variant(variant).get("controls") or {}

    def searches(self, variant: str) -> int:
        """How many search trials the plan gives a variant; a grid has its own number for each."""
        own = self.plan.get("searches") or {}
        return int(own.get(variant, self.plan["trials"]))

    @property
    def contenders(self) -> tuple[tuple[str, str | None], ...]:
        """Everyone who is confirmed: each variant, followed by its controls."""
        return tuple(
            (name, control) for name in self.variants for control in (None, *self.controls(name))
        )


def remembered(make: Callable[[Run], pd.DataFrame]) -> Callable[[Run], pd.DataFrame]:
    """Makes a frame once per run and hands out copies: many tables and cards ask for the same."""
    known: WeakKeyDictionary[Run, pd.DataFrame] = WeakKeyDictionary()

    @wraps(make)
    def once(run: Run) -> pd.DataFrame:
        if run not in known:
            known[run] = make(run)
        return known[run].copy()

    return once


def label(variant: str, control: object) -> str:
    """The name of a contender: `variant`, or `variant/control`."""
    return f"{variant}/{control}" if isinstance(control, str) else variant


def read_plan(path: Path) -> dict[str, Any]:
    """The checked `plan.json` of a run directory.

    Raises:
        RunError: there is none, or it is not one that this version reads.
    """
    file = path / "plan.json"
    if not file.is_file():
        raise RunError(_no_plan(path))
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"plan.json must be JSON, but {file} is not: {error}") from error
    _check(plan, file)
    return dict(plan)


def _no_plan(path: Path) -> str:
    if not path.exists():
        return f"a run directory must exist, but there is nothing at {path}; check the path"
    seen = ", ".join(sorted(p.name for p in path.iterdir())[:8]) if path.is_dir() else "a file"
    return (
        f"a run directory holds plan.json, but {path} holds: {seen or 'nothing'}; "
        "give the directory that `momentune sweep` printed (runs/<name>)"
    )


def _check(plan: Any, file: Path) -> None:
    if not isinstance(plan, dict) or plan.get("format") != PLAN_FORMAT:
        seen = plan.get("format") if isinstance(plan, dict) else type(plan).__name__
        raise RunError(
            f"this version reads plan format {PLAN_FORMAT}, but {file} has {seen!r}; "
            "use the version of momentune that made the run"
        )
    space = plan.get("space") or {}
    missing = [f"space.{key}" for key in ("metric", "direction", "variants") if key not in space]
    missing += [key for key in ("trials", "seeds") if key not in plan]
    if missing:
        raise RunError(f"{file} lacks {', '.join(missing)}; restore the plan this run began with")
    baselines = [v["name"] for v in space["variants"] if v.get("baseline")]
    if len(baselines) != 1:
        raise RunError(f"a plan needs one baseline, but {file} has {len(baselines)}: {baselines}")
