"""The answer in words. Every sentence is made from the frames of `comparison`, none by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from . import comparison as compare
from .comparison import BETTER, UNDECIDED, WORSE
from .frames import rows
from .price import price
from .run import Run, label
from .statistics import ALPHA, MOST_SEEDS, paired_difference
from .wording import (
    decimals,
    interval,
    listing,
    number,
    plain,
    plural,
    probability,
    signed,
)

NO_RESULT = "no result"
Row = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """What was found on one variant: verdict, headline, and sentences on causes and cost."""

    variant: str
    verdict: str
    headline: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The question of the space, the state of the sweep, all variants in short, and each alone."""

    question: str
    status: str
    summary: str
    findings: tuple[Finding, ...]

    @property
    def text(self) -> str:
        """All sentences, one per line."""
        lines = [self.question, self.status, self.summary]
        for finding in self.findings:
            lines += [finding.headline, *finding.details]
        return "\n".join(line for line in lines if line)


def answer(run: Run) -> Answer:
    """Reads the comparison and says it in words."""
    scene = _Scene(run)
    others = [v for v in run.variants if v != run.baseline]
    findings = tuple(_finding(scene, v) for v in others) or (_baseline_alone(scene),)
    return Answer(question(run), status(run), summary(scene, others), findings)


def question(run: Run) -> str:
    """The question of the space, or a plain one where it asks none."""
    asked = run.space.get("question")
    return str(asked or f"How do {listing(run.variants)} compare in {run.metric}?")


def status(run: Run) -> str:
    """One sentence when the sweep is not finished, else nothing."""
    done, planned = compare.progress(run)
    if done >= planned:
        return ""
    return (
        f"The sweep is not finished: {done} of {planned} planned trials are done. "
        "What follows may still change."
    )


def summary(scene: _Scene, others: list[str]) -> str:
    """Several variants in two sentences: who is better or worse, and whose mean is best.

    Of a finished sweep without any result, that there is none.
    """
    if not status(scene.run) and not any(row["seeds"] for row in scene.contenders.values()):
        return "There is no answer: no variant has a confirmed result."
    base, known = scene.run.baseline, [v for v in others if scene.contenders[v]["seeds"]]
    if len(others) < 2 or not known or not scene.contenders[base]["seeds"]:
        return ""
    told = {
        kind: [v for v in known if scene.verdict(v, base) == kind]
        for kind in (BETTER, WORSE, UNDECIDED)
    }
    parts = [
        f"{listing(told[kind])} {'is' if len(told[kind]) == 1 else 'are'} {kind} than {base}"
        for kind in (BETTER, WORSE)
        if told[kind]
    ]
    clear = ", ".join(parts) or f"There is not enough evidence that any differs from {base}"
    open_ = (
        f"; not enough evidence on {listing(told[UNDECIDED])}" if parts and told[UNDECIDED] else ""
    )
    best = max([base, *known], key=lambda v: scene.run.sign * scene.contenders[v]["test"])
    mean = number(scene.contenders[best]["test"], scene.digits)
    said = f"{clear}{open_}. The best mean is that of {best}, test {scene.run.metric} {mean}"
    if len(told[BETTER]) < 2 or best not in told[BETTER]:
        return f"{said}, which by itself is no verdict."
    return f"{said}; {_ahead(scene, told[BETTER])}"


def _ahead(scene: _Scene, better: list[str]) -> str:
    """Does the best of the variants that are better also beat the second of them?"""
    gains = compare.confirmed_gains(scene.run)
    first, second = sorted(better, key=lambda v: -gains[v].mean())[:2]
    found, pairs = paired_difference(gains[first], gains[second]), math.comb(len(better), 2)
    p, bounds = min(1.0, found.p * pairs), interval(found.low, found.high, scene.digits)
    size = f"{signed(found.mean, scene.digits)} {bounds}".rstrip()
    words = (
        "it is better than" if p < ALPHA else "there is not enough evidence that it differs from"
    )
    among = f", corrected for {pairs} pairs" if pairs > 1 else ""
    return (
        f"{words} {second}, the second best: gain {size}, {plural(found.n, 'seed')} "
        f"(paired t-test, p = {probability(p)}{among})."
    )


class _Scene:
    """The frames that the sentences are made from, computed once, and how numbers are written."""

    def __init__(self, run: Run) -> None:
        self.run = run
        contenders, differences = compare.contenders(run), compare.differences(run)
        self.digits = metric_digits(contenders, differences)
        self.contenders = {row["contender"]: row for row in rows(contenders)}
        self.differences = {(row["left"], row["right"]): row for row in rows(differences)}

    def gain(self, left: str, right: str) -> str:
        """+0.012 [0.003, 0.021], 5 seeds."""
        row = self.differences[left, right]
        bounds = interval(row["low"], row["high"], self.digits)
        size = f"{signed(row['gain'], self.digits)} {bounds}".rstrip()
        return f"{size}, {plural(int(row['seeds']), 'seed')}"

    def lost(self, *names: str) -> str:
        """2 of 5 seeds have no result; empty where all of these contenders ended well."""
        gone = compare.lost_seeds(self.run)
        n = len(set().union(*(gone.get(name, set()) for name in names)))
        have = "has" if n == 1 else "have"
        return f"{n} of {plural(self.run.plan['seeds'], 'seed')} {have} no result" if n else ""

    def verdict(self, left: str, right: str) -> str:
        return str(self.differences[left, right]["verdict"])

    def means(self, left: str, right: str) -> str:
        """Test accuracy 0.953 against 0.941, over the seeds that both have."""
        row = self.differences[left, right]
        a, b = (number(row[side], self.digits) for side in ("test_left", "test_right"))
        return f"test {self.run.metric} {a} against {b}"


def metric_digits(contenders: pd.DataFrame, differences: pd.DataFrame) -> int:
    """Decimals in which this run's metric is written, everywhere in its report."""
    widths = (differences["high"] - differences["low"]) / 2
    return decimals(contenders["test"].tolist(), widths.tolist())


def _finding(scene: _Scene, variant: str) -> Finding:
    base = scene.run.baseline
    for name in (variant, base):
        if scene.contenders[name]["seeds"] == 0:
            return _without_result(scene.run, variant, name)
    verdict = scene.verdict(variant, base)
    return Finding(
        variant=variant,
        verdict=verdict,
        headline=_headline(scene, variant, verdict),
        details=tuple(
            filter(
                None,
                (
                    *_reservation(scene, variant),
                    *_causes(scene, variant),
                    price(scene.run, *(scene.contenders[v] for v in (variant, base))),
                ),
            )
        ),
    )


def _headline(scene: _Scene, variant: str, verdict: str) -> str:
    base = scene.run.baseline
    numbers = f"{scene.means(variant, base)}, gain {scene.gain(variant, base)}"
    if lost := scene.lost(variant, base):
        return f"Whether {variant} differs from {base} is open: {lost}, so no verdict: {numbers}."
    if verdict == UNDECIDED:
        return f"There is not enough evidence that {variant} differs from {base}: {numbers}."
    return f"{variant} is {verdict} than {base}: {numbers}."


def _reservation(scene: _Scene, variant: str) -> list[str]:
    """Why a gain that looks clear, or any gain at all, could not be judged."""
    row = scene.differences[variant, scene.run.baseline]
    n = int(row["seeds"])
    if row["lost"]:
        return ["The means are over the seeds that both have; a failed one might be the worst."]
    if n < 2:
        return [
            f"With {plural(n, 'seed')} in common no interval can be given; it takes at least 2."
        ]
    if math.isnan(row["low"]):
        return ["Every seed gave the same difference, so there is no spread to judge it by."]
    if row["verdict"] == UNDECIDED and row["low"] * row["high"] > 0:
        return [
            "The interval alone leaves out zero, but not after Holm's correction for "
            f"{plural(int(row['compared']), 'comparison')} with {scene.run.baseline} "
            f"(p = {row['p_holm']:.3f})."
        ]
    if row["verdict"] != UNDECIDED or row["gain"] == 0:
        return []
    if pd.isna(row["seeds_needed"]):
        return [f"To see an effect of this size would take more than {MOST_SEEDS:,} seeds."]
    needed = int(row["seeds_needed"])
    return [_outlook(needed, n)] if needed > n else []


def _outlook(needed: int, n: int) -> str:
    """How many seeds would settle it: a plan, since the effect's size is itself an estimate."""
    return (
        f"To see an effect of this size with power 0.8 would take about {plural(needed, 'seed')}, "
        f"{needed - n:,} more."
    )


def _causes(scene: _Scene, variant: str) -> list[str]:
    controls = scene.run.controls(variant)
    return [s for c, over in controls.items() for s in _cause(scene, variant, c, over)]


def _cause(scene: _Scene, variant: str, control: str, override: dict[str, Any]) -> list[str]:
    """Is the gain due to what the control switches off?"""
    name, base = label(variant, control), scene.run.baseline
    idea, known = _idea(control, override), f"its control {control} ({described(override)})"
    if scene.contenders[name]["seeds"] == 0:
        return [f"Whether {idea} matters is open: {known} has no result."]
    against, gain = scene.verdict(variant, name), scene.gain(variant, name)
    won = scene.verdict(variant, base) == BETTER
    template = _CAUSE[won, against]
    row = scene.differences[variant, name]
    p = float(row["p_equivalent"])
    if lost := scene.lost(name):
        return [f"Whether {idea} matters is open: with {known}, {lost}, so no verdict."]
    if lost := scene.lost(variant):
        return [
            f"Whether {idea} matters is open: of {variant} itself, {lost}, so no verdict "
            f"against {known}."
        ]
    if against == UNDECIDED and row["low"] * row["high"] > 0:
        template = _NOT_CREDITED if won else _TAKEN_BACK
    if won and against == UNDECIDED and p < ALPHA:
        template = _AS_GOOD
    if won and against == BETTER and not _beats_all_controls(scene, variant):
        template = _ONE_OF_SEVERAL
    part = "part of the gain" if scene.verdict(name, base) == BETTER else "the gain"
    words = {"idea": idea, "known": known, "gain": gain, "variant": variant, "part": part}
    words["adjusted"] = f"p = {probability(float(row['p_holm']))}"
    words["p"] = "p < 0.001" if p < 0.001 else f"p = {probability(p)}"
    first = template.format(**words)
    return [first[0].upper() + first[1:], *_rest(scene, variant, control, override)]


_CAUSE = {
    (True, BETTER): "{part} is due to {idea}: {variant} also beats {known}, gain {gain}.",
    (
        True,
        UNDECIDED,
    ): "the gain cannot be credited to {idea} on this evidence: whether {known} does "
    "as well is open, difference {gain}.",
    (True, WORSE): "the gain is not due to {idea}, which takes some of it away: {known} is better "
    "still, difference {gain}.",
    (False, BETTER): "{idea} does help: against {known} the gain is {gain}.",
    (False, UNDECIDED): "no effect of {idea} was shown either: against {known} the difference is "
    "{gain}.",
    (False, WORSE): "{idea} does harm: {known} is better, difference {gain}.",
}


_AS_GOOD = (
    "the gain is not mainly due to {idea}: {known} keeps more than half of it (equivalence test, "
    "{p}), difference {gain}."
)
_TAKEN_BACK = (
    "{idea} may matter: against {known} the difference is {gain}, whose interval leaves out zero, "
    "but not after Holm's correction ({adjusted})."
)
_NOT_CREDITED = (
    "the gain cannot be credited to {idea} on this evidence: against {known} the difference is "
    "{gain}, whose interval leaves out zero, but not after Holm's correction ({adjusted})."
)
_ONE_OF_SEVERAL = (
    "against {known} the gain is {gain}; but it is credited only when every control is beaten."
)


def _beats_all_controls(scene: _Scene, variant: str) -> bool:
    controls = scene.run.controls(variant)
    return all(scene.verdict(variant, label(variant, c)) == BETTER for c in controls)


def _rest(scene: _Scene, variant: str, control: str, override: dict[str, Any]) -> list[str]:
    """What the control itself gains or loses: the part that the rest of the variant answers for."""
    name, base = label(variant, control), scene.run.baseline
    verdict = scene.verdict(name, base)
    if verdict == UNDECIDED:
        return []
    own = scene.run.variant(variant).get("parameters") or {}
    untold = "described" in own or "described" in override  # which parameters a function sets
    left = [] if untold else [p for p in own if p not in override]
    rest = f"the rest of {variant}" + (f" ({listing(left)})" if left else "")
    if verdict == WORSE:
        said = f"The control itself is worse than {base}, gain {scene.gain(name, base)}"
        if scene.verdict(variant, base) == WORSE and scene.verdict(variant, name) == UNDECIDED:
            idea = _idea(control, override)
            return [f"{said}: that {variant} is worse is not shown to be due to {idea}."]
        return [f"{said}."]
    return [
        f"The control itself beats {base}, gain {scene.gain(name, base)}: "
        f"this part comes from {rest}.",
        *_corrected_apart(scene, variant, name),
    ]


def _corrected_apart(scene: _Scene, variant: str, control: str) -> list[str]:
    """Why a control is called better and its variant is not, where only Holm stands between."""
    base = scene.run.baseline
    own, its = scene.differences[variant, base], scene.differences[control, base]
    if own["verdict"] != UNDECIDED or own["lost"] or not own["p"] < ALPHA:
        return []
    return [
        f"Only Holm's correction, for {plural(int(its['compared']), 'control')} and "
        f"{plural(int(own['compared']), 'variant')}, makes it better and leaves {variant} open: "
        f"before it p is {its['p']:.3f} and {own['p']:.3f}."
    ]


def _idea(control: str, override: dict[str, Any]) -> str:
    """What a control is without: by its name, `no_division`, or else by what it sets."""
    if control.startswith("no_"):
        return control.removeprefix("no_").replace("_", " ")
    if not override or "described" in override:
        return f"what {control} switches off"
    return listing(override)


def described(override: dict[str, Any]) -> str:
    """A control in words: `momentum = 0, everything else the same`."""
    if "described" in override:
        return str(override["described"]).rstrip(".")
    changes = [f"{name} = {plain(value)}" for name, value in override.items()]
    return ", ".join([*changes, "everything else the same"])


def _baseline_alone(scene: _Scene) -> Finding:
    row = scene.contenders[scene.run.baseline]
    if row["seeds"] == 0:
        return _without_result(scene.run, scene.run.baseline, scene.run.baseline)
    bounds = interval(row["low"], row["high"], scene.digits)
    size = f"{number(row['test'], scene.digits)} {bounds}".rstrip()
    told = f"{scene.run.baseline}: test {scene.run.metric} {size}"
    return Finding(
        variant=scene.run.baseline,
        verdict=UNDECIDED,
        headline=f"{told}, {plural(int(row['seeds']), 'seed')}; there is no other variant.",
    )


def _without_result(run: Run, variant: str, missing: str) -> Finding:
    """There is nothing to compare: says which side is missing, and why."""
    whose = "" if variant == missing else f", because the baseline {missing} has none"
    return Finding(
        variant=variant,
        verdict=NO_RESULT,
        headline=f"No result for {variant}{whose}: {_why_missing(run, missing)}.",
    )


def _why_missing(run: Run, variant: str) -> str:
    trials = run.trials[(run.trials["variant"] == variant) & run.trials["control"].isna()]
    for phase in ("confirm", "search"):
        ended = trials[(trials["phase"] == phase) & trials["state"].isin(compare.DONE)]
        if len(ended) and (ended["state"] == "FAIL").all():
            every = f"all {len(ended)}" if len(ended) > 1 else "the only"
            return f"{every} {phase} trial{'s' if len(ended) > 1 else ''} failed ({reasons(ended)})"
        if len(ended):
            break
    search = trials.loc[trials["phase"] == "search", "state"]
    complete = int((search == "COMPLETE").sum())
    if not complete and len(search) and search.isin(compare.DONE).all():
        counts = search.str.lower().value_counts().items()
        states = ", ".join(f"{count} {state}" for state, count in counts)
        return f"no search trial reached the end of its training ({states})"
    return f"{plural(complete, 'search trial')} completed so far, none confirmed"


def reasons(failed: pd.DataFrame) -> str:
    """How often each reason occurs: `diverged 3, oom 1`."""
    counts = failed["reason"].fillna("reason not told").value_counts()
    return ", ".join(f"{reason} {count}" for reason, count in counts.items())
