"""The benchmark of the cells, in small: each has a row, and a device is asked for by name."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "recurrent.py"
SMALL = ("--steps", "3", "--batch", "2", "--hidden", "4", "--repeats", "1")


def timed(*words):
    command = [sys.executable, SCRIPT, "RNN-relu", "DTRIV", *SMALL, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_cell_is_timed_on_the_device_that_is_named():
    done = timed("--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert ", cpu, " in done.stdout
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    names = {name.strip("| ") for name, *_ in rows}
    dynamics = ("", "Momentum", "Nesterov", "Adam", "RMSProp")
    assert names >= {f"{kind}{cell}" for kind in dynamics for cell in ("RNN-relu", "DTRIV")}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told():
    done = timed("--device", "cuda")
    assert done.returncode == 2
    assert "needs a GPU that torch sees" in done.stderr
