"""A driver that is killed, a disk that is full, a file that is broken: no result is lost."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

from momentune.search.book import Book
from momentune.search.doctor import examine, mended
from momentune.search.journal import Log
from momentune.search.ledger import Ledger
from momentune.search.plan import BadInput, Plan
from momentune.search.sweep import Sweep

from .conftest import books, planned, run_serially
from .trivial import contenders, trivial

SMALL = {"trials": 2, "epochs": 2, "seeds": 1, "scheduler": "asha", "sampler": "tpe"}
PLANNED = {"plain/search": 2, "plain/confirm": 1, "fancy/search": 2, "fancy/confirm": 2}


def sweep(folder, plan, space=trivial):
    with Ledger.locked(folder, plan) as ledger:
        run_serially(Sweep(plan, space, ledger))
        assert ledger.done


def in_a_process(work):
    """Runs it in a process of its own; returns its exit code, negative for a signal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside Ray's threads
        child = os.fork()
    if child == 0:
        code = 99
        with contextlib.suppress(BaseException):
            code = work() or 0
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def mortal(monkeypatch, at, *, torn):
    """Every log kills its process at the write of that number, before it or in its middle."""
    whole, count = Log.append, Counter()

    def append(self, lines):
        count["writes"] += 1
        if count["writes"] == at:
            if torn:
                half = lines[0].encode()
                self._file.write(half[: len(half) // 2 + 1])
            os.kill(os.getpid(), signal.SIGKILL)
        whole(self, lines)

    monkeypatch.setattr(Log, "append", append)
    return count


def writes_of_a_whole_sweep(folder):
    with pytest.MonkeyPatch.context() as patch:
        count = mortal(patch, 0, torn=False)
        sweep(folder, planned(trivial, folder, **SMALL))
    return count["writes"]


def check_resumed(folder, plan, before):
    """What a resumed sweep must be, given the finished trials from before."""
    found = books(folder, plan)
    assert {name: len(trials) for name, trials in found.items()} == PLANNED
    finished = {TrialState.COMPLETE, TrialState.PRUNED}
    assert {t.state for trials in found.values() for t in trials} <= finished
    for name, trials in before.items():
        kept = {t.number: t for t in found[name]}
        assert all(kept[t.number] == t for t in trials)
    again = [
        t for trials in found.values() for t in trials if t.user_attrs["attempt"]["number"] > 1
    ]
    assert len(again) <= 1  # one slot: at most one was in flight
    numbers = [t.user_attrs["trial"]["number"] for trials in found.values() for t in trials]
    assert len(set(numbers)) == len(numbers)


def finished(folder, plan):
    return {n: [t for t in f if t.state.is_finished()] for n, f in books(folder, plan).items()}


@pytest.mark.parametrize(
    "torn", [pytest.param(False, marks=pytest.mark.slow), True], ids=["before", "in the middle"]
)
def test_a_driver_killed_at_any_write_loses_and_doubles_nothing(tmp_path, torn):
    """SIGKILL at each write of the ledger, one sweep after the other."""
    writes = writes_of_a_whole_sweep(tmp_path / "whole")
    assert writes >= 50
    for at in range(1, writes + 1):
        folder = tmp_path / str(at)
        plan = planned(trivial, folder, **SMALL)
        with pytest.MonkeyPatch.context() as patch:
            mortal(patch, at, torn=torn)
            code = in_a_process(lambda folder=folder, plan=plan: sweep(folder, plan))
        assert code == -signal.SIGKILL
        before = finished(folder, plan)
        sweep(folder, plan)
        check_resumed(folder, plan, before)


def worse(x, y, *, epochs, seed, test):
    """Each trial is worse than the one before, so that ASHA stops it at its first rung."""
    for epoch in range(1, epochs + 1):
        yield {"epoch": epoch, "validation_loss": float(seed), "test_loss": x}


@pytest.mark.parametrize("at", [(Ledger, "prune"), (Ledger, "_end"), (Book, "end")])
def test_a_stop_that_a_dead_driver_could_not_write_down_is_not_forgotten(tmp_path, at):
    """Killed between the report at a rung and the end of the trial that it stops."""
    space = replace(trivial, variants=contenders(worse))
    wanted = {"plain/search": [9, 1, 1], "fancy/search": [9, 1, 1]}
    request = SMALL | {"trials": 3, "epochs": 9, "sampler": "random"}
    plan = planned(space, tmp_path / "run", **request)
    whole, (owner, name) = getattr(*at), at

    def killed(self, trial, *state, **more):
        if name == "prune" or TrialState.PRUNED in state:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, trial, *state, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, killed)
        assert in_a_process(lambda: sweep(tmp_path / "run", plan, space)) == -signal.SIGKILL
    sweep(tmp_path / "run", plan, space)
    found = books(tmp_path / "run", plan)
    assert {n: [len(t.intermediate_values) for t in found[n]] for n in wanted} == wanted
    for name in wanted:
        assert [t.state.name for t in found[name]] == ["COMPLETE", "PRUNED", "PRUNED"]
        assert [t.value for t in found[name]] == [0.0, 1.0, 2.0]
        assert all(t.user_attrs["attempt"]["number"] == 1 for t in found[name])


def limited(size):
    """From now on no file of this process grows beyond so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def full(folder, plan, prepare=lambda: None):
    prepare()
    try:
        sweep(folder, plan)
    except OSError:
        return 7
    return 0


def test_a_disk_that_is_full_at_any_byte_stops_the_sweep_and_loses_nothing(tmp_path):
    sweep(tmp_path / "whole", planned(trivial, tmp_path / "whole", **SMALL))
    size = (tmp_path / "whole/journal.log").stat().st_size
    for room in range(1, size, size // 40):
        folder = tmp_path / str(room)
        plan = planned(trivial, folder, **SMALL)
        code = in_a_process(lambda f=folder, p=plan, r=room: full(f, p, lambda: limited(r)))
        assert code == 7
        assert (folder / "journal.log").read_bytes()[-1:] in (b"", b"\n")  # no torn line
        before = finished(folder, plan)
        sweep(folder, plan)
        check_resumed(folder, plan, before)


def test_a_full_file_system_stops_the_sweep_and_loses_nothing(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        plan = planned(trivial, place / "run", **SMALL)
        free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
        (place / "ballast").write_bytes(bytes(free - 8192))
        assert in_a_process(lambda: full(place / "run", plan)) == 7
        before = finished(place / "run", plan)
        (place / "ballast").unlink()
        sweep(place / "run", plan)
        check_resumed(place / "run", plan, before)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_directory_that_cannot_be_written_is_told_and_can_be_read(tmp_path):
    folder = tmp_path / "run"
    plan = planned(trivial, folder, **SMALL)
    sweep(folder, plan)
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555)
    for path in (tmp_path, *tmp_path.parents):  # nobody must get there
        if not path.stat().st_mode & 0o001:
            path.chmod(0o755)

    def as_nobody():
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            sweep(folder, plan)
        except BadInput as error:
            return 0 if "cannot be written" in str(error) and finished(folder, plan) else 1

    assert in_a_process(as_nobody) == 0


def test_a_second_driver_is_refused(tmp_path):
    plan = planned(trivial, tmp_path / "run", **SMALL)

    def second():
        try:
            sweep(tmp_path / "run", plan)
        except BadInput as error:
            return 0 if "another process is running" in str(error) else 1
        return 2

    with Ledger.locked(tmp_path / "run", plan):
        assert in_a_process(second) == 0
        (finding,) = examine(tmp_path / "run")
        assert "a driver works" in finding.what
    sweep(tmp_path / "run", plan)


# The doctor


@pytest.fixture
def well(tmp_path):
    """A sweep that ran to its end."""
    sweep(tmp_path / "run", planned(trivial, tmp_path / "run", **SMALL))
    return tmp_path / "run"


def test_a_finished_run_is_well(well):
    assert examine(well) == []


def tear(run):
    with (run / "journal.log").open("ab") as file:
        file.write(b'{"op_code": 4, "torn')


def lock(run):
    (run / "journal.log.lock").symlink_to("journal.log")


def spoil_metrics(run):
    lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (run / "metrics.jsonl").write_bytes(b"".join([lines[0], b"\x00\x00\n", *lines[1:]]))


def leave_a_draft(run):
    draft = run / "tune/checkpoints/trial-000003.pt.999999999"
    draft.parent.mkdir(parents=True)
    draft.write_bytes(b"half")


@pytest.mark.parametrize("harm", [tear, lock, spoil_metrics, leave_a_draft])
def test_what_can_be_repaired_is_repaired_and_no_result_is_lost(well, harm):
    plan = Plan.load(well)
    before = books(well, plan)
    lines = (well / "metrics.jsonl").read_text().splitlines()
    harm(well)
    (finding,) = examine(well)
    assert finding.repair
    assert "doctor --repair" in str(finding)
    assert mended(well) == []
    assert books(well, plan) == before
    assert (well / "metrics.jsonl").read_text().splitlines() == lines


def test_a_broken_line_inside_of_the_journal_is_told_with_its_number(well, momentune):
    lines = (well / "journal.log").read_bytes().splitlines(keepends=True)
    (well / "journal.log").write_bytes(b"".join([*lines[:5], b"{broken}\n", *lines[6:]]))
    (finding,) = mended(well)
    assert finding.grave
    assert "line 6 of" in finding.what
    done = momentune("doctor", well)
    assert done.returncode == 1
    assert "backup" in done.stdout
    with pytest.raises(BadInput, match="line 6"):
        Ledger(well, Plan.load(well))


def test_an_interrupted_run_is_told_how_to_go_on(tmp_path):
    plan = planned(trivial, tmp_path / "run", **SMALL)
    with pytest.MonkeyPatch.context() as patch:
        mortal(patch, 20, torn=False)
        assert in_a_process(lambda: sweep(tmp_path / "run", plan)) == -signal.SIGKILL
    (finding,) = examine(tmp_path / "run")
    assert "1 trials were running" in finding.what
    assert f"momentune resume {tmp_path / 'run'}" in str(finding)
    assert not finding.grave


def test_nothing_is_left_open_after_a_sweep(tmp_path):
    def held():
        return {p.resolve() for p in Path("/proc/self/fd").iterdir() if p.exists()}

    before = held()
    sweep(tmp_path / "run", planned(trivial, tmp_path / "run", **SMALL))
    assert not {path for path in held() - before if str(path).startswith(str(tmp_path))}
