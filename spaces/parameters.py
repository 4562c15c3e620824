"""What a parameter may be: a fixed value, or a range to search.

Ranges are Optuna's distributions under short names, so that nothing stands between a space and the
samplers: ``Float(1e-4, 1e-2, log=True)``, ``Int(1, 4)``, ``Choice(["adam", "rmsprop"])``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.trial import BaseTrial, FixedTrial

Float = FloatDistribution
Int = IntDistribution
Choice = CategoricalDistribution

Value = bool | int | float | str | None
"""A parameter's value: what JSON can say without loss."""
Parameter = Value | Float | Int | Choice
Parameters = Mapping[str, Parameter]
Values = dict[str, Any]


def suggest(trial: BaseTrial, name: str, parameter: Parameter) -> Value:
    """Draws one parameter's value from an Optuna trial; a fixed value is returned as it is."""
    match parameter:
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(name, low, high, log=log, step=step)
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
        case _:
            return parameter


def middle(parameter: Parameter | BaseDistribution) -> Any:
    """The middle of a range: the geometric one of a log range, the first of choices."""
    match parameter:
        case FloatDistribution(low=low, high=high, log=log, step=step):
            value = math.sqrt(low * high) if log else (low + high) / 2
            if step is not None:
                return low + step * round((value - low) / step)
            return float(f"{value:.3g}") if low <= float(f"{value:.3g}") <= high else value
        case IntDistribution(low=low, high=high, log=log, step=step):
            value = math.sqrt(low * high) if log else (low + high) / 2
            return low + step * int((value - low) // step)
        case CategoricalDistribution(choices=choices):
            return choices[0]
        case _:
            return parameter


def contains(parameter: Parameter | BaseDistribution, value: Value) -> bool:
    """Whether a search could draw that value; of a fixed parameter, whether it is that value."""
    match parameter, value:
        case FloatDistribution() | IntDistribution(), bool():
            return False
        case FloatDistribution(), int() | float():
            return _between(parameter, value)
        case IntDistribution(), int():
            return _between(parameter, value)
        case CategoricalDistribution(choices=choices), _:
            return value in choices
        case _:
            return value == parameter


def _between(numbers: Float | Int, value: float) -> bool:
    steps = 0.0 if numbers.step is None else (value - numbers.low) / numbers.step
    return numbers.low <= value <= numbers.high and math.isclose(steps, round(steps), abs_tol=1e-9)


class Middle(FixedTrial):
    """A trial that suggests the middle of every range: what a space is without a search."""

    def __init__(self) -> None:
        super().__init__({})

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        return middle(distribution)  # every suggest_* of Optuna comes here


class _Given(FixedTrial):
    """A trial that suggests given values, but only such as a search could draw."""

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._params or not contains(distribution, self._params[name]):
            raise ValueError(f"{name!r} cannot be {self._params.get(name)!r} in {distribution}")
        return super()._suggest(name, distribution)


def repeated(
    suggest: Callable[[BaseTrial], Values], params: Values
) -> tuple[Values, FixedTrial] | None:
    """All values of a trial, and the trial, if a search draws these parameters; None if it cannot.

    Args:
        suggest: draws the values of one trial, as `Space.suggest` of a variant does.
        params: given for what it searches; others are not asked for.
    """
    trial = _Given(params)
    try:
        return suggest(trial), trial
    except ValueError:
        return None


def to_json(parameter: Parameter) -> dict[str, Any]:
    """A parameter as plan.json holds it: Optuna's own form of a range, or ``{"fixed": value}``."""
    if isinstance(parameter, BaseDistribution):
        encoded: dict[str, Any] = json.loads(distribution_to_json(parameter))
        return encoded
    return {"fixed": parameter}


def describe(parameter: Parameter) -> str:
    """A parameter in words: ``0.001 … 0.03 (log)``, ``32 | 64``, ``= 64``."""
    match parameter:
        case FloatDistribution(low=low, high=high) | IntDistribution(low=low, high=high):
            notes = ["log"] if parameter.log else []
            if parameter.step not in (None, 1):
                notes.append(f"step {parameter.step:g}")
            return f"{low:g} … {high:g}" + (f" ({', '.join(notes)})" if notes else "")
        case CategoricalDistribution(choices=choices):
            return " | ".join(str(choice) for choice in choices)
        case _:
            return f"= {parameter}"


def problem(name: str, parameter: object) -> str | None:
    """What is wrong with a parameter, in one line; None when nothing is."""
    match parameter:
        case FloatDistribution(low=low, high=high) | IntDistribution(low=low, high=high):
            if not low < high:
                return (
                    f"parameter {name!r} needs low < high, got low={low}, high={high}; "
                    f"for a fixed value write {name}={low}"
                )
        case CategoricalDistribution(choices=choices):
            odd = [choice for choice in choices if not isinstance(choice, Value)]
            if odd:
                return (
                    f"parameter {name!r} offers {odd[0]!r}; choices are None, bool, int, float or "
                    "str, so give objects a name and let the builder look them up"
                )
        case float() if not math.isfinite(parameter):
            return f"parameter {name!r} is fixed at {parameter}; a fixed value must be finite"
        case bool() | int() | float() | str() | None:
            pass
        case _:
            return (
                f"parameter {name!r} is {parameter!r} of type {type(parameter).__name__}; use a "
                "fixed value (None, bool, int, float, str) or a range: Float, Int, Choice"
            )
    return None
