"""Estimates over the trials of one search: what a budget buys, and which parameters matter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaln, ndtr

from .seeds import Floats

TOP = 0.1  # share of the trials that count as good
Whole = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def expected_best(scores: npt.ArrayLike) -> Floats:
    r"""Expected best of n random trials, for n = 1 … N, by the unbiased estimator.

    The mean of the best over all subsets of size n: with scores sorted upwards,
    $\sum_i \binom{i-1}{n-1} / \binom{N}{n}\, v_{(i)}$. Valid for trials drawn independently (random
    or quasi-random search) only. Tang et al., "Showing Your Work Doesn't Always Work", ACL 2020,
    which corrects the biased form of Dodge et al., EMNLP 2019.

    Args:
        scores: (N,), higher is better.
    """
    v = np.sort(np.asarray(scores, dtype=np.float64))
    n = v.size
    ranks = np.arange(1, n + 1)
    best = np.empty(n)
    for size in range(1, n + 1):  # row by row: N x N weights would not fit for many trials
        i = ranks[size - 1 :]
        chance = np.exp(_log_choose(i - 1, size - 1) - _log_choose(n, size))
        best[size - 1] = chance @ v[size - 1 :]
    return best


def _log_choose(n: Any, k: int) -> Any:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


@dataclass(frozen=True)
class Grid:
    """The places on which the densities of one parameter are compared.

    Attributes:
        size: how many; of a choice, one for each.
        ordered: do neighbours resemble each other? Not those of a choice.
    """

    size: int
    ordered: bool


@dataclass(frozen=True)
class Importance:
    """One parameter's share of what tells good trials from all.

    Attributes:
        parameter: its name.
        share: of the importances of all parameters.
        low: 5% quantile of the share over bootstrap samples of the trials.
        high: 95% quantile.
        chance: 95% quantile of the divergence when the good trials are drawn blindly.
        divergence: the importance itself, before it is made a share.
    """

    parameter: str
    share: float
    low: float
    high: float
    chance: float
    divergence: float


def importance(
    places: pd.DataFrame,
    grids: Mapping[str, Grid],
    scores: npt.ArrayLike,
    top: float = TOP,
    resamples: int = 100,
) -> list[Importance]:
    r"""Which parameters tell the best trials from all: PED-ANOVA, with its stability.

    The Pearson divergence between where the top trials lie and where all trials lie, one parameter
    at a time: $\gamma^2 \, \alpha^2 / \beta \sum_x p(x) (p_{top}(x) / p(x) - 1)^2$, where
    $\gamma$ is the share of top trials, and $\alpha$, $\beta$ those of the top trials and of all
    that have the parameter. Because it compares with where the search looked, it stands on
    adaptive searches too. Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying
    Hyperparameter Importance in Arbitrary Subspaces", IJCAI 2023; for parameters that only some
    trials have, "Conditional PED-ANOVA", arXiv:2601.20800. The numbers are those of Optuna's
    `PedAnovaImportanceEvaluator` on the same trials.

    Args:
        places: one column per parameter: where on its grid a trial lies, from 0; missing where a
            trial does not have it.
        grids: of each column.
        scores: (N,), higher is better.
        top: share of the trials that count as good.
        resamples: bootstrap samples, and blind draws.
    """
    v, rng = np.asarray(scores, dtype=np.float64), np.random.default_rng(0)
    axes = [_Axis(places[name], grids[str(name)]) for name in places]
    good = _good(v, top)
    found = np.array([axis.divergence(good) for axis in axes])
    draws = [rng.integers(0, v.size, v.size) for _ in range(resamples)]
    again = np.array([[a.divergence(_good(v[d], top), d) for a in axes] for d in draws])
    blind = np.array(
        [[a.divergence(rng.permutation(good)) for a in axes] for _ in range(resamples)]
    )
    low, high = np.quantile(_shares(again.reshape(resamples, -1)), [0.05, 0.95], axis=0)
    chance = np.quantile(blind.reshape(resamples, -1), 0.95, axis=0)
    columns = zip(places, _shares(found[None])[0], low, high, chance, found, strict=True)
    named = [Importance(str(name), *map(float, values)) for name, *values in columns]
    return sorted(named, key=lambda part: -part.share)


def _good(scores: Floats, top: float) -> Mask:
    """The given share of the trials, rounded up, and all that are as good as the last of them."""
    last = math.ceil(top * scores.size) - 1
    mask: Mask = -scores <= np.partition(-scores, last)[last]
    return mask


def _shares(divergences: Floats) -> Floats:
    total = divergences.sum(axis=1, keepdims=True)
    shares: Floats = np.where(total > 1e-12, divergences / np.maximum(total, 1e-12), 0.0)
    return shares


class _Axis:
    """One parameter's trials on its grid, and the densities on it."""

    def __init__(self, column: pd.Series[Any], grid: Grid) -> None:
        self.present = column.notna().to_numpy()
        self.place = column.fillna(0).to_numpy(dtype=np.int64)
        self.grid = grid

    def divergence(self, good: Mask, drawn: Whole | None = None) -> float:
        """Of the good trials from all of them, or from those that were drawn."""
        place, present = self.place, self.present
        if drawn is not None:
            place, present = place[drawn], present[drawn]
        top = present & good
        if self.grid.size < 2 or present.sum() < 2 or not top.any():
            return 0.0
        inner, outer = self._density(place[top]), self._density(place[present])
        weight = good.mean() ** 2 * (top.sum() / good.sum()) ** 2 / present.mean()
        return float(weight * (outer @ (inner / outer - 1.0) ** 2))

    def _density(self, place: Whole) -> Floats:
        """A Parzen estimate: a kernel at each place that was seen, and a wide one for all others.

        Each place weighs as often as it was seen, the wide kernel as one trial.
        """
        counts = np.bincount(place, minlength=self.grid.size)
        seen = np.flatnonzero(counts)
        kernels = self._smooth(seen, counts[seen]) if self.grid.ordered else self._choice(seen)
        weights = np.append(counts[seen], 1.0)
        density: Floats = (weights / weights.sum()) @ kernels + 1e-12
        return density

    def _choice(self, seen: Whole) -> Floats:
        """The choice itself, a little of it spread over all."""
        n = self.grid.size
        kernels = np.full((seen.size + 1, n), 1 / (seen.size + 1))
        kernels[np.arange(seen.size), seen] += 1.0
        shares: Floats = kernels / kernels.sum(axis=1, keepdims=True)
        return shares

    def _smooth(self, seen: Whole, counts: Whole) -> Floats:
        """Normal masses of the grid's cells, cut off at its ends."""
        n = self.grid.size
        centres = np.append(seen, (n - 1) / 2)[:, None]
        widths = np.append(np.full(seen.size, _bandwidth(seen, counts)), n)[:, None]
        edges = ndtr((np.arange(n + 1) - 0.5 - centres) / widths)
        masses: Floats = np.diff(edges, axis=1) / (edges[:, -1:] - edges[:, :1])
        return masses


def _bandwidth(seen: Whole, counts: Whole) -> float:
    """Scott's rule in cells; at its least a kernel keeps nine tenths to its own cell."""
    n = int(counts.sum())
    mean = seen @ counts / n
    deviation = math.sqrt((seen - mean) ** 2 @ counts / max(1, n - 1))
    below = np.cumsum(counts)
    upper = min(seen.size - 1, int(np.searchsorted(below, n * 3 // 4, side="right")))
    between = seen[upper] - seen[np.searchsorted(below, n // 4)]
    return float(max(1.059 * min(between / 1.34, deviation) * n**-0.2, 0.5 / 1.64))
