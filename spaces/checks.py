"""What can be known to be wrong with a space before anything runs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from .parameters import Parameter, Value, contains, describe, problem
from .space import (
    EVIDENCE,
    MEASURED,
    TRAINING_CONTEXT,
    TRAINING_PARAMETERS,
    Grid,
    Space,
    Variant,
)

_NAME = re.compile(r"[A-Za-z][\w.-]*")


class SpaceError(ValueError):
    """A space that cannot be searched, or cannot be found; the message says how to mend it."""


def check(space: Space) -> Space:
    """Returns the space when it can be searched.

    Raises:
        SpaceError: with every problem found, one per line.
    """
    try:
        problems = list(_problems(space))
    except (TypeError, AttributeError) as error:
        raise SpaceError(
            f"space {space.name!r} is not built as Space and Variant say: {error}"
        ) from error
    if problems:
        raise SpaceError(f"space {space.name!r}: " + "\n  ".join(dict.fromkeys(problems)))
    return space


def _problems(space: Space) -> Iterator[str]:
    yield from _named("space", space.name)
    yield from _contenders(space)
    yield from _budget(space)
    for name, parameter in space.parameters.items():
        yield from _parameter(name, parameter)
    for variant in space.variants:
        yield from _variant(space, variant)
    yield from _grid("the space's grid", space.grid, space.parameters)
    yield from _published(space)
    yield from _paper(space)


def _contenders(space: Space) -> Iterator[str]:
    names = [variant.name for variant in space.variants]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"variant names must differ, {', '.join(twice)} stands twice"
    baselines = [variant.name for variant in space.variants if variant.baseline]
    if len(baselines) != 1:
        found = f"{len(baselines)}: {', '.join(baselines)}" if baselines else "none"
        yield f"exactly one variant must have baseline=True, found {found}"


def _budget(space: Space) -> Iterator[str]:
    for name in ("trials", "epochs", "seeds"):
        if (value := getattr(space, name)) < 1:
            yield f"{name} must be at least 1, got {value}"
    if space.direction not in ("maximize", "minimize", ""):
        yield f"direction must be 'maximize' or 'minimize', got {space.direction!r}"
    if space.task is None and not (space.metric and space.direction):
        yield "a space without a task must say its metric and its direction"


def _published(space: Space) -> Iterator[str]:
    controls = {variant.name: list(variant.controls) for variant in space.variants}
    for result in space.published:
        told = f"a published result of {result.variant!r} has"
        if result.variant not in controls:
            yield (
                f"a published result is of variant {result.variant!r}, which is none of "
                + ", ".join(controls)
            )
        elif result.control not in ("", *controls[result.variant]):
            known = ", ".join(controls[result.variant]) or "the variant has none"
            yield f"{told} control {result.control!r}, which is none of its controls: {known}"
        if result.evidence not in EVIDENCE:
            yield f"{told} evidence {result.evidence!r}, which is none of {', '.join(EVIDENCE)}"
        if result.split not in MEASURED:
            yield f"{told} split {result.split!r}, which is none of {', '.join(MEASURED)}"


def _paper(space: Space) -> Iterator[str]:
    """What is wrong at paper scale, beside what already is at this one."""
    if not space.paper:
        return
    known = {field.name for field in fields(space)} - {"name", "paper", "scale"}
    if unknown := sorted(set(space.paper) - known):
        yield f"paper changes {_quoted(unknown)}; it may change {', '.join(sorted(known))}"
        return
    here = set(_problems(replace(space, paper={})))
    yield from (
        f"at paper scale: {problem}"
        for problem in _problems(space.at("paper"))
        if problem not in here
    )


def _grid(what: str, grid: Grid, parameters: Mapping[str, Any]) -> Iterator[str]:
    for name, values in grid.items():
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            yield f"{what} names {name!r}, which is none of its parameters: {known}"
        elif not values:
            yield f"{what} has no value for {name!r}; leave it out"
        elif outside := [value for value in values if not contains(parameters[name], value)]:
            yield (
                f"{what} has {name}={outside[0]!r}, which is not in {describe(parameters[name])}; "
                "widen the range, or leave the value out"
            )


def _named(what: str, name: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"{what} name {name!r} must be a letter followed by letters, digits, '_', '-' or '.'"


def _parameter(name: str, parameter: Parameter) -> Iterator[str]:
    if not name.isidentifier():
        yield f"parameter name {name!r} must be a Python identifier: it is an argument's name"
    if found := problem(name, parameter):
        yield found


def _variant(space: Space, variant: Variant) -> Iterator[str]:
    yield from _named("variant", variant.name)
    if not callable(variant.parameters):
        for name, parameter in variant.parameters.items():
            yield from _parameter(name, parameter)
            if name in space.parameters:
                yield (
                    f"parameter {name!r} is shared by all variants and given again by "
                    f"{variant.name!r}; a shared parameter has one range for all"
                )
        yield from _grid(f"the grid of variant {variant.name!r}", variant.grid, variant.parameters)
    if (variant.network is None) == (variant.run is None):
        yield f"variant {variant.name!r} needs either a network or a run, and not both"
    elif variant.network is not None and space.task is None:
        yield f"variant {variant.name!r} has a network, so the space needs a task to train it on"
    else:
        yield from _arguments(space, variant)


def _arguments(space: Space, variant: Variant) -> Iterator[str]:
    try:
        values = space.middle(variant)
    except Exception as error:
        yield f"the parameters of variant {variant.name!r} cannot be drawn: {error}"
        return
    for name, value in values.items():
        if name in {*TRAINING_CONTEXT, "task"}:
            yield f"parameter {name!r} is set by the sweep itself; name yours otherwise"
        if not isinstance(value, Value):
            yield (
                f"parameter {name!r} of variant {variant.name!r} must be drawn as a number, a "
                + (f"text, a truth value or None, got {value!r}")
            )
    target: Callable[..., Any]
    if variant.run is not None:
        what, target, given = "run", variant.run, set(values)
        provided = {*TRAINING_CONTEXT, "task"}
    else:
        assert variant.network is not None
        what, target, provided = "network", variant.network, set()
        given = values.keys() - TRAINING_PARAMETERS.keys()
        if missing := sorted(_required(TRAINING_PARAMETERS.values()) - set(values)):
            yield f"training needs {_quoted(missing)}; add it to the space's parameters"
    yield from _binding(f"{what} of variant {variant.name!r}", target, given, provided)
    for control in variant.controls:
        yield from _named("control", control)
        try:
            variant.controlled(control, values)
        except Exception as error:
            yield str(error)


def _binding(
    what: str, target: Callable[..., Any], given: set[str], provided: set[str]
) -> Iterator[str]:
    arguments = list(inspect.signature(target).parameters.values())
    if what.startswith("network"):  # the task comes first, by position
        if not arguments:
            yield f"the {what} takes no argument; it is called as network(task, **parameters)"
        elif arguments[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            arguments = arguments[1:]
    taken = {a.name for a in arguments if a.kind in (a.POSITIONAL_OR_KEYWORD, a.KEYWORD_ONLY)}
    if not any(a.kind is a.VAR_KEYWORD for a in arguments) and (extra := sorted(given - taken)):
        yield (
            f"the {what} does not take {_quoted(extra)}; it takes {', '.join(sorted(taken)) or '-'}"
            f" (and training takes {', '.join(sorted(TRAINING_PARAMETERS))})"
        )
    if missing := sorted(_required(arguments) - given - provided):
        yield f"the {what} needs {_quoted(missing)}, which the space does not give; it gives " + (
            ", ".join(sorted(given)) or "nothing"
        )


def _required(arguments: Iterable[inspect.Parameter]) -> set[str]:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {a.name for a in arguments if a.kind in named and a.default is a.empty}


def _quoted(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)
