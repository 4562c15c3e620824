"""What the driver itself costs: processor time and memory for each trial, and the time to resume.

Trainings are simulated, so that nothing but the engine runs: sampling at random, three reports a
trial, ASHA, the ledger on disk. Each size in a process of its own. The rival is Optuna alone with
its own journal file, doing the same asks, reports and tells. Processor time does not count what a
disk takes.

    python tests/benchmarks/driver.py [--sizes 100 1000 10000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS = 3


def resident() -> float:
    """Megabytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def ours(trials: int, folder: Path) -> dict[str, float]:
    """A simulated sweep of so many trials, and the time to open its ledger again."""
    from momentune.search.launch import Request, make_plan, quiet_optuna
    from momentune.search.ledger import Ledger
    from momentune.search.simulation import Clock, Simulation
    from momentune.search.sweep import Sweep
    from momentune.spaces import Float, Loaded, Space, Variant

    def run(x, y, test):
        yield {}

    def train(trial):
        for epoch in range(1, EPOCHS + 1):
            yield 1.0, {"epoch": epoch, "validation_loss": trial.params["x"], "test_loss": 0.0}

    ranges = {"x": Float(0, 1), "y": Float(0, 1)}
    space = Space(
        "simulated",
        metric="loss",
        direction="minimize",
        parameters=ranges,
        variants=[Variant("a", run=run, baseline=True), Variant("b", run=run)],
    )
    request = Request(trials=trials // 2, epochs=EPOCHS, seeds=1, sampler="random", concurrency=1)
    plan = make_plan(Loaded(space, "simulated"), request)
    plan.save(folder)
    with quiet_optuna():
        before, start = resident(), time.process_time()
        with Ledger.locked(folder, plan) as ledger:
            clock = Clock()
            Simulation(Sweep(plan, space, ledger, clock=clock), clock, train, slots=4).run()
        spent, grown = time.process_time() - start, resident() - before
        start = time.process_time()
        with Ledger.locked(folder, plan) as ledger:
            assert ledger.done
        return {"ms": 1e3 * spent / trials, "MB": grown, "resume": time.process_time() - start}


def rival(trials: int, folder: Path) -> dict[str, float]:
    """Optuna with its journal file."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    before, start = resident(), time.process_time()
    path = str(folder / "journal.log")
    study = optuna.create_study(
        study_name="s",
        storage=JournalStorage(JournalFileBackend(path)),
        sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.SuccessiveHalvingPruner(reduction_factor=3),
    )
    for _ in range(trials):
        trial = study.ask()
        x, _ = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        for name in ("trial", "attempt", "outcome"):
            trial.set_user_attr(name, {"number": trial.number, "params": {"x": x}})
        for epoch in range(1, EPOCHS + 1):
            trial.report(x, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, x)
    spent, grown = time.process_time() - start, resident() - before
    start = time.process_time()
    optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(path)))
    return {"ms": 1e3 * spent / trials, "MB": grown, "resume": time.process_time() - start}


CONTENDERS = {"momentune": ours, "Optuna, journal file": rival}


def main() -> None:
    """Prints one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, trials = arguments.one
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(CONTENDERS[name](int(trials), Path(folder))))
        return
    print("| trials | | processor ms a trial | MB grown | processor seconds to resume |")
    print("|---|---|---|---|---|")
    for trials in arguments.sizes:
        for name in CONTENDERS:
            words = [sys.executable, __file__, "--one", name, str(trials)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            told = json.loads(done.stdout.splitlines()[-1])
            cells = f"{told['ms']:.2f} | {told['MB']:.0f} | {told['resume']:.2f}"
            print(f"| {trials:,} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
