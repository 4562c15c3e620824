"""Estimates, short and on scipy: over seeds, over tasks, and over the trials of a search."""

from .objectives import efficient, hypervolume
from .search import Grid, expected_best, importance
from .seeds import (
    ALPHA,
    MOST_SEEDS,
    Estimate,
    bootstrap_interval,
    equivalence,
    holm,
    mean_interval,
    paired_difference,
    rank_test,
    seeds_needed,
    unpaired_difference,
)
from .tasks import (
    CriticalDifference,
    critical_difference,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)

__all__ = [
    "ALPHA",
    "MOST_SEEDS",
    "CriticalDifference",
    "Estimate",
    "Grid",
    "bootstrap_interval",
    "critical_difference",
    "efficient",
    "equivalence",
    "expected_best",
    "holm",
    "hypervolume",
    "importance",
    "interquartile_mean",
    "mean_interval",
    "paired_difference",
    "performance_profile",
    "probability_of_improvement",
    "rank_test",
    "seeds_needed",
    "unpaired_difference",
]
