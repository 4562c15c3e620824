"""The attention spaces: contenders differ in their momentum alone, and each has its controls."""

import pytest
import torch

from momentune.models import build
from momentune.spaces import CATALOGUE, catalogued
from momentune.spaces.parameters import contains
from momentune.spaces.space import TRAINING_PARAMETERS

NAMES = pytest.mark.parametrize("name", [name for name in CATALOGUE if name.endswith("attention")])


def network(space, variant, values):
    architecture = {n: v for n, v in values.items() if n not in TRAINING_PARAMETERS}
    return build(lambda: variant.network(space.loaded_task, **architecture), seed=0)


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
    tokens = torch.randint(1, space.loaded_task.input_size, (2, 8))
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
def test_what_the_authors_chose_can_be_found(name):
    chosen = {
        "copy-attention": (0.1, 0.6),
        "listops-attention": (0.1, 0.6),
        "image-attention": (0.9, 0.9),
        "generation-attention": (0.6, 0.9),
    }
    variant = catalogued(name).variant("momentum")
    for parameter, value in zip(("momentum", "step"), chosen[name], strict=True):
        assert contains(variant.parameters[parameter], value)
        assert value in variant.grid[parameter]
