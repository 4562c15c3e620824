"""A real cluster of several Ray nodes on this machine, met through the command line."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from momentune.search.cluster import fitting
from momentune.search.shelf import Shelf, ShelfError

from .conftest import swept, wait_until

SPACE = """
import json, os, time
from dataclasses import replace
from pathlib import Path
import ray
import torch
from momentune.spaces import Variant
from trivial import contenders, trivial

HERE = Path(__file__).parent

def last(node):  # the last epoch that a node may train now
    held = json.loads((HERE / "held").read_text())
    return held.get(node, held.get("everywhere", 1000))

def where(x, y, *, epochs, seed, test, checkpoint):
    context = ray.get_runtime_context()
    node = context.get_node_id()
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for epoch in range(done + 1, epochs + 1):
        while epoch > last(node):
            time.sleep(0.05)
        draft = checkpoint.with_name(f"{checkpoint.name}-{os.getpid()}")
        draft.write_text(str(epoch))
        draft.replace(checkpoint)
        line = {"node": node, "from": done, "epoch": epoch, "seed": seed,
                "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""), "time": time.time(),
                "x": [x, y], "process": os.getpid(),
                "assigned": context.get_assigned_resources()}
        with (HERE / "seen").open("a") as file:
            file.write(json.dumps(line) + chr(10))
        metrics = {"epoch": epoch, "validation_loss": x + y}
        if test and epoch == epochs:
            metrics["test_loss"] = x
        yield metrics

space = replace(trivial, name="where", variants=contenders(where))
"""


@pytest.fixture
def space_file(trivial_file):
    path = trivial_file.parent / "where.py"
    path.write_text(SPACE)
    hold(path, {})
    return path


def hold(space_file, held):
    """Lets a node, or every other one, train up to an epoch; without a word, to the end."""
    draft = space_file.with_name("draft")
    draft.write_text(json.dumps(held))
    draft.replace(space_file.with_name("held"))


def held_at(space_file, node, epoch):
    """How many trainings stand still on a node after an epoch."""
    lines = [line for line in seen(space_file) if line["node"] == node.node_id]
    ended = {line["process"]: line["epoch"] for line in lines}
    return sum(last == epoch for last in ended.values())


def lose(cluster, space_file, node):
    """A machine goes out: Ray's own processes there and its workers, at the same moment."""
    for daemons in node.all_processes.values():
        for daemon in daemons:
            daemon.process.send_signal(signal.SIGSTOP)  # so that it tells nobody
    for process in {n["process"] for n in seen(space_file) if n["node"] == node.node_id}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def cluster():
    """A head without slots for trials; each test adds its nodes."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    yield made
    made.shutdown()


def seen(space_file):
    path = space_file.parent / "seen"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def failures(told):
    return [row["message"] for row in told if row["state"] == "FAIL"]


def start(space_file, cluster, run, *words):
    """A sweep on the cluster that has begun to report."""
    process = swept(space_file, cluster.address, run, *words)
    wait_until(lambda: seen(space_file), process)
    return process


def ended(process, seconds=600):
    output, errors = process.communicate(timeout=seconds)
    return process.returncode, output, errors


SMALL = ("--trials", 4, "--epochs", 3, "--seeds", 2, "--scheduler", "none")
ENDED = {"COMPLETE": 4 * 2 + 2 * 3}


@pytest.mark.slow
def test_trials_run_on_the_gpus_and_resources_that_were_asked_for(
    momentune, space_file, cluster, tmp_path
):
    cluster.add_node(num_cpus=4)
    first = cluster.add_node(num_cpus=2, num_gpus=1, resources={"big": 2})
    second = cluster.add_node(num_cpus=2, num_gpus=2, resources={"big": 1})
    words = ("--cpus", 0.5, "--gpus", 0.5, "--resources", "big=0.5", "--address", cluster.address)
    done = momentune("sweep", f"{space_file}:space", *SMALL, *words, "--out", "X")
    assert done.returncode == 0, done.stderr
    used = {line["node"] for line in seen(space_file)}
    assert used  # as large a part as had started: a worker takes seconds, on a busy machine many
    assert used <= {first.node_id, second.node_id}
    for line in seen(space_file):
        assert len(line["gpus"].split(",")) == 1
        assert line["gpus"]
        assert line["assigned"] == {"CPU": 0.5, "GPU": 0.5, "big": 0.5}
    # Two on the first node's GPU, and on the second two, for its `big` allows no more.
    assert "of 4 slots busy" in done.stdout
    assert Counter(row["state"] for row in rows(tmp_path / "X")) == ENDED
    plan = json.loads((tmp_path / "X/plan.json").read_text())
    assert (plan["concurrency"], plan["resources"]) == (None, {"big": 0.5})
    too_much = momentune("sweep", f"{space_file}:space", *words, "--gpus", 3, "--out", "Y")
    assert too_much.returncode == 2
    assert "a trial needs 0.5 CPU, 3 GPU, 0.5 big, and no machine" in too_much.stderr
    assert not (tmp_path / "Y").exists()


@pytest.mark.slow
def test_nodes_may_go_and_come_and_trials_go_on_from_their_checkpoints(
    space_file, cluster, tmp_path
):
    doomed = cluster.add_node(num_cpus=2)
    hold(space_file, {"everywhere": 3})
    words = ("--trials", 8, "--epochs", 6, "--seeds", 2, "--scheduler", "none")
    process = start(space_file, cluster, tmp_path / "X", *words)
    wait_until(lambda: held_at(space_file, doomed, 3) == 2, process)
    added = cluster.add_node(num_cpus=3)
    wait_until(lambda: held_at(space_file, added, 3) == 3, process)
    lose(cluster, space_file, doomed)
    hold(space_file, {})
    code, output, errors = ended(process)
    assert code == 0, output + errors
    told = rows(tmp_path / "X")
    assert Counter(row["state"] for row in told) == {"COMPLETE": 8 * 2 + 2 * 3}, failures(told)
    assert sorted(row["attempts"] for row in told)[-3:] == ["1", "2", "2"]
    # What was lost with its node was not begun again from nothing.
    went_on = [line for line in seen(space_file) if line["from"]]
    assert {(line["from"], line["node"]) for line in went_on} == {(3, added.node_id)}
    trained = Counter((line["seed"], *line["x"], line["epoch"]) for line in seen(space_file))
    assert set(trained.values()) == {1}


@pytest.mark.slow
def test_idle_workers_that_were_lost_with_their_node_cost_no_trial_its_attempts(
    space_file, cluster, tmp_path
):
    safe = cluster.add_node(num_cpus=1)
    hold(space_file, {"everywhere": 1})
    words = ("--trials", 3, "--epochs", 2, "--seeds", 1, "--scheduler", "none")
    process = start(space_file, cluster, tmp_path / "X", *words)
    doomed = cluster.add_node(num_cpus=5)
    wait_until(lambda: held_at(space_file, doomed, 1) == 5, process)
    hold(space_file, {safe.node_id: 1})
    # One search trial is held; the others end, and so does what may be confirmed without it.
    wait_until(lambda: sum(line["epoch"] == 2 for line in seen(space_file)) == 5 + 2, process)
    lose(cluster, space_file, doomed)
    hold(space_file, {})
    code, output, errors = ended(process)
    assert code == 0, output + errors
    told = rows(tmp_path / "X")
    assert Counter(row["state"] for row in told) == {"COMPLETE": 3 * 2 + 3}, failures(told)
    assert max(row["attempts"] for row in told) <= "2"


@pytest.mark.slow
def test_a_lost_head_is_told_and_the_sweep_goes_on_elsewhere(
    momentune, space_file, cluster, tmp_path
):
    cluster.add_node(num_cpus=2)
    hold(space_file, {"everywhere": 2})
    process = start(space_file, cluster, tmp_path / "X", *SMALL)
    cluster.remove_node(cluster.head_node, allow_graceful=False)
    code, output, errors = ended(process)
    assert code == 1, output + errors
    assert "has not answered for" in errors
    assert f"momentune resume {tmp_path / 'X'}" in errors
    states = Counter(row["state"] for row in rows(tmp_path / "X"))
    assert "RUNNING" not in states
    assert (tmp_path / "X/report/index.html").exists()
    hold(space_file, {})
    done = momentune("resume", tmp_path / "X")
    assert done.returncode == 0, done.stdout + done.stderr
    assert Counter(row["state"] for row in rows(tmp_path / "X")) == ENDED


@pytest.mark.slow
def test_a_machine_that_does_not_see_the_run_is_named_before_anything_starts(
    momentune, space_file, cluster, tmp_path
):
    """Two nodes in mount namespaces of their own, where the run directory is another one."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("mount namespaces need root")
    blind = elsewhere(cluster, f"mount -t tmpfs none {tmp_path}", num_cpus=2)
    try:
        words = (f"{space_file}:space", *SMALL, "--address", cluster.address)
        done = momentune("sweep", *words, "--out", "X")
        assert done.returncode == 2, done.stdout + done.stderr
        assert "node" in done.stderr
        assert "is not what the driver sees there" in done.stderr
        assert not (tmp_path / "X").exists()
        assert not seen(space_file)
    finally:
        os.killpg(blind.pid, signal.SIGTERM)
        blind.wait()


@pytest.mark.slow
def test_checkpoints_lie_in_any_file_system_where_no_path_is_shared(
    space_file, cluster, tmp_path, tmp_path_factory
):
    place = f"file://{tmp_path_factory.mktemp('bucket')}/checkpoints"
    doomed = cluster.add_node(num_cpus=1)
    hold(space_file, {"everywhere": 3})
    words = ("--trials", 1, "--epochs", 4, "--seeds", 1, "--checkpoints", place)
    process = start(space_file, cluster, tmp_path / "X", *words)
    wait_until(lambda: held_at(space_file, doomed, 3), process)
    cluster.add_node(num_cpus=1)
    lose(cluster, space_file, doomed)
    hold(space_file, {})
    code, output, errors = ended(process)
    assert code == 0, output + errors
    assert any(line["from"] for line in seen(space_file))
    kept = {path.name for path in Path(place.removeprefix("file://")).iterdir()}
    assert kept == {"this-run", *(f"trial-{n:06d}.pt" for n in (2, 3, 4))}
    assert not (tmp_path / "X/tune/checkpoints").exists()


def elsewhere(cluster, before, **node):
    """A node of the cluster in a mount namespace of its own, after a command."""
    ray = Path(sys.executable).parent / "ray"
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in node.items())
    script = f"{before} && exec {ray} start --address {cluster.address} --block {options}"
    process = subprocess.Popen(
        ["unshare", "-m", "bash", "-c", script],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert any("Ray runtime started" in line for line in process.stdout)
    return process


@pytest.mark.parametrize(
    ("needs", "there", "count"),
    [
        ({"CPU": 1.0, "GPU": 0.0}, {"CPU": 4.0}, 4),
        ({"CPU": 0.1, "GPU": 0.1}, {"CPU": 4.0, "GPU": 1.0}, 10),
        ({"CPU": 1.0, "GPU": 1.0}, {"CPU": 4.0}, 0),
        ({"CPU": 1.0, "big": 2.0}, {"CPU": 4.0, "big": 3.0}, 1),
    ],
)
def test_as_many_trials_fit_as_the_scarcest_resource_allows(needs, there, count):
    assert fitting(needs, there) == count


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_shelf_hands_a_checkpoint_on(tmp_path, scheme):
    shelf = Shelf(f"{scheme}{tmp_path}/place")
    shelf.mark("mine")
    assert shelf.look("mine", "probe") == ""
    path = shelf.fetch("one.pt")
    assert not path.exists()
    path.write_text("epoch 1")
    shelf.store(path)
    shelf.release(path)
    again = Shelf(shelf.place).fetch("one.pt")
    assert again.read_text() == "epoch 1"
    shelf.release(again)
    assert sorted(p.name for p in (tmp_path / "place").iterdir()) == ["one.pt", "this-run"]
    for _ in range(2):
        shelf.remove("one.pt")
    assert [p.name for p in (tmp_path / "place").iterdir()] == ["this-run"]


def test_a_shelf_knows_that_it_is_another_one(tmp_path):
    shelf = Shelf(str(tmp_path / "place"))
    assert "not what the driver sees" in shelf.look("mine", "probe")
    with pytest.raises(ShelfError, match="not what the driver sees"):
        shelf.check("mine")
    shelf.mark("another")
    assert "of another run" in shelf.look("mine", "probe")
    with pytest.raises(ShelfError, match="of another run"):
        shelf.check("mine")
    with pytest.raises(ValueError, match="no file system that pyarrow knows"):
        Shelf("nonsense://place")
