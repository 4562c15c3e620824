"""A space: the question, the contenders, and everything that may vary between two trainings."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypedDict, get_args

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial
from torch import nn

from ..models import Task, build, fit, save_png
from . import parameters as _parameters
from .parameters import Parameters, Value, Values, contains

Metrics = dict[str, Any]
"""What a training yields once an epoch: ``validation_<metric>``, ``test_<metric>`` in the last one
where test metrics are wanted, ``epoch`` from 1, and whatever else there is to know."""

DefineByRun = Callable[[BaseTrial], Values]
"""Parameters that depend on each other: asks the Optuna trial, returns the values."""

Control = Mapping[str, Any] | Callable[[Values], Values]
"""The parameters that a control sets otherwise: fixed, or computed from its variant's."""

Grid = Mapping[str, Sequence[Value]]
"""The values of some parameters that a paper tried, each with each of the others."""

Scale = Literal["laptop", "paper"]
"""How large the question is asked: for an afternoon on a laptop, or as the paper asked it."""

SCALES: tuple[Scale, ...] = get_args(Scale)

TRAINING_CONTEXT = ("epochs", "seed", "test", "checkpoint")
"""What every training is told besides its parameters; no parameter may have these names."""

TRAINING_PARAMETERS = {
    name: argument
    for name, argument in inspect.signature(fit).parameters.items()
    if name not in {"network", "task", "device", *TRAINING_CONTEXT}
}
"""The parameters that `fit` takes (learning rate, batch size, …); a builder takes the others."""

SAMPLES, ZOOM = 25, 8
"""How many pictures are drawn, and how many pixels wide each of their pixels is."""


class Tried(TypedDict):
    """A variant's `grid` and `left_out`."""

    grid: Grid
    left_out: Grid


def tried(parameters: Parameters, values: Grid) -> Tried:
    """What others tried, parted into what a search over these parameters could draw and the rest.

    Args:
        parameters: of a variant.
        values: their grid.
    """
    inside = {n: [v for v in own if contains(parameters[n], v)] for n, own in values.items()}
    outside = {n: [v for v in own if v not in inside[n]] for n, own in values.items()}
    return Tried(
        grid={name: own for name, own in inside.items() if own},
        left_out={name: own for name, own in outside.items() if own},
    )


@dataclass(frozen=True)
class Variant:
    """One contender.

    Attributes:
        name: what reports call it.
        network: builds its network, called as ``network(task, **parameters)`` with the parameters
            that `fit` does not take; trained by `fit`. Or give `run` instead.
        run: a generator function that trains by itself and yields one dict of metrics per epoch. It
            is called with its parameters by name and with those of ``task, epochs, seed, test,
            checkpoint`` that it names. ``test`` is true only where test metrics are wanted. Where a
            file is at ``checkpoint``, it goes on from there, and first yields the metrics of the
            epoch that the file holds: perhaps nobody has heard them. If it yields nothing, the file
            is removed, and it is called again.
        parameters: the parameters only this variant has, by name, or a define-by-run function.
        baseline: the variant that the others are compared with; each space has exactly one.
        controls: this variant with part of its idea switched off, by name: the parameters that
            change, or a function that computes them from the variant's.
        grid: the paper's own grid of its parameters; the others sit in the middle of their ranges.
        left_out: what of the paper's grid lies outside the ranges, so that the grid goes without
            it; whoever runs the grid is told. See `tried`.
        caution: what one should know of its ranges before one searches them.
    """

    name: str
    network: Callable[..., nn.Module] | None = None
    run: Callable[..., Iterator[Metrics]] | None = None
    parameters: Parameters | DefineByRun = field(default_factory=dict)
    baseline: bool = False
    controls: Mapping[str, Control] = field(default_factory=dict)
    grid: Grid = field(default_factory=dict)
    left_out: Grid = field(default_factory=dict)
    caution: str = ""

    def controlled(self, control: str | None, values: Values) -> Values:
        """The values of a control, given its variant's; the variant's own when control is None.

        Raises:
            ValueError: the control computes no values, or such as no trial can have.
        """
        if control is None:
            return dict(values)
        change, told = self.controls[control], f"control {control!r} of variant {self.name!r}"
        try:
            changed = dict(change(dict(values)) if callable(change) else change)
        except Exception as error:
            raise ValueError(f"{told} fails with {type(error).__name__}: {error}") from error
        if unknown := sorted(set(changed) - set(values)):
            raise ValueError(
                f"{told} sets {', '.join(map(repr, unknown))}, which is none of its parameters: "
                + ", ".join(values)
            )
        for name, value in changed.items():
            wrong = _parameters.problem(name, value)
            if wrong or isinstance(value, BaseDistribution):
                raise ValueError(f"{told} must set fixed values: {wrong or name}")
        return {**values, **changed}


Evidence = Literal["paper", "files", "notebook", "logs", "recalled"]
"""Read in the paper; computed from the authors' result files, their notebooks' outputs, or logs in
their repository's history; or known by hearsay only, which confirms nothing."""

EVIDENCE: tuple[Evidence, ...] = get_args(Evidence)

Measured = Literal["train", "validation", "test"]
"""The split of its data that a result was measured on."""

MEASURED: tuple[Measured, ...] = get_args(Measured)


@dataclass(frozen=True, kw_only=True)
class Published:
    """A result that others reported, to stand beside ours and never to be mixed with it.

    Attributes:
        variant: of the space, whose result it is.
        metric: what was measured, by the task's name for it where it has one.
        value: the mean over the authors' runs.
        setting: what it was measured on and how: sizes, epochs, runs, how the best was picked.
        source: where it is written.
        evidence: how far it was confirmed, one of `EVIDENCE`; what was only recalled is kept here,
            and never told to a plan or a report.
        split: of which data; validation stands beside validation, and test beside test.
        control: of the variant, where what the authors measured is the variant's control: a
            momentum of 0, say; empty for the variant itself.
        spread: the sample standard deviation over the authors' runs, None where there is none.
    """

    variant: str
    metric: str
    value: float
    setting: str
    source: str
    evidence: Evidence
    split: Measured = "test"
    control: str = ""
    spread: float | None = None


@dataclass(frozen=True)
class Space:
    """A task, the variants that compete on it, and the parameters that all of them share.

    Attributes:
        name: what the command line and the run directory call it.
        question: what the report answers, one sentence.
        variants: the contenders; exactly one is the baseline.
        parameters: architecture and training parameters shared by all variants.
        task: makes the task (data, loss, metrics); called once in each process. None when every
            variant has its own `run`.
        metric: what decides, by the task's name for it; from the task when it has one.
        direction: ``"maximize"`` or ``"minimize"``; from the task when it has one.
        trials: search trials per variant, unless the command line says otherwise.
        epochs: epochs of a full training, likewise.
        seeds: fresh seeds in the confirm phase, likewise.
        grid: the paper's own grid of shared parameters.
        cost: a second metric, to be made small beside the deciding one; empty for none.
        published: results that others reported.
        paper: the fields that change at paper scale, by name. A mapping (`parameters`, `grid`)
            changes only in what is named.
        scale: at which scale this space is; see `at`.
    """

    name: str
    variants: Sequence[Variant]
    parameters: Parameters = field(default_factory=dict)
    task: Callable[[], Task] | None = None
    question: str = ""
    metric: str = ""
    direction: Literal["maximize", "minimize", ""] = ""
    trials: int = 12
    epochs: int = 10
    seeds: int = 5
    grid: Grid = field(default_factory=dict)
    cost: str = ""
    published: Sequence[Published] = ()
    paper: Mapping[str, Any] = field(default_factory=dict)
    scale: Scale = "laptop"

    def at(self, scale: str) -> Self:
        """This space at a scale.

        Raises:
            ValueError: there is no such scale, or the space has none but its own.
        """
        if scale not in SCALES:
            raise ValueError(f"no scale {scale!r}; there are {', '.join(SCALES)}")
        if scale == self.scale:
            return self
        if not self.paper:
            raise ValueError(f"space {self.name!r} is at {self.scale} scale only, not at {scale}")
        fields = {name: _changed(getattr(self, name), new) for name, new in self.paper.items()}
        return replace(self, **fields, paper={}, scale="paper")

    @cached_property
    def loaded_task(self) -> Task | None:
        """The task, made at the first need and kept in this process."""
        return self.task() if self.task else None

    def __getstate__(self) -> dict[str, Any]:
        # A space travels to the workers; its data do not: each process loads its own.
        return {name: value for name, value in vars(self).items() if name != "loaded_task"}

    def variant(self, name: str) -> Variant:
        """The variant of that name; KeyError with the known names."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = ", ".join(variant.name for variant in self.variants)
        raise KeyError(f"space {self.name!r} has no variant {name!r}; it has: {known}")

    @property
    def deciding_metric(self) -> str:
        """`metric`, or the task's."""
        return self.metric or (self.loaded_task.metric if self.loaded_task else "loss")

    @property
    def deciding_direction(self) -> str:
        """`direction`, or the task's."""
        return self.direction or (self.loaded_task.direction if self.loaded_task else "minimize")

    @property
    def confirmed(self) -> list[Published]:
        """The results of others that may be told: `published` without what was only recalled."""
        return [result for result in self.published if result.evidence != "recalled"]

    def suggest(self, variant: Variant, trial: BaseTrial) -> Values:
        """All values of one trial, shared ones first, drawn from an Optuna trial where searched."""
        shared = {n: _parameters.suggest(trial, n, p) for n, p in self.parameters.items()}
        if callable(variant.parameters):
            return {**shared, **variant.parameters(trial)}
        own = {n: _parameters.suggest(trial, n, p) for n, p in variant.parameters.items()}
        return {**shared, **own}

    def middle(self, variant: Variant) -> Values:
        """The values in the middle of all ranges: for a first look, with no search behind them."""
        return self.suggest(variant, _parameters.Middle())

    def draws(self, variant: Variant) -> bool:
        """Can a trained network of this variant make pictures?"""
        return variant.network is not None and _samples_of(self.loaded_task) is not None

    def train(
        self,
        variant: Variant,
        values: Values,
        *,
        epochs: int,
        seed: int,
        test: bool = False,
        checkpoint: Path | None = None,
        sample: Path | None = None,
    ) -> Iterator[Metrics]:
        """One training as a generator of metrics, one dict per epoch: the seam of the whole house.

        Serial runs, Ray workers and tests consume the same generator. Nothing runs before the
        first dict is asked for. With `sample`, pictures that the trained network makes are drawn
        there at the end, as PNG.

        Raises:
            ValueError: a variant without task and network, or no pictures to be had of them.
        """
        drawn = _samples_of(self.loaded_task)
        if sample is not None and not self.draws(variant):
            raise ValueError(
                f"{variant.name!r} of {self.name!r} makes no pictures; generation-attention does"
            )
        context: dict[str, Any] = {
            "epochs": epochs,
            "seed": seed,
            "test": test,
            "checkpoint": checkpoint,
        }
        if variant.run is not None:
            context["task"] = self.loaded_task
            wanted = inspect.signature(variant.run).parameters
            named = {n: v for n, v in context.items() if n in wanted}
            yield from _plain(variant.run(**values, **named), epochs)
            return
        task, network = self.loaded_task, variant.network
        if task is None or network is None:
            raise ValueError(f"variant {variant.name!r} needs a task and a network, or a run")
        training = {n: v for n, v in values.items() if n in TRAINING_PARAMETERS}
        architecture = {n: v for n, v in values.items() if n not in TRAINING_PARAMETERS}
        built = build(lambda: network(task, **architecture), seed)
        yield from _plain(fit(built, task, **training, **context), epochs)
        if sample is not None and drawn is not None:
            sample.parent.mkdir(parents=True, exist_ok=True)
            save_png(drawn(built.eval(), SAMPLES, seed), sample, zoom=ZOOM)

    def to_json(self) -> dict[str, Any]:
        """The space as plan.json holds it.

        The digest is of what decides which trials there are and how they are compared: task, data,
        metrics, ranges, grids, variants, controls. It cannot see the code of builders and
        functions, and leaves out what is only said: the question, the scale's name, the results of
        others, what a grid goes without.
        """
        task = self.loaded_task
        deciding = {
            "name": self.name,
            "task": task.name if task else None,
            "metric": self.deciding_metric,
            "direction": self.deciding_direction,
            "cost": self.cost,
            "data": dict(task.data) if task else None,
            "parameters": _encode(self.parameters),
            "grid": _encode_grid(self.grid),
            "variants": [
                {
                    "name": variant.name,
                    "baseline": variant.baseline,
                    "parameters": _encode(variant.parameters),
                    "controls": {n: _encode_control(c) for n, c in variant.controls.items()},
                    "grid": _encode_grid(variant.grid),
                }
                for variant in self.variants
            ],
        }
        canonical = json.dumps(_without_words(deciding), sort_keys=True).encode()
        return {
            **deciding,
            "question": self.question,
            "scale": self.scale,
            "chance": task.chance if task else None,
            "linear": task.linear() if task else None,
            "whole": task.whole if task else None,
            "left_out": {v.name: _encode_grid(v.left_out) for v in self.variants if v.left_out},
            "published": [asdict(result) for result in self.confirmed],
            "digest": hashlib.sha256(canonical).hexdigest(),
        }


def _samples_of(task: Task | None) -> Callable[[nn.Module, int, int], NDArray[np.uint8]] | None:
    """Makes pictures (n, height, width[, 3]) from a network, so many, with a seed; None: cannot."""
    samples = getattr(task, "samples", None)  # a method of `Generation`, a number of other tasks
    return samples if callable(samples) else None


def _changed(old: Any, new: Any) -> Any:
    """A field at paper scale: a mapping with what is named changed, anything else anew."""
    return {**old, **new} if isinstance(old, Mapping) and isinstance(new, Mapping) else new


def _plain(reports: Iterator[Metrics], epochs: int) -> Iterator[Metrics]:
    """So many epochs of reports, in Python's own numbers: they go where torch is not known."""
    for count, metrics in enumerate(reports, start=1):
        if not isinstance(metrics, Mapping):
            raise TypeError(
                "a training yields one dict of metrics per epoch, such as "
                f"{{'validation_loss': 0.3}}, but it yielded {metrics!r}"
            )
        report = {str(name): _number(value) for name, value in metrics.items()}
        epoch = report.setdefault("epoch", count)
        if not isinstance(epoch, int) or epoch < 1:
            raise ValueError(f"'epoch' must be a whole number from 1 on, got {epoch!r}")
        yield report
        if epoch >= epochs:
            return


def _number(value: Any) -> Any:
    """A tensor or array of one element as its number; anything else as it is."""
    single = getattr(value, "ndim", None) == 0 and hasattr(value, "item")
    return value.item() if single else value


def _without_words(value: Any) -> Any:
    if not isinstance(value, dict):
        return [_without_words(v) for v in value] if isinstance(value, list) else value
    return {n: n if n == "described" else _without_words(v) for n, v in value.items()}


def _encode(parameters: Parameters | DefineByRun) -> dict[str, Any]:
    if callable(parameters):
        return {"described": inspect.getdoc(parameters) or "a define-by-run function"}
    return {name: _parameters.to_json(parameter) for name, parameter in parameters.items()}


def _encode_grid(grid: Grid) -> dict[str, list[Value]]:
    return {name: list(values) for name, values in grid.items()}


def _encode_control(control: Control) -> dict[str, Any]:
    if callable(control):
        told = inspect.getdoc(control) or "computed from the variant's parameters"
        return {"described": told[:1].lower() + told[1:]}  # it goes on in a sentence
    return dict(control)
