"""Runs a sweep's trials on Ray Tune: one machine or a cluster."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from .plan import BadInput, Plan

# Before Ray is imported: no telemetry, no loggers that write five files a trial, no snapshots of
# a state that the ledger holds, no working directory changed under the user's relative paths.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "3600"
os.environ["TUNE_FORCE_TRIAL_CLEANUP_S"] = "5"
os.environ["TUNE_WARN_THRESHOLD_S"] = "30"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
# How many trials run at a time is for us to say, and may change when machines come and go.
os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1000000"
# A Ray that is gone stays gone, and is not replaced by a new one on this machine.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

import ray
from ray import cloudpickle, tune

from .ahead import in_background
from .cluster import Head, Slots, check_machines, mark
from .cluster import HeadLostError as HeadLostError
from .searcher import Bridge, SweepCallback, SweepScheduler, SweepSearcher
from .shelf import Shelf
from .sweep import Sweep
from .trainable import Training

_TOKEN = (
    "Where token authentication is on, RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN_PATH (or "
    "RAY_AUTH_TOKEN) are needed here as on every machine of the cluster"
)


@dataclass
class StopSignal:
    """Why nothing more is to start: Ctrl-C (or SIGTERM), or the end of the time budget."""

    deadline: float | None = None
    interrupted: bool = False

    @property
    def out_of_time(self) -> bool:
        """Whether the time budget is used up."""
        return self.deadline is not None and time.monotonic() > self.deadline

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.interrupted or self.out_of_time


class _Stopper(tune.Stopper):
    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping

    def __call__(self, trial_id: str, result: dict[str, object]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._stopping()

    def __getstate__(self) -> dict[str, object]:
        return {}


@contextmanager
def interruptible(stop: StopSignal) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM only sets the signal; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets only the main thread handle signals
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.interrupted:
            raise KeyboardInterrupt
        stop.interrupted = True

    earlier = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextmanager
def ray_session(plan: Plan, address: str | None) -> Iterator[None]:
    """Starts Ray on this machine with just the plan's slots, or joins a cluster.

    Raises:
        BadInput: no cluster answers at the address, or it does not know our token.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            # Ray counts a machine's in whole CPUs; without a planned concurrency it takes them all.
            slots = math.ceil(plan.concurrency * plan.cpus) if plan.concurrency else None
            ray.init(address="local", num_cpus=slots, include_dashboard=False, **quiet)
    except ray.exceptions.AuthenticationError as error:
        first = " ".join(str(error).split()).partition(". ")[0]
        raise BadInput(f"Ray's token authentication: {first}. {_TOKEN}") from error
    except (ConnectionError, ValueError) as error:
        if not address:
            raise
        told = f"no Ray cluster lets this process in at --address {address}: {error}"
        raise BadInput(f"{told}. If it runs, does it ask for a token? {_TOKEN}") from error
    # What goes wrong with a worker is told by the ledger and the report.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield
    except HeadLostError:
        raise  # without its head, Ray does not end before a minute has passed
    except BaseException:
        ray.shutdown()
        raise
    else:
        ray.shutdown()


def run_on_ray(
    sweep: Sweep,
    folder: Path,
    stop: StopSignal,
    modules: tuple[ModuleType, ...] = (),
    code: str | None = None,
    *,
    cluster: bool = False,
) -> None:
    """Runs a sweep to its end, or until it is stopped. Ray must be running.

    Args:
        sweep: what to run.
        folder: its run directory.
        stop: asked all the time.
        modules: the user's own modules, sent to the workers by value.
        code: the folder of the user's file, for what it imports late.
        cluster: other machines take part, and are to be looked at first.

    Raises:
        BadInput: a machine of the cluster cannot take part.
        HeadLostError: Ray's head is gone; nothing is lost but the time.
        Exception: whatever our own bookkeeping raised, after Tune has ended.
    """
    plan = sweep.plan
    shelf = Shelf(plan.checkpoints or str((folder / "tune" / "checkpoints").resolve()))
    if cluster:
        check_machines(plan, shelf)
    elif plan.checkpoints:
        mark(plan, shelf)
    bridge = Bridge(sweep, shelf, Slots(plan), folder.resolve() / "samples")
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    trainable = tune.with_resources(
        tune.with_parameters(
            Training,
            space=sweep.space,
            data=plan.data,
            folder=code,
            timeout=plan.trial_timeout,
            shelf=shelf,
            token=plan.created if cluster else None,
        ),
        {"cpu": plan.cpus, "gpu": plan.gpus, **plan.resources},
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            num_samples=-1,  # until the sweep says that it is over
            search_alg=SweepSearcher(bridge),
            scheduler=SweepScheduler(bridge),
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"trial-{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name=f"session-{time.strftime('%Y%m%d-%H%M%S')}",
            storage_path=str((folder / "tune").resolve()),
            # Trainings keep checkpoints of their own.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[SweepCallback(bridge)],
            stop=_Stopper(lambda: stop() or bridge.error is not None),
            verbose=0,
        ),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _watched(tuner.fit)
        finally:
            bridge.close()
    if bridge.error is not None:
        raise bridge.error


def _watched(work: Callable[[], object]) -> None:
    """Runs what may never return when Ray's head is gone: Ray then waits where nothing wakes it.

    Raises:
        HeadLostError: the head is gone.
    """
    head, done = Head(), in_background("tune", work)
    while not wait([done], timeout=1.0).done:
        head.check()
    done.result()
