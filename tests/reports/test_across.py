"""Laws of the comparison of runs: one scale for all tasks, pairs by seed, and its page."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from momentune.reports import RunError, load_run, write_comparison
from momentune.reports import across as across_runs
from momentune.reports.across import aggregates, changes, latest, ranking, scores, titles
from momentune.reports.cards.tasks import tasks_needed

from .conftest import LSTM, MOMENTUM, Writer, make_plan

BASE = [0.90, 0.91, 0.92, 0.93, 0.94]


def run(path: Path, gain: float, task: str = "digits", day: int = 1, **changes: Any) -> Path:
    """A run that only has confirm trials."""
    created = f"2026-11-{day:02d}T00:00:00+00:00"
    plan = make_plan((LSTM, MOMENTUM), name=task, space_name=task, created=created, **changes)
    made = Writer(path, plan)
    noise = [0.001, -0.001, 0.0, 0.002, -0.002]
    made.tested("lstm", BASE)
    made.tested("momentum_lstm", [b + gain + e for b, e in zip(BASE, noise, strict=True)])
    return path


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("tasks")
    return [run(folder / f"t{i}", 0.01 + 0.002 * i, task=f"task_{i}") for i in range(6)]


def test_scores_are_0_at_chance_and_1_at_the_best_mean(tmp_path: Path) -> None:
    path = run(tmp_path / "a", 0.04, space_chance=0.1)
    table = scores([load_run(path)]).groupby("contender")["score"].mean()
    assert table["momentum_lstm"] == pytest.approx(1.0)
    assert table["lstm"] == pytest.approx((0.92 - 0.1) / (0.96 - 0.1))


def test_a_minimized_metric_is_turned(tmp_path: Path) -> None:
    path = run(tmp_path / "a", 0.04, space_direction="minimize")
    table = scores([load_run(path)]).groupby("contender")["score"].mean()
    assert table["lstm"] == pytest.approx(1.0)


def test_ranks_over_tasks_by_hand(tasks: list[Path]) -> None:
    """Better on all six tasks: mean ranks 1 and 2, and p = 2 / 2^6."""
    table = scores([load_run(path) for path in tasks])
    found = ranking(table)
    assert found is not None
    assert found.ranks.to_dict() == {"momentum_lstm": 1.0, "lstm": 2.0}
    assert found.p_holm["momentum_lstm", "lstm"] == pytest.approx(2 / 2**6)
    assert found.cliques == ()
    assert aggregates(table)["contender"].tolist() == ["momentum_lstm", "lstm"]


def test_before_and_after_are_paired_by_seed(tmp_path: Path) -> None:
    paths = run(tmp_path / "b", 0.03, day=2), run(tmp_path / "a", 0.01, day=1)
    table = changes([load_run(path) for path in paths]).set_index("contender")
    after = table.loc["momentum_lstm"]
    assert after["gain"] == pytest.approx(0.02)
    assert after["paired"]
    assert (after["before"], after["after"]) == ("digits (2)", "digits (1)")
    assert table.loc["lstm", "verdict"] == "not enough evidence"


def test_other_seeds_are_compared_without_pairs(tmp_path: Path) -> None:
    first, second = load_run(run(tmp_path / "a", 0.01)), load_run(run(tmp_path / "b", 0.03, day=2))
    second.trials["seed"] += 50
    table = changes([first, second]).set_index("contender")
    assert not table.loc["momentum_lstm", "paired"]
    assert table.loc["momentum_lstm", "gain"] == pytest.approx(0.02)
    assert table.loc["momentum_lstm", "p"] > 0.05


def test_each_task_counts_once_and_the_latest_run_of_it(tmp_path: Path) -> None:
    paths = [run(tmp_path / "a", 0.01, day=2), run(tmp_path / "b", 0.01, day=1)]
    runs = [load_run(path) for path in paths]
    assert latest(runs) == runs[:1]
    assert titles(runs) == ["digits (1)", "digits (2)"]


def test_equal_names_stay_apart_whatever_they_are(tmp_path: Path) -> None:
    names = ["a", "a", "a (1)"]
    runs = [load_run(run(tmp_path / str(i), 0.01, task=n)) for i, n in enumerate(names)]
    assert titles(runs) == ["a (2)", "a (3)", "a (1)"]


def test_a_task_without_results_is_named_and_so_are_the_concerns(tmp_path: Path) -> None:
    failed = Writer(tmp_path / "x", make_plan((LSTM, MOMENTUM), name="hard", space_name="hard"))
    failed.trial("lstm", "confirm", seed=100, state="FAIL", reason="oom")
    page = write_comparison([run(tmp_path / "a", 0.01), failed.path], tmp_path / "out")
    text = (page.parent / "report.md").read_text().replace("\\", "")
    assert "hard has no result for lstm, momentum_lstm and momentum_lstm/no_momentum" in text
    assert "hard: lstm: 1 of 1 confirm trial failed (oom 1)." in text


def test_a_change_is_told_of_the_seeds_that_both_runs_have(tmp_path: Path) -> None:
    first, second = load_run(run(tmp_path / "a", 0.01)), load_run(run(tmp_path / "b", 0.03, day=2))
    confirm = second.trials["phase"] == "confirm"
    odd = confirm & (second.trials["seed"] == second.trials.loc[confirm, "seed"].min())
    second.trials.loc[odd, "seed"] += 50
    row = changes([first, second]).set_index("contender").loc["momentum_lstm"]
    assert row["paired"]
    assert row["test_after"] - row["test_before"] == pytest.approx(row["gain"])


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("trials", 99, "same trials: 12 and 99"),
        ("sampler", {"name": "qmc"}, "same sampler"),
        ("space", {"digest": "other"}, "same variants and ranges."),
        ("space", {"scale": "paper"}, "same scale"),
        ("git", {"revision": "other"}, "same code."),
    ],
)
def test_what_differs_between_two_runs_of_a_space_is_told(
    tmp_path: Path, key: str, value: object, told: str
) -> None:
    first, second = (load_run(run(tmp_path / name, 0.01)) for name in "ab")
    assert across_runs.unlike([first, second]) == []
    old = second.plan.get(key)
    second.plan[key] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
    (sentence,) = across_runs.unlike([first, second])
    assert told in sentence


def test_runs_that_seek_opposite_ends_are_not_before_and_after(tmp_path: Path) -> None:
    first, second = (load_run(run(tmp_path / name, 0.01)) for name in "ab")
    second.space["direction"] = "minimize"
    assert changes([first, second]).empty


def test_the_page_of_several_runs(tasks: list[Path], tmp_path: Path) -> None:
    again = run(tmp_path / "again", 0.05, task="task_0", day=9)
    page = write_comparison([*tasks, again], tmp_path / "out")
    text = page.read_text()
    for card in ("changes", "ranks", "aggregates", "improvement", "profiles"):
        assert f'id="card-{card}"' in text
        assert (page.parent / "tables" / f"card_{card}.csv").is_file()
    assert "This card could not be" not in text
    specs = re.findall(r'type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert len(specs) == 4
    assert all(json.loads(spec, parse_constant=pytest.fail) for spec in specs)
    text = (page.parent / "report.md").read_text()
    assert "The largest estimates: momentum" in text
    assert "so none is a verdict" in text
    assert write_comparison([*tasks, again], tmp_path / "out") == page


def test_two_runs_of_one_space_are_not_ranked_over_tasks(tmp_path: Path) -> None:
    paths = [run(tmp_path / "a", 0.01), run(tmp_path / "b", 0.03, day=2)]
    text = write_comparison(paths, tmp_path / "out").read_text()
    assert 'id="card-changes"' in text
    assert 'id="card-ranks"' not in text


def test_one_run_is_no_comparison_and_nothing_else_is_replaced(tmp_path: Path) -> None:
    path = run(tmp_path / "a", 0.01)
    for same in (path, path / ".." / path.name, os.path.relpath(path)):
        with pytest.raises(RunError, match="two different runs"):
            write_comparison([path, same], tmp_path / "out")
    with pytest.raises(RunError, match="give another folder"):
        write_comparison([path, run(tmp_path / "b", 0.02)], path)
    assert (path / "plan.json").is_file()


def test_scores_are_finite_where_all_are_the_same(tmp_path: Path) -> None:
    made = Writer(tmp_path / "a", make_plan((LSTM,)))
    made.tested("lstm", [0.5, 0.5])
    assert np.isfinite(scores([load_run(made.path)])["score"]).all()


@pytest.mark.parametrize(("contenders", "tasks"), [(2, 6), (3, 7), (4, 8)])
def test_more_contenders_need_more_tasks(contenders: int, tasks: int) -> None:
    """At n tasks Holm's smallest p is the number of pairs times 2 / 2^n."""
    assert tasks_needed(contenders) == tasks
    pairs = contenders * (contenders - 1) / 2
    assert pairs * 2 / 2**tasks < 0.05 <= pairs * 2 / 2 ** (tasks - 1)
