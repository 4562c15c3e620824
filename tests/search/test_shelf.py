"""A place for checkpoints that cannot be used is told before the first trial."""

from __future__ import annotations

import os

import pytest

SILENT = "s3://bucket/run?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1"
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nosuch://place", "pyarrow knows"),
        ("file:///proc/nowhere", "written to file:///proc/nowhere"),
        (SILENT, f"written to {SILENT}: "),
    ],
)
def test_a_place_that_cannot_be_used_is_told_and_nothing_is_left(
    momentune, tmp_path, trivial_file, place, told
):
    words = ("sweep", trivial_file, "--trials", 1, "--seeds", 1, "--checkpoints", place)
    done = momentune(*words, "--out", tmp_path / "run", env=os.environ | KEYS)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert not (tmp_path / "run").exists()
