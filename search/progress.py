"""How far a sweep is: a table that lives while it runs, lines where there is no terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.trial import TrialState
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from .ledger import Ledger
from .plan import Plan
from .sweep import Sweep
from .trial import PHASES

_LINE_EVERY = 15.0  # seconds between two lines in a log


def table(plan: Plan, ledger: Ledger) -> Table:
    """One row per variant: what is done of its search and of its confirmation, and its best."""
    metric = f"best validation {plan.space['metric']}"
    shown = Table("variant", "search", "running", "pruned", "failed", metric, "confirm", box=None)
    for column in shown.columns[1:]:
        column.justify = "right"
    for variant in plan.variants:
        counts = [ledger.counts(variant, phase) for phase in PHASES]
        best = ledger.best_value(variant)
        shown.add_row(
            variant,
            f"{ledger.finished(variant, 'search')}/{ledger.planned(variant, 'search')}",
            *(
                str(sum(count[state] for count in counts))
                for state in (TrialState.RUNNING, TrialState.PRUNED, TrialState.FAIL)
            ),
            "-" if best is None else f"{best:.4g}",
            f"{ledger.finished(variant, 'confirm')}/{ledger.planned(variant, 'confirm')}",
        )
    return shown


class _Clock:
    """Trials done, time gone and time left of this start of a sweep."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep, self._start, self._before = sweep, time.monotonic(), self._finished(sweep)

    @staticmethod
    def _finished(sweep: Sweep) -> int:
        ledger = sweep.ledger
        return sum(ledger.finished(v, phase) for v in sweep.plan.variants for phase in PHASES)

    def line(self) -> str:
        ledger, plan = self._sweep.ledger, self._sweep.plan
        done = self._finished(self._sweep)
        planned = sum(ledger.planned(v, phase) for v in plan.variants for phase in PHASES)
        gone = time.monotonic() - self._start
        new = done - self._before
        left = f"about {duration(gone / new * (planned - done))} left" if new else "starting"
        given, busy = (
            len(self._sweep.live),
            f"{self._sweep.training} of {self._sweep.slots} slots busy",
        )
        if given > self._sweep.training:
            busy += f" ({given - self._sweep.training} more starting)"
        return f"{done} of {planned} trials done, {busy}, {duration(gone)} gone, {left}"


@contextmanager
def shown(sweep: Sweep, console: Console) -> Iterator[None]:
    """Shows the sweep's progress while the context is open, and its state at the end."""
    clock = _Clock(sweep)

    def picture() -> RenderableType:
        return Group(table(sweep.plan, sweep.ledger), clock.line())

    if console.is_terminal:
        with Live(get_renderable=picture, console=console, refresh_per_second=4):
            yield
        return
    over = threading.Event()

    def lines() -> None:
        while not over.wait(_LINE_EVERY):
            console.print(clock.line(), soft_wrap=True)

    thread = threading.Thread(target=lines, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        console.print(picture(), soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
