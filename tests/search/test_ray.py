"""The same laws on real Ray workers, through the command line, as a user meets them."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

SMALL = ("--trials", 3, "--epochs", 2, "--seeds", 2)


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def results(run: Path) -> list[tuple[str, ...]]:
    """What a sweep found, without what a clock says."""
    kept = [n for n in rows(run)[0] if n not in ("started", "seconds") and "second" not in n]
    return sorted(tuple(row[name] for name in kept) for row in rows(run))


def counted(run: Path) -> Counter[tuple[str, str]]:
    return Counter((row["variant"], row["phase"]) for row in rows(run))


PLANNED = {
    ("plain", "search"): 3,
    ("plain", "confirm"): 2,
    ("fancy", "search"): 3,
    ("fancy", "confirm"): 4,
}


def test_a_users_file_runs_from_a_folder_with_its_own_models_package(
    momentune, trivial_file, tmp_path
):
    strange = tmp_path / "strange"
    for name in ("models", "spaces", "search", "reports"):
        (strange / name).mkdir(parents=True)
        (strange / name / "__init__.py").write_text("raise ImportError('not ours')")
    words = ("sweep", trivial_file, *SMALL, "--sampler", "random", "--scheduler", "none", "--out")
    for place, name in ((strange, "there"), (tmp_path, "here")):
        done = momentune(*words, tmp_path / name, cwd=place)
        assert done.returncode == 0, done.stderr
        assert counted(tmp_path / name) == PLANNED
        assert (tmp_path / name / "report/index.html").exists()
        assert (tmp_path / name / "report/report.md").exists()
    assert results(tmp_path / "there") == results(tmp_path / "here")
    assert not list((tmp_path / "here/tune/checkpoints").glob("trial-00000*"))
    again = momentune("resume", tmp_path / "here")
    assert again.returncode == 0
    assert counted(tmp_path / "here") == PLANNED
    best = momentune("best", tmp_path / "here", "--json")
    assert json.loads(best.stdout)["variant"] in ("plain", "fancy")
    assert "done" in momentune("status", tmp_path / "here").stdout


ILL = """
from dataclasses import replace
from trivial import contenders, ill, trivial
space = replace(trivial, name="ill", variants=[
    contenders(ill, how="well")[0],
    *[replace(contenders(ill, how=how)[1], name=how.replace(" ", "-"), controls={})
      for how in ("raises", "exits", "leaves", "becomes NaN", "runs out of memory")],
])
"""


def test_trials_that_fail_in_any_way_are_told_and_the_sweep_goes_on(
    momentune, trivial_file, tmp_path
):
    path = trivial_file.parent / "ill.py"
    path.write_text(ILL)
    words = ("--trials", 2, "--seeds", 2, "--scheduler", "none")
    done = momentune("sweep", f"{path}:space", *words, "--out", "X")
    assert done.returncode == 1, done.stderr
    assert "variant exits has no confirmed result" in done.stderr
    found = rows(tmp_path / "X")
    assert {(r["variant"], r["state"], r["reason"], r["attempts"]) for r in found} == {
        ("plain", "COMPLETE", "", "1"),
        ("raises", "FAIL", "exception", "1"),
        ("exits", "FAIL", "lost", "3"),
        ("leaves", "FAIL", "exception", "1"),
        ("becomes-NaN", "FAIL", "diverged", "1"),
        ("runs-out-of-memory", "FAIL", "oom", "2"),
    }
    assert len(found) == 12 + 2
    report = (tmp_path / "X/report/report.md").read_text()
    assert "no luck with x" in report


HANGING = """
from dataclasses import replace
import time
from trivial import contenders, descend, trivial
def hang(x, y, *, epochs, seed, test):
    yield from list(descend(x, y, epochs=epochs, seed=seed, test=test))[:1]
    time.sleep(600)
fancy = replace(contenders(hang)[1], controls={})
space = replace(trivial, name="hanging", variants=[contenders(descend)[0], fancy])
"""


def test_a_training_that_hangs_ends_at_its_timeout(momentune, trivial_file, tmp_path):
    path = trivial_file.parent / "hanging.py"
    path.write_text(HANGING)
    words = ("--trials", 1, "--epochs", 2, "--seeds", 1, "--trial-timeout", "20s", "--out", "X")
    done = momentune("sweep", f"{path}:space", *words)
    assert done.returncode == 1, done.stderr
    told = {(r["variant"], r["state"], r["reason"], r["epochs"]) for r in rows(tmp_path / "X")}
    assert told == {("plain", "COMPLETE", "", "2"), ("fancy", "FAIL", "timeout", "1")}


SLOW = """
from dataclasses import replace
from pathlib import Path
from trivial import contenders, descend, trivial

HOLD = Path(__file__).parent / "hold"

def slowly(x, y, *, epochs, seed, test):
    pause = 5.0 if HOLD.exists() else 0.5
    yield from descend(x, y, epochs=epochs, seed=seed, test=test, pause=pause)

space = replace(trivial, variants=contenders(slowly))
"""


def slow_file(trivial_file: Path) -> Path:
    """A space of trials that take half a second an epoch; with a file `hold` beside it, five."""
    slow = trivial_file.parent / "slow.py"
    slow.write_text(SLOW)
    return slow


def started(run: Path, trivial_file: Path, **more: object) -> subprocess.Popen[str]:
    """A sweep of slow trials that has begun to report."""
    slow = slow_file(trivial_file)
    (slow.parent / "hold").touch()  # until other commands have looked at it
    command = [str(Path(sys.executable).parent / "momentune"), "sweep", f"{slow}:space"]
    process = subprocess.Popen(
        [*command, *map(str, SMALL), "--out", str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=run.parent,
        **more,
    )
    deadline = time.monotonic() + 300
    while not ((run / "metrics.jsonl").exists() and (run / "metrics.jsonl").stat().st_size):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    return process


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM], ids=lambda word: word.name)
def test_an_interrupt_leaves_a_run_that_resumes(momentune, trivial_file, tmp_path, word):
    process = started(tmp_path / "X", trivial_file)
    second = momentune("resume", tmp_path / "X")
    assert second.returncode == 2
    assert "another process is running" in second.stderr
    assert "search" in momentune("status", tmp_path / "X").stdout
    process.send_signal(word)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"momentune resume {tmp_path / 'X'}" in errors
    states = {row["state"] for row in rows(tmp_path / "X")}
    assert "RUNNING" not in states
    assert (tmp_path / "X/report/index.html").exists()
    (trivial_file.parent / "hold").unlink()
    assert momentune("resume", tmp_path / "X").returncode == 0
    assert counted(tmp_path / "X") == PLANNED
    assert {row["state"] for row in rows(tmp_path / "X")} <= {"COMPLETE", "PRUNED"}


def test_a_budget_in_a_metric_that_is_not_reported_is_refused(momentune, trivial_file, tmp_path):
    words = ("--trials", 2, "--epochs", 2, "--budget", "nfe_forwards=1e7", "--out", "X")
    done = momentune("sweep", trivial_file, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "--budget nfe_forwards=1e+07 needs 'nfe_forwards' in every report" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "X").exists()


def test_a_time_budget_stops_a_sweep_that_resumes(momentune, trivial_file, tmp_path):
    words = ("--trials", 99, "--epochs", 2, "--time-budget", "12s", "--out", "X")
    done = momentune("sweep", f"{slow_file(trivial_file)}:space", *words)
    assert done.returncode == 0, done.stderr
    assert "the time budget is used up" in done.stdout
    states = Counter(row["state"] for row in rows(tmp_path / "X"))
    assert set(states) <= {"COMPLETE", "PRUNED", "WAITING"}
    assert states.total() < 99 * 2
    assert "not done" in momentune("status", tmp_path / "X").stdout


def killed(momentune, run, command, reports):
    """Starts a driver, kills it at a report, and returns the trials that had ended by then."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while _lines(run / "metrics.jsonl") < reports and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert momentune("report", run).returncode == 0
    return {r["trial"]: r for r in rows(run) if r["state"] in ("COMPLETE", "PRUNED", "FAIL")}


@pytest.mark.slow
def test_a_driver_that_is_killed_again_and_again_loses_nothing(momentune, tmp_path):
    """Kill -9 at eight moments of one run: of the sweep, and of each resume, in both phases."""
    run, executable = tmp_path / "X", str(Path(sys.executable).parent / "momentune")
    command, chance, before = [executable, *map(str, KILLED), "--out", run], random.Random(0), {}
    for _ in range(8):
        reports = _lines(run / "metrics.jsonl") + chance.randint(1, 14)
        ended = killed(momentune, run, command, reports)
        for number, row in before.items():
            assert {n: ended[number][n] for n in row} == row
        before, command = ended, [executable, "resume", run]
    again = momentune("resume", run)
    assert again.returncode == 0, again.stderr
    after = {row["trial"]: row for row in rows(run)}
    assert len(after) == len(rows(run))
    for number, row in before.items():
        assert {n: after[number][n] for n in row} == row
    assert counted(run) == {
        ("lstm", "search"): 6,
        ("lstm", "confirm"): 2,
        ("momentum_lstm", "search"): 6,
        ("momentum_lstm", "confirm"): 8,
    }
    assert {row["state"] for row in after.values()} <= {"COMPLETE", "PRUNED"}
    assert (run / "report/index.html").exists()


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


KILLED = ("sweep", "digits-lstm", "--trials", 6, "--seeds", 2, "--epochs", 8)


def marked(mark: str) -> dict[int, str]:
    """The living processes that were started, by whomever, with a word in their environment."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "comm").read_text().strip()
    return found


@pytest.mark.parametrize(
    "end",
    [None, signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)],
    ids=["sweep", "interrupt", "crash"],
)
def test_no_process_outlives_its_driver(trivial_file, tmp_path, end):
    """Ray's own, the workers, and whatever they started; after a sweep, an interrupt, a crash."""
    mark = f"MOMENTUNE_MARK={tmp_path}"
    process = started(tmp_path / "X", trivial_file, env=os.environ | {"MOMENTUNE_MARK": tmp_path})
    assert len(marked(mark)) > 4
    (trivial_file.parent / "hold").unlink()
    if end is not None:
        process.send_signal(end)
    process.communicate(timeout=120)
    # Ray's agents look every half minute or so whether what they serve is still there.
    deadline = time.monotonic() + (150 if end is signal.SIGKILL else 15)
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == {}
