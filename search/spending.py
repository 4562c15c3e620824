"""What searches have cost of a budget, and whether a variant's share of it is used up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from .plan import Plan


class Spending:
    """Sums of the metrics that a plan's budget names, by variant; every variant has an equal share.

    Only the search spends: what is found is confirmed in any case.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._sums: defaultdict[tuple[str, str], float] = defaultdict(float)

    def add(self, number: int, metrics: Mapping[str, Any]) -> None:
        """Counts one report of the trial of that number; each report is one of ``epochs``."""
        variant = self._plan.searching(number)
        for name in self._plan.budget:
            cost = 1 if name == "epochs" else metrics.get(name)
            if variant is not None and isinstance(cost, int | float):
                self._sums[variant, name] += cost

    def spent(self, variant: str, metric: str) -> float:
        """The sum of a budget's metric over a variant's search so far."""
        return self._sums.get((variant, metric), 0.0)

    def used_up(self, variant: str) -> bool:
        """Whether a variant has spent its share of any metric's budget."""
        budget, count = self._plan.budget, len(self._plan.variants)
        return any(self.spent(variant, name) >= most / count for name, most in budget.items())
