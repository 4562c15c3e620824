"""A training run on disk: written whole or not at all, read back bit for bit."""

import os
import pickle
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

PACE = 20  # a write may cost 1/20 of the time since the one before it


class Checkpoint:
    """One file with the network, the optimizer, and the metrics of the epoch that they are from.

    Random numbers need no room in it: in `fit` they follow from the seed and the epoch.

    A file that cannot be read, or is from other settings, is renamed to end in `.rejected`, with a
    warning, and training starts over: a sweep that resumes loses an epoch and not a trial.

    Args:
        path: the file; its folder is made when it is first written.
        network: as initialised.
        optimizer: that of the network's parameters.
        settings: everything else that the numbers depend on, as plain values.
    """

    def __init__(
        self,
        path: Path,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: dict[str, Any],
    ) -> None:
        self._path = path
        self._network = network
        self._optimizer = optimizer
        self._settings = settings | {
            "network": repr(network),
            "shapes": {name: list(value.shape) for name, value in network.state_dict().items()},
        }
        self._written = -float("inf")  # clock time, seconds
        self._cost = 0.0  # seconds

    def restore(self) -> dict[str, Any] | None:
        """Put network and optimizer back where the file has them; returns that epoch's metrics.

        None when there is no file, or none that fits.
        """
        if not self._path.exists():
            return None
        try:
            held = torch.load(self._path, map_location="cpu", weights_only=True)
        except (
            OSError,
            EOFError,
            RuntimeError,
            pickle.UnpicklingError,
            zipfile.BadZipFile,
        ) as error:
            self._set_aside(f"it cannot be read ({error})")
            return None
        if not isinstance(held, dict) or held.get("settings") != self._settings:
            self._set_aside("it is from a run with other settings")
            return None
        self._network.load_state_dict(held["network"])
        self._optimizer.load_state_dict(held["optimizer"])
        metrics: dict[str, Any] = held["metrics"]
        return metrics

    def save(self, metrics: dict[str, Any]) -> None:
        """Write, unless that would slow training down: see `PACE`. The first time always."""
        start = time.perf_counter()
        if start - self._written < PACE * self._cost:
            return
        self._write(metrics)
        self._written = time.perf_counter()
        self._cost = self._written - start

    def _write(self, metrics: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")  # no two writers share it
        held = {
            "settings": self._settings,
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "metrics": metrics,
        }
        torch.save(held, draft)
        draft.replace(self._path)

    def _set_aside(self, why: str) -> None:
        aside = self._path.with_name(f"{self._path.name}.rejected")
        self._path.replace(aside)
        warnings.warn(
            f"training starts over: checkpoint {self._path} is not used, {why}; it is now {aside}",
            stacklevel=3,
        )
