"""What runs on a Ray worker: one trial after the other, each as a generator of metrics."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from .shelf import Shelf
from .trial import Trial, failure_of

if TYPE_CHECKING:
    from ..spaces import Space

TRIAL, CHECKPOINT, SAMPLE, METRICS, FAILURE = (
    "trial",
    "checkpoint",
    "sample",
    "metrics",
    "failure",
)
"""Keys of what driver and worker tell each other; all values are JSON or plain dicts."""

_GRACE = 1.0  # seconds from a trial's timeout to the end of a process that does not answer


class Training(tune.Trainable):
    """Trains the trial in its config; the same actor takes one trial after the other."""

    _space: Space
    _trial: Trial
    _name: str
    _checkpoint: Path
    _kept: float = 0.0
    _shelf: Shelf
    _token: str | None = None
    _sample: Path | None = None
    _reports: Iterator[dict[str, Any]] | None
    _timeout: float | None = None
    _watchdog: threading.Timer | None = None

    def setup(
        self,
        config: dict[str, Any],
        *,
        space: Space | None = None,
        data: str | None = None,
        folder: str | None = None,
        timeout: float | None = None,
        shelf: Shelf | None = None,
        token: str | None = None,
    ) -> None:
        """Remembers the sweep's space and takes the first trial."""
        self._timeout = timeout
        if folder is not None and folder not in sys.path:
            sys.path.append(folder)  # where a training imports its file's neighbours late
        # Tune hands both over; only its own signature has no such arguments.
        assert space is not None
        assert shelf is not None
        self._space, self._shelf, self._token = space, shelf, token
        if data is not None:
            os.environ["MOMENTUNE_DATA"] = data
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes another trial into this process, which saves the start of a new one."""
        self.cleanup()
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One epoch. A training that raises is an answer too: the actor lives on."""
        try:
            if self._reports is None:
                self._reports = self._train()
            metrics = next(self._reports, None)
            if metrics is None and self._kept and not self.iteration:
                metrics = self._anew()
            self._keep()
            last = metrics is None or metrics.get("epoch", self.iteration + 1) >= self._trial.epochs
        except (Exception, SystemExit) as error:
            failure = failure_of(error, traceback.format_exc())
            return {FAILURE: failure.to_json(), "done": True}
        if last and self._watchdog is not None:
            self._watchdog.cancel()
        if last and self._sample is not None:
            with suppress(Exception):  # a picture that fails costs no result
                next(self._reports, None)  # the training draws once it is over
        return {METRICS: metrics or {}, "done": last}

    def cleanup(self) -> None:
        """Ends a training that is no longer wanted."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        if isinstance(self._reports, Generator):
            self._reports.close()
        if self._reports is not None:
            self._shelf.release(self._checkpoint)

    def _take(self, config: dict[str, Any]) -> None:
        self._trial = Trial.from_json(config[TRIAL])
        self._name = str(config[CHECKPOINT])
        draws = self._trial.phase == "confirm" and self._space.draws(
            self._space.variant(self._trial.variant)
        )
        self._sample = Path(config[SAMPLE]) if draws else None
        self._reports = None
        if self._timeout is not None:
            # The driver stops a trial that is late between two reports. One that hangs never comes
            # to the next one, so its process ends itself; the driver knows that it was late.
            self._watchdog = threading.Timer(self._timeout + _GRACE, os._exit, [1])
            self._watchdog.daemon = True
            self._watchdog.start()

    def _train(self) -> Iterator[dict[str, Any]]:
        trial = self._trial
        if self._token is not None:
            self._shelf.check(self._token)  # this machine may have joined after the others
        self._checkpoint = self._shelf.fetch(self._name)
        self._kept = _written(self._checkpoint)
        self._checkpoint.parent.mkdir(parents=True, exist_ok=True)
        return self._space.train(
            self._space.variant(trial.variant),
            trial.params,
            epochs=trial.epochs,
            seed=trial.seed,
            test=trial.phase == "confirm",
            checkpoint=self._checkpoint,
            sample=self._sample,
        )

    def _anew(self) -> dict[str, Any] | None:
        """Begins again without the checkpoint, whose last epoch was trained but never heard of."""
        self._shelf.release(self._checkpoint)
        self._shelf.remove(self._name)
        self._reports = self._train()
        return next(self._reports, None)

    def _keep(self) -> None:
        """Puts a checkpoint that the training has written where other machines see it."""
        if _written(self._checkpoint) != self._kept:
            self._shelf.store(self._checkpoint)
            self._kept = _written(self._checkpoint)


def _written(path: Path) -> float:
    """When a file was written; 0 without one."""
    return path.stat().st_mtime if path.exists() else 0.0
