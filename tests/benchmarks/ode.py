"""What neural ODEs cost: a training step of each dynamics, and our block beside a bare `odeint`.

    python tests/benchmarks/ode.py

The contenders take turns, so that a busy moment of the machine hits all of them, and medians of the
processor's time are compared. The dynamics are those of the paper's network for nested spheres, of
nearly equal size (section 2.3), on one batch at the same tolerance, with the adjoint method and
directly. The target of the block is an overhead of at most 5% over torchdiffeq (issue 4).
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint, odeint_adjoint

from momentune.models import HBNODE, ODEBlock, ODENetwork, build, point_classifier
from momentune.models.ode_networks import PointField

SIZES: dict[str, dict[str, Any]] = {
    "node": {"hidden_size": 20},
    "anode": {"hidden_size": 20, "augment": 1},
    "sonode": {"hidden_size": 13},
    "hbnode": {"hidden_size": 14},
    "ghbnode": {"hidden_size": 14},
    "nesterov_node": {"hidden_size": 14},
    "gnesterov_node": {"hidden_size": 14},
}
METHODS = {"adjoint": True, "direct": False}
Run = Callable[[], Any]


def interleaved(runs: dict[str, Run], repeats: int) -> dict[str, list[float]]:
    """Name -> processor seconds per repeat; the first round only warms up, and the order turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for repeat in range(repeats + 1):
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            start = time.process_time()
            runs[name]()
            if repeat:
                times[name].append(time.process_time() - start)
    return times


def step(network: ODENetwork, points: Tensor, labels: Tensor) -> None:
    """Forward and backward."""
    torch.autograd.backward((network(points) - labels).square().mean())


def dynamics(settings: argparse.Namespace) -> str:
    """A Markdown table of training steps."""
    points = torch.rand(settings.batch, 2)
    labels = torch.ones(settings.batch, 1)

    def made(kind: str, adjoint: bool) -> ODENetwork:
        return build(
            lambda: point_classifier(
                kind, 2, tolerance=settings.tolerance, adjoint=adjoint, **SIZES[kind]
            ),
            seed=1,
        )

    networks = {
        f"{kind}, {method}": made(kind, adjoint)
        for kind in SIZES
        for method, adjoint in METHODS.items()
    }
    times = interleaved(
        {
            name: lambda network=network: step(network, points, labels)
            for name, network in networks.items()
        },
        settings.repeats,
    )
    lines = [
        "| dynamics | parameters | evaluations forward | backward | median ms | / node, adjoint |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    base = statistics.median(times["node, adjoint"])
    for name, taken in times.items():
        readings = networks[name].block.readings()
        size = sum(weight.numel() for weight in networks[name].parameters())
        middle = statistics.median(taken)
        lines.append(
            f"| {name} | {size} | {readings['nfe_forward']:.0f} | {readings['nfe_backward']:.0f} "
            f"| {1e3 * middle:.1f} | {middle / base:.2f} |"
        )
    return "\n".join(lines)


def overhead(settings: argparse.Namespace) -> str:
    """A Markdown table of the block beside a bare call; the same numbers come out of both."""
    dynamics = build(lambda: HBNODE(PointField(2, 64, 2)), seed=1)
    state = dynamics.start(torch.rand(settings.batch, 2))
    tolerances = {"rtol": settings.tolerance, "atol": settings.tolerance}
    blocks = {
        method: ODEBlock(dynamics, adjoint=adjoint, **tolerances)
        for method, adjoint in METHODS.items()
    }
    bare = {"adjoint": odeint_adjoint, "direct": odeint}
    times = torch.tensor([0.0, 1.0])
    runs: dict[str, Run] = {}
    for method in METHODS:
        runs[f"odeint, {method}"] = lambda method=method: torch.autograd.backward(
            bare[method](dynamics, state, times, method="dopri5", **tolerances)[0][-1].sum()
        )
        runs[f"ODEBlock, {method}"] = lambda method=method: torch.autograd.backward(
            blocks[method](state)[0][-1].sum()
        )
    taken = interleaved(runs, 4 * settings.repeats)
    lines = ["| | median ms | ODEBlock / odeint |", "| --- | ---: | ---: |"]
    for method in METHODS:
        pairs = zip(taken[f"ODEBlock, {method}"], taken[f"odeint, {method}"], strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        for name in (f"odeint, {method}", f"ODEBlock, {method}"):
            middle = statistics.median(taken[name])
            lines.append(f"| {name} | {1e3 * middle:.2f} | {ratio:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    settings = parser.parse_args()
    torch.set_flush_denormal(True)  # first, so that torch's threads start with it
    torch.set_num_threads(settings.threads)
    print(
        f"batch {settings.batch}, tolerance {settings.tolerance}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread(s) of {os.cpu_count()} cores, {platform.machine()}, "
        f"load {os.getloadavg()[0]:.1f}\n"
    )
    print(dynamics(settings), overhead(settings), sep="\n\n")


if __name__ == "__main__":
    main()
