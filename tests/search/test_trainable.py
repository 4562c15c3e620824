"""The worker's side of a trial, called in this process as Ray Tune calls it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from momentune.search.shelf import Shelf
from momentune.search.trainable import CHECKPOINT, METRICS, SAMPLE, TRIAL, Training
from momentune.search.trial import Trial

from .trivial import contenders, trivial


def resumed(x, y, *, epochs, seed, test, checkpoint):
    """Goes on after the epoch that its checkpoint holds, and does not tell it again."""
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for epoch in range(done + 1, epochs + 1):
        checkpoint.write_text(str(epoch))
        yield {"epoch": epoch, "validation_loss": x, "from": done}


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize(("held", "told"), [(1, [(2, 1), (3, 1)]), (3, [(1, 0), (2, 0), (3, 0)])])
def test_a_checkpoint_whose_last_epoch_nobody_heard_costs_no_result(tmp_path, scheme, held, told):
    shelf = Shelf(f"{scheme}{tmp_path}/place")
    shelf.mark("mine")
    (tmp_path / "place/one.pt").write_text(str(held))
    space = replace(trivial, variants=contenders(resumed))

    class Worker(Training):
        def setup(self, config):
            super().setup(config, space=space, shelf=shelf)

    trial = Trial(
        number=0,
        variant="plain",
        control=None,
        phase="search",
        seed=0,
        epochs=3,
        params={"x": 0.5, "y": 0.5},
        index=0,
    )
    config = {TRIAL: trial.to_json(), CHECKPOINT: "one.pt", SAMPLE: ""}
    worker = Worker(config)
    reports = [worker.train() for _ in told]
    assert [(one[METRICS]["epoch"], one[METRICS]["from"]) for one in reports] == told
    assert [one["done"] for one in reports] == [False] * (len(told) - 1) + [True]
    worker.stop()
    assert (tmp_path / "place/one.pt").read_text() == "3"
