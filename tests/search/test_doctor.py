"""A run directory that has lost something, or holds what no sweep wrote: told, never repeated."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from momentune.search import doctor
from momentune.search.doctor import examine, mended
from momentune.search.ledger import Ledger
from momentune.search.plan import BadInput, Plan
from momentune.search.sweep import Sweep

from .conftest import planned, run_serially
from .test_crash import in_a_process
from .trivial import trivial

SMALL = {"trials": 2, "epochs": 2, "seeds": 1, "scheduler": "none", "sampler": "random"}


def finished(folder: Path, **more: object) -> Path:
    plan = planned(trivial, folder, **SMALL, **more)
    with Ledger.locked(folder, plan) as ledger:
        run_serially(Sweep(plan, trivial, ledger))
    return folder


def without_journal(run):
    (run / "journal.log").unlink()


def with_an_empty_journal(run):
    (run / "journal.log").write_bytes(b"")


def with_a_new_journal(run):
    """As a driver leaves it that has begun, and nothing else."""
    lines = (run / "journal.log").read_bytes().splitlines(keepends=True)
    (run / "journal.log").write_bytes(b"".join(lines[:4]))


def without_metrics(run):
    (run / "metrics.jsonl").unlink()


def contents(run):
    return {path.name: path.read_bytes() for path in run.iterdir() if path.name != "driver.lock"}


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (without_journal, "journal.log is gone"),
        (with_an_empty_journal, "there is no study plain/search"),
        (with_a_new_journal, "journal.log holds none of its trials"),
        (without_metrics, "metrics.jsonl is gone or empty"),
    ],
)
def test_a_run_that_has_lost_its_studies_or_metrics_is_not_run_again(tmp_path, harm, told):
    run = finished(tmp_path / "run")
    harm(run)
    before = {n: c for n, c in contents(run).items() if c}
    with pytest.raises(BadInput, match=told), Ledger.locked(run, Plan.load(run)):
        pass
    assert {n: c for n, c in contents(run).items() if c} == before
    (finding,) = examine(run)
    assert finding.grave
    assert "backup" in finding.advice


def test_resume_refuses_it_and_doctor_says_so(momentune, tmp_path, trivial_file):
    run = finished(tmp_path / "run")
    plan = Plan.load(run)
    replace(plan, space=plan.space | {"reference": str(trivial_file)}).save(run)
    without_journal(run)
    for words, code in ((("resume", run), 2), (("status", run), 2), (("doctor", run), 1)):
        done = momentune(*words)
        assert done.returncode == code
        assert "has lost results: journal.log is gone" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_a_part_that_is_lost_is_told(tmp_path):
    run = finished(tmp_path / "run")
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(line for line in lines if '"trial": 1,' not in line))
    (finding,) = examine(run)
    assert finding.grave
    assert "1 finished trials have no report in metrics.jsonl: 1" in finding.what
    stray = json.dumps(json.loads(lines[-1]) | {"trial": 66})
    (run / "metrics.jsonl").write_text("".join([*lines, f"{stray}\n"]))
    (finding,) = examine(run)
    assert finding.grave
    assert "1 trials have reports and are in no study: 66" in finding.what


@pytest.mark.parametrize("harm", ["gone", "garbage"])
def test_a_database_that_is_lost_is_told_and_no_new_one_is_made(tmp_path, harm):
    base = tmp_path / "x.db"
    run = finished(tmp_path / "run", storage=f"sqlite:///{base}")
    base.unlink()
    if harm == "garbage":
        base.write_bytes(b"no database" * 100)
    for writable in (False, True):
        with pytest.raises(BadInput, match=r"x\.db") as told:
            Ledger(run, Plan.load(run), writable=writable)
        assert "commit" not in str(told.value)
    (finding,) = examine(run)
    assert finding.grave
    assert base.exists() == (harm == "garbage")


def spoil(run: Path, line: bytes = b"broken\n") -> None:
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(b"".join([lines[0], line, *lines[1:]]))


@pytest.mark.parametrize("point", [1, 2, 3, 4])
def test_a_repair_that_is_killed_at_any_point_loses_nothing(tmp_path, monkeypatch, point):
    run = finished(tmp_path / "run")
    whole = (run / "metrics.jsonl").read_bytes()
    spoil(run)
    spoilt, left = (run / "metrics.jsonl").read_bytes(), [point]

    def mortal(work):
        def done(*words):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*words)

        return done

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", mortal(os.fsync))
        patch.setattr(Path, "replace", mortal(Path.replace))
        code = in_a_process(lambda: mended(run) and 1)
    assert code == (-signal.SIGKILL if point < 4 else 0)
    assert (run / "metrics.jsonl").read_bytes() == (spoilt if point < 4 else whole)
    assert mended(run) == []
    assert (run / "metrics.jsonl").read_bytes() == whole
    assert spoilt in [path.read_bytes() for path in run.glob("metrics.jsonl.broken-*")]


def test_a_second_repair_keeps_what_the_first_set_aside(tmp_path):
    run = finished(tmp_path / "run")
    for line in (b"one\n", b"two\n"):
        spoil(run, line)
        assert mended(run) == []
    aside = sorted(run.glob("metrics.jsonl.broken-*"))
    assert [b"one\n" in aside[0].read_bytes(), b"two\n" in aside[1].read_bytes()] == [True, True]


def test_a_repair_holds_the_drivers_lock(tmp_path, monkeypatch):
    run, seen = finished(tmp_path / "run"), []
    spoil(run)
    take_out = doctor._take_out
    monkeypatch.setattr(
        doctor, "_take_out", lambda log: (seen.append(doctor.driven(run)), take_out(log))
    )
    assert mended(run) == []
    assert seen == [True]


@pytest.mark.parametrize("line", [b"[]\n", b"5\n", b"{}\n", b'{"trial": 1}\n'])
def test_a_line_that_is_no_report_is_told_and_taken_out(tmp_path, line):
    run = finished(tmp_path / "run")
    whole = (run / "metrics.jsonl").read_bytes()
    spoil(run, line)
    (finding,) = examine(run)
    assert finding.grave
    assert "line 2 of" in finding.what
    assert mended(run) == []
    assert (run / "metrics.jsonl").read_bytes() == whole


@pytest.mark.parametrize("line", [b"5\n", b"{}\n"])
def test_a_line_of_the_journal_that_is_no_record_is_told(momentune, tmp_path, line):
    run = finished(tmp_path / "run")
    lines = (run / "journal.log").read_bytes().splitlines(keepends=True)
    (run / "journal.log").write_bytes(b"".join([*lines[:5], line, *lines[5:]]))
    (finding,) = examine(run)
    assert finding.grave
    done = momentune("status", run)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def with_a_strange_key(plan):
    plan["nonsense"] = 1


def without_a_key(plan):
    del plan["seeds"]


@pytest.mark.parametrize(
    ("harm", "told"), [(with_a_strange_key, "'nonsense'"), (without_a_key, "'seeds'")]
)
def test_a_plan_that_no_sweep_wrote_is_told(tmp_path, harm, told):
    planned(trivial, tmp_path / "run")
    path = tmp_path / "run/plan.json"
    plan = json.loads(path.read_text())
    harm(plan)
    path.write_text(json.dumps(plan))
    with pytest.raises(BadInput, match=f"not as a sweep writes it: .*{told}"):
        Plan.load(tmp_path / "run")


def test_a_plan_in_another_encoding_is_told(tmp_path):
    planned(trivial, tmp_path / "run")
    (tmp_path / "run/plan.json").write_bytes(b'{"name": "\xff"}')
    with pytest.raises(BadInput, match="cannot be read"):
        Plan.load(tmp_path / "run")


def test_a_report_without_its_database_says_so(momentune, tmp_path):
    base = tmp_path / "x.db"
    run = finished(tmp_path / "run", storage=f"sqlite:///{base}")
    base.unlink()
    for words in (("report", run), ("best", run)):
        done = momentune(*words)
        assert done.returncode == 2
        assert f"there is no file {base}" in done.stderr
        assert "commit" not in done.stderr
    assert not base.exists()
