"""Frames -> the tables that people read; HTML and Markdown are made from the same one."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from . import comparison as compare
from .answer import metric_digits
from .frames import rows
from .ledger import without_password
from .run import Run
from .wording import interval, number, plain, probability, seconds, signed, significant, titled

MOST_NUMBERS = 60  # rows of a chart's own numbers in the page; the CSV beside it has them all


@dataclass(frozen=True)
class Table:
    """Headers and rows of text; `numeric` says which columns are aligned as numbers."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]


def table(columns: dict[str, list[str]], text: tuple[str, ...]) -> Table:
    """A table from its columns; those named in `text` are not numbers. Empty columns go."""
    kept = {k: v for k, v in columns.items() if k in text or set(v) - {"", "–"}}
    cells = tuple(zip(*kept.values(), strict=True))
    return Table(tuple(kept), cells, tuple(name not in text for name in kept))


def results(run: Run) -> Table:
    """Per contender: test metric with interval, seeds, validation, and cost."""
    frame, digits = compare.contenders(run), _digits(run)
    found = rows(frame)
    columns = {
        "contender": [str(r["contender"]) for r in found],
        f"test {run.metric}": [number(r["test"], digits) for r in found],
        "95% interval": [interval(r["low"], r["high"], digits) for r in found],
        "seeds": [f"{r['seeds']} of {r['planned']}" for r in found],
        "rank": [_whole(r["rank"]) for r in found],
        titled(run.validation): [number(r["validation"], digits) for r in found],
        "parameters": [number(r["n_parameters"], 0) for r in found],
        "time per epoch": [seconds(r["seconds_per_epoch"]) for r in found],
        _cost_title(run): [_cost(r, compare.cost_parts(run)) for r in found],
        "epochs to baseline's best": [_whole(r["epochs_to_baseline"]) for r in found],
    }
    return table(columns, ("contender",))


def by_run(names: list[str], runs: list[Run]) -> Table:
    """The results of several runs in one table."""
    parts = [rows(compare.contenders(run)) for run in runs]
    shown = [(n, run, r) for n, run, part in zip(names, runs, parts, strict=True) for r in part]
    columns = {
        "run": [n for n, _, _ in shown],
        "contender": [str(r["contender"]) for _, _, r in shown],
        "metric": [f"test {run.metric}" for _, run, _ in shown],
        "mean": [number(r["test"], _digits(run)) for _, run, r in shown],
        "95% interval": [interval(r["low"], r["high"], _digits(run)) for _, run, r in shown],
        "seeds": [f"{r['seeds']} of {r['planned']}" for _, _, r in shown],
        "rank": [_whole(r["rank"]) for _, _, r in shown],
    }
    return table(columns, ("run", "contender", "metric"))


def differences(run: Run) -> Table:
    """Per comparison: gain, interval, p-values and verdict."""
    frame, digits = compare.differences(run), _digits(run)
    found = rows(frame)
    columns = {
        "comparison": [f"{r['left']} − {r['right']}" for r in found],
        "gain": [signed(r["gain"], digits) for r in found],
        "95% interval": [interval(r["low"], r["high"], digits) for r in found],
        "seeds": [str(r["seeds"]) for r in found],
        "p": [probability(r["p"]) for r in found],
        "p (Holm)": [probability(r["p_holm"]) for r in found],
        "verdict": [str(r["verdict"]) for r in found],
    }
    return table(columns, ("comparison", "verdict"))


def other_tests(run: Run) -> Table:
    """The same comparisons by other means: ranks, bootstrap, equivalence, power."""
    frame, digits = compare.differences(run), _digits(run)
    found = rows(frame)
    columns = {
        "comparison": [f"{r['left']} − {r['right']}" for r in found],
        "p (Wilcoxon)": [probability(r["p_wilcoxon"]) for r in found],
        "p (Wilcoxon, Holm)": [probability(r["p_wilcoxon_holm"]) for r in found],
        "bootstrap interval": [interval(r["bca_low"], r["bca_high"], digits) for r in found],
        "p (control as good)": [probability(r["p_equivalent"]) for r in found],
        "seeds for power 0.8": [_whole(r["seeds_needed"]) for r in found],
    }
    return table(columns, ("comparison",))


def budgets(run: Run) -> Table:
    """Per variant: what its search was given and spent."""
    frame, digits = compare.budgets(run), _digits(run)
    counts = ("planned", "complete", "pruned", "failed", "running", "waiting", "epochs")
    columns = {
        "variant": frame["variant"].tolist(),
        "parameters searched": [str(n) for n in frame["searched"]],
        **{name: [f"{n:,}" for n in frame[name]] for name in counts if frame[name].any()},
        f"best {run.validation.replace('_', ' ')}": [number(v, digits) for v in frame["best"]],
    }
    return table(columns, ("variant",))


def failures(run: Run) -> Table:
    """Per variant, phase and reason: how many trials failed, and the first one's message."""
    found = rows(compare.failures(run))
    columns = {
        "reason": [str(r["reason"]) for r in found],
        "variant": [str(r["variant"]) for r in found],
        "phase": [str(r["phase"]) for r in found],
        "trials": [f"{r['trials']:,}" for r in found],
        "first": [f"trial {r['first_trial']}" for r in found],
        "its message": ["" if pd.isna(r["message"]) else str(r["message"]) for r in found],
    }
    return table(columns, ("reason", "variant", "phase", "first", "its message"))


def trials(run: Run) -> Table:
    """Every trial."""
    frame, digits = run.trials, _digits(run)
    settings = [str(c) for c in frame if str(c).startswith("param.")]
    columns = {
        "trial": [str(n) for n in frame["trial"]],
        "variant": frame["variant"].tolist(),
        "control": _texts(frame["control"]),
        "phase": frame["phase"].tolist(),
        "seed": [str(n) for n in frame["seed"]],
        "state": [compare.STATES.get(s, s.lower()) for s in frame["state"]],
        "reason": _texts(frame["reason"]),
        "value": [number(v, digits) for v in frame["value"]],
        "epochs": [f"{n:,}" for n in frame["epochs"]],
        "seconds": [significant(s) for s in frame["seconds"]],
    }
    searched = {_beside(columns, c.removeprefix("param.")): frame[c] for c in settings}
    words = [name for name, column in searched.items() if not _numeric(column)]
    columns |= {name: _texts(column) for name, column in searched.items()}
    return table(columns, ("variant", "control", "phase", "state", "reason", *words))


def _beside(columns: dict[str, list[str]], parameter: str) -> str:
    """A parameter's header, which is none of the others."""
    return f"parameter {parameter}" if parameter in columns else parameter


def of_frame(frame: pd.DataFrame) -> Table:
    """The first rows of any frame."""
    shown = frame.head(MOST_NUMBERS)
    columns = [(str(name), _texts(column), _numeric(column)) for name, column in shown.items()]
    kept = [column for column in columns if not column[2] or set(column[1]) - {"", "–"}]
    if shown.empty or not kept:
        return Table((), (), ())
    names, texts, numeric = zip(*kept, strict=True)  # no dict: two columns may have one name
    return Table(names, tuple(zip(*texts, strict=True)), numeric)


def _numeric(column: pd.Series[Any]) -> bool:
    """Are these numbers? Choices that are text, or true and false, are none."""
    kind = column.dtype
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)


def facts(run: Run) -> dict[str, str]:
    """What someone needs to do it again: plan, data, versions, machine. Only what is known."""
    plan, space = run.plan, run.space
    told = {
        "Made": str(plan.get("created") or "").replace("T", " ").replace("+00:00", " UTC"),
        "Space": _joined(space.get("reference"), f"sha256 {str(space.get('digest'))[:12]}"),
        "Data": _data(space.get("data")),
        "Linear predictor": _linear(run),
        "Search": f"{plan['trials']} trials per variant, {plan.get('epochs', '?')} epochs each",
        "Confirmation": f"{plan['seeds']} seeds per contender",
        "Extended": "; ".join(map(_extension, plan.get("extensions") or [])),
        "Known from earlier runs": "; ".join(map(_known, plan.get("imported") or [])),
        "Sampler": _settings(plan.get("sampler")),
        "Scheduler": _settings(plan.get("scheduler")),
        "Seed": plan.get("seed"),
        "Seeds of the confirmation": ", ".join(str(s) for s in _seeds(run)),
        "At once": _slots(plan),
        "Time budget": seconds(plan["time_budget"]) if plan.get("time_budget") else None,
        "Storage": without_password(str(plan.get("storage") or "")),
        "Code": _revision(plan.get("git")),
        "Versions": ", ".join(f"{k} {v}" for k, v in (plan.get("versions") or {}).items()),
        "Hardware": _hardware(plan.get("hardware") or {}),
    }
    return {name: str(fact) for name, fact in told.items() if fact not in (None, "")}


def parameters(run: Run) -> Table:
    """What was searched, and where; what was fixed."""
    groups = [("all", run.space.get("parameters") or {})]
    groups += [(v["name"], v.get("parameters") or {}) for v in run.space["variants"]]
    lines = [(name, who, _range(spec)) for who, group in groups for name, spec in group.items()]
    names, whose, ranges = zip(*lines, strict=True) if lines else ((), (), ())
    columns = {"parameter": [*names], "of": [*whose], "range": [*ranges]}
    return table(columns, ("parameter", "of", "range"))


def _range(spec: Any) -> str:
    if not isinstance(spec, dict):
        return str(spec)
    if "fixed" in spec:
        return f"fixed at {plain(spec['fixed'])}"
    attributes = spec.get("attributes") or {}
    if "choices" in attributes:
        return "one of " + ", ".join(plain(c) for c in attributes["choices"])
    if "low" in attributes:
        scale = ", log" if attributes.get("log") else ""
        return f"{plain(attributes['low'])} to {plain(attributes['high'])}{scale}"
    return str(spec)


def _cost_title(run: Run) -> str:
    parts = " + ".join(compare.cost_parts(run))
    return f"{titled(run.cost)} ({parts})" if parts else titled(run.cost) or "cost"


def _cost(row: dict[str, Any], parts: list[str]) -> str:
    """The second metric with its parts: 70.2 (28.1 + 42.1)."""
    told = " + ".join(significant(row[f"cost_{part}"]) for part in parts)
    whole = significant(row["cost"])
    return f"{whole} ({told})" if told and math.isfinite(row["cost"]) else whole


def _digits(run: Run) -> int:
    return metric_digits(compare.contenders(run), compare.differences(run))


def _texts(column: pd.Series[Any]) -> list[str]:
    return ["" if pd.isna(value) else plain(value) for value in column.tolist()]


def _whole(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"


def _joined(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if part)


def _data(data: dict[str, Any] | None) -> str | None:
    if not data:
        return None
    splits = [f"{data[s]:,} {s}" for s in ("train", "validation", "test") if data.get(s)]
    digest = f"sha256 {str(data['sha256'])[:12]}" if data.get("sha256") else ""
    return _joined(data.get("name"), *splits, digest)


def _linear(run: Run) -> str | None:
    reached = run.space.get("linear")
    return None if reached is None else f"{titled(run.validation)} {plain(float(reached))}"


def _settings(part: Any) -> str | None:
    if not isinstance(part, dict):
        return None if part is None else str(part)
    rest = [f"{k} {plain(v)}" for k, v in part.items() if k != "name" and v is not None]
    return _joined(part.get("name"), *rest)


def _seeds(run: Run) -> list[int]:
    confirm = run.trials[run.trials["phase"] == "confirm"]
    return sorted({int(seed) for seed in confirm["seed"]})


def _extension(told: dict[str, Any]) -> str:
    """What an extended sweep had decided before."""
    until = str(told["until"]).replace("T", " ").replace("+00:00", " UTC")
    return f"{told['trials']} trials per variant and {told['seeds']} seeds until {until}"


def _known(run: dict[str, Any]) -> str:
    """What the sampler knew of an earlier run before the first trial."""
    known = Counter(trial["variant"] for trial in run["trials"])
    counts = ", ".join(f"{known[name]} of {n} of {name}" for name, n in run["complete"].items())
    return f"{run['run']}: {counts}, beside the budget"


def _slots(plan: dict[str, Any]) -> str:
    each = [f"{plan[k]:g} {k[:3].upper()}" for k in ("cpus", "gpus") if plan.get(k)]
    slots = f"{plan.get('concurrency', '?')} trials"
    return _joined(slots, f"{' and '.join(each)} each" if each else "")


def _revision(git: dict[str, Any] | None) -> str | None:
    if not git or not git.get("revision"):
        return None
    return f"{str(git['revision'])[:12]}{', with uncommitted changes' if git.get('dirty') else ''}"


def _hardware(machine: dict[str, Any]) -> str:
    cores, memory = machine.get("cores"), machine.get("memory_gb")
    return _joined(
        machine.get("cpu"),
        f"{cores} cores" if cores else "",
        f"{significant(memory)} GB" if memory else "",
        *machine.get("gpus", ()),
        machine.get("platform"),
    )
