"""Two objectives at a time: which trials are efficient, and how much they dominate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def efficient(gain: npt.ArrayLike, cost: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which points no other point beats: more gain at no more cost, or less cost at no less gain.

    Args:
        gain: (N,) to be maximized.
        cost: (N,) to be minimized.
    """
    g, c = np.asarray(gain, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    order = np.lexsort((-g, c))  # cheapest first, of equals the best first
    best = np.maximum.accumulate(np.concatenate([[-np.inf], g[order]]))[:-1]
    kept = g[order] > best
    same = (np.diff(g[order], prepend=np.nan) == 0) & (np.diff(c[order], prepend=np.nan) == 0)
    for place in np.flatnonzero(same):
        kept[place] = kept[place - 1]  # a twin of an efficient point is efficient too
    mask = np.zeros(g.shape, dtype=np.bool_)
    mask[order] = kept
    return mask


def hypervolume(gain: npt.ArrayLike, cost: npt.ArrayLike, reference: tuple[float, float]) -> float:
    """Area that the points dominate, seen from a reference of little gain and much cost.

    Zitzler and Thiele, "Multiobjective Optimization Using Evolutionary Algorithms", PPSN V, 1998.

    Args:
        gain: (N,) to be maximized.
        cost: (N,) to be minimized.
        reference: gain and cost of the reference point; points no better than it add nothing.
    """
    g, c = np.asarray(gain, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    floor, ceiling = reference
    inside = (g > floor) & (c < ceiling)
    order = np.argsort(c[inside], kind="stable")
    heights = np.maximum.accumulate(g[inside][order]) - floor
    widths = np.diff(c[inside][order], append=ceiling)
    return float(heights @ widths)
