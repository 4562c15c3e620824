from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from momentune.search.launch import Request, make_plan, quiet_optuna
from momentune.search.ledger import Ledger
from momentune.search.plan import Plan
from momentune.search.sweep import Sweep
from momentune.search.trial import failure_of
from momentune.spaces import Loaded, Space, check

TRIVIAL = Path(__file__).parent / "trivial.py"


@pytest.fixture(autouse=True)
def quiet():
    with quiet_optuna(), warnings.catch_warnings():
        yield


@pytest.fixture
def trivial_file(tmp_path: Path) -> Path:
    """The user's file, outside of the repository."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Path(shutil.copy(TRIVIAL, folder / "trivial.py"))


@pytest.fixture(scope="session")
def postgres():
    """Debian's PostgreSQL on a socket of its own, as a user that may run it."""
    if not (shutil.which("pg_ctl") and shutil.which("initdb")):
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    pytest.importorskip("psycopg2")
    folder = Path(tempfile.mkdtemp())  # a socket's path must be short
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user:
        shutil.chown(folder, user)

    def run(*words):
        done = subprocess.run(words, capture_output=True, user=user, cwd=folder, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    run("initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "--no-sync")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    run("pg_ctl", "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start")
    yield f"postgresql+psycopg2://postgres@/postgres?host={folder}"
    run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def storage(request, tmp_path):
    match request.param:
        case "journal":
            return None
        case "sqlite":
            return f"sqlite:///{tmp_path}/runs.db"
        case _:
            return request.getfixturevalue("postgres")


def swept(space_file: Path, address: str, run: Path, *words: object) -> subprocess.Popen[str]:
    """The command line, begun: a sweep of a file's `space` on a cluster; its output is kept."""
    command = [str(Path(sys.executable).parent / "momentune"), "sweep", f"{space_file}:space"]
    return subprocess.Popen(
        [*command, "--address", address, "--out", str(run), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(
    condition: Callable[[], object], driver: subprocess.Popen[str], seconds: float = 300
) -> None:
    """Waits while the driver lives; fails when it ends first, or after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        assert driver.poll() is None, driver.communicate()
        time.sleep(0.1)


def planned(space: Space, folder: Path, **request: object) -> Plan:
    """A plan in a new run directory."""
    folder.mkdir(parents=True)
    plan = make_plan(Loaded(check(space), space.name), Request(**request))
    plan.save(folder)
    return plan


def books(folder: Path, plan: Plan) -> dict[str, list[optuna.trial.FrozenTrial]]:
    """Every study of a run, read as anybody may: name -> trials."""
    ledger = Ledger(folder, plan)
    return {f"{v}/{p}": book.study.get_trials() for (v, p), book in ledger._books.items()}


def run_serially(sweep: Sweep) -> None:
    """Drives a sweep as an executor does, in this process, one trial after the other."""
    while (trial := sweep.next()) is not None:
        reports = sweep.space.train(
            sweep.space.variant(trial.variant),
            trial.params,
            epochs=trial.epochs,
            seed=trial.seed,
            test=trial.phase == "confirm",
        )
        goes_on, failure = True, None
        while goes_on:
            try:
                metrics = next(reports, None)
            except Exception as error:
                metrics, failure = None, failure_of(error)
            goes_on = metrics is not None and sweep.receive(trial.number, metrics)
        sweep.end(trial.number, failure)
