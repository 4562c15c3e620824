"""The commands that train nothing, or one configuration, in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .command import (
    FAILED,
    MOST,
    Concurrency,
    Data,
    Earlier,
    Early,
    Epochs,
    RunFolder,
    Sampler,
    SamplerName,
    Scale,
    Seeds,
    SpaceName,
    SpaceScale,
    Trials,
    app,
    console,
    known_trials,
    left_out,
    load,
    planned_space,
    read,
    told,
    tried,
    use_data,
)
from .plan import BadInput, Plan

if TYPE_CHECKING:
    from ..spaces import Space, Variant
    from ..spaces.space import Control


@app.command("spaces")
def spaces_command() -> None:
    """List the catalogue: the ready questions, and which of them need data of yours."""
    from rich.table import Table

    from ..spaces import CATALOGUE, catalogued

    shown = Table("space", "question", box=None, pad_edge=False)
    shown.columns[0].no_wrap = True
    for name in CATALOGUE:
        space = catalogued(name)
        needs = space.loaded_task is not None and space.loaded_task.needs_data
        shown.add_row(f"{name} [dim]*[/dim]" if needs else name, space.question)
    console().print(shown)
    console().print(
        "\n* reads data of yours: `--data DIR`; `momentune show` says which", style="dim"
    )


@app.command()
def show(space: SpaceName, scale: SpaceScale = Scale.laptop, data: Data = None) -> None:
    """Show one space: variants, parameters with ranges, controls, the cost of one epoch."""
    from rich.table import Table

    _like_a_trial()
    from ..spaces import describe

    use_data(data)
    found, out = load(space, scale).space, console()
    out.print(f"{found.name}: {found.question}\n", highlight=False)
    objective = f"{found.deciding_direction} {found.deciding_metric}"
    task = found.loaded_task.name if found.loaded_task else "none"
    out.print(f"task {task}; {objective}; {found.trials} trials per variant, ", end="")
    out.print(f"{found.epochs} epochs, {found.seeds} confirm seeds\n")
    shown = Table("variant", "parameter", "range", box=None, pad_edge=False)
    for name, parameter in found.parameters.items():
        shown.add_row("(all)", name, describe(parameter))
    for variant in found.variants:
        label = f"{variant.name} (baseline)" if variant.baseline else variant.name
        if callable(variant.parameters):
            shown.add_row(label, "(define-by-run)", "")
            continue
        for name, parameter in (variant.parameters or {"-": "-"}).items():
            shown.add_row(label, name, describe(parameter) if name != "-" else "")
            label = ""
    out.print(shown)
    for variant in found.variants:
        for control, change in variant.controls.items():
            out.print(f"\ncontrol {variant.name}/{control}: {_change(change)}")
    for sentence in _grids(found):
        out.print(f"\n{sentence}")
    for variant in found.variants:
        if variant.caution:
            out.print(f"\n{variant.name}: {variant.caution}")
    for sentence in _published(found):
        out.print(f"\n{sentence}", highlight=False)
    if found.loaded_task and found.loaded_task.chance is not None:  # from here on data are needed
        out.print(f"\nguessing gives {found.loaded_task.metric} {found.loaded_task.chance:.4g}")
    out.print("\none epoch in this process, every range at its middle:")
    for variant in found.variants:
        out.print(f"  {variant.name}: {_epoch_cost(found, variant)}")


@app.command()
def train(
    space: SpaceName,
    variant: Annotated[str, typer.Option(help="Which contender.")],
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter; others: mid-range."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: the space's.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Of this training.")] = 0,
    test: Annotated[bool, typer.Option("--test", help="Judge on test data at the end.")] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Go on from this file if it is there, and keep it.")
    ] = None,
    sample: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw pictures from the trained network.")
    ] = None,
    scale: SpaceScale = Scale.laptop,
    data: Data = None,
) -> None:
    """Train once, in this process and without Ray: how models are debugged."""
    from .trial import failure_of

    _like_a_trial()
    use_data(data)
    found = load(space, scale).space
    chosen = _variant(found, variant)
    values = {**found.middle(chosen), **_assigned(found, chosen, assignments or [])}
    out = console()
    out.print(f"training {variant} with {values}", soft_wrap=True, highlight=False)
    reports = found.train(
        chosen,
        values,
        epochs=epochs or found.epochs,
        seed=seed,
        test=test,
        checkpoint=checkpoint,
        sample=sample / "samples.png" if sample else None,
    )
    trained = False
    try:
        for metrics in reports:
            trained = True
            ordered = {"epoch": metrics["epoch"], **metrics}
            shown = (f"{name} {_short(value)}" for name, value in ordered.items())
            out.print("  ".join(shown), soft_wrap=True, highlight=False)
        if sample:
            out.print(f"samples: {sample / 'samples.png'}", soft_wrap=True, highlight=False)
    except (ValueError, TypeError) as error:
        if trained:
            raise
        # from the builder, or from training's own checks
        raise BadInput(f"{variant} cannot be trained with these values: {error}") from error
    except ArithmeticError as error:  # a training that diverged is a result, not a crash
        typer.echo(f"{failure_of(error).reason}: {error}", err=True)
        raise typer.Exit(FAILED) from error


@app.command()
def replay(
    run: RunFolder,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="Its number, as in trials.csv.")],
) -> None:
    """Train one trial of a run again, and say whether it gives the same numbers."""
    from .launch import quiet_optuna
    from .replay import recorded
    from .replay import replay as replayed

    plan = Plan.load(run)
    _like_a_trial(plan.cpus)
    with quiet_optuna():
        found, reports = recorded(run, plan, trial)
    use_data(Path(plan.data) if plan.data else None)
    space = planned_space(plan).space
    _variant(space, found.variant)  # the file may have changed since
    result = replayed(space, found, reports)
    who = f"trial {trial} ({found.variant}, {found.phase}, seed {found.seed})"
    if result.difference:
        typer.echo(f"{who} is not reproduced: {result.difference}", err=True)
        raise typer.Exit(FAILED)
    typer.echo(f"{who} is reproduced bit for bit: {result.epochs} epochs")


@app.command("plan")
def plan_command(
    space: SpaceName,
    trials: Trials = None,
    epochs: Epochs = None,
    seeds: Seeds = None,
    sampler: SamplerName = Sampler.tpe,
    scheduler: Early = None,
    concurrency: Concurrency = None,
    cpus: Annotated[float, typer.Option(min=0.01, help="CPUs per trial.")] = 1.0,
    scale: SpaceScale = Scale.laptop,
    earlier: Earlier = None,
    data: Data = None,
) -> None:
    """Tell what a sweep would take: trials, epochs and time, from one epoch of each variant."""
    from rich.table import Table

    _like_a_trial(cpus)
    use_data(data)
    loaded, out = load(space, scale), console()
    from .forecast import forecast
    from .launch import Request, make_plan, quiet_optuna
    from .progress import duration

    request = Request(
        trials=trials,
        epochs=epochs,
        seeds=seeds,
        sampler=sampler.value,
        scheduler=scheduler.value if scheduler else None,
        concurrency=concurrency,
        cpus=cpus,
        data=data,
        earlier=earlier or (),
    )
    with quiet_optuna():
        made, found = make_plan(loaded, request), loaded.space
    for line in (*known_trials(made), *left_out(made)):
        out.print(line, highlight=False, soft_wrap=True)
    _epoch_seconds(found, found.variants[0])  # the first one waits for libraries and data
    paces = {variant.name: _epoch_seconds(found, variant) for variant in found.variants}
    with quiet_optuna():
        expected, timeline = forecast(made, found, paces)
    shown = Table("variant", "search", "stopped early", "confirm", "epochs", "training", box=None)
    for name, variant in expected.items():
        counts = (variant.search, variant.stopped, variant.confirm, variant.epochs)
        shown.add_row(name, *map(str, counts), duration(variant.seconds))
    out.print(shown)
    slots = f"{made.concurrency} slots, {timeline.busy:.1f} of them busy"
    out.print(f"about {duration(timeline.seconds)} on {slots}, if every epoch is like the first")


def _grids(space: Space) -> Iterator[str]:
    """The grid of each variant that has one, and what it goes without of the paper's."""
    if space.grid:
        yield f"grid of all: {tried(space.grid)}"
    for variant in space.variants:
        if variant.grid:
            outside = f" (the paper's has also {tried(variant.left_out)})" * bool(variant.left_out)
            yield f"grid of {variant.name}: {tried(variant.grid)}{outside}"


def _change(control: Control) -> str:
    """What a control sets, or the words of the function that computes it, in one line."""
    if not callable(control):
        return ", ".join(f"{name} = {value}" for name, value in control.items())
    return " ".join((control.__doc__ or "computed from its variant's parameters").split())


def _published(space: Space) -> Iterator[str]:
    """What others reported, each in its own setting, with where it is written."""
    for result in space.confirmed:
        who = "/".join(filter(None, (result.variant, result.control)))
        spread = "" if result.spread is None else f" ± {result.spread:g}"
        yield (
            f"published of {who}: {result.split} {result.metric} {result.value:g}{spread} "
            f"({result.setting}; {result.source}; evidence: {result.evidence})"
        )


def _short(value: object) -> str:
    """A metric's value in a few characters; of a series, its two ends."""
    if isinstance(value, list) and value:
        return f"[{_short(value[0])} … {_short(value[-1])}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _variant(space: Space, name: str) -> Variant:
    try:
        return space.variant(name)
    except KeyError as error:
        raise BadInput(told(error)) from error


def _assigned(space: Space, variant: Variant, assignments: list[str]) -> dict[str, Any]:
    known, values = space.middle(variant), {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in known:
            raise BadInput(
                f"--set {assignment!r} must be NAME=VALUE with a parameter of {variant.name}: "
                + ", ".join(known)
            )
        values[name] = read(text)
    return values


def _epoch_cost(space: Space, variant: Variant) -> str:
    spent, metrics = _one_epoch(space, variant)
    size = metrics.get("n_parameters")
    return f"{spent:.2f} s" + (f", {size} network parameters" if size else "")


def _epoch_seconds(space: Space, variant: Variant) -> float:
    return _one_epoch(space, variant)[0]


def _one_epoch(space: Space, variant: Variant) -> tuple[float, dict[str, Any]]:
    """Seconds and metrics of an epoch with every range at its middle.

    Raises:
        BadInput: it cannot be trained.
    """
    from .trial import failure_of

    start = time.perf_counter()
    try:
        metrics = next(space.train(variant, space.middle(variant), epochs=1, seed=0), None)
    except Exception as error:
        raise BadInput(
            f"an epoch of {variant.name} with every range at its middle must end well, and does "
            f"not: {failure_of(error).message}; `momentune train` trains this alone"
        ) from error
    return time.perf_counter() - start, metrics or {}


def _like_a_trial(cpus: float = 1.0) -> None:
    """As many threads as Ray gives a trial with these CPUs: the same numbers, none that spins."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, int(cpus))))
