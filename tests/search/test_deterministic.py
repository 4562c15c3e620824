"""`--deterministic` on real workers and a real training: the number of slots changes nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

# Eight trials a variant start the search; those after them are drawn by what TPE has heard.
WORDS = ("--deterministic", "--trials", 10, "--epochs", 2, "--seeds", 1, "--cpus", 0.5)
CLOCK = {"time", "seconds"}


def heard(run: Path) -> dict[tuple[int, int], dict[str, object]]:
    """Every report of a run, without what a clock says: trial and step -> metrics."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {
        (line["trial"], line["step"]): {k: v for k, v in line.items() if k not in CLOCK}
        for line in lines
    }


def configurations(run: Path) -> dict[int, dict[str, str]]:
    """Who was trained, with which parameters and seed, by number."""
    with (run / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    kept = ("variant", "control", "phase", "seed", "state", "value")
    return {
        int(row["trial"]): {n: row[n] for n in row if n in kept or n.startswith("param.")}
        for row in rows
    }


@pytest.mark.slow
def test_one_worker_and_four_find_the_same_bit_for_bit(momentune, tmp_path):
    for slots in (1, 4):
        words = (*WORDS, "--concurrency", slots, "--out", str(slots))
        done = momentune("sweep", "digits-lstm", *words)
        assert done.returncode == 0, done.stderr
    one, four = tmp_path / "1", tmp_path / "4"
    assert len(configurations(one)) == 2 * 10 + 5
    assert configurations(one) == configurations(four)
    assert len(heard(one)) == 2 * len(configurations(one))
    assert heard(one) == heard(four)
    order = [json.loads(line)["trial"] for line in (four / "metrics.jsonl").open()]
    assert order != sorted(order)  # they did run beside one another
    for number in (19, 24):  # the last one of the search, and of the confirmation
        again = momentune("replay", four, number)
        assert again.returncode == 0, again.stderr
        assert "is reproduced bit for bit: 2 epochs" in again.stdout
