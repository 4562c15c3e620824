"""A user's own space file: generators instead of networks, so that only the engine is tested."""

import math
import os
import time

from momentune.spaces import Float, Space, Variant


class Bowl:
    """A class of this file: it must reach the workers without being installed there."""

    def __init__(self, centre):
        self.centre = centre

    def loss(self, x, y):
        return (x - self.centre) ** 2 + y


def descend(x, y, *, epochs, seed, test, pause=0.0):
    bowl = Bowl(0.3)
    for epoch in range(1, epochs + 1):
        time.sleep(pause)
        metrics = {"epoch": epoch, "validation_loss": bowl.loss(x, y) + 1 / epoch}
        if test and epoch == epochs:
            metrics["test_loss"] = metrics["validation_loss"] + seed % 10 / 100
        yield metrics


def ill(x, y, *, epochs, seed, test, how="well"):
    """Fails in the way that it is told."""
    if how == "raises":
        raise RuntimeError("no luck with x")
    if how == "exits":
        os._exit(3)
    if how == "leaves":
        raise SystemExit(4)
    if how == "runs out of memory":
        raise MemoryError("too small")
    if how == "says nothing":
        return
    yield {"epoch": 1, "validation_loss": x}
    if how == "becomes NaN":
        yield {"epoch": 2, "validation_loss": math.nan}
    elif how == "forgets its metric":
        yield {"epoch": 2, "loss": 0.0}
    else:
        yield from list(descend(x, y, epochs=epochs, seed=seed, test=test))[1:]


def contenders(run, **more):
    return [
        Variant("plain", run=run, baseline=True, parameters={"y": Float(0, 1), **more}),
        Variant(
            "fancy",
            run=run,
            parameters={"y": Float(0, 0.5), **more},
            controls={"zero": {"y": 0.0}},
        ),
    ]


trivial = Space(
    "trivial",
    question="Is fancy better than plain?",
    metric="loss",
    direction="minimize",
    parameters={"x": Float(0, 1)},
    variants=contenders(descend),
    trials=4,
    epochs=3,
    seeds=2,
)
