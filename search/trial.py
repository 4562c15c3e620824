"""A trial: one configuration trained once; and how it ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, cast, get_args

Phase = Literal["search", "confirm"]
PHASES: tuple[Phase, Phase] = ("search", "confirm")
Reason = Literal["diverged", "oom", "timeout", "lost", "exception", "stopped"]

RETRIES: dict[Reason, int] = {"oom": 1, "lost": 2}
"""How often a trial is tried again that ended so: out of memory alone, lost on another machine."""

_OUT_OF_MEMORY = {"MemoryError", "OutOfMemoryError"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One configuration to train once. A value: JSON in, JSON out.

    Attributes:
        number: unique in its run, over variants and phases.
        variant: whose configuration it is.
        control: the control of that variant, None for the variant itself.
        phase: search, judged on validation data, or confirm, judged once on test data.
        seed: of weights, batches and dropout.
        epochs: of a full training.
        params: every parameter in effect, the fixed ones too.
        index: its number in its study, which is what Optuna calls it.
        attempt: 1 for the first try; a retry or a resume is a new attempt.
        alone: nothing else may run meanwhile: memory ran out when something did.
    """

    number: int
    variant: str
    control: str | None
    phase: Phase
    seed: int
    epochs: int
    params: dict[str, Any]
    index: int
    attempt: int = 1
    alone: bool = False

    def to_json(self) -> str:
        """The trial as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The trial that `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a trial has no result.

    Attributes:
        reason: the kind, which statistics are made of.
        message: one line for people.
        step: the training step where it happened, when known.
        traceback: where in the code, when it raised.
    """

    reason: Reason
    message: str
    step: int | None = None
    traceback: str = ""

    def to_json(self) -> str:
        """The failure as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The failure that `to_json` wrote."""
        return cls(**json.loads(text))


def failure_of(error: BaseException, traceback: str = "") -> Failure:
    """Sorts an exception from a training by its kind.

    An exception may say its own ``reason`` and ``step`` (as ``momentune.models.Diverged`` does);
    otherwise running out of memory is known by the exception's name, so that no torch is needed
    here, and everything else is ``exception``.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    own: Any = getattr(error, "reason", None)
    if isinstance(own, str) and own in get_args(Reason):  # others' exceptions have other reasons
        step = getattr(error, "step", None)
        return Failure(reason=cast(Reason, own), message=str(error), step=step, traceback=traceback)
    reason: Reason = "oom" if names & _OUT_OF_MEMORY else "exception"
    message = f"{type(error).__name__}: {error}"
    return Failure(reason=reason, message=message, traceback=traceback)
