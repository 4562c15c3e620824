"""Does a trial, trained again, give the same numbers?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .book import finite
from .journal import OWN, reported
from .ledger import Ledger, Metrics
from .plan import BadInput, Plan
from .trial import Trial, failure_of

if TYPE_CHECKING:
    from ..spaces import Space


@dataclass(frozen=True)
class Replay:
    """What came out.

    Attributes:
        epochs: how many were compared.
        difference: the first one found, in words; empty when all is equal, bit for bit.
    """

    epochs: int
    difference: str


def recorded(folder: Path, plan: Plan, number: int) -> tuple[Trial, dict[int, Metrics]]:
    """A trial of a run and its reports by epoch, each from the attempt that counts.

    Raises:
        BadInput: there is no such trial, or it has reported nothing.
    """
    trial = Ledger(folder, plan).trial(number)
    lines = [line for line in reported(folder) if line["trial"] == number]
    if trial is None or not lines:
        raise BadInput(
            f"trial {number} of {folder} has reported nothing that could be compared; "
            "trials.csv lists those that have"
        )
    return trial, {line["step"]: line for line in lines}


def replay(space: Space, trial: Trial, reports: dict[int, Metrics]) -> Replay:
    """Trains a trial again, in this process, as far as it came, and compares each report."""
    again = space.train(
        space.variant(trial.variant),
        trial.params,
        epochs=trial.epochs,
        seed=trial.seed,
        test=trial.phase == "confirm",
    )
    left, last, why = dict(reports), 0, "the training is over"
    try:
        for metrics in again:
            last = metrics["epoch"]
            for difference in _differences(left.pop(last, {}), metrics):
                return Replay(len(reports) - len(left), difference)
            if not left:
                break
    except Exception as error:
        failure = failure_of(error)
        why = f"{failure.message} ({failure.reason})"
    missing = f"{len(left)} of {len(reports)} reports do not come again"
    told = f"it ends after epoch {last}, and {missing}: {why}" if left else ""
    return Replay(len(reports) - len(left), told)


def _differences(was: Metrics, now: Metrics) -> Iterator[str]:
    """Whatever was recorded and is another now, or is not reported any more."""
    for name, value in was.items():
        if name in OWN or name == "seconds" or name.endswith("_seconds"):
            continue  # what the ledger adds, and what a clock says
        if name not in now:
            yield f"epoch {now['epoch']}: {name} was {_said(value)} and is not reported"
        elif _recorded(value) != _recorded(now[name]):
            told = json.loads(_recorded(now[name]))
            yield f"epoch {now['epoch']}: {name} was {_said(value)} and is {_said(told)}"


def _recorded(value: Any) -> str:
    """A value as the metrics log holds it, where NaN is null and a tuple is a list."""
    return json.dumps(finite(value), default=str)


def _said(value: Any) -> str:
    return repr(value) if not isinstance(value, list) else f"a series of {len(value)}"
