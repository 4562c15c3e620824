"""Bad input: exit code 2, one clear message, nothing started, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata

import pytest

from momentune.search.command import budget, literal, load, planned_space, read, seconds
from momentune.search.launch import Request, make_plan
from momentune.search.once import _like_a_trial
from momentune.search.plan import BadInput, check_unchanged, make_run_directory

SPACE = """
from momentune.spaces import Float, Space, Variant
def run(x, *, epochs):
    yield {"validation_loss": x, "test_loss": x}
mine = Space("mine", metric="loss", direction="minimize", parameters={"x": Float(0, 1)},
             variants=[Variant("a", run=run, baseline=True), Variant("b", run=run)])
"""

FILES = {
    "broken": ("def (", "line 1"),
    "empty": ("x = 1", "defines no space"),
    "two": (SPACE + "\nother = mine", "defines 2 spaces"),
    "upside_down": (SPACE.replace("Float(0, 1)", "Float(2, 1)"), "low <= high"),
    "flat": (SPACE.replace("Float(0, 1)", "Float(1, 1)"), "low < high"),
    "baselines": (SPACE.replace('Variant("b", run=run)', 'Variant("b", run=run, baseline=True)'),
                  "found 2: a, b"),
    "leaving": ("import sys\nsys.exit(0)", "line 2: SystemExit: 0"),
    "positional": (SPACE.replace('"mine", metric', '3, metric'), "not built as Space and Variant"),
    "unknown": (SPACE.replace('{"x":', '{"y": 1, "x":'), "does not take 'y'"),
    "missing": (SPACE.replace("run(x,", "run(x, z,"), "needs 'z'"),
}  # fmt: skip


def test_it_says_which_version_it_is(momentune):
    assert momentune("--version").stdout == f"momentune {metadata.version('momentune')}\n"


@pytest.mark.parametrize("name", FILES)
def test_a_bad_space_file_is_told_before_anything_starts(momentune, tmp_path, name):
    text, words = FILES[name]
    (tmp_path / "space.py").write_text(text)
    done = momentune("sweep", "space.py", "--out", "X")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "X").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sweep", "digit-lstm"), "did you mean digits-lstm"),
        (("sweep", "none.py"), "no file 'none.py'"),
        (("sweep", "digits-lstm", "--trials", "0"), "--trials"),
        (("sweep", "digits-lstm", "--seeds", "-1"), "--seeds"),
        (("sweep", "digits-lstm", "--sampler", "magic"), "magic"),
        (("sweep", "digits-lstm", "--scheduler", "magic"), "magic"),
        (("sweep", "digits-lstm", "--frobnicate"), "--frobnicate"),
        (("sweep", "digits-lstm", "--time-budget", "soon"), "such as 90s"),
        (("sweep", "digits-lstm", "--data", "nowhere"), "no directory"),
        (("sweep", "digits-lstm", "--concurrency", "999"), "needs 999 CPUs"),
        (("sweep", "digits-lstm", "--cpus", "999"), "needs 999 CPUs"),
        (("sweep", "digits-lstm", "--gpus", "99"), "needs 1 CPUs and 99 GPUs"),
        (("sweep", "digits-lstm", "--storage", "sub/foo"), "must be a database URL"),
        (("sweep", "digits-lstm", "--storage", "nonsense://u:secret@h/x"), "u:***@h"),
        (("sweep", "digits-lstm", "--address", "127.0.0.1:1"), "no Ray cluster answers"),
        (("sweep", "digits-lstm", "--address", "127.0.0.1:99999"), "no Ray cluster answers"),
        (("sweep", "digits-lstm", "--address", "foo"), "must be auto, or HOST:PORT"),
        (("sweep", "digits-lstm", "--seed", 2**64), "--seed"),
        (("train", "digits-lstm", "--variant", "lstm", "--set", "lr=-1"), "lr must be"),
        (("train", "digits-lstm", "--variant", "lstm", "--set", "hidden_size=abc"), "trained with"),
        (("sweep", "digits-lstm", "--out", "/proc/run"), "cannot be written"),
        (("sweep", "digits-lstm", "--out", "."), "needs a new directory"),
        (("resume", "nowhere"), "no run directory"),
        (("status", "nowhere"), "no run directory"),
        (("report", "nowhere"), "run directory"),
        (("best", "nowhere"), "no run directory"),
        (("sweep", "digits-lstm", "--sampler", "grid", "--scale", "paper"), "laptop scale only"),
        (("sweep", "digits-lstm", "--budget", "nfe"), "METRIC=NUMBER"),
        (("sweep", "digits-lstm", "--trial-timeout", "soon"), "such as 90s"),
        (("sweep", "digits-lstm", "--sampler", "nsga2"), "no second objective"),
        (
            ("sweep", "digits-lstm", "--deterministic", "--scheduler", "asha"),
            "depends on the clock",
        ),
        (("sweep", "digits-lstm", "--deterministic", "--budget", "epochs=9"), "--budget ends what"),
        (
            ("sweep", "digits-lstm", "--deterministic", "--trial-timeout", "9s"),
            "--trial-timeout ends what depends on the clock",
        ),
        (("sweep", "digits-lstm", "--budget", "a=1", "--budget", "a=2"), "a is given twice"),
        (("doctor", "nowhere"), "no run directory"),
        (("replay", "nowhere", "1"), "no run directory"),
        (("dashboard", "nowhere"), "there is nothing at nowhere"),
        (("dashboard", "nowhere", "--optuna"), "there is nothing at nowhere"),
        (("report", "a", "b", "--gallery", "c"), "takes one run, not 2"),
        (("show", "digits-lstm", "--data", "nowhere"), "no directory"),
        (("train", "digits-lstm", "--variant", "lstm", "--sample", "x"), "makes no pictures"),
        (("train", "digits-lstm", "--variant", "gru"), "it has: lstm, momentum_lstm"),
        (("train", "digits-lstm", "--variant", "lstm", "--set", "momentum=1"), "hidden_size"),
        (("train", "digits-lstm", "--variant", "lstm", "--set", "lr"), "NAME=VALUE"),
    ],
)
def test_bad_words_are_told_with_exit_code_2(momentune, tmp_path, words, told):
    done = momentune(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", [("show",), ("sweep",), ("plan",), ("train", "--variant", "node")], ids=" ".join
)
@pytest.mark.parametrize("given", [False, True], ids=["no folder", "an empty folder"])
def test_missing_data_are_told_before_anything_starts(
    momentune, tmp_path, monkeypatch, words, given
):
    monkeypatch.delenv("MOMENTUNE_DATA", raising=False)
    (tmp_path / "empty").mkdir()
    data = ("--data", "empty") if given else ()
    done = momentune(words[0], "silverbox-ode", *words[1:], *data)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "MOMENTUNE_DATA" in done.stderr or "--data" in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("command", ["plan", "show"])
def test_a_space_that_cannot_be_trained_is_told(momentune, tmp_path, command):
    broken = SPACE.replace("    yield", "    raise RuntimeError('no luck')\n    yield")
    (tmp_path / "space.py").write_text(broken)
    done = momentune(command, "space.py")
    assert done.returncode == 2
    assert "an epoch of a with every range at its middle" in done.stderr
    assert "no luck" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_in_which_no_sweep_has_begun_is_not_called_one(tmp_path):
    with pytest.raises(BadInput, match="No sweep has begun in it"):
        make_run_directory(tmp_path)
    (tmp_path / "plan.json").touch()
    with pytest.raises(BadInput, match="momentune resume"):
        make_run_directory(tmp_path)


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, "1"), (1.0, "1"), (2.0, "2"), (2.7, "2")])
def test_one_training_has_the_threads_that_ray_gives_a_trial(monkeypatch, cpus, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", "unset")  # so that it is put back
    monkeypatch.delenv("OMP_NUM_THREADS")
    _like_a_trial(cpus)
    assert os.environ["OMP_NUM_THREADS"] == threads


THREADS = """
import os
from momentune.spaces import Space, Variant
def run(*, epochs):
    yield {"validation_loss": float(os.environ["OMP_NUM_THREADS"]), "test_loss": 0.0}
mine = Space("mine", metric="loss", direction="minimize",
             variants=[Variant("a", run=run, baseline=True)])
"""


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one trial is to have two processors")
def test_a_replay_has_the_threads_of_its_trial(momentune, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (tmp_path / "space.py").write_text(THREADS)
    done = momentune("sweep", "space.py", "--smoke", "--cpus", 2, "--out", "X")
    assert done.returncode == 0, done.stderr
    assert '"validation_loss": 2.0' in (tmp_path / "X/metrics.jsonl").read_text()
    done = momentune("replay", "X", 0)
    assert done.returncode == 0, done.stderr
    (tmp_path / "space.py").write_text(THREADS.replace('"a"', '"b"'))
    done = momentune("replay", "X", 0)  # its variant is called otherwise now
    assert done.returncode == 2
    assert "it has: b" in done.stderr


def test_a_changed_space_cannot_resume(momentune, tmp_path):
    (tmp_path / "space.py").write_text(SPACE)
    assert momentune("sweep", "space.py", "--smoke", "--out", "X").returncode == 0
    (tmp_path / "space.py").write_text(SPACE.replace("Float(0, 1)", "Float(0, 2)"))
    done = momentune("resume", "X")
    assert done.returncode == 2
    assert "has changed since this sweep was planned" in done.stderr


@pytest.mark.parametrize(("text", "duration"), [("90s", 90), ("30m", 1800), ("1h30m", 5400)])
def test_a_time_budget_is_read(text, duration):
    assert seconds("--time-budget", text) == duration
    assert seconds("--time-budget", None) is None
    with pytest.raises(BadInput, match="--time-budget"):
        seconds("--time-budget", text + "?")


def test_training_in_this_process_shows_every_epoch_and_takes_settings(momentune):
    words = ("--variant", "momentum_lstm", "--set", "momentum=0.5", "--epochs", 2, "--test")
    done = momentune("train", "digits-lstm", *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "'momentum': 0.5" in lines[0]
    assert [line.split()[:2] for line in lines[1:]] == [["epoch", "1"], ["epoch", "2"]]
    assert "test_accuracy" in lines[2]
    assert "test_accuracy" not in lines[1]


def test_spaces_and_show_tell_what_there_is(momentune):
    listed = momentune("spaces").stdout
    assert "digits-lstm  " in listed
    assert "silverbox-ode *" in listed
    shown = momentune("show", "digits-lstm").stdout
    assert all(word in shown for word in ("baseline", "momentum", "control", "one epoch"))


@pytest.mark.parametrize("module", ["torch", "ray", "pandas", "optuna"])
def test_help_needs_no_heavy_import(module):
    code = f"import sys; from momentune.search.cli import app; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("value", [1, 0.5, True, None, "adam", "1", "null", "two words", 'a"b'])
def test_what_best_prints_is_what_set_reads(value):
    assert read(literal(value)) == value
    assert type(read(literal(value))) is type(value)


def test_a_budget_is_read():
    assert budget(["nfe_forward=1e7", "seconds=60"]) == {"nfe_forward": 1e7, "seconds": 60}
    assert budget(None) == {}
    for wrong in ("nfe_forward", "=3", "nfe=0", "nfe=-1", "nfe=inf", "nfe=nan", "nfe=much"):
        with pytest.raises(BadInput, match="METRIC=NUMBER"):
            budget([wrong])


SCALED = SPACE.replace(
    'parameters={"x"', 'paper={"epochs": 7, "parameters": {"x": Float(2, 3)}}, parameters={"x"'
)


def test_a_plan_remembers_the_scale_of_its_space(tmp_path):
    (tmp_path / "space.py").write_text(SCALED)
    for scale, epochs, low in (("laptop", 10, 0), ("paper", 7, 2)):
        loaded = load(str(tmp_path / "space.py"), scale)
        plan = make_plan(loaded, Request())
        assert (plan.epochs, plan.space["scale"]) == (epochs, scale)
        assert planned_space(plan).space.parameters["x"].low == low
        check_unchanged(plan, planned_space(plan).space)


def test_a_plan_is_told_before_it_is_run(momentune, tmp_path):
    (tmp_path / "space.py").write_text(SCALED)
    done = momentune("plan", "space.py", "--scale", "paper", "--trials", 4, "--concurrency", 2)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:1] for line in done.stdout.splitlines()[:3]] == [
        ["variant"],
        ["a"],
        ["b"],
    ]
    assert "2 slots" in done.stdout
    assert not (tmp_path / "runs").exists()
