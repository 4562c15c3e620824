"""What a driver leaves on a cluster that goes on without it: nothing, however it ends."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util import placement_group_table

from .conftest import swept, wait_until

pytestmark = pytest.mark.slow

SPACE = """
import os, time
from dataclasses import replace
from pathlib import Path
from trivial import contenders, descend, trivial

HERE = Path(__file__).parent

def held(x, y, *, epochs, seed, test):
    with (HERE / "seen").open("a") as file:
        file.write(f"{os.getpid()}" + chr(10))
    while not (HERE / "gate").exists():
        time.sleep(0.05)
    yield from descend(x, y, epochs=epochs, seed=seed, test=test)

space = replace(trivial, name="held", variants=contenders(held))
"""


@pytest.fixture(scope="module")
def cluster():
    """A head without slots for trials, and a node with three; this process looks on."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.add_node(num_cpus=3)
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def space_file(trivial_file: Path) -> Path:
    path = trivial_file.parent / "held.py"
    path.write_text(SPACE)
    return path


def trainers(space_file: Path) -> set[int]:
    """The processes in which a training has begun."""
    seen = space_file.with_name("seen")
    return set(map(int, seen.read_text().split())) if seen.exists() else set()


def handles(process: int) -> list[Path]:
    """What a process holds open; nothing when there is no such process."""
    try:
        return [link.readlink() for link in Path(f"/proc/{process}/fd").iterdir()]
    except OSError:  # it ended meanwhile
        return []


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def left_behind(space_file: Path, run: Path) -> list[str]:
    """In words, what is still there of a sweep."""
    total, free = ray.cluster_resources(), ray.available_resources()
    kinds = ("CPU", "memory")
    alive = [number for number in trainers(space_file) if Path(f"/proc/{number}").exists()]
    groups = [g for g in placement_group_table().values() if g["state"] != "REMOVED"]
    held = [
        f"{path} in {number}"
        for number in processes()
        for path in handles(number)
        if path.is_relative_to(run)
    ]
    taken = [f"{kind} taken" for kind in kinds if free.get(kind, 0) < total[kind]]
    return [*taken, *map("process {}".format, alive), *map("group {}".format, groups), *held]


@pytest.mark.parametrize(
    "end", [None, signal.SIGINT, signal.SIGKILL], ids=["sweep", "interrupt", "crash"]
)
def test_no_actor_process_or_handle_is_left_on_a_cluster(space_file, cluster, tmp_path, end):
    run = tmp_path / "X"
    words = ("--trials", 60, "--epochs", 2, "--scheduler", "none", "--sampler", "random")
    driver = swept(space_file, cluster.address, run, *words)
    wait_until(lambda: len(trainers(space_file)) == 3, driver)
    assert left_behind(space_file, run)  # so the test can fail
    if end is None:
        space_file.with_name("gate").touch()
        check_bounded(driver, space_file, run)
    else:
        driver.send_signal(end)
    _, errors = driver.communicate(timeout=120)
    assert driver.returncode == {None: 0, signal.SIGINT: 130, signal.SIGKILL: -9}[end], errors
    deadline = time.monotonic() + 90
    while left_behind(space_file, run) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left_behind(space_file, run) == []


def check_bounded(driver: subprocess.Popen[str], space_file: Path, run: Path) -> None:
    """Driver and workers hold no more at the end of a sweep than at its beginning."""
    counts = []
    while driver.poll() is None and (trials := _reported(run)) < 2 * 2 * 60:
        held = sum(len(handles(number)) for number in {driver.pid, *trainers(space_file)})
        counts.append((trials, held))
        time.sleep(0.05)
    early = max(held for trials, held in counts if trials < 80)
    late = max(held for trials, held in counts if trials >= 80)
    assert late < early + 30, counts


def _reported(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0
