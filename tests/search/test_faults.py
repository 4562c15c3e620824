"""Every way in which a trial can end, on real Ray nodes, in every storage, by one sweep each."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from momentune.search.plan import Plan

from .conftest import books, swept, wait_until

pytestmark = pytest.mark.slow

FATES = {
    # fate: state, reason, why earlier attempts ended, last epoch
    "hangs": ("FAIL", "timeout", [], 2),
    "out of memory": ("FAIL", "oom", ["oom"], 2),  # not alone at first: the one above still hangs
    "good": ("COMPLETE", "", [], 3),
    "exits": ("FAIL", "lost", ["lost", "lost"], 2),
    "NaN": ("FAIL", "diverged", [], 3),
    "infinite": ("FAIL", "diverged", [], 3),
    "exception": ("FAIL", "exception", [], 2),
    "silent": ("FAIL", "exception", [], 0),
    "out of memory beside others": ("COMPLETE", "", ["oom"], 3),
    "bad": ("PRUNED", "", [], 1),
}
"""Trial k of the search has fate k, whatever its parameters; the last one is worse than all. One of
those that begin first is lost with its node besides, whichever is placed there."""

SPACE = """
import math, os, signal, time
from dataclasses import replace
from pathlib import Path
import ray
from momentune.spaces import Float, Variant
from trivial import trivial

FATES = {fates!r}
HERE = Path(__file__).parent

def train(x, *, epochs, seed, test):
    die_with_node(seed)
    wait_for_that(seconds=5 if seed < 3 else 0)
    fate = FATES[seed] if seed < len(FATES) else "good"
    if fate == "silent":
        return
    value = 10.0 if fate == "bad" else 1.0
    for epoch in range(1, epochs + 1):
        metrics = {{"epoch": epoch, "validation_loss": value, "test_loss": x, "price": value}}
        if epoch == 3:
            metrics |= struck(fate, seed)
        yield metrics

def struck(fate, seed):
    if fate == "exception":
        raise RuntimeError("no luck")
    if fate == "out of memory" or fate.endswith("others") and first(fate):
        raise MemoryError
    if fate == "exits":
        os._exit(3)
    if fate == "hangs":
        time.sleep(600)
    return {{"validation_loss": {{"NaN": math.nan, "infinite": math.inf}}.get(fate, 1.0)}}

def first(name):
    try:
        (HERE / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def die_with_node(seed):
    # The first trial on the doomed node kills it, as a machine's power switch does.
    if ray.get_runtime_context().get_node_id() == (HERE / "doomed").read_text():
        with (HERE / "lost").open("a") as file:
            file.write(str(seed) + chr(10))
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)

def wait_for_that(seconds):
    # Keeps the other slots busy, so that the doomed node is soon met.
    while seconds > 0 and not (HERE / "lost").exists():
        time.sleep(0.1)
        seconds -= 0.1

only = Variant("only", run=train, baseline=True)
space = replace(trivial, name="faults", cost="price", variants=[only])
"""


@pytest.fixture(scope="module")
def cluster():
    """A head without slots for trials, and a node that stays; a dead one is soon noticed."""
    looks = {"_system_config": {"health_check_period_ms": 500}}
    head = {"num_cpus": 0, "include_dashboard": False, **looks}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.add_node(num_cpus=2)
    yield made
    made.shutdown()


@pytest.fixture
def space_file(trivial_file: Path) -> Path:
    path = trivial_file.parent / "faults.py"
    path.write_text(SPACE.format(fates=list(FATES)))
    return path


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("objectives", [1, 2])
def test_every_end_of_a_trial_on_real_workers_is_told_as_what_it_is(
    momentune, cluster, space_file, tmp_path, storage, objectives
):
    doomed = cluster.add_node(num_cpus=1)
    space_file.with_name("doomed").write_text(doomed.node_id)
    words = ("--trials", len(FATES), "--epochs", 3, "--seeds", 1, "--trial-timeout", "12s")
    where = ("--address", cluster.address, *(("--storage", storage) if storage else ()))
    chosen = ("--sampler", "nsga2" if objectives == 2 else "tpe")
    done = momentune("sweep", f"{space_file}:space", *words, *chosen, *where, "--out", "X")
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(tmp_path / "X")
    (confirmed,) = (row for row in found if row["phase"] == "confirm")
    assert confirmed["state"] == "COMPLETE"
    reasons, lost = failures(tmp_path / "X"), with_node(space_file)
    assert "lost" in reasons[lost]
    search = sorted((r for r in found if r["phase"] == "search"), key=lambda r: int(r["seed"]))
    told = {
        fate: (row["state"], row["reason"], reasons[index], int(row["epochs"] or 0))
        for index, (fate, row) in enumerate(zip(FATES, search, strict=True))
    }
    reasons[lost].remove("lost")
    if list(FATES)[lost] == "exits":
        reasons[lost].append("lost")  # three attempts, whatever they are lost by
    assert told == FATES


def failures(run: Path) -> list[list[str]]:
    """Why the earlier attempts at each search trial ended."""
    trials = books(run, Plan.load(run))["only/search"]
    return [[one["reason"] for one in t.user_attrs.get("failures", [])] for t in trials]


def with_node(space_file: Path) -> int:
    """Which trial was lost with the doomed node."""
    (lost,) = map(int, space_file.with_name("lost").read_text().split())
    return lost


HELD = """
import time
from dataclasses import replace
from pathlib import Path
import ray
from momentune.spaces import Variant
from trivial import descend, trivial

HERE = Path(__file__).parent

def train(x, *, epochs, seed, test):
    with (HERE / "seen").open("a") as file:
        file.write(ray.get_runtime_context().get_node_id() + chr(10))
    while not (HERE / "gate").exists():
        time.sleep(0.05)
    yield from descend(x, 0.0, epochs=epochs, seed=seed, test=test)

only = Variant("only", run=train, baseline=True)
space = replace(trivial, name="held", variants=[only])
"""


def test_a_worker_that_rays_memory_monitor_ends_is_told_as_out_of_memory(
    cluster, trivial_file, tmp_path
):
    """A node on which any memory is too much joins a sweep; what ended there is trained alone.

    Its monitor looks every ten seconds, so that a training is ended and not only a worker's start.
    """
    path, run = trivial_file.with_name("held.py"), tmp_path / "X"
    path.write_text(HELD)
    words = ("--trials", 3, "--epochs", 2, "--seeds", 1, "--scheduler", "none")
    driver = swept(path, cluster.address, run, *words)
    wait_until(lambda: lines(path.with_name("seen")) == 2, driver)
    strict = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "10000"}
    narrow = cluster.add_node(num_cpus=1, env_vars=strict)
    wait_until(lambda: "OutOfMemory" in (run / "journal.log").read_text(), driver)
    cluster.remove_node(narrow)
    path.with_name("gate").touch()
    output, errors = driver.communicate(timeout=240)
    assert driver.returncode == 0, output + errors
    assert [row["state"] for row in rows(run)] == ["COMPLETE"] * 4
    assert failures(run) == [[], [], ["oom"]]


GREEDY = """
import os
from dataclasses import replace
from pathlib import Path
from momentune.spaces import Variant
from trivial import descend, trivial

HERE = Path(__file__).parent

def train(x, *, epochs, seed, test):
    if seed == 0:
        Path((HERE / "group").read_text(), "cgroup.procs").write_text(str(os.getpid()))
        block = bytearray(300 << 20)
        block[::4096] = b"1" * len(block[::4096])
    yield from descend(x, 0.0, epochs=epochs, seed=seed, test=test)

only = Variant("only", run=train, baseline=True)
space = replace(trivial, name="greedy", variants=[only])
"""


@pytest.fixture
def narrow_group():
    """A control group of the kernel's, whose processes may have 100 MB together."""
    old = Path("/sys/fs/cgroup/memory/momentune-test"), "memory.limit_in_bytes"
    new = Path("/sys/fs/cgroup/momentune-test"), "memory.max"
    for group, limit in (old, new):
        try:
            group.mkdir(exist_ok=True)
            (group / limit).write_text(str(100 << 20))
        except OSError:
            continue
        yield group
        group.rmdir()
        return
    pytest.skip("making a control group of the kernel's needs root")


def test_a_worker_that_the_kernel_ends_for_memory_is_told_as_out_of_memory(
    momentune, trivial_file, narrow_group, tmp_path
):
    path = trivial_file.with_name("greedy.py")
    path.write_text(GREEDY)
    path.with_name("group").write_text(str(narrow_group))
    words = ("--trials", 2, "--epochs", 2, "--seeds", 1, "--concurrency", 1, "--out", "X")
    done = momentune("sweep", f"{path}:space", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [(row["state"], row["reason"], row["attempts"]) for row in rows(tmp_path / "X")]
    alone = ("FAIL", "oom", "1")  # nothing ran beside it, so it is not tried again
    assert told == [alone, ("COMPLETE", "", "1"), ("COMPLETE", "", "1")]
    assert "the kernel ended a process" in rows(tmp_path / "X")[0]["message"]


def lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0
