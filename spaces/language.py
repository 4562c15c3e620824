"""Momentum and the next word (paper sections 1.6 and 1.7.2)."""

from __future__ import annotations

from functools import partial

from ..models import Language
from .family import LANGUAGE_MOMENTA, LSTMS, Speaking, every_dynamics, family, paper_dynamics
from .parameters import Choice, Float
from .space import Published, Space

_PENN = "Penn Treebank, 3 layers, 24.2M parameters, 500 epochs"


def _curve(variant: str, value: float, spread: float, setting: str, control: str = "") -> Published:
    return Published(
        variant=variant,
        control=control,
        metric="perplexity",
        split="validation",
        value=value,
        spread=spread,
        setting=f"{_PENN}, {setting}",
        source="the authors' result files (section 1.7.2)",
        evidence="files",
    )


def _ablation(variant: str, value: float, setting: str, control: str = "") -> Published:
    return Published(
        variant=variant,
        control=control,
        metric="perplexity",
        value=value,
        setting=f"{_PENN}, {setting}",
        source="the authors' ablation array (section 1.8)",
        evidence="notebook",
    )


# The paper's grid is step 0.1 … 1 (section 1.6.2), and its best momentum is 0 (oddity O-R2):
# larger steps might tell it from a small input.
_STEP = Float(0.1, 3.0, log=True)

language_lstm = Space(
    "language-lstm",
    question="Does momentum help an LSTM to foresee the next word, or is it the step size?",
    task=partial(Language, "word", vocabulary=1000, piece=32, tokens=40_000),
    parameters={
        "hidden_size": 64,
        "embedding_size": 64,
        "num_layers": 1,
        "dropout": 0.2,
        "lr": Float(3e-3, 3e-2, log=True),
        "batch_size": 16,
        "clip_norm": 0.25,
        "optimizer": "adam",
        "schedule": "cosine",
        "weight_decay": 0.0,
    },
    variants=family(
        "lstm",
        LSTMS,
        Speaking,
        every_dynamics(step=_STEP, restart=Choice([2, 4, 10, 40, 0]), momenta=LANGUAGE_MOMENTA),
    ),
    trials=8,
    epochs=8,
    seeds=5,
    published=[
        _curve("lstm", 61.964, 0.828, "5 seeds"),
        _curve("momentum_lstm", 60.711, 0.240, "5 seeds, momentum 0 and step 0.6", "no_momentum"),
        _curve("nesterov_lstm", 61.119, 0.675, "4 seeds, step 0.6 and restart 2"),
        _ablation("lstm", 59.71, "momentum 0 and step 1"),
        _ablation("momentum_lstm", 58.62, "momentum 0 and step 0.6, its best", "no_momentum"),
    ],
    paper={
        # SGD at 30, weights decayed by 1.2e-6, norms clipped at 0.25, 20 rows in pieces of 70,
        # 500 epochs (section 1.6). Its stack is AWD-LSTM's: a last layer of 400 units that shares
        # the embedding's weights, weights dropped, averaged SGD at the end. Ours is not: three
        # equal layers, with dropout between them and on the output.
        "task": partial(Language, "word", vocabulary=10_000, piece=70, full=True),
        "parameters": {
            "hidden_size": 1150,
            "embedding_size": 400,
            "num_layers": 3,
            "dropout": 0.4,
            "lr": Float(3.0, 30.0, log=True),
            "batch_size": 20,
            "optimizer": "sgd",
            "schedule": "constant",
            "weight_decay": 1.2e-6,
        },
        "variants": family(
            "lstm", LSTMS, Speaking, paper_dynamics(_STEP, momenta=LANGUAGE_MOMENTA)
        ),
        "epochs": 500,
    },
)
