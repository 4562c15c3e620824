"""What the ledger says of a worker that Ray has lost, by what Ray says of it."""

from __future__ import annotations

import pytest
from ray.exceptions import OutOfMemoryError

from momentune.search.ledger import Ledger
from momentune.search.searcher import Bridge, WorkerError
from momentune.search.shelf import Shelf
from momentune.search.simulation import Clock
from momentune.search.sweep import Sweep

from .conftest import books, planned
from .trivial import trivial

DIED = "ActorDiedError: The actor died unexpectedly before finishing this task."
MEMORY = WorkerError(OutOfMemoryError("1 worker(s) were killed due to the node running low"))


@pytest.mark.parametrize(
    ("error", "seconds", "state", "reason"),
    [
        (DIED, 1.0, "WAITING", "lost"),
        (DIED, 60.0, "FAIL", "timeout"),
        (f"{DIED}\nThe actor died because its node has died. Node Id: 1", 60.0, "WAITING", "lost"),
        (f"WorkerError: {MEMORY}", 1.0, "FAIL", "oom"),  # nothing ran beside it
        ("", 1.0, "WAITING", "lost"),
    ],
)
def test_a_lost_worker_is_told_as_what_ray_says_of_it(tmp_path, error, seconds, state, reason):
    plan = planned(trivial, tmp_path / "run", trial_timeout=30.0)
    clock = Clock()
    with Ledger.locked(tmp_path / "run", plan) as ledger:
        sweep = Sweep(plan, trivial, ledger, clock=clock)
        bridge = Bridge(sweep, Shelf(str(tmp_path / "shelf")), lambda: 1, tmp_path)
        assert isinstance(bridge.suggest("first"), dict)
        bridge.begun("first")
        clock.now = seconds
        bridge.lost("first", error)
        bridge.end("first", None)
        assert bridge.error is None
    (trial,) = books(tmp_path / "run", plan)["plain/search"]
    attempts = trial.user_attrs.get("failures") or [trial.user_attrs["outcome"]]
    assert (trial.state.name, attempts[-1]["reason"]) == (state, reason)
