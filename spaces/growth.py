"""Which neural ODE starts mildly? Nothing is learned here (paper, section 2.3, "Silverbox")."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from ..models import Silverbox, growth
from .ode import PAPER_DAMPING
from .space import Metrics, Space, Variant

POINTS = 1000  # of the recording, as published; in hundredths of a volt, around 0


def _grown(
    task: Silverbox,
    seed: int,
    test: bool,
    *,
    kind: str,
    tolerance: float,
    steps: int,
    starts: int,
    **dynamics: Any,
) -> Iterator[Metrics]:
    """The mean size of h(t) over some random starts, as a power of ten, in one report.

    There is nothing to search by and so nothing to keep for a test: both are the same number.
    """
    rows = 100 * task.recording()[:POINTS]
    voltages = torch.from_numpy(rows - rows.mean(0))
    force, first = voltages[:, 0], voltages[0, 1].item()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = [
            growth(kind, first, force, steps=steps, tolerance=tolerance, **dynamics)
            for _ in range(starts)
        ]
    means = torch.tensor(sizes, dtype=torch.float64).mean(0).log10().tolist()
    told = {"validation_growth": means[-1], "size": means}
    yield told | ({"test_growth": means[-1]} if test else {})


_FIXED = {"damping": PAPER_DAMPING["damping_start"]}

silverbox_growth = Space(
    "silverbox-growth",
    question=(
        "Does a heavy ball keep an untrained neural ODE, driven by a voltage, from growing by many "
        "powers of ten, or is it the bound and the pull of the generalised one?"
    ),
    task=Silverbox,
    metric="growth",
    direction="minimize",
    parameters={"tolerance": 1e-7, "steps": 64, "starts": 10},
    variants=[
        Variant("node", run=partial(_grown, kind="node"), baseline=True),
        Variant("anode", run=partial(_grown, kind="anode")),
        Variant("sonode", run=partial(_grown, kind="sonode")),
        Variant(
            "hbnode",
            run=partial(_grown, kind="hbnode"),
            parameters=_FIXED,
            controls={"no_damping": {"damping": 0.0}},
        ),
        Variant(
            "ghbnode",
            run=partial(_grown, kind="ghbnode"),
            parameters={**_FIXED, "correction": math.log(2), "activation": "hardtanh"},
            controls={
                "no_correction": {"correction": 0.0},
                "no_bound": {"activation": "identity"},
            },
        ),
    ],
    trials=1,
    epochs=1,
    seeds=10,
)
