"""Does a trial, trained again, give the same numbers?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .journal import records
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
    lines = [line for line in records(folder / "metrics.jsonl") if line["trial"] == number]
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
    compared = 0
    try:
        for metrics in again:
            was = reports.get(metrics["epoch"])
            if was is not None:
                compared += 1
                for difference in _differences(was, metrics):
                    return Replay(compared, difference)
            if metrics["epoch"] >= max(reports):
                break
    except Exception as error:
        failure = failure_of(error)
        told = f"it ends after epoch {compared}: {failure.message} ({failure.reason})"
        return Replay(compared, told if compared < len(reports) else "")
    return Replay(compared, "")


def _differences(was: Metrics, now: Metrics) -> Iterator[str]:
    for name, value in now.items():
        if _is_of_the_clock(name) or name not in was:
            continue
        if was[name] is not None and was[name] != value:
            yield f"epoch {now['epoch']}: {name} was {_said(was[name])} and is {_said(value)}"


def _is_of_the_clock(name: str) -> bool:
    return "second" in name or name == "time"


def _said(value: Any) -> str:
    return repr(value) if not isinstance(value, list) else f"a series of {len(value)}"
