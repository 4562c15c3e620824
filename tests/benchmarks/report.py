"""How long the report on a large run takes, and how large its page is.

Writes a run directory of four variants as the search room would (the journal line by line, in
Optuna's own format), then times reading and reporting, and prints sizes.

    python tests/benchmarks/report.py [--trials 10000] [--epochs 50]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution, distribution_to_json
from optuna.trial import TrialState

START = datetime(2026, 11, 23, tzinfo=UTC)
PARAMETERS = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "hidden_size": IntDistribution(16, 128, step=8),
    "momentum": FloatDistribution(0.0, 0.99),
    "step": FloatDistribution(0.1, 2.0),
    "dropout": FloatDistribution(0.0, 0.5),
}


def make_run(path: Path, trials: int, epochs: int, variants: int = 4, seeds: int = 5) -> Path:
    """A finished sweep of so many search trials in all; a third pruned, one in 50 failed."""
    path.mkdir()
    names = [f"variant_{i}" for i in range(variants)]
    plan = _plan(names, trials // variants, epochs, seeds)
    (path / "plan.json").write_text(json.dumps(plan))
    rng, journal, metrics = np.random.default_rng(0), [], []
    number = 0
    for study, (name, phase) in enumerate((n, p) for n in names for p in ("search", "confirm")):
        journal.append({"op_code": 0, "study_name": f"{name}/{phase}", "directions": [2]})
        for seed in range(trials // variants if phase == "search" else seeds):
            trial = _trial(rng, names.index(name), phase, epochs)
            who = {"number": number, "variant": name, "control": None, "phase": phase}
            who |= {"seed": seed, "epochs": epochs, "params": trial["params"]}
            journal += _journal(study, number, who, trial)
            metrics += _metrics(number, phase, trial)
            number += 1
    worker = {"worker_id": "benchmark"}
    _write(path / "journal.log", (line | worker for line in journal))
    _write(path / "metrics.jsonl", metrics)
    return path


def _plan(names: list[str], trials: int, epochs: int, seeds: int) -> dict[str, Any]:
    space: dict[str, Any] = {"name": "large", "metric": "accuracy", "direction": "maximize"}
    space["parameters"] = {n: json.loads(distribution_to_json(p)) for n, p in PARAMETERS.items()}
    space["variants"] = [
        {"name": n, "baseline": n == names[0], "parameters": {}, "controls": {}} for n in names
    ]
    plan = {"format": 1, "name": "large", "space": space, "trials": trials, "epochs": epochs}
    return plan | {"seeds": seeds, "seed": 0, "sampler": {"name": "tpe"}, "concurrency": 8}


def _trial(rng: np.random.Generator, variant: int, phase: str, epochs: int) -> dict[str, Any]:
    params = {
        "lr": float(10 ** rng.uniform(-4, -1)),
        "hidden_size": int(rng.integers(2, 17) * 8),
        "momentum": float(rng.uniform(0, 0.99)),
        "step": float(rng.uniform(0.1, 2.0)),
        "dropout": float(rng.uniform(0, 0.5)),
    }
    quality = 0.9 - 0.05 * (np.log10(params["lr"]) + 2.5) ** 2 + 0.01 * variant
    final = float(quality - 0.05 * params["dropout"] + rng.normal(0, 0.01))
    curve = final * (1 - np.exp(-0.15 * np.arange(1, epochs + 1))) + rng.normal(0, 0.004, epochs)
    fate = "COMPLETE" if phase == "confirm" else rng.choice(["COMPLETE", "PRUNED", "FAIL"], p=FATES)
    steps = {"COMPLETE": epochs, "PRUNED": max(1, epochs // 3), "FAIL": 1}[str(fate)]
    return {"params": params, "curve": curve[:steps].tolist(), "state": str(fate)}


FATES = (0.65, 0.33, 0.02)


def _journal(
    study: int, number: int, who: dict[str, Any], trial: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    started = START + timedelta(seconds=2 * number)
    stamp = {"datetime_start": started.isoformat()}
    yield {"op_code": 4, "study_id": study} | stamp
    attempt = {"number": 1, "started": started.isoformat()}
    yield {"op_code": 8, "trial_id": number, "user_attr": {"trial": who}}
    yield {"op_code": 8, "trial_id": number, "user_attr": {"attempt": attempt}}
    for step, value in enumerate(trial["curve"], start=1):
        yield {"op_code": 7, "trial_id": number, "step": step, "intermediate_value": value}
    failed = trial["state"] == "FAIL"
    outcome = {"reason": "diverged" if failed else None, "message": "", "seconds": 15.0}
    yield {"op_code": 8, "trial_id": number, "user_attr": {"outcome": outcome}}
    values = [trial["curve"][-1]] if trial["state"] == "COMPLETE" else None
    state = TrialState[trial["state"]].value
    ended = {"datetime_complete": (started + timedelta(seconds=15)).isoformat()}
    yield {"op_code": 6, "trial_id": number, "state": state, "values": values} | ended


def _metrics(number: int, phase: str, trial: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for step, value in enumerate(trial["curve"], start=1):
        when = {"trial": number, "attempt": 1, "step": step, "time": 1.7e9 + number + step}
        losses = {"train_loss": 1 - value, "validation_loss": 1.1 - value}
        last = {"test_accuracy": value} if phase == "confirm" and step == len(trial["curve"]) else {}
        yield when | losses | {"validation_accuracy": value, "seconds": 0.3} | last


def _write(file: Path, lines: Any) -> None:
    with file.open("w") as log:
        log.writelines(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines)


def main() -> None:
    """Makes the run, reports on it, and prints what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=50)
    asked = parser.parse_args()
    from momentune.reports import load_run, write_report

    with tempfile.TemporaryDirectory() as folder:
        path = make_run(Path(folder) / "run", asked.trials, asked.epochs)
        start, busy = time.perf_counter(), time.process_time()
        run = load_run(path)
        read = time.perf_counter() - start
        page = write_report(path)
        both, busy = time.perf_counter() - start, time.process_time() - busy
        size = page.stat().st_size / 1e6
        print(f"{len(run.trials):,} trials, {len(run.curves):,} reports")
        print(f"read {read:.1f} s, report (reads again) {both - read:.1f} s, page {size:.2f} MB")
        print(f"processor time of both {busy:.1f} s")


if __name__ == "__main__":
    main()
