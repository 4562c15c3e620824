"""How busy the slots are where the sampler is slow: the next trial drawn ahead, and not.

The sampler knows many trials of an earlier run from the start, five parameters wide; then trials
that only wait run on this machine's Ray, both ways in turn. Medians over rounds. (TPE takes some
hundredths of a second with a thousand trials; a Gaussian process takes seconds.)

    python tests/benchmarks/ahead.py [--sampler gp] [--known 1000] [--seconds 10] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from dispatch import CPUS, SLOTS, start_ray

TRIALS = 20


def measure(sampler: str, known: int, seconds: float, slow: float) -> dict[str, float]:
    """Mean busy slots of the search, and milliseconds a draw takes.

    Args:
        sampler: its name.
        known: trials that it knows from the start.
        seconds: that a trial takes.
        slow: seconds from which a draw is made ahead.
    """
    from momentune.search import ahead
    from momentune.search.dispatch import StopSignal, run_on_ray
    from momentune.search.launch import Request, make_plan, quiet_optuna
    from momentune.search.ledger import Ledger
    from momentune.search.sweep import Sweep
    from momentune.spaces import Float, Loaded, Space, Variant

    names = ("a", "b", "c", "d", "e")

    def value(params):
        return sum((x - 0.3) ** 2 for x in params.values())

    def run(a, b, c, d, e, test):
        start = time.time()
        time.sleep(seconds)
        with Path(log).open("a") as file:
            file.write(json.dumps([start, time.time()]) + "\n")
        loss = value({"a": a, "b": b, "c": c, "d": d, "e": e})
        yield {"epoch": 1, "validation_loss": loss, "test_loss": loss}

    luck = random.Random(0)
    points = [{name: luck.random() for name in names} for _ in range(known)]
    told = [{"variant": "only", "number": n, "params": p, "value": value(p)}
            for n, p in enumerate(points)]  # fmt: skip
    space = Space(
        "slow",
        metric="loss",
        direction="minimize",
        parameters={name: Float(0, 1) for name in names},
        variants=[Variant("only", run=run, baseline=True)],
    )
    request = Request(trials=TRIALS, epochs=1, seeds=1, sampler=sampler, concurrency=SLOTS,
                      cpus=CPUS)  # fmt: skip
    ahead.SLOW = slow
    with tempfile.TemporaryDirectory() as folder, quiet_optuna():
        log = str(Path(folder) / "log")
        plan = replace(make_plan(Loaded(space, "slow"), request), imported=[{"trials": told}])
        plan.save(Path(folder))
        with Ledger.locked(Path(folder), plan) as ledger:
            sweep, spent = Sweep(plan, space, ledger), []
            draw = ledger.draw

            def timed(*args):
                start = time.monotonic()
                found = draw(*args)
                spent.append(time.monotonic() - start)
                return found

            ledger.draw = timed
            run_on_ray(sweep, Path(folder), StopSignal())
            assert ledger.done
        spans = sorted(map(json.loads, Path(log).read_text().splitlines()))[:TRIALS]
    whole = max(end for _, end in spans) - spans[0][0]
    busy = sum(end - start for start, end in spans) / whole
    return {"busy": busy, "draw": 1e3 * statistics.median(spent)}


def main() -> None:
    """Prints one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", default="gp")
    parser.add_argument("--known", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    start_ray()
    rounds = [
        [measure(asked.sampler, asked.known, asked.seconds, slow) for slow in (0.05, math.inf)]
        for _ in range(asked.rounds)
    ]
    ours, naive = zip(*rounds, strict=True)
    print(f"{asked.sampler}, {asked.known:,} trials known, {asked.seconds:g}-second trials\n")
    print(f"| | ms a draw | busy slots of {SLOTS} |\n|---|---|---|")
    for name, results in (("drawn ahead", ours), ("drawn when a slot is free", naive)):
        draw, busy = (statistics.median(r[key] for r in results) for key in ("draw", "busy"))
        print(f"| {name} | {draw:.0f} | {busy:.2f} |", flush=True)


if __name__ == "__main__":
    main()
