"""What a careful colleague would point out before believing the answer.

Each check is a function from the run to sentences; it is silent when there is nothing to say.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact, mannwhitneyu

from . import comparison as compare
from . import exploration as explore
from .answer import reasons
from .frames import rows
from .run import Run, label
from .statistics import holm, mean_interval
from .wording import listing, plain, plural, titled

ENOUGH = 10  # completed trials from which the search of a variant is judged
PARTS = 5  # of a range, in each of which failures are counted
WHOLE = 3  # completed trials below which the best of a pruned search is hardly a choice
MANY = 50  # trials from which a parameter without effect is told
GAP = 3.0  # spreads over seeds by which test may fall behind validation
LARGE = 0.05  # of the validation value: a gap that is told where no interval can judge it
FEW = 7  # levels of a range below which all of the best trials must lie at its end
AGREE = 0.3  # rank correlation between the first rung and the end


def concerns(run: Run) -> list[str]:
    """Every warning there is, the gravest first; a check that fails says so in its place."""
    return [sentence for check in CHECKS for sentence in _checked(check, run)]


def _checked(check: Callable[[Run], list[str]], run: Run) -> list[str]:
    try:
        return check(run)
    except Exception as error:
        name = check.__name__.replace("_", " ")
        return [f"The check of {name} could not be made ({type(error).__name__}: {error})."]


def unfinished(run: Run) -> list[str]:
    """Fewer trials have ended than were planned."""
    done, planned = compare.progress(run)
    if done >= planned:
        return []
    running = int((run.trials["state"] == "RUNNING").sum())
    note = f", {running} more had started" if running else ""
    return [
        f"{done} of {planned} planned trials are done{note}. If the sweep no longer runs, this "
        f"goes on from here: momentune resume {shlex.quote(str(run.path))}"
    ]


def unequal_budgets(run: Run) -> list[str]:
    """Variants whose searches learnt from different numbers of trials."""
    spent = compare.budgets(run)
    used = dict(zip(spent["variant"], spent["complete"] + spent["pruned"], strict=True))
    if len(set(used.values())) < 2:
        return []
    planned = {variant: run.searches(variant) for variant in used}
    each = len(set(planned.values())) == 1
    of = f"of {run.plan['trials']} trials each" if each else "of the trials that were planned"
    told = [f"{v} {n}" if each else f"{v} {n} of {planned[v]}" for v, n in used.items()]
    return [
        f"The searches did not have equal budgets: {of}, these finished or were pruned: "
        f"{listing(told)}. The variant with more had the better chance."
    ]


def few_whole_trials(run: Run) -> list[str]:
    """Pruning left a variant hardly any trial of full length to choose from."""
    spent = compare.budgets(run)
    few = spent[(spent["complete"] < WHOLE) & (spent["pruned"] > spent["complete"])]
    if few.empty:
        return []
    told = listing([f"{row['variant']} {row['complete']}" for row in rows(few)])
    return [
        f"Few search trials reached their full length, the others were pruned: {told}. What was "
        "confirmed may be far from the best setting, so a variant may look worse than it is. "
        "Plan more trials, or use --scheduler none."
    ]


def failed_trials(run: Run) -> list[str]:
    """Trials that failed, by contender and phase."""
    names = [label(v, c) for v, c in zip(run.trials["variant"], run.trials["control"], strict=True)]
    trials = run.trials.assign(contender=pd.Series(names, index=run.trials.index, dtype="str"))
    sentences = []
    for (name, phase), own in trials.groupby(["contender", "phase"], sort=False):
        failed = own[own["state"] == "FAIL"]
        if len(failed):
            some = f"{len(failed)} of {plural(len(own), f'{phase} trial')}"
            sentences.append(f"{name}: {some} failed ({reasons(failed)}).")
    return sentences


def lost_seeds(run: Run) -> list[str]:
    """Contenders whose mean is over the survivors only."""
    table = compare.contenders(run)
    failed = run.trials[(run.trials["phase"] == "confirm") & (run.trials["state"] == "FAIL")]
    broken = {label(v, c) for v, c in zip(failed["variant"], failed["control"], strict=True)}
    short = table[
        table["contender"].isin(broken) & (table["seeds"].between(1, table["planned"] - 1))
    ]
    return [
        f"The numbers of {row['contender']} are over {row['seeds']} of {row['planned']} seeds; "
        "those that failed might have been the worst."
        for row in rows(short)
    ]


def few_seeds(run: Run) -> list[str]:
    """Too few confirmed seeds for an interval, or for one that says much."""
    table, planned = compare.contenders(run), int(run.plan["seeds"])
    table = table[table["seeds"].between(1, 2)]
    if table.empty:
        return []
    least = int(table["seeds"].min())
    if planned >= 3:
        told = [f"{row['seeds']} of {row['contender']}" for row in rows(table)]
        return [
            f"Of {planned} planned seeds there are only {listing(told)}: the others are missing, "
            "unfinished or failed, and an interval takes at least 2, a useful one 3."
        ]
    if least < 2:
        return ["With 1 seed there is no interval; plan at least 3 (--seeds 5)."]
    return ["With 2 seeds an interval is about 7 times as wide as with 5; plan more (--seeds 5)."]


def at_chance(run: Run) -> list[str]:
    """Contenders that learnt nothing that guessing does not give."""
    chance = run.space.get("chance")
    if chance is None:
        return []
    table = compare.contenders(run)
    ahead = run.sign * (table[["test", "low", "high"]] - float(chance))
    idle = table[ahead.min(axis=1) <= 1e-9]  # by its mean alone where there is no interval
    if idle.empty:
        return []
    told = listing([f"{row['contender']} {plain(row['test'])}" for row in rows(idle)])
    one = len(idle) == 1
    return [
        f"Not clearly better than guessing, which gives a test {run.metric} of {plain(chance)}: "
        f"{told}. {'It' if one else 'They'} may not have been trained."
    ]


def no_better_than_linear(run: Run) -> list[str]:
    """Contenders that a linear predictor does as well as, where the task knows one."""
    linear = run.space.get("linear")
    if linear is None:
        return []
    table = compare.contenders(run)
    behind = table[run.sign * (table["validation"] - float(linear)) <= 0]
    if behind.empty:
        return []
    told = listing([f"{row['contender']} {plain(row['validation'])}" for row in rows(behind)])
    return [
        f"A linear predictor of the same inputs reaches a {titled(run.validation)} of "
        f"{plain(float(linear))}; not better than that: {told}."
    ]


def data_subset(run: Run) -> list[str]:
    """Only a part of the published data was used."""
    data, whole = run.space.get("data") or {}, run.space.get("whole")
    used = sum(int(data.get(split) or 0) for split in ("train", "validation", "test"))
    if not whole or not 0 < used < int(whole):
        return []
    return [
        f"Only {used:,} of the {int(whole):,} samples of {data.get('name')} were used: on all of "
        "them the order may be another, and published results are not comparable."
    ]


def cut_grid(run: Run) -> list[str]:
    """A paper's grid was run, but for what lies outside of the ranges."""
    if (run.plan.get("sampler") or {}).get("name") != "grid":
        return []
    cut = run.space.get("left_out") or {}
    told = [
        f"{variant} without {listing([f'{n} {listing(map(plain, v))}' for n, v in values.items()])}"
        for variant, values in cut.items()
    ]
    return [f"The paper's grid was cut to the ranges: {'; '.join(told)}."] if told else []


def validation_gap(run: Run) -> list[str]:
    """The test metric is far below the validation metric: the search has overfitted to it."""
    trials = compare.confirmed(run)
    column = f"metric.{run.validation}"
    if column not in trials:
        return []
    told = []
    for name, own in trials.groupby("contender", sort=False):
        gap = run.sign * (own[column] - own["value"])
        found, spread = mean_interval(gap), float(own["value"].std())
        least = GAP * spread
        if math.isnan(found.low):  # every seed has the same gap
            least = max(least, LARGE * float(own[column].abs().mean()))
        if found.n > 1 and not found.low <= 0 and found.mean > least:
            times = (
                f"{found.mean / spread:.1f} times the spread" if spread > 0 else "with no spread"
            )
            told.append(f"{name} by {plain(found.mean)}, {times} over seeds")
    if not told:
        return []
    return [
        f"The test {run.metric} is worse than the validation {run.metric}: {'; '.join(told)}. "
        "The configuration fits the validation data better than new data, or the test data are "
        "harder."
    ]


def best_at_border(run: Run) -> list[str]:
    """The best values lie at the end of a range: the optimum may lie beyond it."""
    sentences = []
    for variant in run.variants:
        done = explore.ended(run)
        done = done[(done["variant"] == variant) & (done["state"] == "complete")]
        if len(done) < ENOUGH:
            continue
        top = (done["value"] * run.sign).nlargest(5).index
        place, grids = explore.places(run, variant, done)
        units = explore.units(run, variant, done).loc[top]
        for name, grid in grids.items():
            ends = _ends(compare.searched(run, variant)[name]["attributes"])
            if grid.size < 3 or not ends:  # of two levels, one is always an end
                continue
            own = units[name] if grid.ordered else place.loc[top, name] / (grid.size - 1)
            end = _end(own.astype("float64"), ends, most=grid.size >= FEW)
            if end:
                sentences.append(
                    f"The best trials of {variant} lie at the {end} end of the range of {name} "
                    f"({plain(ends[end])}): better values may lie beyond it."
                )
    return sentences


def _ends(attributes: dict[str, Any]) -> dict[str, float]:
    """Both ends of a range, or of rising numeric choices; empty where nothing is an end."""
    choices = attributes.get("choices")
    if choices is None:
        return {end: attributes[end] for end in ("low", "high")}
    numbers = all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)
    rising = numbers and choices == sorted(choices)
    return {"low": choices[0], "high": choices[-1]} if rising else {}


def _end(place: pd.Series[float], ends: dict[str, float], most: bool) -> str | None:
    """The end at which the best trial and most, or else all, of the best five lie.

    With few levels chance alone puts most of five there (one time in twenty with four).
    """
    first, low, high = place.iloc[0], place.median(), place.median()
    if not most:
        low, high = place.max(), place.min()
    if first <= 0.03 and low <= 0.15:
        return "low" if ends["low"] != 0 else None  # nothing lies below zero
    return "high" if first >= 0.97 and high >= 0.85 else None


def settings_apart(run: Run) -> list[str]:
    """The second metric is told at settings that differ, and depends on them too."""
    confirmed = compare.confirmed(run)
    own = confirmed[confirmed["control"].isna()].drop_duplicates("variant")
    if not run.cost or len(own) < 2:
        return []
    shared = compare.searched(run).keys() & (run.space.get("parameters") or {})
    apart = [name for name in sorted(shared) if own[f"param.{name}"].nunique() > 1]
    if not apart:
        return []
    grid = [name for name in apart if name in (run.space.get("grid") or {})]
    return [
        f"{titled(run.cost).capitalize()} were counted at the best settings of each variant, which "
        f"differ in {listing(apart)}: a difference may be theirs."
        + (f" --sampler grid compares variants at the same {listing(grid)}." if grid else "")
    ]


def idle_parameters(run: Run) -> list[str]:
    """Parameters without effect, where the search was long enough to show the effect of others."""
    parts = explore.importances(run)
    parts = parts[parts["trials"] >= MANY]
    sentences = []
    for variant, own in parts.groupby("variant", sort=False):
        idle = own.loc[~own["beyond_chance"].astype("bool"), "parameter"]
        if 0 < len(idle) < len(own):
            sentences.append(
                f"No effect of {listing(idle)} was seen on {variant} in {own['trials'].iloc[0]:,} "
                "trials: the search could do without."
            )
    return sentences


def pruning_risk(run: Run) -> list[str]:
    """The value at the first rung says little about the final value: pruning is a lottery."""
    scheduler = run.plan.get("scheduler") or {}
    rung = scheduler.get("min_epochs")
    if not rung or run.validation not in run.curves:
        return []
    early = run.curves[run.curves["step"] == rung].set_index("trial")[run.validation]
    sentences = []
    for variant in run.variants:
        done = explore.ended(run)
        done = done[(done["variant"] == variant) & (done["state"] == "complete")]
        pairs = pd.DataFrame({"last": done.set_index("trial")["value"], "early": early}).dropna()
        pairs = pairs[done.set_index("trial")["epochs"].reindex(pairs.index) > rung]
        if len(pairs) < ENOUGH or pairs.nunique().min() < 2:
            continue
        rho = pairs["last"].corr(pairs["early"], method="spearman")
        if rho < AGREE:
            sentences.append(
                f"Among the finished trials of {variant}, the order at epoch {rung}, where pruning "
                f"begins, says little about the order at the end (rank correlation {rho:.2f}): "
                "good trials may have been pruned. Begin later, or use --scheduler none."
            )
    return sentences


def idle_slots(run: Run) -> list[str]:
    """Slots that mostly waited."""
    bars = explore.occupation(run)
    share = explore.utilization(run, bars)
    if len(bars) < 2 * ENOUGH or not share < 0.5:
        return []
    return [
        f"Of the time of {plural(explore.slots(run, bars), 'slot')} only {share:.0%} was used: the "
        "machine could have done more, or --concurrency was larger than what it could run."
    ]


def failing_region(run: Run) -> list[str]:
    """Failures that lie together: at one side of a range, inside it, or at one of the choices."""
    sentences: list[str] = []
    for variant in run.variants:
        trials = explore.ended(run)
        trials = trials[trials["variant"] == variant]
        failed = trials["state"] == "failed"
        if failed.sum() < 5 or (~failed).sum() < 5:
            continue
        units = explore.units(run, variant, trials)
        looks = [
            look for name in units for look in _looks(variant, str(name), units, trials, failed)
        ]
        adjusted = holm([p for _, p, _ in looks])  # over every place that was looked at
        told: dict[str, str] = {}
        for (name, _, words), p in zip(looks, adjusted, strict=True):
            if p < 0.01:
                told.setdefault(name, words)
        sentences += told.values()
    return sentences


Look = tuple[str, float, str]  # parameter, p-value of "failures are as common here", in words


def _looks(
    variant: str, name: str, units: pd.DataFrame, trials: pd.DataFrame, failed: pd.Series[bool]
) -> list[Look]:
    """Do the failures of a number lie to one side? Then each place, the most telling first."""
    place, values = units[name], trials[f"param.{name}"]
    known = values.notna()
    looks, cells = [], place
    if pd.api.types.is_numeric_dtype(place):
        cells = (place * PARTS).clip(upper=PARTS - 1) // 1
        p = float(mannwhitneyu(place[failed], place[~failed], nan_policy="omit").pvalue)
        a, b = (float(values[mask].median()) for mask in (failed, ~failed))
        told = (
            f"The failures of {variant} lie at {'high' if a > b else 'low'} {name} "
            f"(median {plain(a)}, of the others {plain(b)}): narrow its range."
        )
        looks.append((name, p, told))
    parts = [
        (name, *_more_often(variant, name, values[known], failed[known], (cells == cell)[known]))
        for cell in cells[known].unique()
    ]
    return looks + sorted(parts, key=lambda look: look[1])


def _more_often(
    variant: str, name: str, values: pd.Series[Any], failed: pd.Series[bool], here: pd.Series[bool]
) -> tuple[float, str]:
    """The one-sided p-value of Fisher's exact test (1922): failures here against elsewhere."""
    bad, all_here, other, rest = (
        int(n) for n in ((failed & here).sum(), here.sum(), (failed & ~here).sum(), (~here).sum())
    )
    table = np.array([[bad, all_here - bad], [other, rest - other]])
    p = fisher_exact(table, alternative="greater").pvalue
    seen = values[here]
    ends = [plain(seen.iloc[0])] if seen.nunique() == 1 else [plain(seen.min()), plain(seen.max())]
    where = f"{name} = {ends[0]}" if len(ends) == 1 else f"{name} from {ends[0]} to {ends[1]}"
    return float(p), (
        f"The failures of {variant} lie at {where}: {bad} of {all_here} trials failed there, "
        f"{other} of {rest} elsewhere. Leave it out, or find out why."
    )


CHECKS: tuple[Callable[[Run], list[str]], ...] = (
    unfinished,
    unequal_budgets,
    few_whole_trials,
    failed_trials,
    lost_seeds,
    few_seeds,
    at_chance,
    no_better_than_linear,
    data_subset,
    cut_grid,
    validation_gap,
    failing_region,
    best_at_border,
    settings_apart,
    pruning_risk,
    idle_parameters,
    idle_slots,
)
