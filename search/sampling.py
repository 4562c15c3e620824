"""Samplers by name. A sampler is a function of the plan and the trial it is asked for.

A new one is made for every trial, seeded by the trial's place in the plan. So nothing has to be
kept between two trials: a resumed sweep samples as if it had never stopped, and never repeats
the random numbers of its beginning.
"""

from __future__ import annotations

import hashlib
from typing import Any

from optuna.samplers import BaseSampler, QMCSampler, RandomSampler, TPESampler

SAMPLERS: dict[str, dict[str, Any]] = {
    # group=True models the parameters of each branch of a conditional space jointly; without it
    # Optuna's default falls back to independent sampling there.
    "tpe": {"multivariate": True, "group": True, "constant_liar": True, "n_startup_trials": 8},
    "random": {},
    "qmc": {"qmc_type": "sobol", "scramble": True},
}
"""Name -> settings, all of them, as plan.json freezes them."""


def sampler(settings: dict[str, Any], seed: int, variant: str, index: int) -> BaseSampler:
    """The sampler for trial `index` of a variant's study.

    Args:
        settings: the plan's ``sampler``: a name and its settings.
        seed: the plan's seed.
        variant: whose study asks.
        index: the trial's number in that study.
    """
    name, options = settings["name"], {k: v for k, v in settings.items() if k != "name"}
    if name == "qmc":  # one sequence for the whole study; Optuna keeps the place in it there
        return QMCSampler(seed=_seed(seed, variant), warn_independent_sampling=False, **options)
    own = _seed(seed, variant, index)
    return TPESampler(seed=own, **options) if name == "tpe" else RandomSampler(seed=own)


def _seed(*parts: object) -> int:
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big")
