"""Estimates over the trials of one search: what a budget buys, and which parameters matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaln

from .seeds import Floats

TOP = 0.1  # share of the trials that count as good
CELLS = 50  # of the grid that densities are compared on
SPREAD = 0.1  # share of a density that is uniform


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
    cells: pd.DataFrame, scores: npt.ArrayLike, top: float = TOP, resamples: int = 100
) -> list[Importance]:
    r"""Which parameters tell the best trials from all: PED-ANOVA, with its stability.

    The Pearson divergence between where the top trials lie and where all trials lie, one parameter
    at a time: $\sum_x p(x) (p_{top}(x) / p(x) - 1)^2$. Because it compares with where the search
    looked, it stands on adaptive searches too. A parameter that only some trials have is judged
    among those. Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter
    Importance in Arbitrary Subspaces", IJCAI 2023.

    Args:
        cells: one column per parameter: a number in [0, 1], or the text of a choice; missing where
            a trial does not have it.
        scores: (N,), higher is better.
        top: share of the trials that count as good.
        resamples: bootstrap samples, and blind draws.
    """
    v, rng = np.asarray(scores, dtype=np.float64), np.random.default_rng(0)
    grids = {str(name): _Grid(column) for name, column in cells.items()}
    good = _good(v, top)
    found = np.array([grid.divergence(good) for grid in grids.values()])
    draws = [rng.integers(0, v.size, v.size) for _ in range(resamples)]
    again = np.array(
        [[g.divergence(_good(v[d], top), d) for g in grids.values()] for d in draws]
    ).reshape(resamples, len(grids))
    blind = np.array(
        [[g.divergence(rng.permutation(good)) for g in grids.values()] for _ in range(resamples)]
    ).reshape(resamples, len(grids))
    low, high = np.quantile(_shares(again), [0.05, 0.95], axis=0)
    chance = np.quantile(blind, 0.95, axis=0)
    columns = zip(grids, _shares(found[None])[0], low, high, chance, found, strict=True)
    named = [Importance(name, *map(float, values)) for name, *values in columns]
    return sorted(named, key=lambda part: -part.share)


def _good(scores: Floats, top: float) -> npt.NDArray[np.bool_]:
    """The best trials: the given share of them, two at least; ties fall by order."""
    mask = np.zeros(scores.size, dtype=np.bool_)
    mask[np.argsort(-scores, kind="stable")[: max(2, round(top * scores.size))]] = True
    return mask


def _shares(divergences: Floats) -> Floats:
    total = divergences.sum(axis=1, keepdims=True)
    shares: Floats = np.where(total > 1e-12, divergences / np.maximum(total, 1e-12), 0.0)
    return shares


class _Grid:
    """One parameter's trials on a grid, and the two densities on it."""

    def __init__(self, column: pd.Series[Any]) -> None:
        self.present = column.notna().to_numpy()
        if column.dtype.kind in "fiu":
            unit = column.fillna(0).to_numpy(dtype=np.float64)
            self.cell = np.clip((unit * CELLS).astype(np.int64), 0, CELLS - 1)
            self.size, self.ordered = CELLS, True
        else:
            codes, names = pd.factorize(column)
            self.cell, self.size, self.ordered = np.maximum(codes, 0), len(names), False

    def divergence(
        self, good: npt.NDArray[np.bool_], drawn: npt.NDArray[np.int64] | None = None
    ) -> float:
        cell, present = self.cell, self.present
        if drawn is not None:
            cell, present = cell[drawn], present[drawn]
        every = self._density(cell[present])
        top = self._density(cell[present & good])
        return float(np.sum(every * (top / every - 1.0) ** 2))

    def _density(self, cell: npt.NDArray[np.int64]) -> Floats:
        """A smoothed histogram, a part of it spread over all cells so that none is empty."""
        counts = np.bincount(cell, minlength=self.size).astype(np.float64)
        if self.ordered and cell.size:
            counts = counts @ _kernel(_bandwidth(cell))
        density: Floats = (1 - SPREAD) * counts / max(cell.size, 1) + SPREAD / self.size
        return density


def _bandwidth(cell: npt.NDArray[np.int64]) -> float:
    """Scott's rule in cells, half a cell at least."""
    width: float = max(0.5, float(cell.std()) * cell.size**-0.2)
    return width


def _kernel(width: float) -> Floats:
    """Row i spreads a trial of cell i over its neighbours, within the grid."""
    at = np.arange(CELLS)
    weights = np.exp(-0.5 * ((at[:, None] - at) / width) ** 2)
    spread: Floats = weights / weights.sum(axis=1, keepdims=True)
    return spread
