"""Run directories as the search room writes them, by Optuna's own storage; values are made up."""

from __future__ import annotations

import json
import math
from base64 import b64decode
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from momentune.reports import write_report

optuna.logging.set_verbosity(optuna.logging.WARNING)

SHARED: dict[str, Any] = {
    "lr": FloatDistribution(1e-3, 3e-2, log=True),
    "hidden_size": IntDistribution(16, 64, step=8),
    "batch_size": 64,
}
OWN: dict[str, Any] = {"momentum": FloatDistribution(0.0, 0.95), "step": FloatDistribution(0.1, 2)}
LSTM: dict[str, Any] = {"name": "lstm", "baseline": True, "parameters": {}, "controls": {}}
MOMENTUM: dict[str, Any] = {
    "name": "momentum_lstm",
    "baseline": False,
    "parameters": OWN,
    "controls": {"no_momentum": {"momentum": 0.0}},
}


def in_json(parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.loads(distribution_to_json(p))
        if isinstance(p, BaseDistribution)
        else {"fixed": p}
        for name, p in parameters.items()
    }


def make_plan(
    variants: Sequence[dict[str, Any]] = (LSTM, MOMENTUM), **changes: Any
) -> dict[str, Any]:
    """A plan as `search` freezes it; changes named `space_x` go into its space."""
    space = {
        "name": "digits-lstm",
        "reference": "digits-lstm",
        "digest": "5d41402abc4b2a76b9719d911017c592ae2f0c8e",
        "question": "Is a MomentumLSTM better than an LSTM at reading handwritten digits pixel by "
        "pixel, and is it the momentum or the step size?",
        "task": "digits",
        "metric": "accuracy",
        "direction": "maximize",
        "data": {
            "name": "scikit-learn handwritten digits",
            "train": 1077,
            "validation": 360,
            "test": 360,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
        "parameters": in_json(SHARED),
        "variants": [v | {"parameters": in_json(v["parameters"])} for v in variants],
    }
    space |= {k.removeprefix("space_"): v for k, v in changes.items() if k.startswith("space_")}
    plan = {
        "format": 1,
        "name": "digits-lstm",
        "command": "momentune sweep digits-lstm --trials 12 --seeds 5",
        "created": "2026-11-23T20:30:00+00:00",
        "space": space,
        "trials": 12,
        "epochs": 30,
        "seeds": 5,
        "seed": 0,
        "sampler": {"name": "tpe", "group": True, "n_startup_trials": 5},
        "scheduler": {"name": "asha", "min_epochs": 4, "reduction_factor": 3},
        "concurrency": 2,
        "cpus": 1.0,
        "gpus": 0.0,
        "time_budget": None,
        "storage": "journal.log",
        "data": None,
        "versions": {"python": "3.11.7", "torch": "2.13.0", "ray": "2.60.0", "optuna": "5.0.0"},
        "git": {"revision": "4f2c9ad0f6f2f3b7e0f2c9ad0f6f2f3b7e0f2c9a", "dirty": False},
        "hardware": {
            "cpu": "AMD EPYC 7763",
            "cores": 2,
            "memory_gb": 23.5,
            "gpus": [],
            "platform": "Linux-6.1-x86_64",
        },
    }
    return plan | {k: v for k, v in changes.items() if not k.startswith("space_")}


@dataclass
class Writer:
    """Writes one run directory, as the search room would."""

    path: Path
    plan: dict[str, Any]
    studies: dict[str, optuna.Study] = field(default_factory=dict)
    number: int = 0

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True)
        (self.path / "plan.json").write_text(json.dumps(self.plan))
        if "://" in self.plan["storage"]:
            self.storage: Any = optuna.storages.RDBStorage(self.plan["storage"])
        else:
            self.storage = JournalStorage(JournalFileBackend(str(self.path / self.plan["storage"])))

    def study(self, variant: str, phase: str) -> optuna.Study:
        name = f"{self.plan.get('study_prefix', '')}{variant}/{phase}"
        if name not in self.studies:
            self.studies[name] = optuna.create_study(
                study_name=name, storage=self.storage, direction=self.plan["space"]["direction"]
            )
        return self.studies[name]

    def report(self, trial: int, step: int, attempt: int = 1, **metrics: Any) -> None:
        clean = {k: None if v is None or not math.isfinite(v) else v for k, v in metrics.items()}
        line = {"trial": trial, "attempt": attempt, "step": step, "time": 1795465860.0 + step}
        with (self.path / "metrics.jsonl").open("a") as log:
            log.write(json.dumps(line | {"epoch": step} | clean) + "\n")

    def trial(
        self,
        variant: str,
        phase: str = "search",
        *,
        control: str | None = None,
        seed: int = 0,
        params: dict[str, Any] | None = None,
        curve: Sequence[float] = (),
        state: str = "COMPLETE",
        test: float | None = None,
        reason: str | None = None,
        message: str = "",
        attempts: int = 1,
        cost: float = 0.33,
        size: int = 8290,
    ) -> int:
        """One trial, whole; `curve` is the validation metric by epoch. Returns its number."""
        number, self.number = self.number, self.number + 1
        trial = self.study(variant, phase).ask()
        who = {"number": number, "variant": variant, "control": control, "phase": phase}
        trial.set_user_attr("trial", who | {"seed": seed, "epochs": 30, "params": params or {}})
        started = datetime(2026, 11, 23, 20, 31, tzinfo=UTC) + timedelta(seconds=7.125 * number)
        trial.set_user_attr("attempt", {"number": attempts, "started": started.isoformat()})
        self._reports(number, trial, curve, attempts, test, cost, size)
        if state in ("RUNNING", "WAITING"):
            return number
        outcome = {"reason": reason, "message": message, "step": len(curve) or None}
        trial.set_user_attr("outcome", outcome | {"seconds": cost * len(curve), "traceback": ""})
        value = (test if phase == "confirm" else curve[-1]) if state == "COMPLETE" else None
        self.study(variant, phase).tell(trial, value, TrialState[state])
        return number

    def _reports(
        self,
        number: int,
        trial: optuna.Trial,
        curve: Sequence[float],
        attempts: int,
        test: float | None,
        cost: float,
        size: int,
    ) -> None:
        metric = self.plan["space"]["metric"]
        for step, value in enumerate(curve, start=1):
            if math.isfinite(value):
                trial.report(value, step)
            losses = {"train_loss": 2.3 * 0.88**step, "validation_loss": 2.2 * 0.9**step}
            cost_now = {"seconds": cost * (1 + 0.05 * (step % 3)), "n_parameters": size}
            metrics = losses | {f"validation_{metric}": value} | cost_now
            if test is not None and step == len(curve):
                metrics |= {"test_loss": 0.2} | {f"test_{metric}": test}
            self.report(number, step, attempts, **metrics)

    def searched(self, variant: str, best: float, seed: int, trials: int = 12) -> dict[str, Any]:
        """A search whose trials get better; every fourth is pruned. Returns the best parameters."""
        rng = np.random.default_rng(seed)
        own = OWN if variant != "lstm" else {}
        found: list[tuple[float, dict[str, Any]]] = []
        for n in range(trials):
            params = {
                "lr": float(10 ** rng.uniform(-3, -1.53)),
                "hidden_size": int(rng.choice(np.arange(16, 65, 8))),
                "batch_size": 64,
                **{name: float(rng.uniform(p.low, p.high)) for name, p in own.items()},
            }
            value = digits(best - 0.06 * float(rng.beta(1, 2)) * (1 - n / trials))
            pruned = n % 4 == 2
            curve = learning(value, seed=seed + n)[: 10 if pruned else 30]
            self.trial(
                variant,
                seed=n,
                params=params,
                curve=curve,
                state="PRUNED" if pruned else "COMPLETE",
            )
            if not pruned:
                found.append((value, params))
        return max(found, key=lambda pair: pair[0])[1]

    def confirmed(
        self,
        variant: str,
        mean: float,
        params: dict[str, Any],
        control: str | None = None,
        seeds: int = 5,
        spread: float = 0.006,
        **costs: Any,
    ) -> None:
        """The confirm trials of one contender; a seed that is hard is hard for everyone."""
        for seed in range(100, 100 + seeds):
            shared = np.random.default_rng(seed).normal(0, 0.006)
            own = np.random.default_rng([seed, len(variant), len(control or "")]).normal(0, spread)
            test = digits(min(mean + shared + own, 1.0))
            curve = learning(digits(test + 0.006), speed=costs.get("speed", 0.18), seed=seed)
            rest = {k: v for k, v in costs.items() if k != "speed"}
            self.trial(
                variant,
                "confirm",
                control=control,
                seed=seed,
                params=params,
                curve=curve,
                test=test,
                **rest,
            )

    def tested(
        self, variant: str, tests: Sequence[float], control: str | None = None, **rest: Any
    ) -> None:
        """Confirm trials of three epochs with these test values, on seeds 100, 101, …"""
        for seed, test in enumerate(tests, start=100):
            curve = [test - 0.02, test - 0.01, test + 0.005]
            self.trial(
                variant, "confirm", control=control, seed=seed, curve=curve, test=test, **rest
            )


def learning(final: float, epochs: int = 30, speed: float = 0.18, seed: int = 0) -> list[float]:
    """A plausible validation accuracy, in steps of one digit of 360, ending at its final value."""
    rng = np.random.default_rng(seed)
    t = np.arange(1, epochs + 1)
    clean = final - (final - 0.1) * np.exp(-speed * (t - 1)) + rng.normal(0, 0.004, epochs)
    curve = np.round(np.clip(clean, 0, 1) * 360) / 360
    return [*map(float, curve[:-1]), final]


def digits(value: float) -> float:
    return round(value * 360) / 360


def sweep(
    path: Path,
    *,
    gain: float = 0.022,
    control: float = 0.006,
    seeds: int = 5,
    trials: int = 12,
    spread: float = 0.003,
    **changes: Any,
) -> Writer:
    """A clean sweep of `digits-lstm`: the variant's gain over the baseline, and its control's."""
    run = Writer(path, make_plan(seeds=seeds, trials=trials, **changes))
    plain = run.searched("lstm", 0.938, seed=1, trials=trials)
    best = run.searched("momentum_lstm", 0.938 + gain, seed=2, trials=trials)
    run.confirmed("lstm", 0.932, plain, seeds=seeds, spread=spread)
    run.confirmed(
        "momentum_lstm", 0.932 + gain, best, seeds=seeds, spread=spread, cost=0.37, speed=0.24
    )
    without = best | {"momentum": 0.0}
    run.confirmed(
        "momentum_lstm", 0.932 + control, without, "no_momentum", seeds, spread, cost=0.37
    )
    return run


Make = Callable[..., Writer]


@pytest.fixture
def writer(tmp_path: Path) -> Make:
    """Makes an empty run directory with a plan: `writer(*variants, **changes)`."""
    return lambda *variants, **changes: Writer(
        tmp_path / "run", make_plan(variants or (LSTM, MOMENTUM), **changes)
    )


@pytest.fixture
def make_sweep(tmp_path: Path) -> Make:
    """Makes a finished sweep: `make_sweep(gain=0.02, control=0.006, seeds=5)`."""
    return lambda **changes: sweep(tmp_path / "run", **changes)


@pytest.fixture
def momentum() -> dict[str, Any]:
    """The variant momentum_lstm as a space states it, to vary."""
    return deepcopy(MOMENTUM)


PIXEL = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
PUBLISHED = [
    {
        "variant": "lstm",
        "metric": "accuracy",
        "value": 0.97,
        "setting": "made up for the tests",
        "source": "nobody, nowhere",
        "spread": None,
    }
]


def tell_more(log: Path) -> None:
    """Adds to every report evaluations and a learned momentum, and to the last a series."""
    rng = np.random.default_rng(0)
    reports = [json.loads(line) for line in log.read_text().splitlines()]
    for report in reports:
        step = report["step"]
        report["nfe_forward"] = int(20 + rng.integers(0, 9) + step)
        report["momentum_layer0"] = 0.9 - 0.4 * 0.9**step + float(rng.normal(0, 0.01))
        if "test_accuracy" in report:
            report["after_gradient_norm"] = [*np.exp(-0.1 * np.arange(20)), None]
    log.write_text("".join(f"{json.dumps(report)}\n" for report in reports))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep in which momentum helps, with all that a report can show, and its report."""
    path = tmp_path_factory.mktemp("runs") / "finished"
    start = {"name": "tpe", "group": True, "n_startup_trials": 2}  # none of these is pruned
    sweep(path, trials=24, space_cost="nfe_forward", space_published=PUBLISHED, sampler=start)
    tell_more(path / "metrics.jsonl")
    (path / "samples").mkdir()
    (path / "samples" / "trial-000048.png").write_bytes(PIXEL)  # of the first confirmed one
    write_report(path)
    return path
