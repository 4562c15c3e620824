"""What searches have cost of a budget, and whether a variant's share of it is used up."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from .plan import BadInput, Plan


class Spending:
    """Sums of the metrics that a plan's budget names, by variant; every variant has an equal share.

    Only the search spends: what is found is confirmed in any case.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._sums: defaultdict[tuple[str, str], float] = defaultdict(float)

    def check(self, number: int, metrics: Mapping[str, Any]) -> None:
        """Looks at a variant's first report: a budget that never grows would be none.

        Raises:
            BadInput: it lacks a metric of the budget, or that is no cost.
        """
        variant = self._plan.searching(number)
        for name, most in self._plan.budget.items():
            if variant is None or name == "epochs" or (variant, name) in self._sums:
                continue
            cost = metrics.get(name)
            if not (isinstance(cost, int | float) and 0 <= cost < math.inf):
                seen = f"{cost!r}" if name in metrics else f"none, but {', '.join(metrics)}"
                raise BadInput(
                    f"--budget {name}={most:g} needs {name!r} in every report, a number from 0 on; "
                    f"{variant} reports {seen}. Start a sweep with a metric that all variants "
                    "report, such as seconds or epochs"
                )

    def add(self, number: int, metrics: Mapping[str, Any]) -> None:
        """Counts one report of the trial of that number; each report is one of ``epochs``."""
        variant = self._plan.searching(number)
        for name in self._plan.budget:
            cost = 1 if name == "epochs" else metrics.get(name)
            if variant is not None and isinstance(cost, int | float):
                self._sums[variant, name] += max(0, cost)

    def spent(self, variant: str, metric: str) -> float:
        """The sum of a budget's metric over a variant's search so far."""
        return self._sums.get((variant, metric), 0.0)

    def used_up(self, variant: str) -> bool:
        """Whether a variant has spent its share of any metric's budget."""
        budget, count = self._plan.budget, len(self._plan.variants)
        return any(self.spent(variant, name) >= most / count for name, most in budget.items())
