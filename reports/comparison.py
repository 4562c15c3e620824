"""Run -> the numbers that the comparison rests on: contenders, differences, budgets, failures."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from .run import Run, RunError, label, remembered
from .statistics import (
    ALPHA,
    bootstrap_interval,
    equivalence,
    holm,
    mean_interval,
    paired_difference,
    rank_test,
    seeds_needed,
)

BETTER, WORSE, UNDECIDED = "better", "worse", "not enough evidence"
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}  # that have ended
DONE = tuple(STATES)


@remembered
def confirmed(run: Run) -> pd.DataFrame:
    """The completed confirm trials, one per contender and seed (the last, if one was repeated).

    The columns of `run.trials`, and `contender`.
    """
    trials: pd.DataFrame = run.trials
    trials = trials[(trials["phase"] == "confirm") & (trials["state"] == "COMPLETE")]
    trials = trials[np.isfinite(trials["value"])]
    trials = trials.drop_duplicates(["variant", "control", "seed"], keep="last")
    names = [label(v, c) for v, c in zip(trials["variant"], trials["control"], strict=True)]
    return trials.assign(contender=pd.Series(names, index=trials.index, dtype="str"))


def lost_seeds(run: Run) -> dict[str, set[int]]:
    """Contender -> seeds whose confirmation ended without a result (diverged, out of memory)."""
    ended = run.trials[(run.trials["phase"] == "confirm") & run.trials["state"].isin(DONE)]
    known = confirmed(run)
    had = set(zip(known["contender"], known["seed"], strict=True))
    lost: dict[str, set[int]] = {}
    for variant, control, seed in zip(
        ended["variant"], ended["control"], ended["seed"], strict=True
    ):
        name = label(variant, control)
        if (name, seed) not in had:
            lost.setdefault(name, set()).add(int(seed))
    return lost


@remembered
def validation_curves(run: Run) -> pd.DataFrame:
    """Mean validation metric of the confirmed runs by step, with the lowest and highest seed.

    Columns `contender, variant, control, step, mean, low, high, seeds`.
    """
    key = ["contender", "variant", "control", "step"]
    who = confirmed(run)[["trial", "contender"]]
    rows = run.curves.merge(who, on="trial")
    if run.validation not in rows:
        return pd.DataFrame(columns=[*key, "mean", "low", "high", "seeds"])
    curves = rows.groupby(key, dropna=False, sort=False)[run.validation]
    return curves.agg(mean="mean", low="min", high="max", seeds="count").reset_index()


@remembered
def contenders(run: Run) -> pd.DataFrame:
    """One row per variant and control, the baseline first.

    Columns: `contender, variant, control`; `seeds` that finished, of `planned`; `test, low, high`:
    mean test metric and its 95% interval; `rank` by it, 1 is best; `validation`: mean at the last
    epoch; `n_parameters`; `seconds_per_epoch`: median; `cost`: mean of the space's second metric,
    and `cost_<part>` of its parts, of evaluations forward, say; `epochs_to_baseline`: the first
    epoch at which the mean validation curve is as good as the baseline's best, missing when it
    never is.
    """
    trials, reached = confirmed(run), epochs_to_baseline(run)
    rows = [_contender(run, trials, v, c) for v, c in run.contenders]
    frame = pd.DataFrame(rows)
    frame["rank"] = (-run.sign * frame["test"]).rank(method="min").astype("Int64")
    frame["epochs_to_baseline"] = frame["contender"].map(reached).astype("Int64")
    return frame.sort_values("variant", key=lambda v: v != run.baseline, kind="stable").reset_index(
        drop=True
    )


def _contender(run: Run, trials: pd.DataFrame, variant: str, control: str | None) -> dict[str, Any]:
    own = trials[trials["contender"] == label(variant, control)]
    curves = run.curves[run.curves["trial"].isin(own["trial"])]
    test = mean_interval(own["value"])
    return {
        "contender": label(variant, control),
        "variant": variant,
        "control": control,
        "seeds": test.n,
        "planned": int(run.plan["seeds"]),
        "test": test.mean,
        "low": test.low,
        "high": test.high,
        "validation": _column(own, f"metric.{run.validation}").mean(),
        "n_parameters": _column(own, "metric.n_parameters").median(),
        "seconds_per_epoch": _column(curves, "seconds").median(),
        "cost": _column(own, f"metric.{run.cost}").mean(),
        **{
            f"cost_{part}": _column(own, f"metric.{run.cost}_{part}").mean()
            for part in cost_parts(run)
        },
    }


def cost_parts(run: Run) -> list[str]:
    """What the second metric is told in: `forward` and `backward` of nfe."""
    prefix = f"metric.{run.cost}_"
    names = [str(name) for name in run.trials if run.cost]
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def _column(frame: pd.DataFrame, name: str) -> pd.Series[float]:
    """A column as numbers; all missing if the run has none of this name."""
    found = frame[name] if name in frame else pd.Series(np.nan, index=frame.index)
    return pd.to_numeric(found, errors="coerce").astype("float64")


def epochs_to_baseline(run: Run) -> dict[str, int]:
    """Contender -> first epoch at which it is as good as the baseline's best mean validation."""
    curves = validation_curves(run)
    score = curves["mean"] * run.sign
    goal = score[curves["contender"] == run.baseline].max()
    reached = curves[score >= goal].groupby("contender")["step"].min()
    return {str(name): int(step) for name, step in reached.items()}


@remembered
def differences(run: Run) -> pd.DataFrame:
    """Who is better than whom, paired by seed.

    Columns: `kind` (variant - baseline, variant - control, control - baseline), `left, right`;
    `seeds` that both have; `lost`: seeds that failed on either side; `test_left, test_right`: means
    over the common seeds; `difference`: of these, in the metric's own unit; `gain` with `low,
    high`: the same with its 95% interval, the sign turned where the metric is minimized, so that
    **positive means that left is better**; `p` of the paired t-test; `bca_low, bca_high` and
    `p_wilcoxon`: bootstrap interval and rank test, to compare; `seeds_needed` for a verdict on an
    effect of this size with power 0.8; `compared`: rows of this kind that have a p; `p_holm,
    p_wilcoxon_holm`: adjusted for their number, each kind being a question of its own; `verdict` on
    left, by `p_holm`: better, worse, not enough evidence, which is all that can be said where seeds
    were lost, since they might have been the worst; `p_equivalent`, of a variant with its
    control: "the control keeps more than half of the gain over the baseline", adjusted for the
    number of controls.
    """
    gains = confirmed_gains(run)
    pairs = _pairs(run)
    known = Counter(kind for kind, left, right in pairs if left in gains and right in gains)
    found = [_difference(run, gains, *pair, known[pair[0]]) for pair in pairs]
    frame = pd.DataFrame(found, columns=_DIFFERENCE)
    for name in ("p", "p_wilcoxon"):
        adjusted = [pd.Series(holm(p), p.index) for _, p in frame.groupby("kind")[name]]
        frame[f"{name}_holm"] = pd.concat(adjusted) if adjusted else frame[name]
    frame["seeds_needed"] = pd.to_numeric(frame["seeds_needed"]).astype("Int64")
    frame["p_equivalent"] = holm(frame["p_equivalent"].to_numpy(dtype=np.float64))
    judged = frame["p_holm"].where(frame["lost"] == 0)
    verdicts = [verdict(g, p) for g, p in zip(frame["gain"], judged, strict=True)]
    return frame.assign(verdict=pd.Series(verdicts, dtype="str"))


_DIFFERENCE = [
    *("kind", "left", "right", "seeds", "lost", "test_left", "test_right"),
    *("difference", "gain", "low", "high", "p"),
    *("bca_low", "bca_high", "p_wilcoxon", "seeds_needed", "p_equivalent", "compared"),
]


def confirmed_gains(run: Run) -> dict[str, pd.Series[float]]:
    """Contender -> its test metric by seed, the sign turned where the metric is minimized."""
    return {
        str(name): (group.set_index("seed")["value"] * run.sign)
        for name, group in confirmed(run).groupby("contender", sort=False)
    }


def _pairs(run: Run) -> list[tuple[str, str, str]]:
    return list(chain.from_iterable(_pairs_of(run, variant) for variant in run.variants))


def _pairs_of(run: Run, variant: str) -> list[tuple[str, str, str]]:
    controls = [label(variant, control) for control in run.controls(variant)]
    inner = [("variant - control", variant, control) for control in controls]
    if variant == run.baseline:
        return inner
    outer = [("control - baseline", control, run.baseline) for control in controls]
    return [("variant - baseline", variant, run.baseline), *inner, *outer]


def _difference(
    run: Run, gains: dict[str, pd.Series[float]], kind: str, left: str, right: str, compared: int
) -> dict[str, Any]:
    none = pd.Series(dtype="float64")
    a, b = gains.get(left, none), gains.get(right, none)
    found, by_seed = paired_difference(a, b), (a - b).dropna()
    bca_low, bca_high = bootstrap_interval(by_seed)
    failed = lost_seeds(run)
    lost = len(failed.get(left, set()) | failed.get(right, set()))
    asked = kind == "variant - control" and left != run.baseline and not lost
    return {
        "kind": kind,
        "left": left,
        "right": right,
        "seeds": found.n,
        "lost": lost,
        "test_left": run.sign * a.reindex(by_seed.index).mean(),
        "test_right": run.sign * b.reindex(by_seed.index).mean(),
        "difference": run.sign * found.mean,
        "gain": found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "bca_low": bca_low,
        "bca_high": bca_high,
        "p_wilcoxon": rank_test(by_seed),
        "seeds_needed": seeds_needed(found.mean, float(by_seed.std()), ALPHA / max(compared, 1)),
        "p_equivalent": _equivalent(by_seed, a, gains.get(run.baseline, none)) if asked else np.nan,
        "compared": compared,
    }


def _equivalent(lost: pd.Series[float], own: pd.Series[float], base: pd.Series[float]) -> float:
    """Does the control keep more than half of the gain? Only asked where there is one."""
    gain = (own - base).dropna()
    seeds = lost.index.intersection(gain.index)
    if len(seeds) < 2 or not gain[seeds].mean() > 0:
        return np.nan
    return equivalence(lost[seeds].to_numpy(), gain[seeds].to_numpy() / 2)


def verdict(gain: float, p: float) -> str:
    """In words, by an adjusted p."""
    if not p < ALPHA:
        return UNDECIDED
    return BETTER if gain > 0 else WORSE


@remembered
def budgets(run: Run) -> pd.DataFrame:
    """What each variant's search was given and spent: one row per variant.

    Columns: `variant`; `searched`: number of parameters the search chose; `planned` trials, of them
    `complete, pruned, failed, running, waiting`; `epochs` trained in all; `best` validation.
    """
    search = run.trials[run.trials["phase"] == "search"]
    return pd.DataFrame(
        [_budget(run, name, search[search["variant"] == name]) for name in run.variants]
    )


def _budget(run: Run, variant: str, trials: pd.DataFrame) -> dict[str, Any]:
    count = trials["state"].value_counts()
    complete = trials.loc[trials["state"] == "COMPLETE", "value"] * run.sign
    states = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")
    names = ("complete", "pruned", "failed", "running", "waiting")
    return {
        "variant": variant,
        "searched": len(searched(run, variant)),
        "planned": run.searches(variant),
        **{name: int(count.get(s, 0)) for name, s in zip(names, states, strict=True)},
        "epochs": int(trials["epochs"].sum()),
        "best": complete.max() * run.sign,
    }


def searched(run: Run, variant: str | None = None) -> dict[str, dict[str, Any]]:
    """Parameter -> distribution in JSON, of those the search chose for a variant (or for any)."""
    own = [run.variant(name) for name in ([variant] if variant else run.variants)]
    groups = [run.space.get("parameters") or {}, *(v.get("parameters") or {} for v in own)]
    merged = {key: spec for group in groups for key, spec in group.items()}
    return {key: s for key, s in merged.items() if isinstance(s, dict) and "attributes" in s}


def progress(run: Run) -> tuple[int, int]:
    """Trials that have ended, and trials that the plan asks for.

    A variant whose whole search failed has nothing to confirm, so nothing more is asked of it.
    """
    ended = run.trials[run.trials["state"].isin(DONE)]
    spent = budgets(run).set_index("variant")
    hopeless = (spent["complete"] == 0) & (spent["failed"] + spent["pruned"] >= spent["planned"])
    confirming = sum(not hopeless[variant] for variant, _ in run.contenders)
    planned = int(spent["planned"].sum()) + confirming * int(run.plan["seeds"])
    return len(ended), planned


def failures(run: Run) -> pd.DataFrame:
    """Why trials failed: `variant, phase, reason, trials, first_trial, message` (of the first)."""
    failed = run.trials[run.trials["state"] == "FAIL"].copy()
    failed["reason"] = failed["reason"].fillna("not told")
    groups = failed.groupby(["variant", "phase", "reason"], sort=False)
    frame = groups.agg(
        trials=("trial", "count"), first_trial=("trial", "first"), message=("message", "first")
    )
    return frame.reset_index()


def best(run: Run, variant: str | None = None) -> dict[str, Any]:
    """The confirmed configuration of a variant, or of the one whose mean validation is best.

    Test data never chooses; it is only told.

    Returns:
        `variant`, `params`, `validation` and `test` (means over seeds), `interval` (95% of the test
        metric, or None), `seeds`, `n`.

    Raises:
        RunError: no such variant, or nothing of it is confirmed.
    """
    trials = confirmed(run)
    own = trials[trials["control"].isna()]
    name = run.variant(variant)["name"] if variant else _leader(run, own)
    own = own[own["variant"] == name]
    if own.empty:
        raise RunError(_nothing_confirmed(run, name))
    test = mean_interval(own["value"])
    return {
        "variant": name,
        "params": configuration(run, own.iloc[-1]),
        "validation": float(_column(own, f"metric.{run.validation}").mean()),
        "test": test.mean,
        "interval": None if np.isnan(test.low) else (test.low, test.high),
        "seeds": [int(seed) for seed in own["seed"]],
        "n": test.n,
    }


def _leader(run: Run, own: pd.DataFrame) -> str | None:
    column = f"metric.{run.validation}"
    scores = (_column(own, column) * run.sign).groupby(own["variant"]).mean()
    return None if scores.dropna().empty else str(scores.idxmax())


def _nothing_confirmed(run: Run, name: str | None) -> str:
    done, planned = progress(run)
    what = f"variant {name!r}" if name else "this run"
    return (
        f"a best configuration is one that finished its confirmation, but {what} has none yet "
        f"({done} of {planned} planned trials are done); "
        + ("the report says why" if done >= planned else f"`momentune resume {run.path}` goes on")
    )


def configuration(run: Run, trial: pd.Series[Any]) -> dict[str, Any]:
    """The parameters in effect in one row of `run.trials`, in their own Python types."""
    present = {
        str(name).removeprefix("param."): value
        for name, value in trial.items()
        if str(name).startswith("param.") and not pd.isna(value)
    }
    specs = (run.space.get("parameters") or {}) | run.variant(trial["variant"])["parameters"]
    return {name: _native(value, specs.get(name)) for name, value in present.items()}


def _native(value: Any, spec: Any) -> Any:
    """The value as the space wrote it, where a cell could hold only its text."""
    value = value.item() if isinstance(value, np.generic) else value
    spec = spec if isinstance(spec, dict) else {}
    if spec.get("name") == "IntDistribution" and isinstance(value, float):
        return int(value)  # a column that another variant fills with floats made it one
    written = [*(spec.get("attributes") or {}).get("choices", ()), spec.get("fixed", value)]
    return next((w for w in written if w == value or str(w) == str(value)), value)
