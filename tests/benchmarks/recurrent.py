"""What dynamics cost: forward and backward through long sequences, beside torch's own cells.

    python tests/benchmarks/recurrent.py [--device cuda]

Each cell's rival is the cell of torch with the same recurrence; orthogonal cells have none, theirs
is their own plain loop. The contenders take turns, so that a busy moment of the machine hits all of
them, and medians are compared. The targets at the defaults, in times `torch.nn.LSTM`: 1.10 for
LSTMs that filter their input (issue 2), 1.5 for AdamLSTM and RMSPropLSTM, and for orthogonal cells
1.5 times as fast as the plain loop (issue 3). Denormal numbers are flushed to zero, as
`momentune.models.fit` does: without, the gradients that vanish over so many steps make every cell's
backward ten times slower, and the comparison one of those.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from momentune import models

MOMENTUM = {"momentum": 0.6, "step": 0.6}
RMSPROP = {"step": 0.6, "beta2": 0.9}
DYNAMICS = {
    "": {},
    "Momentum": MOMENTUM,
    "Nesterov": {"step": 0.9, "restart": 40},
    "Adam": MOMENTUM | RMSPROP,
    "RMSProp": RMSPROP,
}
FAMILIES = ("LSTM", "GRU", "RNN", "RNN-relu", "DTRIV")
LOOP = ", plain loop"

Run = Callable[[Tensor], Tensor]


def contenders(family: str, features: int, hidden: int) -> dict[str, Run]:
    """Name -> output (T, B, H) of a sequence (T, B, D); the rival comes first."""
    runs: dict[str, Run] = {}
    kind, *nonlinearity = family.split("-")
    own = {"nonlinearity": nonlinearity[0]} if nonlinearity else {}
    if family != "DTRIV":
        rival = getattr(torch.nn, kind)(features, hidden, **own)
        runs[f"torch.nn.{family}"] = lambda sequence: rival(sequence)[0]
    for dynamics, settings in DYNAMICS.items():
        cell = getattr(models, dynamics + kind)(features, hidden, **settings, **own)
        runs[dynamics + family] = lambda sequence, cell=cell: cell(sequence)[0]
        runs[dynamics + family + LOOP] = lambda sequence, cell=cell: by_loop(cell, sequence)
    if family == "LSTM":
        cell = models.MomentumLSTM(features, hidden, momentum="learned", step="learned")
        runs["MomentumLSTM, learned"] = lambda sequence, cell=cell: cell(sequence)[0]
        unit = models.MomentumLSTM(features, hidden, momentum="learned-per-unit", step=0.6)
        runs["MomentumLSTM, learned per unit"] = lambda sequence, cell=unit: cell(sequence)[0]
    return runs


def by_loop(cell: models.RecurrentCell, sequence: Tensor) -> Tensor:
    """As the paper writes it, step by step."""
    return torch.stack(cell.unrolled(sequence)[-1].h)


def now(device: str, of_processor: bool) -> float:
    """Seconds: of the wall once a GPU has done all it was told, or of the processor."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.process_time() if of_processor else time.perf_counter()


def seconds(run: Run, sequence: Tensor, clock: Callable[[], float]) -> float:
    """One forward and backward pass."""
    start = clock()
    torch.autograd.backward(run(sequence)[-1].sum())
    return clock() - start


def measure(family: str, settings: argparse.Namespace) -> dict[str, list[float]]:
    """Name -> seconds of every repeat; the loops run in every fourth round only."""
    clock = partial(now, settings.device, settings.cpu_time)
    with torch.device(settings.device):
        sequence = torch.rand(settings.steps, settings.batch, settings.features)
        runs = contenders(family, settings.features, settings.hidden)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(-1, settings.repeats):  # the first round warms up
        for name, run in runs.items():
            if name.endswith(LOOP) and (settings.no_loop or repeat % 4 != 0):
                continue
            elapsed = seconds(run, sequence, clock)
            if repeat >= 0:
                times[name].append(elapsed)
    return {name: taken for name, taken in times.items() if taken}


def report(family: str, times: dict[str, list[float]]) -> str:
    """A Markdown table: medians, and their ratios to torch's cell and to the plain loop."""
    lines = [
        f"| cell | median ms | fastest ms | / torch.nn.{family} | / its plain loop | repeats |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, taken in times.items():
        if name.endswith(LOOP):
            continue
        ratios = [ratio(taken, times.get(other)) for other in (f"torch.nn.{family}", name + LOOP)]
        middle, least = 1e3 * statistics.median(taken), 1e3 * min(taken)
        lines.append(
            f"| {name} | {middle:.1f} | {least:.1f} | {' | '.join(ratios)} | {len(taken)} |"
        )
    return "\n".join(lines)


def ratio(taken: list[float], other: list[float] | None) -> str:
    """Of medians."""
    return f"{statistics.median(taken) / statistics.median(other):.2f}" if other else ""


def place(device: str) -> str:
    """The device as a reader knows it."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", default=FAMILIES, metavar="FAMILY", help="LSTM ...")
    parser.add_argument("--steps", type=int, default=784)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--features", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-loop", action="store_true", help="leave the slow plain loops out")
    parser.add_argument("--cpu-time", action="store_true", help="for a machine that others share")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    settings = parser.parse_args()
    if settings.device == "cuda" and (settings.cpu_time or not torch.cuda.is_available()):
        parser.error("--device cuda needs a GPU that torch sees, and no --cpu-time")
    torch.set_flush_denormal(True)  # first, so that torch's threads start with it
    torch.set_num_threads(settings.threads)
    print(
        f"{settings.steps} steps, batch {settings.batch}, {settings.features} feature(s), "
        f"hidden {settings.hidden}, forward and backward; torch {torch.__version__}, "
        f"{place(settings.device)}, {settings.threads} thread(s) of {os.cpu_count()} cores, "
        f"{platform.machine()}, load {os.getloadavg()[0]:.1f}"
    )
    for family in settings.families:
        print(f"\n{report(family, measure(family, settings))}", flush=True)


if __name__ == "__main__":
    main()
