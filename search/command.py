"""What all commands share: the words that they take, and how they speak and end."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .plan import BadInput, Plan

if TYPE_CHECKING:
    from rich.console import Console

    from ..spaces import Loaded

app = typer.Typer(
    help="Does momentum make this architecture better, by how much, and at what cost?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
MOST = 2**53  # the largest seed: every reader of JSON and CSV holds it exactly


class Sampler(StrEnum):
    """How configurations are chosen."""

    tpe = "tpe"
    random = "random"
    qmc = "qmc"
    paired = "paired"
    gp = "gp"
    cmaes = "cmaes"
    nsga2 = "nsga2"
    grid = "grid"


class Scheduler(StrEnum):
    """How bad trials are stopped early."""

    asha = "asha"
    hyperband = "hyperband"
    none = "none"


class Scale(StrEnum):
    """How large a question is asked."""

    laptop = "laptop"
    paper = "paper"


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(f"momentune {metadata.version('momentune')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """What goes before any command."""


SpaceName = Annotated[
    str,
    typer.Argument(metavar="SPACE", help="A catalogue name, file.py, or file.py:NAME."),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory, as `sweep --out` makes it.")
]
Data = Annotated[Path | None, typer.Option(help="Folder of data files that tasks look in.")]
Address = Annotated[str | None, typer.Option(help="A Ray cluster, such as auto or HOST:PORT.")]
Resources = Annotated[
    list[str] | None,
    typer.Option(
        "--resources", metavar="NAME=AMOUNT", help="Per trial, of a cluster's own resources."
    ),
]
Checkpoints = Annotated[
    str | None,
    typer.Option(
        metavar="PLACE",
        help="Folder or s3://BUCKET/PATH that all machines see. [default: in the run directory]",
    ),
]
SamplerName = Annotated[
    Sampler,
    typer.Option(
        "--sampler",
        help="How to choose. `paired` is a qmc that gives shared parameters the same values in "
        "every variant.",
    ),
]
Trials = Annotated[int | None, typer.Option(min=1, help="Search trials per variant.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Epochs of a full training.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Fresh seeds to confirm with.")]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Trials at a time; default: as many as fit.")
]
Earlier = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="PLACE",
        help="Earlier trials that the sampler knows from the start: a run, FILE.csv as trials.csv, "
        "or VARIANT=URL of an Optuna study.",
    ),
]
Early = Annotated[
    Scheduler | None,
    typer.Option(
        help="How to stop early; default: asha, but none on a grid or when deterministic.",
    ),
]
SpaceScale = Annotated[Scale, typer.Option("--scale", help="The question's size.")]


def load(reference: str, scale: str) -> Loaded:
    """The space that a user names, at a scale.

    Raises:
        BadInput: there is none, or not at that scale, or its task's data are not there.
    """
    from dataclasses import replace

    from ..spaces import SpaceError
    from ..spaces import load as loaded

    try:
        found = loaded(reference)
        space = found.space.at(scale)
        if space.loaded_task is not None:
            _ = space.loaded_task.data  # what is missing is told before anything starts
    except (SpaceError, ValueError, FileNotFoundError, ImportError) as error:
        raise BadInput(str(error)) from error
    return replace(found, space=space)


def planned_space(plan: Plan) -> Loaded:
    """The space of a plan, as it is now."""
    return load(plan.space["reference"], scale_of(plan))


def scale_of(plan: Plan) -> str:
    """The scale at which a plan's space is."""
    return str(plan.space.get("scale", Scale.laptop.value))


def use_data(folder: Path | None) -> None:
    """Tells every task, also those of the workers, where the data files are.

    Raises:
        BadInput: the folder is none.
    """
    if folder is not None:
        if not folder.is_dir():
            raise BadInput(f"--data {folder} is no directory")
        os.environ["MOMENTUNE_DATA"] = str(folder.resolve())


def console() -> Console:
    """Where commands speak."""
    from rich.console import Console

    return Console()


def seconds(option: str, text: str | None) -> float | None:
    """A duration such as 90s, 30m or 1h30m.

    Raises:
        BadInput: it is none, or nothing.
    """
    if text is None:
        return None
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.replace(" ", ""))
    hours, minutes, rest = (int(n or 0) for n in parts.groups()) if parts else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + rest
    if not total:
        raise BadInput(f"{option} {text!r} must be such as 90s, 30m or 1h30m, and not nothing")
    return float(total)


def budget(assignments: list[str] | None) -> dict[str, float]:
    """The most that a search may cost: ``["nfe_forward=1e7"]`` as ``{"nfe_forward": 1e7}``.

    Raises:
        BadInput: one is no NAME=NUMBER above 0.
    """
    return _amounts(
        assignments,
        "--budget {!r} must be METRIC=NUMBER, with a metric that trainings report and that adds "
        "up, such as seconds=3600 or nfe_forward=1e7, or epochs=500",
    )


def needs_of(assignments: list[str] | None) -> dict[str, float]:
    """What a trial needs besides CPUs and GPUs: ``["tpu=0.5"]`` as ``{"tpu": 0.5}``.

    Raises:
        BadInput: one is no NAME=NUMBER above 0.
    """
    return _amounts(assignments, "--resources {!r} must be NAME=AMOUNT, such as big_memory=1")


def _amounts(assignments: list[str] | None, rule: str) -> dict[str, float]:
    most: dict[str, float] = {}
    for assignment in assignments or []:
        name, _, text = assignment.partition("=")
        if name in most:
            raise BadInput(f"{name} is given twice: {most[name]:g} and {text}; give it once")
        try:
            most[name] = float(text)
        except ValueError:
            most[name] = 0.0
        if not (name and 0 < most[name] < float("inf")):
            raise BadInput(rule.format(assignment))
    return most


def known_trials(plan: Plan) -> Iterator[str]:
    """What the sampler of a plan knows from earlier runs, a line for each."""
    for run in plan.imported:
        known = Counter(trial["variant"] for trial in run["trials"])
        counts = ", ".join(f"{known[name]} of {n} of {name}" for name, n in run["complete"].items())
        if "git" not in run:
            note = "; that they are of this task, metric and length is your word"
        elif (run["versions"], run["git"]) != (plan.versions, plan.git):
            note = "; the code or a package has changed since"
        else:
            note = ""
        yield (
            f"known from {run['run']}, beside any budget: {counts}; only those inside the space, "
            f"and to the sampler alone: none is confirmed, none stops another early{note}"
        )


def left_out(plan: Plan) -> Iterator[str]:
    """What a plan's grid goes without of the grid that a paper tried, a line for each variant."""
    if plan.sampler["name"] == "grid":
        for variant, values in plan.space.get("left_out", {}).items():
            yield (
                f"the grid of {variant} goes without what the paper tried outside of its ranges at "
                f"{plan.space['scale']} scale: {tried(values)}"
            )


def tried(values: Mapping[str, Sequence[object]]) -> str:
    """A grid's values by parameter: `step 0.1, 0.3; restart 2, 4`."""
    return "; ".join(f"{name} {', '.join(map(str, own))}" for name, own in values.items())


def literal(value: object) -> str:
    """A value as `--set` reads it back: a text only in quotes where it would be read as another."""
    if not isinstance(value, str):
        return json.dumps(value)
    return json.dumps(value) if read(value) != value else value


def read(text: str) -> Any:
    """A value as a user types it; a plain word needs no quotes."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def told(error: Exception) -> str:
    """An error's own words; a KeyError puts its in quotes."""
    return str(error.args[0]) if error.args else str(error)
