"""What the commands show of finished work: reports, the live page, samples."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from functools import partialmethod
from pathlib import Path

import pytest

from momentune.models import Generation
from momentune.search.command import left_out
from momentune.search.ledger import Ledger
from momentune.search.shelf import Shelf
from momentune.search.sweep import Sweep
from momentune.search.trainable import CHECKPOINT, METRICS, SAMPLE, TRIAL, Training
from momentune.search.trial import Trial
from momentune.spaces import Space, catalogued

from .conftest import planned, run_serially
from .trivial import trivial

CARDS = """
from momentune.reports import Card
def mine(run):
    return Card("A card of my own", f"{len(run.trials)} trials", run.trials[["trial"]])
CARDS = {"mine": mine}
"""


def finished(folder: Path) -> Path:
    plan = planned(trivial, folder, trials=1, seeds=2, scheduler="none")
    with Ledger.locked(folder, plan) as ledger:
        run_serially(Sweep(plan, trivial, ledger))
    return folder


def test_reports_of_two_runs_and_their_comparison_are_written(momentune, tmp_path):
    for name in ("one", "two"):
        finished(tmp_path / name)
    done = momentune("report", "one", "two", "--out", "both")
    assert done.returncode == 0, done.stderr
    told = [Path(line) for line in done.stdout.split()]
    assert told == [
        Path("one/report/index.html"),
        Path("two/report/index.html"),
        Path("both/index.html"),
    ]
    assert all((tmp_path / file).is_file() for file in told)


def test_a_report_takes_cards_of_ones_own_and_leaves_a_gallery(momentune, tmp_path):
    finished(tmp_path / "one")
    (tmp_path / "cards.py").write_text(CARDS)
    done = momentune("report", "one", "--cards", "cards.py", "--gallery", "gallery")
    assert done.returncode == 0, done.stderr
    assert "A card of my own" in (tmp_path / "one/report/index.html").read_text()
    assert (tmp_path / "gallery/report.md").is_file()


def test_the_dashboard_answers_on_this_machine_until_interrupted(tmp_path):
    finished(tmp_path / "one")
    command = [str(Path(sys.executable).parent / "momentune"), "dashboard", "one", "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        # a shell's background jobs, and so their children, ignore Ctrl+C otherwise
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as served:
        try:
            line = served.stdout.readline()
            url = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
            assert b"<html" in urllib.request.urlopen(url, timeout=60).read()
        finally:
            os.kill(served.pid, signal.SIGINT)
        assert served.wait(30) == 0


def test_samples_are_drawn_from_the_trained_network(tmp_path):
    space = catalogued("generation-attention")
    variant = space.variants[0]
    file = tmp_path / "drawn" / "samples.png"
    tiny = space.middle(variant) | {"features": 8, "heads": 2, "layers": 1}
    reports = list(space.train(variant, tiny, epochs=1, seed=0, sample=file))
    assert len(reports) == 1
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("phase", ["search", "confirm"])
def test_confirmed_networks_draw_for_the_report(tmp_path, phase):
    space = catalogued("generation-attention")
    variant, file = space.variants[0], tmp_path / "samples" / "trial-000007.png"
    tiny = space.middle(variant) | {"features": 8, "heads": 2, "layers": 1}
    trial = Trial(
        number=7, variant=variant.name, control=None, phase=phase, seed=0, epochs=1, params=tiny,
        index=0,
    )  # fmt: skip
    config = {TRIAL: trial.to_json(), CHECKPOINT: "a.pt", SAMPLE: str(file)}
    setup = partialmethod(Training.setup, space=space, shelf=Shelf(str(tmp_path)))
    worker = type("Worker", (Training,), {"setup": setup})
    told = worker(config).step()
    assert told["done"]
    assert ("test_bits" in told[METRICS]) == (phase == "confirm")
    assert file.is_file() == (phase == "confirm")


@pytest.mark.parametrize("task", [None, lambda: Generation().images])
def test_what_makes_no_pictures_is_told_before_training(tmp_path, task):
    variant = (catalogued("generation-attention") if task else trivial).variants[0]
    space = Space("silent", variants=[variant], task=task)
    with pytest.raises(ValueError, match="makes no pictures"):
        next(space.train(variant, {}, epochs=1, seed=0, sample=tmp_path / "samples.png"))
    assert not list(tmp_path.iterdir())


def test_a_grid_says_what_it_goes_without(tmp_path):
    """Of the authors' restarts, few fit a sequence of 64 steps."""
    space = catalogued("digits-rnn")
    plan = planned(space, tmp_path / "grid", sampler="grid")
    told = " ".join(left_out(plan))
    assert "the grid of nesterov_lstm goes without what the paper tried outside" in told
    assert "at laptop scale: step 0.01; restart 6, 8, 20, 30, 50" in told
    assert "momentum_lstm" not in told
    assert not list(left_out(planned(space, tmp_path / "tpe", sampler="tpe")))


def test_show_prints_the_grid_and_what_lies_outside(momentune):
    told = " ".join(momentune("show", "digits-rnn").stdout.split())
    assert "grid of momentum_lstm: momentum 0.0, 0.1, 0.3, 0.6, 0.9; step 0.1, 0.3" in told
    assert "restart 2, 4, 10, 40 (the paper's has also step 0.01; restart 6, 8" in told


def test_show_tells_what_guessing_gives_and_what_others_published(momentune, monkeypatch):
    """In running text: a control's docstring has neither its indentation nor its blank lines."""
    monkeypatch.setenv("COLUMNS", "1000")
    lines = momentune("show", "mnist-lstm").stdout.splitlines()
    assert "guessing gives accuracy 0.1" in lines
    (own,) = (line for line in lines if line.startswith("published of momentum_lstm: test loss"))
    assert own.startswith("published of momentum_lstm: test loss 0.044 ± 0.002 (MNIST, 256 units")
    assert own.endswith("(section 1.7.4); evidence: files)")
    results = catalogued("mnist-lstm").published
    assert sum(line.startswith("published of ") for line in lines) == len(results)
    assert any("published of nesterov_lstm/on_preactivation: " in line for line in lines)
    assert "control momentum_lstm/no_momentum: momentum = 0.0" in lines
    (memory,) = (line for line in lines if line.startswith("control rmsprop_lstm/no_memory"))
    assert memory.endswith("hardly learn. That is what normalisation without memory gives.")


def test_show_tells_nothing_that_was_only_recalled(momentune, tmp_path):
    (tmp_path / "hearsay.py").write_text(HEARSAY)
    shown = momentune("show", "hearsay.py:SPACE").stdout
    assert "published of lstm: test loss 0.5 (here; there; evidence: paper)" in shown
    assert "0.25" not in shown
    assert "control lstm/other: computed from its variant's parameters" in shown


HEARSAY = """
from dataclasses import replace
from momentune.spaces import catalogued
from momentune.spaces.space import Published
told = dict(variant="lstm", metric="loss", setting="here", source="there")
digits = catalogued("digits-lstm")
baseline = replace(digits.variants[0], controls={"other": lambda values: {"hidden_size": 8}})
SPACE = replace(
    digits,
    name="hearsay",
    variants=[baseline, *digits.variants[1:]],
    published=[
        Published(value=0.5, evidence="paper", **told),
        Published(value=0.25, evidence="recalled", **told),
    ],
)
"""
