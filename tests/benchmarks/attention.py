"""What momentum costs attention: forward and backward, against chunked linear attention.

    python tests/benchmarks/attention.py

The contenders take turns, so that a busy moment of the machine hits all of them, and medians are
compared. Processor time is taken where there is no GPU, because a shared machine's clock tells of
its other tenants. The targets of issue 5: momentum at most 1.5 times linear and, at 1,024 tokens,
at least 20 times faster than its recurrence; adaptive at most 3 times linear; memory linear in T.
Peak memory is what the operating system saw, each contender in a process of its own, above that
process before its first pass.

Softmax attention is torch's flash kernel. On a GPU all tensors are bfloat16, which it asks for
there, and lengths are 1k, 4k and 16k. The last lines say from which length on each linear attention
is faster than it, and how memory grew with T.
"""

import argparse
import gc
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from momentune.models import (
    adaptive_momentum_attention,
    linear_attention,
    momentum_attention,
    momentum_attention_loop,
    softmax_attention,
)

MOMENTUM = {"momentum": 0.6, "step": 0.9}
REFERENCE = "linear"
LOOP = "momentum, recurrence"
SOFTMAX = "softmax, flash"


def flash_attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
    """Softmax attention by torch's flash kernel, or not at all."""
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return softmax_attention(q, k, v, causal=causal)


CONTENDERS: dict[str, Callable[..., Tensor]] = {
    REFERENCE: linear_attention,
    "momentum": partial(momentum_attention, **MOMENTUM),
    "momentum, normalised": partial(momentum_attention, **MOMENTUM, normalised=True),
    "adaptive": partial(adaptive_momentum_attention, step=0.9),
    SOFTMAX: flash_attention,
    LOOP: partial(momentum_attention_loop, **MOMENTUM),
}


def drawn(settings: argparse.Namespace, length: int) -> list[Tensor]:
    """Queries, keys, values."""
    shape = settings.batch, settings.heads, length, settings.features
    made = {"device": settings.device, "dtype": getattr(torch, settings.dtype)}
    return [torch.randn(shape, **made).requires_grad_() for _ in range(3)]


def clock(device: str) -> float:
    """Seconds: of the processor, or of the wall once the GPU has done all it was told."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def seconds(attend: Callable[..., Tensor], inputs: list[Tensor], device: str) -> float:
    """One forward and backward pass."""
    start = clock(device)
    torch.autograd.backward(attend(*inputs, causal=True).sum())
    return clock(device) - start


def runs(name: str, length: int, settings: argparse.Namespace) -> bool:
    """The recurrence is for short sequences, softmax for those whose square fits."""
    limits = {LOOP: settings.longest_loop, SOFTMAX: settings.longest_softmax}
    return length <= limits.get(name, length)


def measure(settings: argparse.Namespace, length: int) -> dict[str, float]:
    """Name -> median seconds."""
    inputs = drawn(settings, length)
    names = [name for name in CONTENDERS if runs(name, length, settings)]
    times: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(-1, settings.repeats):  # the first round warms up
        for name in names:
            if name == LOOP and repeat > 1:
                continue
            gc.collect()
            taken = seconds(CONTENDERS[name], inputs, settings.device)
            if repeat >= 0:
                times[name].append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def peak(name: str, length: int, settings: argparse.Namespace) -> float:
    """MB above what the inputs take, in a process of its own on a CPU."""
    if settings.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        inputs, before = drawn(settings, length), torch.cuda.memory_allocated()
        seconds(CONTENDERS[name], inputs, settings.device)
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    same = ("batch", "heads", "features", "dtype", "device")
    sizes = [f"--{size}={getattr(settings, size)}" for size in same]
    command = [sys.executable, __file__, "--peak", name, "--lengths", str(length), *sizes]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def print_peak(settings: argparse.Namespace) -> None:
    """What `peak` reads from the process that it starts."""
    inputs = drawn(settings, settings.lengths[0])
    seconds(CONTENDERS[settings.peak], [x[:, :, :2] for x in inputs], "cpu")  # loads libraries
    before = most_resident()
    seconds(CONTENDERS[settings.peak], inputs, "cpu")
    print(most_resident() - before)


def most_resident() -> float:
    """MB: this process' own high-water mark; `resource` counts its parent's in."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) / 1024


def report(settings: argparse.Namespace) -> None:
    """A Markdown table, line by line as it is measured."""
    print(
        f"B {settings.batch}, H {settings.heads}, D {settings.features}, causal, forward and "
        f"backward, {settings.dtype}; torch {torch.__version__}, {place(settings.device)}, "
        f"{torch.get_num_threads()} "
        f"thread(s) of {os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}"
        "\n\n| T | attention | median ms | / linear | recurrence / it | peak MB |\n"
        "| ---: | --- | ---: | ---: | ---: | ---: |"
    )
    seen: dict[str, dict[int, tuple[float, float]]] = {name: {} for name in CONTENDERS}
    for length in settings.lengths:
        times = measure(settings, length)
        for name, taken in times.items():
            slower = f"{times[LOOP] / taken:.1f}" if LOOP in times else ""
            memory = math.nan if settings.no_memory else peak(name, length, settings)
            seen[name][length] = taken, memory
            ratio = taken / times[REFERENCE]
            row = length, name, f"{1e3 * taken:.1f}", f"{ratio:.2f}", slower, f"{memory:.0f}"
            print("|", " | ".join(map(str, row)), "|", flush=True)
    print("", *conclusions(seen), sep="\n")


def conclusions(seen: dict[str, dict[int, tuple[float, float]]]) -> list[str]:
    """For each linear attention, where it overtakes softmax, and its memory's growth with T."""
    lines = []
    for name, by_length in seen.items():
        if name in (SOFTMAX, LOOP):
            continue
        both = [n for n in by_length if n in seen[SOFTMAX]]
        faster = [n for n in both if by_length[n][0] < seen[SOFTMAX][n][0]]
        at_once = [n for n in both if all(m in faster for m in both if m >= n)]
        crossing = f"from T = {at_once[0]} on" if at_once else f"at no T of {both}"
        *_, (before, (_, less)), (after, (_, more)) = [(0, (0.0, 0.0)), *by_length.items()]
        growth = f"T {after / before:g} times, memory {more / less:.2f} times" if less else "-"
        lines.append(f"{name}: faster than softmax {crossing}; {growth}")
    return lines


def place(device: str) -> str:
    """The device as a reader knows it."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cuda = torch.cuda.is_available()
    lengths = [1024, 4096, 16384] if cuda else [256, 512, 1024, 2048, 4096, 8192]
    parser.add_argument("--lengths", type=int, nargs="+", default=lengths)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--longest-loop", type=int, default=1024)
    parser.add_argument("--longest-softmax", type=int, default=16384 if cuda else 4096)
    parser.add_argument("--no-memory", action="store_true", help="leave the peaks out")
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--dtype", default="bfloat16" if cuda else "float32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peak", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    settings = parser.parse_args()
    torch.set_flush_denormal(True)  # first, so that torch's threads start with it
    torch.set_num_threads(settings.threads)
    if settings.peak:
        print_peak(settings)
    else:
        report(settings)


if __name__ == "__main__":
    main()
