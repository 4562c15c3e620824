"""From a request to a finished sweep: plan it, run it, go on with it."""

from __future__ import annotations

import os
import shlex
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import optuna
from rich.console import Console

from . import environment, sampling, scheduling
from .ledger import Ledger
from .plan import BadInput, Plan, check_unchanged
from .progress import shown
from .sweep import Sweep

if TYPE_CHECKING:
    from ..spaces import Loaded

Ending = Literal["done", "interrupted", "out of time"]


@dataclass(frozen=True)
class Outcome:
    """How a start of a sweep ended, and which variants have no result."""

    ending: Ending
    failed_variants: list[str]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asked of a sweep. None leaves a decision to the space, or to the machine.

    Attributes:
        trials: search trials per variant.
        epochs: of a full training.
        seeds: fresh seeds to confirm with.
        seed: of the whole sweep.
        sampler: a name of `sampling.SAMPLERS`.
        scheduler: a name of `scheduling.SCHEDULERS`.
        concurrency: trials at a time; None for as many as fit.
        cpus: per trial.
        gpus: per trial.
        time_budget: seconds.
        storage: database URL of the ledger; None for a file in the run directory.
        data: folder of data files.
        address: a Ray cluster; None for this machine.
    """

    trials: int | None = None
    epochs: int | None = None
    seeds: int | None = None
    seed: int = 0
    sampler: str = "tpe"
    scheduler: str = "asha"
    concurrency: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    time_budget: float | None = None
    storage: str | None = None
    data: Path | None = None
    address: str | None = None


def make_plan(loaded: Loaded, request: Request) -> Plan:
    """Decides everything that a sweep needs to know before its first trial.

    Raises:
        BadInput: more slots than this machine has CPUs, or a data folder that is none.
    """
    space = loaded.space
    if request.data is not None and not request.data.is_dir():
        raise BadInput(f"--data {request.data} is no directory")
    epochs = request.epochs or space.epochs
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Plan(
        name=space.name,
        command=shlex.join(["momentune", *sys.argv[1:]]),
        created=created,
        space={
            **space.to_json(),
            "reference": loaded.reference,
            "source": loaded.source,
        },
        trials=request.trials or space.trials,
        epochs=epochs,
        seeds=request.seeds or space.seeds,
        seed=request.seed,
        sampler={"name": request.sampler, **sampling.SAMPLERS[request.sampler]},
        scheduler=scheduling.settings(request.scheduler, epochs),
        concurrency=_slots(request),
        cpus=request.cpus,
        gpus=request.gpus,
        time_budget=request.time_budget,
        storage=request.storage or "journal.log",
        study_prefix=f"{space.name}@{created}/" if request.storage else "",
        data=str(request.data.resolve()) if request.data else None,
        versions=environment.versions(),
        git=environment.revision(Path(__file__).parent),
        hardware=environment.hardware(),
    )


def _slots(request: Request) -> int:
    cores = os.cpu_count() or 1
    fitting = max(1, int(cores / request.cpus))
    wanted = request.concurrency or fitting
    if wanted > fitting and request.address is None:
        raise BadInput(
            f"--concurrency {wanted} with --cpus {request.cpus:g} needs {wanted * request.cpus:g} "
            f"CPUs and this machine has {cores}; use at most --concurrency {fitting}, or fewer "
            f"CPUs per trial (--cpus {cores / wanted:g})"
        )
    return wanted


def run(
    folder: Path, plan: Plan, loaded: Loaded, *, address: str | None, console: Console
) -> Outcome:
    """Runs what is left of a planned sweep; safe to call again after any interruption.

    Raises:
        BadInput: the space has changed since it was planned, another driver works on the run, or
            no cluster answers.
    """
    check_unchanged(plan, loaded.space)
    if loaded.source != plan.space["source"]:
        console.print(
            f"note: {plan.space['reference']} was edited since the sweep was planned; its space is "
            "the same, but code that has changed may train differently from here on"
        )
    with quiet_optuna(), Ledger.locked(folder, plan) as ledger:
        if ledger.done:
            return Outcome("done", ledger.failed_variants)
        return _on_ray(folder, plan, loaded, ledger, address, console)


def _on_ray(
    folder: Path,
    plan: Plan,
    loaded: Loaded,
    ledger: Ledger,
    address: str | None,
    console: Console,
) -> Outcome:
    from .dispatch import StopSignal, interruptible, ray_session, run_on_ray

    deadline = time.monotonic() + plan.time_budget if plan.time_budget else None
    stop = StopSignal(deadline)
    sweep = Sweep(plan, loaded.space, ledger, stop)
    with interruptible(stop), ray_session(plan, address), shown(sweep, console):
        run_on_ray(sweep, folder, stop, loaded.modules)
    if ledger.done:
        ending: Ending = "done"
    elif stop.interrupted:
        ending = "interrupted"
    elif stop.out_of_time:
        ending = "out of time"
    else:
        raise RuntimeError(
            f"Ray Tune ended before the sweep did; nothing is lost: momentune resume {folder}"
        )
    return Outcome(ending, ledger.failed_variants)


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keeps Optuna's notes about every study and trial off the screen."""
    before: Any = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
