"""What momentum costs: forward and backward through long sequences, against `torch.nn.LSTM`.

    python tests/benchmarks/recurrent.py

The contenders take turns, so that a busy moment of the machine hits all of them, and medians are
compared. The targets at the defaults, in times `torch.nn.LSTM`: 1.10 for cells that filter their
input (issue 2), 1.5 for AdamLSTM and RMSPropLSTM (issue 3). Denormal numbers are flushed to zero,
as `momentune.models.fit` does: without, the gradients that vanish over so many steps make every
cell's backward ten times slower, and the comparison one of those.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from momentune.models import (
    LSTM,
    AdamLSTM,
    MomentumLSTM,
    NesterovLSTM,
    RMSPropLSTM,
    adam_lstm_loop,
    momentum_lstm_loop,
)

MOMENTUM = {"momentum": 0.6, "step": 0.6}
RMSPROP = {"step": 0.6, "beta2": 0.9}
ADAM = MOMENTUM | RMSPROP
REFERENCE = "torch.nn.LSTM"


def contenders(features: int, hidden: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Name -> output (T, B, H) of a sequence (T, B, D)."""
    sizes = features, hidden
    weights = torch.nn.LSTM(*sizes).all_weights[0]
    cells = {
        REFERENCE: torch.nn.LSTM(*sizes),
        "LSTM": LSTM(*sizes),
        "MomentumLSTM": MomentumLSTM(*sizes, **MOMENTUM),
        "NesterovLSTM": NesterovLSTM(*sizes, step=0.9, restart=40),
        "AdamLSTM": AdamLSTM(*sizes, **ADAM),
        "AdamLSTM, compiled": AdamLSTM(*sizes, **ADAM, compiled=True),
        "RMSPropLSTM": RMSPropLSTM(*sizes, **RMSPROP),
        "RMSPropLSTM, compiled": RMSPropLSTM(*sizes, **RMSPROP, compiled=True),
    }
    return {name: lambda sequence, cell=cell: cell(sequence)[0] for name, cell in cells.items()} | {
        "MomentumLSTM, loop": lambda sequence: momentum_lstm_loop(sequence, weights, **MOMENTUM)[0],
        "AdamLSTM, loop": lambda sequence: adam_lstm_loop(sequence, weights, **ADAM)[0],
    }


def seconds(run: Callable[[Tensor], Tensor], sequence: Tensor) -> float:
    """One forward and backward pass."""
    start = time.perf_counter()
    torch.autograd.backward(run(sequence)[-1].sum())
    return time.perf_counter() - start


def measure(settings: argparse.Namespace) -> dict[str, list[float]]:
    """Name -> seconds of every repeat; the loops run in every fourth round only."""
    sequence = torch.rand(settings.steps, settings.batch, settings.features)
    runs = contenders(settings.features, settings.hidden)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(-1, settings.repeats):  # the first round warms up
        for name, run in runs.items():
            if name.endswith(", loop") and (settings.no_loop or repeat % 4 != 0):
                continue
            elapsed = seconds(run, sequence)
            if repeat >= 0:
                times[name].append(elapsed)
    return {name: taken for name, taken in times.items() if taken}


def report(settings: argparse.Namespace, times: dict[str, list[float]]) -> str:
    """A Markdown table, medians and their ratio to the reference."""
    base = statistics.median(times[REFERENCE])
    lines = [
        f"{settings.steps} steps, batch {settings.batch}, {settings.features} feature(s), "
        f"hidden {settings.hidden}, forward and backward; torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread(s) of {os.cpu_count()} cores, {platform.machine()}, "
        f"load {os.getloadavg()[0]:.1f}",
        "",
        "| cell | median ms | fastest ms | median / torch.nn.LSTM | repeats |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, taken in times.items():
        middle = statistics.median(taken)
        lines.append(
            f"| {name} | {1e3 * middle:.1f} | {1e3 * min(taken):.1f} "
            f"| {middle / base:.3f} | {len(taken)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=784)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--features", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-loop", action="store_true", help="leave the slow plain loops out")
    settings = parser.parse_args()
    torch.set_flush_denormal(True)  # first, so that torch's threads start with it
    torch.set_num_threads(settings.threads)
    print(report(settings, measure(settings)))


if __name__ == "__main__":
    main()
