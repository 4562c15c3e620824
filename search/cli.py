"""The command line. Each command imports what it needs, so that ``--help`` answers at once."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .plan import BadInput, Plan, make_run_directory, resume_command

if TYPE_CHECKING:
    from rich.console import Console

    from ..spaces import Loaded, Space, Variant
    from .launch import Outcome

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


class Scheduler(StrEnum):
    """How bad trials are stopped early."""

    asha = "asha"
    none = "none"


SpaceName = Annotated[
    str,
    typer.Argument(metavar="SPACE", help="A catalogue name, file.py, or file.py:NAME."),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory, as `sweep --out` makes it.")
]
Data = Annotated[Path | None, typer.Option(help="Folder of data files that tasks look in.")]
Address = Annotated[str | None, typer.Option(help="A Ray cluster, such as auto or HOST:PORT.")]


@app.command("spaces")
def spaces_command() -> None:
    """List the catalogue: what is asked, on which task, between which variants."""
    from rich.table import Table

    from ..spaces import CATALOGUE, catalogued

    shown = Table("space", "task", "variants", "question", box=None, pad_edge=False)
    for name in CATALOGUE:
        space = catalogued(name)
        task = space.loaded_task.name if space.loaded_task else "-"
        shown.add_row(name, task, ", ".join(v.name for v in space.variants), space.question)
    _console().print(shown)


@app.command()
def show(space: SpaceName, data: Data = None) -> None:
    """Show one space: variants, parameters with ranges, controls, the cost of one epoch."""
    from rich.table import Table

    _like_a_trial()
    from ..spaces import describe

    _use_data(data)
    loaded, console = _load(space), _console()
    found = loaded.space
    console.print(f"{found.name}: {found.question}\n", highlight=False)
    objective = f"{found.deciding_direction} {found.deciding_metric}"
    task = found.loaded_task.name if found.loaded_task else "none"
    console.print(f"task {task}; {objective}; {found.trials} trials per variant, ", end="")
    console.print(f"{found.epochs} epochs, {found.seeds} confirm seeds\n")
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
    console.print(shown)
    for variant in found.variants:
        for control, change in variant.controls.items():
            told = change.__doc__ if callable(change) else change
            console.print(f"\ncontrol {variant.name}/{control}: {told}")
    console.print("\none epoch in this process, every range at its middle:")
    for variant in found.variants:
        console.print(f"  {variant.name}: {_epoch_cost(found, variant)}")


@app.command()
def sweep(
    space: SpaceName,
    trials: Annotated[int | None, typer.Option(min=1, help="Search trials per variant.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of a full training.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Fresh seeds to confirm with.")] = None,
    sampler: Annotated[Sampler, typer.Option(help="How to choose.")] = Sampler.tpe,
    scheduler: Annotated[Scheduler, typer.Option(help="How to stop early.")] = Scheduler.asha,
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Of the whole sweep.")] = 0,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time; default: as many as fit.")
    ] = None,
    cpus: Annotated[float, typer.Option(min=0.01, help="CPUs per trial.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0.0, help="GPUs per trial.")] = 0.0,
    time_budget: Annotated[str | None, typer.Option(help="Such as 90s, 30m, 2h.")] = None,
    address: Address = None,
    storage: Annotated[
        str | None, typer.Option(help="A database URL for the ledger instead of a file.")
    ] = None,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="The run directory to make. [default: runs/SPACE-TIME]")
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="One epoch, one trial, two seeds: does it all work?")
    ] = False,
) -> None:
    """Run a sweep: search with every variant, confirm on fresh seeds, write the report."""
    budget = _seconds(time_budget)
    _use_data(data)
    loaded = _load(space)
    from . import launch

    if smoke:
        trials, epochs, seeds = trials or 1, epochs or 1, seeds or 2
    request = launch.Request(
        trials=trials,
        epochs=epochs,
        seeds=seeds,
        seed=seed,
        sampler=sampler.value,
        scheduler=scheduler.value,
        concurrency=concurrency,
        cpus=cpus,
        gpus=gpus,
        time_budget=budget,
        storage=storage,
        data=data,
        address=address,
    )
    plan = launch.make_plan(loaded, request)
    folder = out or Path("runs") / f"{plan.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    make_run_directory(folder)
    plan.save(folder)
    going_on = resume_command(folder, address)
    told = f"running {plan.name} in {folder}; after any interruption: {going_on}"
    _console().print(told, highlight=False, soft_wrap=True)
    _run(folder, plan, loaded, address)


@app.command()
def resume(run: RunFolder, address: Address = None) -> None:
    """Go on with an interrupted sweep: finished trials are kept, others go on where they were."""
    plan = Plan.load(run)
    if address:
        from .launch import check_address

        check_address(address)
    _use_data(Path(plan.data) if plan.data else None)
    _run(run, plan, _load(plan.space["reference"]), address)


@app.command()
def status(run: RunFolder) -> None:
    """Show how far a sweep is, also while it runs."""
    from .launch import quiet_optuna
    from .ledger import Ledger
    from .progress import table

    plan = Plan.load(run)
    with quiet_optuna():
        ledger = Ledger(run, plan)
        _console().print(table(plan, ledger))
        state = "done" if ledger.done else f"not done; to go on: {resume_command(run)}"
        _console().print(state, soft_wrap=True)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.")],
) -> None:
    """Write the report of a run again, from its files only."""
    for run in runs:
        typer.echo(_report(run))


@app.command()
def best(
    run: RunFolder,
    variant: Annotated[
        str | None, typer.Option(help="Whose; default: the best on validation data.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Print the confirmed configuration and the command that trains it."""
    from ..reports import RunError, load_run
    from ..reports import best as confirmed

    plan = Plan.load(run)
    try:
        found = confirmed(load_run(run), variant)
    except (RunError, KeyError) as error:
        raise BadInput(_text(error)) from error
    found["command"] = shlex.join(
        [
            *("momentune", "train", plan.space["reference"], "--variant", found["variant"]),
            *(word for n, v in found["params"].items() for word in ("--set", f"{n}={_literal(v)}")),
            *("--epochs", str(plan.epochs)),
        ]
    )
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"{name}: {value}")


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
    data: Data = None,
) -> None:
    """Train once, in this process and without Ray: how models are debugged."""
    from .trial import failure_of

    _like_a_trial()
    _use_data(data)
    found = _load(space).space
    chosen = _variant(found, variant)
    values = {**found.middle(chosen), **_assigned(found, chosen, assignments or [])}
    console = _console()
    console.print(f"training {variant} with {values}", soft_wrap=True, highlight=False)
    reports = found.train(
        chosen,
        values,
        epochs=epochs or found.epochs,
        seed=seed,
        test=test,
        checkpoint=checkpoint,
    )
    trained = False
    try:
        for metrics in reports:
            trained = True
            shown = (
                f"{n} {v:.4g}" if isinstance(v, float) else f"{n} {v}" for n, v in metrics.items()
            )
            console.print("  ".join(shown), soft_wrap=True, highlight=False)
    except (ValueError, TypeError) as error:
        if trained:
            raise
        # from the builder, or from training's own checks
        raise BadInput(f"{variant} cannot be trained with these values: {error}") from error
    except ArithmeticError as error:  # a training that diverged is a result, not a crash
        typer.echo(f"{failure_of(error).reason}: {error}", err=True)
        raise typer.Exit(FAILED) from error


def main() -> None:
    """Runs the command line: exit code 0 done, 1 failed, 2 bad input, 130 interrupted."""
    try:
        app()
    except BadInput as error:
        typer.echo(f"momentune: {error}", err=True)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _run(folder: Path, plan: Plan, loaded: Loaded, address: str | None) -> None:
    from . import launch

    console, going_on = _console(), resume_command(folder, address)
    try:
        outcome = launch.run(folder, plan, loaded, address=address, console=console)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; to go on: {going_on}", err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:  # a full disk, say: what is written stays, and can be gone on with
        typer.echo(f"stopped: {error}. When that is mended: {going_on}", err=True)
        sys.exit(FAILED)
    _end(folder, outcome, going_on, console)


def _end(folder: Path, outcome: Outcome, going_on: str, console: Console) -> None:
    """Writes the report, also of a part of a sweep, and leaves with the exit code."""
    if outcome.ending == "interrupted":
        typer.echo(f"interrupted; nothing is lost. To go on: {going_on}", err=True)
    console.print(f"report: {_report(folder)}", soft_wrap=True, highlight=False)
    if outcome.ending == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if outcome.ending == "out of time":
        console.print(f"the time budget is used up; to go on: {going_on}", soft_wrap=True)
    for variant in outcome.failed_variants:
        typer.echo(f"variant {variant} has no confirmed result; the report says why", err=True)
    if outcome.failed_variants:
        raise typer.Exit(FAILED)


def _report(run: Path) -> Path:
    from ..reports import RunError, write_report

    try:
        return write_report(run)
    except RunError as error:
        raise BadInput(str(error)) from error


def _load(reference: str) -> Loaded:
    from ..spaces import SpaceError, load

    try:
        return load(reference)
    except SpaceError as error:
        raise BadInput(str(error)) from error


def _variant(space: Space, name: str) -> Variant:
    try:
        return space.variant(name)
    except KeyError as error:
        raise BadInput(_text(error)) from error


def _assigned(space: Space, variant: Variant, assignments: list[str]) -> dict[str, Any]:
    known, values = space.middle(variant), {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or name not in known:
            raise BadInput(
                f"--set {assignment!r} must be NAME=VALUE with a parameter of {variant.name}: "
                + ", ".join(known)
            )
        values[name] = _read(text)
    return values


def _epoch_cost(space: Space, variant: Variant) -> str:
    start = time.perf_counter()
    metrics = next(space.train(variant, space.middle(variant), epochs=1, seed=0), None)
    spent = time.perf_counter() - start
    size = (metrics or {}).get("n_parameters")
    return f"{spent:.2f} s" + (f", {size} network parameters" if size else "")


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.replace(" ", ""))
    hours, minutes, seconds = (int(n or 0) for n in parts.groups()) if parts else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise BadInput(f"--time-budget {text!r} must be such as 90s, 30m or 1h30m, and not nothing")
    return float(total)


def _like_a_trial() -> None:
    """One thread, as a trial of a sweep has by default: the same numbers, no spinning threads."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _use_data(folder: Path | None) -> None:
    if folder is not None:
        os.environ["MOMENTUNE_DATA"] = str(folder.resolve())


def _literal(value: object) -> str:
    """A value as `--set` reads it back: a text only in quotes where it would be read as another."""
    if not isinstance(value, str):
        return json.dumps(value)
    return json.dumps(value) if _read(value) != value else value


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text  # a plain word needs no quotes


def _text(error: Exception) -> str:
    return str(error.args[0]) if error.args else str(error)


def _console() -> Console:
    from rich.console import Console

    return Console()
