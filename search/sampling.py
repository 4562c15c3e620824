"""Samplers by name. A sampler is a function of the plan and the trial it is asked for.

A new one is made for every trial, seeded by the trial's place in the plan. So nothing has to be
kept between two trials: a resumed sweep samples as if it had never stopped, and never repeats
the random numbers of its beginning.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial

from .plan import BadInput, Plan
from .points import GridSampler, SobolSampler, grid

SAMPLERS: dict[str, dict[str, Any]] = {
    # group=True models the parameters of each branch of a conditional space jointly; without it
    # Optuna's default falls back to independent sampling there.
    "tpe": {"multivariate": True, "group": True, "constant_liar": True, "n_startup_trials": 8},
    "random": {},
    "qmc": {},
    "paired": {},
    "gp": {"deterministic_objective": False, "n_startup_trials": 8},
    "cmaes": {"n_startup_trials": 8},
    "nsga2": {"population_size": 10},
    "grid": {},
}
"""Name -> settings, all of them, as plan.json freezes them. The points of `qmc` are each variant's
own; those of `paired` are the same for all, so that the k-th trials of all variants share the
values of the shared parameters. The trials before `n_startup_trials` are the first points of
`paired`: exactly so many, however many run at a time."""

LEARNING = ("tpe", "gp", "cmaes", "nsga2")
"""Those that learn from trials that have ended."""

TEACHABLE = ("tpe", "gp", "cmaes")
"""Those that learn also from trials that they have not drawn. `nsga2` breeds from its own only."""

_OPTUNA = {"tpe": TPESampler, "gp": GPSampler, "cmaes": CmaEsSampler, "nsga2": NSGAIISampler}


def check_sampler(name: str, space: dict[str, Any]) -> None:
    """Checks that a sampler can search a space.

    Args:
        name: of `SAMPLERS`.
        space: as plan.json holds it.

    Raises:
        BadInput: with every reason why it cannot, and with what can.
    """
    problems = list(_problems(name, space))
    if problems:
        raise BadInput(f"--sampler {name} cannot search {space['name']}: " + "; ".join(problems))


def _problems(name: str, space: dict[str, Any]) -> Iterator[str]:
    if name == "grid" and all(grid(space, v["name"]) == [{}] for v in space["variants"]):
        yield "it has no grid (give it `grid={name: [values]}`)"
    if name == "nsga2" and not space.get("cost"):
        yield "it has no second objective (give it `cost='metric'`)"
    if name == "cmaes" and importlib.util.find_spec("cmaes") is None:
        yield "its package is missing (pip install 'momentune[samplers]')"
    if name in ("gp", "cmaes"):
        for variant in space["variants"]:
            yield from _unordered(name, variant, space["parameters"])


def _unordered(name: str, variant: dict[str, Any], shared: dict[str, Any]) -> Iterator[str]:
    told = f"variant {variant['name']}"
    if "described" in variant["parameters"]:
        told += " draws its parameters one after the other"
        yield f"{told}, which tpe, random, qmc and paired can"
        return
    ranges = {**shared, **variant["parameters"]}
    searched = {n: p["name"] for n, p in ranges.items() if "name" in p}
    choices = [n for n, kind in searched.items() if kind == "CategoricalDistribution"]
    if name == "cmaes" and choices:
        yield f"{told} chooses {', '.join(choices)}, which has no order; tpe and gp can"
    elif name == "cmaes" and len(searched) < 2:
        yield f"{told} has fewer than two ranges"


def sampler(plan: Plan, variant: str, index: int, known: Sequence[FrozenTrial] = ()) -> BaseSampler:
    """The sampler for trial `index` of a variant's study.

    Trials that are `known` from earlier runs stand in for as many at its start-up.
    """
    options = {key: value for key, value in plan.sampler.items() if key != "name"}
    name, startup = plan.sampler["name"], options.pop("n_startup_trials", 0)
    if name == "grid":
        return GridSampler(grid(plan.space, variant)[index])
    place = index + len(known)  # and not the points that a run with this seed began with again
    if name == "paired" or place < startup:
        return SobolSampler(_seed(plan.seed), place)
    if name == "qmc":
        return SobolSampler(_seed(plan.seed, variant), place)
    own = _seed(plan.seed, variant, index)
    if name == "random":
        return RandomSampler(seed=own)
    if name != "nsga2":
        options["n_startup_trials"] = 1  # those that are still running are no reason for more
    if name == "cmaes" and known:
        options["source_trials"] = list(known)  # of its own study it hears only what it drew
    found: BaseSampler = _OPTUNA[name](seed=own, **options)
    return found


def _seed(*parts: object) -> int:
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big")
