"""Samplers that know all their points before the first trial: a grid, and a low-discrepancy one.

Trial `k` of a study takes point `k`, and nothing else matters: not what ran before, not which trial
ended first, not how often the sweep was interrupted. Optuna's own GridSampler and QMCSampler keep
their place in the study, the first without an end under ask and tell, the second with a first trial
that is drawn at random, and neither can do with conditions.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from scipy.stats import qmc

Point = dict[str, Any]

_DIMENSIONS = 64  # parameters beyond them take the coordinates again
_BLOCK = 256


class _PointSampler(BaseSampler):
    """Draws each parameter when it is asked for."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}


class GridSampler(_PointSampler):
    """One point of a grid; what the grid does not name sits in the middle of its range.

    Args:
        point: the values by name.
    """

    def __init__(self, point: Point) -> None:
        self._point = point

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The point's value."""
        from ..spaces import middle  # which takes seconds to import, and `status` needs none

        return self._point.get(param_name, middle(param_distribution))


class SobolSampler(_PointSampler):
    """One point of a scrambled Sobol sequence.

    The n-th parameter that a trial asks for takes the n-th coordinate. A space asks for shared
    parameters first. So with one seed for all variants (`paired`), their k-th trials share the
    values of the shared parameters, and the variants are compared pair by pair.

    Args:
        seed: of the scrambling; it names the sequence.
        index: of the point, from 0.
    """

    def __init__(self, seed: int, index: int) -> None:
        self._point = _sobol(seed, index // _BLOCK)[index % _BLOCK]

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value at the coordinate that is next in this trial."""
        return at(param_distribution, float(self._point[len(trial.params) % _DIMENSIONS]))


def grid(space: dict[str, Any], variant: str) -> list[Point]:
    """Every combination of the values in a space's grid and in that of one of its variants.

    Args:
        space: as plan.json holds it.
        variant: whose. Without any grid there is one point, which names no value.
    """
    own = next(v for v in space["variants"] if v["name"] == variant)
    values = {**space.get("grid", {}), **own.get("grid", {})}
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]


def at(distribution: BaseDistribution, place: float) -> Any:
    """The value at a place in [0, 1) of a range; of steps and choices, equally many places each."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices[int(place * len(choices))]
        case IntDistribution(low=low, high=high, log=True):
            return min(high, max(low, round(_between(low - 0.5, high + 0.5, place, log=True))))
        case IntDistribution(low=low, high=high, step=step):
            return low + step * int(place * ((high - low) // step + 1))
        case FloatDistribution(low=low, high=high, log=log, step=None):
            return min(high, max(low, _between(low, high, place, log=log)))
        case FloatDistribution(low=low, high=high, step=step) if step is not None:
            return low + step * int(place * (round((high - low) / step) + 1))
    raise TypeError(f"{distribution!r} must be a Float, an Int or a Choice")


def _between(low: float, high: float, place: float, *, log: bool) -> float:
    if log:
        return math.exp(_between(math.log(low), math.log(high), place, log=False))
    return low + place * (high - low)


@lru_cache(maxsize=4)
def _sobol(seed: int, block: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    sequence = qmc.Sobol(_DIMENSIONS, rng=np.random.default_rng(seed))
    if block:
        sequence.fast_forward(block * _BLOCK)
    return np.asarray(sequence.random(_BLOCK))
