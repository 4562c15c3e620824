"""The command line. Each command imports what it needs, so that ``--help`` answers at once."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import once as once  # the other commands
from .command import (
    BAD_INPUT,
    FAILED,
    INTERRUPTED,
    MOST,
    Address,
    Checkpoints,
    Concurrency,
    Data,
    Earlier,
    Early,
    Epochs,
    Resources,
    RunFolder,
    Sampler,
    SamplerName,
    Scale,
    Seeds,
    SpaceName,
    SpaceScale,
    Trials,
    app,
    budget,
    console,
    known_trials,
    left_out,
    literal,
    load,
    needs_of,
    planned_space,
    scale_of,
    seconds,
    told,
    use_data,
)
from .plan import (
    BadInput,
    Plan,
    check_unchanged,
    forget_run_directory,
    make_run_directory,
    resume_command,
)

if TYPE_CHECKING:
    from ..spaces import Loaded
    from .launch import Outcome


@app.command()
def sweep(
    space: SpaceName,
    trials: Trials = None,
    epochs: Epochs = None,
    seeds: Seeds = None,
    sampler: SamplerName = Sampler.tpe,
    scheduler: Early = None,
    scale: SpaceScale = Scale.laptop,
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Of the whole sweep.")] = 0,
    concurrency: Concurrency = None,
    cpus: Annotated[float, typer.Option(min=0.01, help="CPUs per trial.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0.0, help="GPUs per trial.")] = 0.0,
    time_budget: Annotated[str | None, typer.Option(help="Such as 90s, 30m, 2h.")] = None,
    trial_timeout: Annotated[
        str | None, typer.Option(help="The longest that one attempt may take, such as 2h.")
    ] = None,
    budgets: Annotated[
        list[str] | None,
        typer.Option("--budget", metavar="METRIC=NUMBER", help="The most that the search costs."),
    ] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same results with any concurrency.")
    ] = False,
    address: Address = None,
    needs: Resources = None,
    checkpoints: Checkpoints = None,
    storage: Annotated[
        str | None, typer.Option(help="A database URL for the ledger instead of a file.")
    ] = None,
    earlier: Earlier = None,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="The run directory to make. [default: runs/SPACE-TIME]")
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="One epoch, one trial, two seeds: does it all work?")
    ] = False,
) -> None:
    """Run a sweep: search with every variant, confirm on fresh seeds, write the report."""
    allowed = seconds("--time-budget", time_budget), seconds("--trial-timeout", trial_timeout)
    most = budget(budgets)
    use_data(data)
    loaded = load(space, scale)
    from . import launch

    if smoke:
        trials, epochs, seeds = trials or 1, epochs or 1, seeds or 2
    request = launch.Request(
        trials=trials,
        epochs=epochs,
        seeds=seeds,
        seed=seed,
        sampler=sampler.value,
        scheduler=scheduler.value if scheduler else None,
        concurrency=concurrency,
        cpus=cpus,
        gpus=gpus,
        time_budget=allowed[0],
        trial_timeout=allowed[1],
        budget=most,
        deterministic=deterministic,
        storage=storage,
        data=data,
        address=address,
        resources=needs_of(needs),
        checkpoints=checkpoints,
        earlier=earlier or (),
    )
    with launch.quiet_optuna():
        plan = launch.make_plan(loaded, request)
    folder = out or Path("runs") / f"{plan.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    make_run_directory(folder)
    plan.save(folder)
    going_on = resume_command(folder, address)
    told = f"running {plan.name} in {folder}; after any interruption: {going_on}"
    for line in (told, *known_trials(plan), *left_out(plan)):
        console().print(line, highlight=False, soft_wrap=True)
    try:
        _run(folder, plan, loaded, address)
    except BadInput:
        forget_run_directory(folder)  # nothing has begun
        raise


@app.command()
def resume(run: RunFolder, address: Address = None) -> None:
    """Go on with an interrupted sweep: finished trials are kept, others go on where they were."""
    plan = Plan.load(run)
    if address:
        from .launch import check_address

        check_address(address)
    use_data(Path(plan.data) if plan.data else None)
    _run(run, plan, planned_space(plan), address)


@app.command()
def extend(
    run: RunFolder,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Search trials per variant, in all.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds to confirm with, in all.")] = None,
    budgets: Annotated[
        list[str] | None,
        typer.Option("--budget", metavar="METRIC=NUMBER", help="The most, in all."),
    ] = None,
    address: Address = None,
) -> None:
    """Add trials or seeds to a sweep; confirm again only where the choice has changed."""
    most = budget(budgets)
    plan = Plan.load(run)
    use_data(Path(plan.data) if plan.data else None)
    loaded = planned_space(plan)
    from .extension import Extension
    from .extension import extend as extended
    from .launch import check_address, quiet_optuna

    check_unchanged(plan, loaded.space)
    if address:
        check_address(address)
    with quiet_optuna():
        plan = extended(run, Extension(trials=trials, seeds=seeds, budget=most))
    _run(run, plan, loaded, address)


@app.command()
def status(run: RunFolder) -> None:
    """Show how far a sweep is, also while it runs."""
    from .launch import quiet_optuna
    from .ledger import Ledger
    from .progress import table

    plan = Plan.load(run)
    with quiet_optuna():
        ledger = Ledger(run, plan)
        console().print(table(plan, ledger))
        state = "done" if ledger.done else f"not done; to go on: {resume_command(run)}"
        console().print(state, soft_wrap=True)


@app.command()
def doctor(
    run: RunFolder,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
) -> None:
    """Check a run directory, and repair what can be repaired without losing a result."""
    from .doctor import examine, mended
    from .launch import quiet_optuna

    with quiet_optuna():
        findings = mended(run) if repair else examine(run)
    for finding in findings:
        typer.echo(str(finding))
    if any(finding.grave for finding in findings):
        raise typer.Exit(FAILED)
    if not findings:
        typer.echo(f"{run} is well")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.")],
    out: Annotated[Path, typer.Option(help="Where the comparison of several runs goes.")] = Path(
        "runs/comparison"
    ),
    cards: Annotated[
        list[Path] | None, typer.Option(help="A Python file with cards of one's own.")
    ] = None,
    gallery: Annotated[
        Path | None, typer.Option(help="A folder for a small copy, fit for a repository.")
    ] = None,
) -> None:
    """Write the report of a run again, from its files only; of several, their comparison too."""
    from ..reports import RunError, write_comparison, write_gallery

    if gallery and len(runs) > 1:
        raise BadInput(f"--gallery takes one run, not {len(runs)}")
    for run in runs:
        typer.echo(_report(run, cards or ()))
    try:
        if gallery:
            typer.echo(write_gallery(runs[0], gallery))
        if len(runs) > 1:
            typer.echo(write_comparison(runs, out))
    except RunError as error:
        raise BadInput(str(error)) from error


@app.command()
def dashboard(
    run: RunFolder,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0 for any. [default: 8080, or 8081]")
    ] = None,
    optuna: Annotated[bool, typer.Option("--optuna", help="Optuna's own dashboard.")] = False,
    cards: Annotated[
        list[Path] | None, typer.Option(help="A Python file with cards of one's own.")
    ] = None,
) -> None:
    """Serve the report on this machine, fresh while the sweep runs, until interrupted."""
    from ..reports import Dashboard, RunError, serve_optuna_dashboard

    place = {} if port is None else {"port": port}
    with suppress(KeyboardInterrupt):
        try:
            if optuna:
                serve_optuna_dashboard(run, **place)
                return
            page = Dashboard(run, cards=cards or (), **place)
        except RunError as error:
            raise BadInput(str(error)) from error
        typer.echo(f"{run} is shown at {page.url} until Ctrl+C")
        page.serve()


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
        raise BadInput(told(error)) from error
    found["command"] = shlex.join(
        [
            *("momentune", "train", plan.space["reference"], "--variant", found["variant"]),
            *(word for n, v in found["params"].items() for word in ("--set", f"{n}={literal(v)}")),
            *("--epochs", str(plan.epochs)),
            *(() if scale_of(plan) == "laptop" else ("--scale", scale_of(plan))),
        ]
    )
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"{name}: {value}")


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

    out, going_on = console(), resume_command(folder, address)
    try:
        outcome = launch.run(folder, plan, loaded, address=address, console=out)
    except KeyboardInterrupt:
        typer.echo(f"interrupted; to go on: {going_on}", err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:  # a full disk, say: what is written stays, and can be gone on with
        typer.echo(f"stopped: {error}. When that is mended: {going_on}", err=True)
        sys.exit(FAILED)
    try:
        _end(folder, outcome, going_on)
    except KeyboardInterrupt:
        typer.echo(f"interrupted while the report was written; again: {going_on}", err=True)
        sys.exit(INTERRUPTED)


def _end(folder: Path, outcome: Outcome, going_on: str) -> None:
    """Writes the report, also of a part of a sweep, and leaves with the exit code."""
    if outcome.ending == "interrupted":
        typer.echo(f"interrupted; nothing is lost. To go on: {going_on}", err=True)
    if outcome.ending == "head lost":
        told = f"stopped: {outcome.why}; nothing is lost. On a Ray that answers: {going_on}"
        typer.echo(told, err=True)
    console().print(f"report: {_report(folder)}", soft_wrap=True, highlight=False)
    if outcome.ending == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if outcome.ending == "head lost":
        sys.stdout.flush()
        os._exit(FAILED)  # Ray's own last steps would wait for its head
    if outcome.ending == "out of time":
        console().print(f"the time budget is used up; to go on: {going_on}", soft_wrap=True)
    for variant in outcome.failed_variants:
        typer.echo(f"variant {variant} has no confirmed result; the report says why", err=True)
    if outcome.failed_variants:
        raise typer.Exit(FAILED)


def _report(run: Path, cards: Sequence[Path] = ()) -> Path:
    from ..reports import RunError, write_report

    try:
        return write_report(run, cards=cards)
    except RunError as error:
        raise BadInput(str(error)) from error
