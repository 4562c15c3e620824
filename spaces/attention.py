"""Questions about momentum in transformers: repeating, making images, translating (section 3)."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..models import Generation, Repeat, Translation
from .attention_family import SMALL, predictor, translator, variants
from .parameters import Float
from .space import Space

# Repeating a word: the paper's copy task. Grids of section 3.3 from a step of 0.01 on; its momentum
# of 1 is left out, because no step has the same gain.

_COPY: dict[str, Any] = {
    "momentum": Float(0.0, 0.999),
    "step": Float(0.01, 2.0, log=True),
    "grid": {
        "momentum": [0.0, 0.1, 0.3, 0.6, 0.9, 0.99, 0.999],
        "step": [0.01, 0.1, 0.3, 0.5, 0.6, 0.9, 1.0],
    },
    "residual_grid": {
        "residual_momentum": [0.1, 0.3, 0.6, 0.9, 0.99, 0.999],
        "residual_step": [0.01, 0.1, 0.3, 0.6, 0.9, 0.99, 1.0],
    },
    "adaptive_steps": [0.01, 0.1, 0.3, 0.6, 0.9, 0.99, 1.0],
}

copy_attention = Space(
    "copy-attention",
    question=(
        "Does momentum bring linear attention nearer to softmax attention at repeating what it "
        "read, and is it the momentum or the gain?"
    ),
    task=partial(Repeat, 32),
    parameters=SMALL,
    variants=variants(predictor, **_COPY),
    trials=16,
    epochs=8,
    seeds=5,
    paper={
        # As in section 3.2, but on 64,000 words ten times instead of 640,000 once, with Adam
        # instead of RAdam, and with learned places instead of sinusoids.
        "task": partial(Repeat, 128, train=64_000, held_out=1280),
        "parameters": {
            "features": 256,
            "heads": 8,
            "layers": 4,
            "dropout": 0.1,
            "prenorm": False,
            "lr": Float(3e-4, 3e-3, log=True),
            "weight_decay": 0.01,
            "batch_size": 64,
        },
        "variants": variants(
            predictor,
            **_COPY,
            residual_momentum=Float(0.0, 0.999),
            residual_step=Float(0.01, 2.0, log=True),
        ),
        "epochs": 10,
    },
)


# Images and translations. Section 3.3 has no grid for them; the authors chose momentum 0.6 or 0.1
# and step 0.9 for images, 0.6 and 0.6 for translations, residual momentum 0.1 or 0.3.

_CHOSEN_BY_HAND: dict[str, Any] = {
    "momentum": Float(0.0, 0.99),
    "step": Float(0.1, 2.0, log=True),
    "grid": {"momentum": [0.1, 0.3, 0.6, 0.9], "step": [0.1, 0.3, 0.6, 0.9, 1.0]},
    "residual_grid": {
        "residual_momentum": [0.1, 0.3, 0.6, 0.9, 0.99],
        "residual_step": [0.1, 0.3, 0.6, 0.9, 0.99, 1.0],
    },
    "adaptive_steps": [0.1, 0.3, 0.6, 0.9, 0.99, 1.0],
}

generation_attention = Space(
    "generation-attention",
    question="Does momentum help linear attention to make images, pixel by pixel?",
    task=Generation,
    parameters=SMALL,
    variants=variants(predictor, **_CHOSEN_BY_HAND),
    trials=16,
    epochs=8,
    seeds=5,
    paper={
        # As in section 3.2, with Adam instead of RAdam. The authors chose momentum 0.6, step 0.9.
        "task": partial(Generation, "mnist"),
        "parameters": {
            "features": 256,
            "heads": 8,
            "layers": 8,
            "lr": Float(3e-5, 3e-4, log=True),
            "batch_size": 10,
        },
        "epochs": 250,  # 1.5 million batches
    },
)

translation_attention = Space(
    "translation-attention",
    question=(
        "Does momentum help linear attention to translate, where a decoder reads what an encoder "
        "keeps of a sentence?"
    ),
    task=partial(Translation, samples=2000),
    parameters={**SMALL, "layers": 1},
    variants=variants(translator, **_CHOSEN_BY_HAND),
    trials=12,
    epochs=6,
    seeds=5,
    paper={
        # The sizes of section 3.2 for IWSLT'16 (196,000 pairs), but each word from those before it,
        # 556 instead of 507 features between two linear layers, and whole sentences in a batch.
        "task": partial(Translation, "word", length=128, vocabulary=40_000, full=True),
        "parameters": {
            "features": 278,
            "heads": 2,
            "layers": 5,
            "expansion": 2,
            "dropout": 0.1,
            "lr": Float(1e-4, 1e-3, log=True),  # 3e-4 in the paper
            "batch_size": 64,
        },
        "epochs": 240,  # 750,000 batches
    },
)
