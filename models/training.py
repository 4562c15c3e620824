"""One training run as a generator: a dict of metrics per epoch, work only when it is asked for.

Whatever consumes the generator decides how long it runs: a sweep on a cluster, one process, or a
test. Nothing of it knows about searches.
"""

import math
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from .checkpoint import Checkpoint
from .divergence import Diverged
from .insight import Series, diagnostics, n_parameters, readings
from .tasks import Split, Task

Module = TypeVar("Module", bound=torch.nn.Module)
Metrics = dict[str, float | list[float]]
"""Numbers by name, and series of numbers where a network has diagnostics."""

CPU = torch.device("cpu")

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: (1.0 + math.cos(math.pi * progress)) / 2,
}
"""The factor of the learning rate in an epoch, by how much of the training lies behind it."""


@contextmanager
def seeded(seed: int, epoch: int, device: torch.device = CPU) -> Iterator[None]:
    """Torch's random numbers follow seed and epoch inside; after, as if nothing had happened.

    Args:
        seed: of the run, at least 0.
        epoch: counted from 1; 0 is the initialisation.
        device: where random numbers are drawn, beside the CPU.
    """
    entropy = np.random.SeedSequence((seed, epoch))  # mixed, so that neighbours are unrelated
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(entropy.generate_state(1, np.uint64)[0]))
        yield


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Numbers below the normal range of floating point count as zero inside.

    Gradients that vanish over many steps get there, and a CPU computes with them ten times slower:
    784 steps back through an LSTM took 5.5 s, and 0.4 s so. The setting is of this thread and of
    those that it starts.
    """
    before = sys.float_info.min / 2 == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def build(network: Callable[[], Module], seed: int) -> Module:
    """A network whose initial weights follow from the seed, whatever ran before."""
    with seeded(seed, 0):
        return network()


def fit(
    network: torch.nn.Module,
    task: Task,
    *,
    lr: float,
    epochs: int,
    seed: int,
    batch_size: int = 64,
    weight_decay: float = 0.0,
    clip_norm: float | None = 1.0,
    optimizer: str = "adam",
    schedule: str = "constant",
    test: bool = False,
    checkpoint: Path | None = None,
    device: str | torch.device | None = None,
) -> Generator[Metrics, None, None]:
    """Train a network on a task, epoch by epoch.

    Each epoch yields `epoch` (from 1), `train_loss` (mean over the epoch's batches, as they were
    seen), every metric of the task on validation data as `validation_<metric>`, `seconds` (of
    training alone), `n_parameters` (free ones) and the network's `readings`; the last one, with
    `test`, also `test_<metric>`. With `test`, the first tells the network's diagnostics `before_`
    training, and the last those `after_` it (see `insight`).

    The order of samples and dropout in an epoch follow from `seed` and the epoch's number alone, so
    that neither what ran before nor a resumption changes a bit of them.

    Args:
        network: trained in place, on `device`; `build` makes its initial weights follow the seed.
        task: its test split is made only with `test`, after the last epoch.
        lr: learning rate.
        epochs: how many; at least 1.
        seed: at least 0.
        batch_size: samples per optimizer step, the last batch of an epoch may be smaller; of a
            stream, rows that are read side by side.
        weight_decay: as the optimizer means it.
        clip_norm: largest norm of the whole gradient; None clips nothing.
        optimizer: a name in `OPTIMIZERS`.
        schedule: a name in `SCHEDULES`: what becomes of the learning rate from epoch to epoch.
        test: whether to judge the trained network on test data, once.
        checkpoint: a file that is written as training goes on, before an epoch's metrics are
            yielded. Where it exists, training continues from it, bit for bit, and begins by
            yielding the metrics of the epoch that it holds once more: the process may have died
            between writing and yielding. See `Checkpoint` for when it is not written or not used.
        device: CUDA where there is one, unless given.

    Raises:
        ValueError: at once, when an argument is out of range.
        Diverged: from the generator, when a loss or validation metric is NaN or infinite.
    """
    _check(lr, epochs, seed, batch_size, clip_norm)
    _known("optimizer", optimizer, OPTIMIZERS)
    _known("schedule", schedule, SCHEDULES)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    network.to(place)
    rule = OPTIMIZERS[optimizer](_groups(network), lr=lr, weight_decay=weight_decay)
    settings = {
        "task": task.name,
        "optimizer": optimizer,
        "lr": lr,
        "weight_decay": weight_decay,
        "batch_size": batch_size,
        "clip_norm": clip_norm,
        "seed": seed,
        # A learning rate that falls until the end is another one where the end is another.
        "schedule": schedule if schedule == "constant" else [schedule, epochs],
    }

    def rate(epoch: int) -> float:
        return lr * SCHEDULES[schedule]((epoch - 1) / epochs)

    trainer = _Trainer(network, task, rule, rate, place, seed, batch_size, clip_norm)
    saved = None
    if checkpoint:
        saved = Checkpoint(checkpoint, network, rule, settings | {"data": dict(task.data)})
    return _epochs(trainer, epochs, test, saved)


def evaluate(
    network: torch.nn.Module, task: Task, split: Split, batch_size: int | None = None
) -> dict[str, float]:
    """The task's metrics of a whole split, in evaluation mode, without gradients.

    Args:
        network: put into evaluation mode, and left there.
        task: whose metrics.
        split: samples, or a stream.
        batch_size: samples, or rows of a stream, at a time; by default as many as the split says.
    """
    network.eval()
    with torch.no_grad():
        kept = [
            task.condensed(prediction, target)
            for prediction, target in predictions(network, split, batch_size or split.at_once)
        ]
    prediction, target = (torch.cat(batches) for batches in zip(*kept, strict=True))
    return task.metrics(prediction, target)


def predictions(
    network: torch.nn.Module, split: Split, batch_size: int, *, shuffled: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Prediction and target of every batch.

    Along a stream the network's state goes on from batch to batch, cut off from gradients: what is
    called is ``network.carry(inputs, state) -> (prediction, state)``, at first with None.
    """
    carry, state = getattr(network, "carry", None), None
    if split.carried and carry is None:
        raise TypeError(
            f"a stream is read with a carried state, and {type(network).__name__} has no method "
            "carry(inputs, state) -> (prediction, state); a SequenceTagger has"
        )
    for inputs, target in split.batches(batch_size, shuffled=shuffled):
        if split.carried and carry is not None:
            prediction, state = carry(inputs, state)
            state = _detached(state)
        else:
            prediction = network(inputs)
        yield prediction, target


def _epochs(
    trainer: "_Trainer", epochs: int, test: bool, checkpoint: Checkpoint | None
) -> Generator[Metrics, None, None]:
    """The epochs' metrics, from the one on that a checkpoint holds; the test's with the last."""
    restored = checkpoint.restore() if checkpoint else None
    done = int(restored["epoch"]) if restored else 0
    if done > epochs:
        raise ValueError(f"the checkpoint holds epoch {done} already, past epochs={epochs}")
    if restored:
        yield restored | (trainer.test() if test and done == epochs else {})
    for epoch in range(done + 1, epochs + 1):
        metrics: Metrics = dict(trainer.look("before")) if test and epoch == 1 else {}
        metrics |= trainer.epoch(epoch)
        if checkpoint:
            checkpoint.save(metrics)
        yield metrics | (trainer.test() if test and epoch == epochs else {})


@dataclass
class _Trainer:
    """A network, what it learns and how. All that changes is in the network and the optimizer."""

    network: torch.nn.Module
    task: Task
    optimizer: torch.optim.Optimizer
    rate: Callable[[int], float]
    device: torch.device
    seed: int
    batch_size: int
    clip_norm: float | None

    @cached_property
    def _train(self) -> Split:
        return self.task.train().to(self.device)

    @cached_property
    def _validation(self) -> Split:
        return self.task.validation().to(self.device)

    def epoch(self, number: int) -> dict[str, float]:
        """Train on every batch once, then measure."""
        readings(self.network)  # what an evaluation has counted is not of this epoch
        start = time.perf_counter()
        train_loss = self._learn(number)
        seconds = time.perf_counter() - start
        read = readings(self.network)
        return {
            **read,
            "epoch": number,
            "train_loss": train_loss,
            **self._validated(number),
            "seconds": seconds,
            "n_parameters": n_parameters(self.network),
        }

    def test(self) -> Metrics:
        """Metrics of the test split, the only place that asks for it, and a last look."""
        metrics = evaluate(self.network, self.task, self.task.test().to(self.device))
        metrics |= self.task.generated(self.network)
        return {f"test_{name}": value for name, value in metrics.items()} | self.look("after")

    def look(self, when: str) -> Series:
        """The network's diagnostics, named by when they are made."""
        with seeded(self.seed, 0, self.device), _denormals_flushed():
            shown = diagnostics(self.network, self.task)
        return {f"{when}_{name}": values for name, values in shown.items()}

    def _learn(self, epoch: int) -> float:
        """One epoch of optimizer steps, and the mean loss that they met."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(epoch) * group["factor"]
        total, seen, done = 0.0, 0, self._steps(epoch - 1)
        with seeded(self.seed, epoch, self.device), _denormals_flushed():
            batches = predictions(self.network, self._train, self.batch_size, shuffled=True)
            for step, (prediction, target) in enumerate(batches, start=done + 1):
                loss = self.task.loss(prediction, target)
                value = loss.item()
                if not math.isfinite(value):
                    raise Diverged("train_loss", value, epoch, step)
                self._descend(loss)
                total, seen = total + value * len(target), seen + len(target)
        return total / seen

    def _descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.optimizer.step()

    def _validated(self, epoch: int) -> dict[str, float]:
        metrics = evaluate(self.network, self.task, self._validation)
        named = {f"validation_{name}": value for name, value in metrics.items()}
        for quantity, value in named.items():
            if not math.isfinite(value):
                raise Diverged(quantity, value, epoch, self._steps(epoch))
        return named

    def _steps(self, epochs: int) -> int:
        """Optimizer steps in so many epochs."""
        return epochs * self._train.steps(self.batch_size)


def _groups(network: torch.nn.Module) -> list[dict[str, Any]]:
    """The network's parameters for an optimizer, in groups by the factor of their learning rate.

    The factor is 1, unless the module that has the parameter says otherwise with a method
    ``learning_rate_factors() -> dict[str, float]``, by its own names of its parameters.
    """
    factors: dict[str, float] = {}
    for prefix, module in network.named_modules():
        told: dict[str, float] = getattr(module, "learning_rate_factors", dict)()
        factors |= {f"{prefix}.{name}".removeprefix("."): told[name] for name in told}
    parameters = dict(network.named_parameters())
    if unknown := sorted(factors.keys() - parameters):
        raise ValueError(
            f"learning_rate_factors names {', '.join(unknown)}, which the network does not have; "
            f"it has {', '.join(parameters)}"
        )
    groups: dict[float, list[Tensor]] = {1.0: []}
    for name, parameter in parameters.items():
        groups.setdefault(factors.get(name, 1.0), []).append(parameter)
    return [{"params": members, "factor": factor} for factor, members in groups.items() if members]


def _detached(state: Any) -> Any:
    """A state whose gradients end here: of this package's cells, or torch's tensors and pairs."""
    if isinstance(state, Tensor):
        return state.detach()
    if hasattr(state, "map"):
        return state.map(Tensor.detach)
    return tuple(_detached(part) for part in state)


def _check(lr: float, epochs: int, seed: int, batch_size: int, clip_norm: float | None) -> None:
    """Refuse arguments out of range, NaN among them."""
    if not 0 < lr < math.inf:
        raise ValueError(f"lr must be a positive number, got {lr}")
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm must be above 0, or None to clip nothing, got {clip_norm}")


def _known(what: str, name: str, table: Mapping[str, object]) -> None:
    if name not in table:
        raise ValueError(f"no {what} {name!r}; there are {', '.join(table)}")
