"""How busy the slots are, and how many trivial trials a second: beside Ray Tune's own OptunaSearch.

The rivals are Ray Tune with OptunaSearch as it comes, and with actors reused and its concurrency
set, both with their study in memory; and Optuna alone, whose trials share one process as threads.
All sample with TPE, the others on this machine's Ray, interleaved; medians over rounds. Ours keeps
its ledger on disk meanwhile, and so does Optuna alone.

    python tests/benchmarks/dispatch.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import optuna

SLOTS, CPUS = 4, 0.5


def work(x: float, pause: float, log: str) -> float:
    """One trial: waits, notes when it ran, and says how good it was."""
    start = time.time()
    time.sleep(pause)
    with Path(log).open("a") as file:
        file.write(json.dumps([start, time.time()]) + "\n")
    return (x - 0.3) ** 2


def ours(trials: int, pause: float, log: str, folder: Path) -> None:
    """This project: one variant, searched with TPE."""
    from momentune.search.dispatch import StopSignal, run_on_ray
    from momentune.search.launch import Request, make_plan, quiet_optuna
    from momentune.search.ledger import Ledger
    from momentune.search.sweep import Sweep
    from momentune.spaces import Float, Loaded, Space, Variant

    def run(x, test):
        yield {"epoch": 1, "validation_loss": (loss := work(x, pause, log)), "test_loss": loss}

    space = Space(
        "trivial",
        metric="loss",
        direction="minimize",
        variants=[Variant("only", run=run, baseline=True, parameters={"x": Float(0, 1)})],
    )
    # The confirm phase fills the slots too: as many seeds as slots.
    search = trials - SLOTS
    request = Request(trials=search, epochs=1, seeds=SLOTS, concurrency=SLOTS, cpus=CPUS)
    plan = make_plan(Loaded(space, "trivial"), request)
    plan.save(folder)
    with quiet_optuna(), Ledger.locked(folder, plan) as ledger:
        run_on_ray(Sweep(plan, space, ledger), folder, StopSignal())
        assert ledger.done


def rival(**config: object) -> Callable[[int, float, str, Path], None]:
    """Ray Tune with OptunaSearch."""

    def run(trials: int, pause: float, log: str, folder: Path) -> None:
        from ray import tune
        from ray.tune.search.optuna import OptunaSearch

        def train(config):
            tune.report({"loss": work(config["x"], pause, log)})

        tune.Tuner(
            tune.with_resources(train, {"cpu": CPUS}),
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(
                num_samples=trials, metric="loss", mode="min", search_alg=OptunaSearch(), **config
            ),
            run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
        ).fit()

    return run


def optuna_alone(trials: int, pause: float, log: str, folder: Path) -> None:
    """Optuna with its journal file on disk, and its own threads in place of workers."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    study = optuna.create_study(storage=JournalStorage(JournalFileBackend(str(folder / "journal"))))
    study.optimize(
        lambda trial: work(trial.suggest_float("x", 0, 1), pause, log),
        n_trials=trials,
        n_jobs=SLOTS,
    )


def start_ray() -> None:
    """Starts a Ray of our own, silent, which ends with this process: another may run here too."""
    import logging

    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


CONTENDERS = {
    "momentune": ours,
    "Ray Tune + OptunaSearch": rival(),
    "… reusing actors, concurrency set": rival(reuse_actors=True, max_concurrent_trials=SLOTS),
    "Optuna alone, journal file, 4 threads": optuna_alone,
}


def measure(name: str, trials: int, pause: float) -> dict[str, float]:
    """Mean busy slots between the first start and the last end, and trials a second."""
    with tempfile.TemporaryDirectory() as folder:
        log = str(Path(folder) / "log")
        start = time.perf_counter()
        CONTENDERS[name](trials, pause, log, Path(folder))
        whole = time.perf_counter() - start
        spans = [json.loads(line) for line in Path(log).read_text().splitlines()]
    first, last = min(s for s, _ in spans), max(e for _, e in spans)
    return {
        "busy": sum(e - s for s, e in spans) / (last - first),
        "rate": (len(spans) - 1) / (last - first),
        "whole": len(spans) / whole,
    }


def main() -> None:
    """Prints two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    start_ray()
    for title, trials, pause, keys in (
        ("1-second trials on 4 slots", 40, 1.0, {"busy": "mean busy slots"}),
        ("trivial trials", 200, 0.0, {"rate": "trials/s", "whole": "trials/s, start to end"}),
    ):
        found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
        for _ in range(rounds):
            for name, results in found.items():
                # A fresh actor per trial needs about a second: fewer trials tell the same rate.
                fewer = trials if name != "Ray Tune + OptunaSearch" else trials // 10
                results.append(measure(name, fewer, pause))
        print(f"\n{title}, medians of {rounds}\n\n| | {' | '.join(keys.values())} |")
        print(f"|---|{'---|' * len(keys)}")
        for name, results in found.items():
            medians = (statistics.median(r[key] for r in results) for key in keys)
            print(f"| {name} | {' | '.join(f'{m:.2f}' for m in medians)} |", flush=True)


if __name__ == "__main__":
    main()
