"""The attention spaces: contenders differ in their momentum alone, and each has its controls."""

import pytest
import torch

from momentune.models import Retrieval, Translation, build
from momentune.spaces import CATALOGUE, catalogued
from momentune.spaces.parameters import contains
from momentune.spaces.space import TRAINING_PARAMETERS

NAMES = pytest.mark.parametrize("name", [name for name in CATALOGUE if name.endswith("attention")])


def network(space, variant, values):
    architecture = {n: v for n, v in values.items() if n not in TRAINING_PARAMETERS}
    return build(lambda: variant.network(space.loaded_task, **architecture), seed=0)


def shape(task):
    """Two samples, as short as they may be."""
    if isinstance(task, Retrieval):
        return 2, 2, 8
    return 2, 8 + (task.length if isinstance(task, Translation) else 0)


@NAMES
def test_contenders_have_the_same_weights_at_the_start(name):
    space = catalogued(name)
    first, *others = (
        network(space, variant, space.middle(variant)).state_dict() for variant in space.variants
    )
    for weights in others:
        assert weights.keys() == first.keys()
        assert all(torch.equal(weights[key], first[key]) for key in first)


@NAMES
def test_a_control_without_momentum_at_step_1_is_the_baseline(name):
    space = catalogued(name)
    tokens = torch.randint(1, space.loaded_task.input_size, shape(space.loaded_task))
    plain = network(space, space.variant("linear"), space.middle(space.variant("linear")))(tokens)
    still = {
        "momentum": {"momentum": 0.0, "step": 1.0},
        "momentum_residual": {
            "momentum": 0.0,
            "step": 1.0,
            "residual_momentum": 0.0,
            "residual_step": 1.0,
        },
        "adaptive_residual": {"momentum": 0.0, "step": 1.0, "residual_step": 1.0, "delta": 1.0},
        "adaptive": {"step": 1.0, "delta": 1.0},
    }
    for variant in space.variants:
        if variant.name in still:
            values = {**space.middle(variant), **still[variant.name]}
            torch.testing.assert_close(network(space, variant, values)(tokens), plain)


@NAMES
def test_controls_keep_the_step_or_the_gain(name):
    space = catalogued(name)
    values = {"momentum": 0.75, "step": 0.5, "residual_momentum": 0.5, "residual_step": 0.25}
    changed = {
        control: space.variant(variant).controlled(control, values)
        for variant in ("momentum", "momentum_residual")
        for control in space.variant(variant).controls
    }
    assert changed == {
        "no_momentum": {**values, "momentum": 0.0},
        "same_gain": {**values, "momentum": 0.0, "step": 2.0},
        "no_residual_momentum": {**values, "residual_momentum": 0.0},
        "same_residual_gain": {**values, "residual_momentum": 0.0, "residual_step": 0.5},
    }


@NAMES
def test_a_connection_with_momentum_has_a_control_of_the_attention_s_own(name):
    values = {"momentum": 0.75, "step": 0.5, "residual_step": 0.25}
    for variant in ("momentum_residual", "adaptive_residual"):
        changed = catalogued(name).variant(variant).controlled("no_momentum", values)
        assert changed == {**values, "momentum": 0.0}


@pytest.mark.parametrize(
    ("name", "attention", "connections"),
    [
        ("copy-attention", (0.1, 0.6), (0.99, 0.99, 0.99)),
        ("generation-attention", (0.6, 0.9), (0.1, 0.99, 0.99)),
        ("translation-attention", (0.6, 0.6), (0.3, 0.9, 0.9)),
        ("listops-attention", (0.1, 0.6), (None, None, 0.4)),
        ("text-attention", (0.6, 2.0), (None, None, 0.001)),
        ("retrieval-attention", (0.6, 1.0), (None, None, 0.5)),
        ("image-attention", (0.9, 0.9), (None, None, 0.001)),
        ("pathfinder-attention", (0.3, 0.1), (None, None, 0.8)),
    ],
)
def test_what_the_authors_chose_can_be_found_at_paper_scale(name, attention, connections):
    """Sections 3.2 and 3.3; of the Long Range Arena's momentum connection no choice is known."""
    space = catalogued(name).at("paper")
    chosen = {
        "momentum": dict(zip(("momentum", "step"), attention, strict=True)),
        "momentum_residual": dict(
            zip(("residual_momentum", "residual_step"), connections[:2], strict=True)
        ),
        "adaptive_residual": {"residual_step": connections[2]},
    }
    for variant, values in chosen.items():
        for parameter, value in values.items():
            if value is not None:
                assert contains(space.variant(variant).parameters[parameter], value)
                assert value in space.variant(variant).grid[parameter]


def test_every_task_of_the_paper_s_attention_has_a_space():
    tasks = ("copy", "generation", "image", "listops", "pathfinder", "retrieval", "text")
    names = {f"{task}-attention" for task in (*tasks, "translation")}
    assert {name for name in CATALOGUE if name.endswith("-attention")} == names
