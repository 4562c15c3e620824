"""From a request to a finished sweep: plan it, run it, go on with it."""

from __future__ import annotations

import shlex
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import optuna
from rich.console import Console

from . import environment, points, sampling, scheduling
from .imported import imported, outdone
from .ledger import Ledger
from .plan import BadInput, Plan, check_unchanged, resume_command, without_password
from .progress import shown
from .shelf import Shelf
from .sweep import Sweep

if TYPE_CHECKING:
    from ..spaces import Loaded

Ending = Literal["done", "interrupted", "out of time", "head lost"]

_BATCH = 4  # trials that a deterministic sampler draws without hearing of each other


@dataclass(frozen=True)
class Outcome:
    """How a start of a sweep ended, why if need be, and which variants have no result."""

    ending: Ending
    failed_variants: list[str]
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asked of a sweep. None leaves a decision to the space, or to the machine.

    Attributes:
        trials: search trials per variant.
        epochs: of a full training.
        seeds: fresh seeds to confirm with.
        seed: of the whole sweep.
        sampler: a name of `sampling.SAMPLERS`.
        scheduler: a name of `scheduling.SCHEDULERS`; None for asha, or none when deterministic or
            on a grid, whose cells are to be compared at full length.
        concurrency: trials at a time; None for as many as fit.
        cpus: per trial.
        gpus: per trial.
        time_budget: seconds.
        trial_timeout: seconds for one attempt at a trial.
        budget: the most that the search may cost, by metric.
        deterministic: sample so that the order in which trials end changes nothing.
        storage: database URL of the ledger; None for a file in the run directory.
        data: folder of data files.
        address: a Ray cluster; None for this machine.
        resources: per trial, of a cluster's own, by name.
        checkpoints: a folder or URI for them; None for the run directory.
        earlier: where the trials are that the sampler is to know from the start.
    """

    trials: int | None = None
    epochs: int | None = None
    seeds: int | None = None
    seed: int = 0
    sampler: str = "tpe"
    scheduler: str | None = None
    concurrency: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    time_budget: float | None = None
    trial_timeout: float | None = None
    budget: Mapping[str, float] = field(default_factory=dict)
    deterministic: bool = False
    storage: str | None = None
    data: Path | None = None
    address: str | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    checkpoints: str | None = None
    earlier: Sequence[str | Path] = ()


def make_plan(loaded: Loaded, request: Request) -> Plan:
    """Decides everything that a sweep needs to know before its first trial.

    Raises:
        BadInput: more slots than this machine has CPUs or GPUs, a storage or cluster that does not
            answer, or a limit that a deterministic sweep cannot have.
    """
    space, hardware = loaded.space, environment.hardware()
    if request.address:
        check_address(request.address)
    described = space.to_json()
    sampling.check_sampler(request.sampler, described)
    _check_deterministic(request)
    epochs, searches = request.epochs or space.epochs, _searches(request, described)
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Plan(
        name=space.name,
        command=shlex.join(["momentune", *sys.argv[1:]]),
        created=created,
        space={
            **described,
            "reference": loaded.reference,
            "source": loaded.source,
        },
        trials=max(searches.values(), default=request.trials or space.trials),
        epochs=epochs,
        seeds=request.seeds or space.seeds,
        seed=request.seed,
        sampler={"name": request.sampler, **sampling.SAMPLERS[request.sampler]},
        scheduler=scheduling.settings(_scheduler(request), epochs),
        concurrency=_slots(request, hardware),
        cpus=request.cpus,
        gpus=request.gpus,
        time_budget=request.time_budget,
        storage=_checked_storage(request.storage) if request.storage else "journal.log",
        study_prefix=f"{space.name}@{created}/" if request.storage else "",
        data=str(request.data.resolve()) if request.data else None,
        versions=environment.versions(),
        git=environment.revision(Path(__file__).parent),
        hardware=hardware,
        searches=searches,
        trial_timeout=request.trial_timeout,
        budget=dict(request.budget),
        resources=_resources(request),
        checkpoints=_checkpoints(request.checkpoints),
        imported=imported(request.earlier, space, request.sampler, epochs),
        batch=_BATCH if request.deterministic and request.sampler in sampling.LEARNING else 0,
    )


def _searches(request: Request, space: dict[str, Any]) -> dict[str, int]:
    """The search trials of each variant, where a grid decides them."""
    if request.sampler != "grid":
        return {}
    counts = {v["name"]: len(points.grid(space, v["name"])) for v in space["variants"]}
    return {name: min(count, request.trials or count) for name, count in counts.items()}


def _check_deterministic(request: Request) -> None:
    """Raises BadInput where a deterministic sweep would end something by the clock."""
    limits = {"--budget": request.budget, "--trial-timeout": request.trial_timeout}
    given = [option for option, limit in limits.items() if limit]
    if request.deterministic and given:
        raise BadInput(
            f"{' and '.join(given)} ends what depends on the clock: how much has run, beside what, "
            "at some moment; with --deterministic, say how much by --trials and --epochs"
        )


def _scheduler(request: Request) -> str:
    """Which scheduler stops trials early.

    Raises:
        BadInput: one is asked for that a deterministic sweep cannot have.
    """
    if not request.deterministic:
        return request.scheduler or ("none" if request.sampler == "grid" else "asha")
    if request.scheduler not in (None, "none"):
        raise BadInput(
            f"--scheduler {request.scheduler} stops a trial by what others have reported until "
            "then, which depends on the clock; --deterministic goes with --scheduler none"
        )
    return "none"


def _resources(request: Request) -> dict[str, float]:
    """What a trial needs of a cluster's own resources.

    Raises:
        BadInput: there is no cluster, or a name is Ray's own.
    """
    own = {"cpu", "gpu", "memory", "object_store_memory"} & {n.lower() for n in request.resources}
    if own:
        raise BadInput(f"--resources {', '.join(own)}: CPUs and GPUs are set by --cpus and --gpus")
    if request.resources and request.address is None:
        raise BadInput(
            f"--resources {', '.join(request.resources)} needs --address: only the machines of a "
            "cluster are given resources by name (ray start --resources)"
        )
    return dict(request.resources)


def _checkpoints(place: str | None) -> str | None:
    """The place, good from every directory.

    Raises:
        BadInput: no file system has such a place.
    """
    if place is None:
        return None
    try:
        return Shelf(place if "://" in place else str(Path(place).resolve())).place
    except ValueError as error:
        raise BadInput(f"--checkpoints {error}") from error


def _slots(request: Request, hardware: dict[str, Any]) -> int | None:
    if request.address is not None:
        return request.concurrency
    fitting = {"CPUs": hardware["cores"] or 1, "GPUs": len(hardware["gpus"])}
    each = {"CPUs": request.cpus, "GPUs": request.gpus}
    most = min(int(fitting[kind] / each[kind]) for kind in each if each[kind])
    wanted = request.concurrency or max(1, most)
    if wanted > most:
        needed = " and ".join(f"{wanted * n:g} {kind}" for kind, n in each.items() if n)
        there = " and ".join(f"{fitting[kind]} {kind}" for kind, n in each.items() if n)
        raise BadInput(
            f"--concurrency {wanted} with --cpus {request.cpus:g} --gpus {request.gpus:g} needs "
            f"{needed}, and this machine has {there}; fewer trials at a time, or a fraction for "
            "each (--cpus 0.5), fit"
        )
    return wanted


def _checked_storage(url: str) -> str:
    """The URL, good from every directory, after a first look at the database.

    Raises:
        BadInput: it is no URL, or nothing answers there.
    """
    scheme, separator, place = url.partition(":///")
    if scheme == "sqlite" and separator and not place.startswith("/"):
        url = f"sqlite:///{Path(place).resolve()}"
    shown = without_password(url)
    if "://" not in url:
        raise BadInput(f"--storage {shown} must be a database URL, such as sqlite:////tmp/runs.db")
    try:
        optuna.storages.RDBStorage(url)
    except Exception as error:  # whatever the database's driver raises, or that there is none
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise BadInput(f"--storage {shown} cannot be used: {first}") from error
    return url


def check_address(address: str) -> None:
    """Raises BadInput for no address, or when nothing listens there; Ray would wait for minutes."""
    if address.startswith("ray://"):
        raise BadInput(
            f"--address {address} is for Ray's client, which would put the ledger elsewhere; "
            "type the command on one of its machines, with --address auto"
        )
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not (host and port.isdigit()):
        raise BadInput(f"--address {address} must be auto, or HOST:PORT of a cluster's head")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise BadInput(f"no Ray cluster answers at --address {address}: {error}") from error


def run(
    folder: Path, plan: Plan, loaded: Loaded, *, address: str | None, console: Console
) -> Outcome:
    """Runs what is left of a planned sweep; safe to call again after any interruption.

    Raises:
        BadInput: the space has changed since it was planned, another driver works on the run, or
            no cluster answers.
    """
    check_unchanged(plan, loaded.space)
    now = (loaded.source, environment.versions(), environment.revision(Path(__file__).parent))
    if now != (plan.space["source"], plan.versions, plan.git):
        console.print(
            f"note: {plan.space['reference']}, a package or this project's code was changed since "
            "the sweep was planned; code that has changed may train differently from here on"
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
    from .dispatch import HeadLostError, StopSignal, interruptible, ray_session, run_on_ray

    deadline = time.monotonic() + plan.time_budget if plan.time_budget else None
    stop = StopSignal(deadline)
    sweep = Sweep(plan, loaded.space, ledger, stop)
    # Ray installs a handler of its own for SIGTERM when it starts, so ours come after it.
    cluster = address is not None
    try:
        with ray_session(plan, address), interruptible(stop), shown(sweep, console):
            run_on_ray(sweep, folder, stop, loaded.modules, loaded.folder, cluster=cluster)
    except HeadLostError as error:
        return Outcome("head lost", ledger.failed_variants, str(error))
    if ledger.done:
        ending: Ending = "done"
    elif stop.interrupted:
        ending = "interrupted"
    elif stop.out_of_time:
        ending = "out of time"
    else:
        raise RuntimeError(
            "Ray Tune ended before the sweep did; nothing is lost: "
            + resume_command(folder, address)
        )
    for line in outdone(plan, ledger):
        console.print(line, highlight=False, soft_wrap=True)
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
