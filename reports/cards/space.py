"""Cards on parameters, budgets, costs and slots."""

from __future__ import annotations

import pandas as pd

from .. import comparison as compare
from .. import exploration as explore
from ..card import Card
from ..charts import space as charts
from ..run import Run
from ..wording import listing, plain, titled
from .writing import MOST, axis, thinned, thinning

MOST_LINES = 400  # of one variant in parallel coordinates


def parallel(run: Run) -> Card | None:
    """Every trial as a line across its parameters."""
    title, parts = "Parallel coordinates", []
    order: list[str] = []
    for variant in run.variants:
        trials = explore.ended(run)
        trials = trials[(trials["variant"] == variant) & trials["value"].notna()]
        place = _places(explore.units(run, variant, trials))
        if place.shape[1] < 2 or len(trials) < 2:
            continue
        order += [str(name) for name in place if name not in order]
        parts.append(_polylines(run, variant, trials, place))
    if not parts:
        return None
    lines = pd.concat(parts, ignore_index=True)
    ticks = _ends(run, lines)
    finding = "One line per search trial; those of the best tenth of each variant stand out."
    chart = charts.parallel(lines, ticks, order, run.variants)
    return Card(title, finding, lines, chart)


def _places(units: pd.DataFrame) -> pd.DataFrame:
    """Choices get evenly spaced places."""
    places = {}
    for name, column in units.items():
        if column.dtype.kind not in "fiu":
            codes, texts = pd.factorize(column, sort=True)
            column = pd.Series(codes / max(1, len(texts) - 1), units.index).where(codes >= 0)
        places[str(name)] = column
    return pd.DataFrame(places, index=units.index)


def _polylines(run: Run, variant: str, trials: pd.DataFrame, place: pd.DataFrame) -> pd.DataFrame:
    score = explore.scores(run, trials)
    good = score.rank(ascending=False, method="first") <= max(1, round(len(trials) / 10))
    shown = thinned(trials, run, MOST_LINES).index
    long = place.loc[shown].rename_axis("row").reset_index()
    long = long.melt("row", var_name="parameter", value_name="place").dropna(subset="place")
    row = long["row"]
    at = [trials.at[r, f"param.{p}"] for r, p in zip(row, long["parameter"], strict=True)]
    return pd.DataFrame(
        {
            "variant": variant,
            "trial": trials.loc[row, "trial"].to_numpy(),
            "parameter": long["parameter"],
            "place": long["place"].astype("float64"),
            "at": [plain(value) for value in at],
            "value": trials.loc[row, "value"].to_numpy(),
            "good": good.loc[row].to_numpy(),
        }
    )


def _ends(run: Run, lines: pd.DataFrame) -> pd.DataFrame:
    """What the lower and the upper end of each axis stand for."""
    ends = []
    for (variant, name), _ in lines.groupby(["variant", "parameter"], sort=False):
        attributes = compare.searched(run, str(variant))[str(name)]["attributes"]
        choices = sorted(map(str, attributes.get("choices", ())))
        low, high = (choices[0], choices[-1]) if choices else map(plain, _range(attributes))
        for place, text in ((0.0, low), (1.0, high)):
            ends.append({"variant": variant, "parameter": name, "place": place, "text": text})
    return pd.DataFrame(ends)


def _range(attributes: dict[str, float]) -> tuple[float, float]:
    return attributes["low"], attributes["high"]


def importance(run: Run) -> Card:
    """Which parameters tell the best trials from all."""
    title, parts = "Importance of the parameters", explore.importances(run)
    if parts.empty:
        few = (
            f"Too few trials to tell: it takes {explore.ENOUGH} search trials with a value, "
            "and no variant has them."
        )
        return Card(title, few, parts)
    first = parts[parts["beyond_chance"]].groupby("variant", sort=False).first()
    told = listing([f"{p} for {v}" for v, p in first["parameter"].items()] or ["none"])
    finding = (
        f"What most tells a variant's best tenth of trials from all of them: {told}. "
        "Shares by PED-ANOVA; lines run from the 5% to the 95% quantile over bootstrap samples of "
        "the trials; pale bars are no more than chance would give."
    )
    return Card(title, finding, parts, charts.importances(parts, run.variants))


def budget(run: Run) -> Card | None:
    """The best value to expect from a budget of so many trials."""
    title, frame = "Expected best against budget", explore.expected(run)
    name = (run.plan.get("sampler") or {}).get("name")
    pruned = explore.pruned_early(run)
    left_out = (
        f"Not valid for {listing(pruned)}, so left out: some of these trials were pruned, and "
        "their final values are not known (--scheduler none lets all end). "
        if pruned
        else ""
    )
    if frame.empty:
        return Card(title, left_out.strip(), frame) if pruned else None
    adaptive = name not in explore.INDEPENDENT
    whose = (
        f"The sampler {name} learns from trial to trial, so only its independent start-up trials "
        "are used: the curve tells what random search would give."
        if adaptive
        else f"The sampler {name} draws trials independently, so the estimate is valid."
    )
    chart = charts.budget(frame, run.variants, axis(run))
    return Card(title, f"{left_out}{whose} Unbiased estimator of Tang et al. (2020).", frame, chart)


def front(run: Run) -> Card | None:
    """Value against the space's second metric, and what no other trial beats."""
    if not run.cost:
        return None
    cost = titled(run.cost)
    title = f"{axis(run).capitalize()} against {cost}"
    every = explore.front(run)
    if every.empty:
        return Card(title, f"No completed search trial has told its {cost} yet.", every)
    volumes = explore.hypervolumes(run, every)
    told = listing([f"{v} {share:.0%}" for v, share in volumes.items()] or [""])
    kept = every[every["efficient"]]
    rest = thinned(every[~every["efficient"]], run, MOST)
    points = pd.concat([kept, rest]).sort_values(["variant", "cost"], ignore_index=True)
    box = f"Dominated share of the box around all trials: {told}. " if told else ""
    finding = (
        f"{box}The line joins the trials that no other trial of the variant beats in both."
        f"{thinning(len(points), len(every))}"
    )
    return Card(title, finding, points, charts.front(points, run.variants, axis(run), cost))


def slots(run: Run) -> Card | None:
    """What ran when, and how busy the slots were."""
    bars = explore.occupation(run)
    if bars.empty:
        return None
    share, title = explore.utilization(run, bars), "Time line of the slots"
    finding = f"{share:.0%} of the slots' time was used, but for pauses of over 5 minutes. "
    finding = finding if share == share else ""
    if len(bars) > MOST // 2:
        frame = explore.occupation_by_time(bars)
        note = f"{len(bars):,} trials are too many for bars; shown is how many slots were busy."
        return Card(title, finding + note, frame, charts.busy(frame, run.variants))
    note = "Pale bars are the search, full ones the confirmation."
    return Card(title, finding + note, bars, charts.slots(bars, run.variants))
