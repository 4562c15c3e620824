"""Every ready question is sound: it builds, and each of its contenders can learn."""

import itertools
import pickle
from dataclasses import replace

import pytest
import torch

from momentune import models
from momentune.models import Digits
from momentune.models.cell import RecurrentCell
from momentune.models.rnn import RNNCell
from momentune.models.training import predictions
from momentune.spaces import CATALOGUE, SpaceError, catalogued, check
from momentune.spaces.family import (
    LANGUAGE_MOMENTA,
    MOMENTA,
    NESTEROV_STEPS,
    RESTARTS,
    SECOND_MOMENTS,
    STEPS,
)
from momentune.spaces.parameters import contains
from momentune.spaces.space import TRAINING_PARAMETERS, _encode_control

EVERY = pytest.mark.parametrize("name", CATALOGUE)
SCALED = [name for name in CATALOGUE if catalogued(name).paper]
FAMILIES = ("lstm", "rnn", "gru", "tanh", "relu", "orthogonal")
RECURRENT = [name for name in CATALOGUE if name.split("-")[1] in FAMILIES]


def contenders(space):
    for variant in space.variants:
        if variant.network is None:  # it trains by itself
            continue
        values = space.middle(variant)
        for control in (None, *variant.controls):
            yield variant, variant.controlled(control, values)


def built(space, variant, values):
    architecture = {n: v for n, v in values.items() if n not in TRAINING_PARAMETERS}
    return variant.network(space.loaded_task, **architecture)


def train_split(space):
    try:
        return space.loaded_task.train()
    except FileNotFoundError as error:
        pytest.skip(f"needs data: {error}")


@EVERY
def test_a_catalogue_space_is_sound(name):
    space = check(catalogued(name))
    assert space.name == name
    assert space.question.endswith("?")
    assert pickle.loads(pickle.dumps(space)).name == name


@EVERY
def test_every_contender_can_learn_from_its_task(name):
    space = catalogued(name)
    split = train_split(space)
    for variant, values in contenders(space):
        network = built(space, variant, values)
        prediction, target = next(predictions(network, split, 2))
        loss = space.loaded_task.loss(prediction, target)
        torch.autograd.backward(loss)
        assert loss.isfinite()
        assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", RECURRENT)
def test_contenders_of_a_recurrent_space_have_as_many_parameters(name):
    space = catalogued(name)
    sizes = {
        sum(p.numel() for p in built(space, variant, values).parameters())
        for variant, values in contenders(space)
    }
    assert len(sizes) == 1


@pytest.mark.parametrize("name", RECURRENT)
def test_every_momentum_has_its_controls(name):
    for variant in catalogued(name).variants:
        if variant.baseline:
            continue
        if "momentum" in variant.parameters:
            values = {"momentum": 0.75, "step": 0.5}
            assert variant.controlled("no_momentum", values) == {"momentum": 0.0, "step": 0.5}
            assert variant.controlled("same_gain", values) == {"momentum": 0.0, "step": 2.0}
        elif "restart" in variant.parameters:
            assert variant.controls["no_momentum"] == {"restart": 1}
        else:
            assert variant.controlled("no_memory", {"beta2": 0.5, "step": 1.0}) == {
                "beta2": 0.0,
                "step": 1.0,
            }
            assert (
                "input weights hardly learn"
                in _encode_control(variant.controls["no_memory"])["described"]
            )
        if "beta2" in variant.parameters:
            assert variant.parameters["divided"] is True
            assert variant.controls["no_division"] == {"divided": False}
        assert contains(variant.parameters["step"], 1.0)
        assert variant.controls["unit_step"] == {"step": 1.0}


def test_the_authors_own_cells_are_controls_where_their_numbers_are_of_them():
    """Oddities O-R1 and O-R3."""
    for name in ("mnist-lstm", "pmnist-lstm", "speech-lstm"):
        variant = catalogued(name).variant("nesterov_lstm")
        assert variant.parameters["momentum_on"] == "drive"
        assert variant.controls["on_preactivation"] == {"momentum_on": "preactivation"}
        of = {r.control for r in catalogued(name).published if r.variant == "nesterov_lstm"}
        assert of == {"on_preactivation"}
    variant = catalogued("speech-lstm").variant("momentum_lstm")
    assert variant.parameters["drive_bias"] == "inside"
    assert variant.controls["bias_outside"] == {"drive_bias": "outside"}


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_the_orthogonal_matrix_is_rebased_as_the_authors_did(scale):
    """Section 1.4: K is 1, 100 or infinity."""
    space = catalogued("pmnist-orthogonal").at(scale)
    assert set(space.parameters["rebase"].choices) == {0, 1, 100}
    for variant in space.variants:
        network = built(space, variant, space.middle(variant) | {"rebase": 100})
        assert network.cell.rebase_every == 100


def grids(space):
    """By optimizer, which the name of a variant begins with."""
    return {
        v.name.split("_")[0]: {name: tuple(values) for name, values in v.grid.items()}
        for v in space.variants
        if v.grid
    }


@pytest.mark.parametrize("name", [name for name in RECURRENT if name in SCALED])
def test_at_paper_scale_the_grid_is_all_that_the_authors_tried(name):
    """Section 1.6.2."""
    space = catalogued(name).at("paper")
    assert not any(variant.left_out for variant in space.variants)
    momenta = LANGUAGE_MOMENTA if name == "language-lstm" else MOMENTA
    assert grids(space) == {
        "momentum": {"momentum": momenta, "step": STEPS},
        "nesterov": {"step": NESTEROV_STEPS, "restart": RESTARTS},
        "adam": {"momentum": (0.0, 0.6), "step": (0.6,), "beta2": SECOND_MOMENTS},
        "rmsprop": {"step": (0.6,), "beta2": SECOND_MOMENTS},
    }
    assert (len(NESTEROV_STEPS), len(RESTARTS), min(RESTARTS), max(RESTARTS)) == (6, 20, 2, 350)


@pytest.mark.parametrize("name", RECURRENT)
def test_no_value_that_the_authors_tried_is_left_out_in_silence(name):
    space = catalogued(name)
    assert grids(space)["momentum"]["step"] == STEPS
    for variant in space.variants:
        for values in (variant.grid, variant.left_out):
            inside = [contains(variant.parameters[n], v) for n, own in values.items() for v in own]
            assert set(inside) <= {values is variant.grid}
        if "restart" in variant.parameters:
            both = {*variant.grid["restart"], *variant.left_out["restart"]}
            assert both == {*RESTARTS}
            assert variant.left_out["restart"]  # a short sequence has no use for 350


@pytest.mark.parametrize("name", ["digits-rnn", "copying-rnn", "mnist-lstm", "pmnist-orthogonal"])
def test_adam_s_grid_is_the_paper_s_and_leaves_the_stable_region(name):
    space = catalogued(name)
    (variant,) = (v for v in space.variants if v.name.startswith("adam"))
    tried = set(itertools.product(*variant.grid.values()))
    assert {(0.6, 0.6, beta2) for beta2 in (0.01, 0.1, 0.3)} < tried
    assert {(0.0, 0.6, beta2) for beta2 in SECOND_MOMENTS} < tried
    assert "grow without bound" in variant.caution
    values = space.middle(variant) | dict(zip(variant.grid, (0.6, 0.6, 0.1), strict=True))
    with pytest.warns(UserWarning, match="momentum\\*\\*2 should be below beta2"):
        built(space, variant, values)


def test_what_is_only_recalled_reaches_no_plan():
    space = catalogued("mnist-lstm")
    recalled = replace(space.published[0], evidence="recalled", value=0.5)
    told = replace(space, published=[recalled, *space.published]).to_json()["published"]
    assert told == space.to_json()["published"]
    assert {entry["evidence"] for entry in told} == {"files", "notebook"}
    with pytest.raises(SpaceError, match="has evidence 'hope', which is none of paper, files"):
        check(replace(space, published=[replace(recalled, evidence="hope")]))


@pytest.mark.parametrize("name", SCALED)
def test_paper_scale_builds_and_travels(name):
    space = catalogued(name).at("paper")
    assert pickle.loads(pickle.dumps(space)).scale == "paper"
    try:
        for variant, values in contenders(space):
            assert isinstance(built(space, variant, values), torch.nn.Module)
    except FileNotFoundError as error:
        pytest.skip(f"needs data: {error}")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("mnist-lstm", 267_786), ("pmnist-lstm", 267_786), ("speech-lstm", 203_159)],
)
def test_paper_scale_has_the_paper_s_parameter_counts(name, parameters):
    """I-R10."""
    space = catalogued(name).at("paper")
    for variant in space.variants:
        network = built(space, variant, space.middle(variant))
        assert sum(p.numel() for p in network.parameters()) == parameters


@EVERY
def test_published_results_say_how_and_where(name):
    for result in catalogued(name).published:
        assert result.setting
        assert result.source
        assert "recall" not in result.source + result.setting


def test_validation_results_say_so_and_momentum_0_is_a_control():
    """Oddity O-R2: the published MomentumLSTM of the Penn Treebank has no momentum."""
    told = catalogued("language-lstm").published
    splits = {(r.variant, r.control, r.split): r.value for r in told}
    assert splits == {
        ("lstm", "", "validation"): 61.964,
        ("momentum_lstm", "no_momentum", "validation"): 60.711,
        ("nesterov_lstm", "", "validation"): 61.119,
        ("lstm", "", "test"): 59.71,
        ("momentum_lstm", "no_momentum", "test"): 58.62,
    }


def test_every_cell_is_asked_to_read_the_embedded_digits():
    read = {
        (type(network.cell), getattr(network.cell, "nonlinearity", "tanh"))
        for space in map(catalogued, CATALOGUE)
        if isinstance(space.loaded_task, Digits) and space.name in RECURRENT
        for variant, values in contenders(space)
        for network in [built(space, variant, values)]
    }
    cells = {cell for cell in vars(models).values() if is_cell(cell)}
    assert len(cells) == 20
    relu = {cell for cell in cells if issubclass(cell, RNNCell)}
    assert read == {(cell, "tanh") for cell in cells} | {(cell, "relu") for cell in relu}


def is_cell(kind):
    """One of those with dynamics of their own, not what they share."""
    return isinstance(kind, type) and issubclass(kind, RecurrentCell) and "state" in vars(kind)


def test_learned_coefficients_start_where_the_control_stays():
    """The network tells what it has learned, and its control has nothing to learn."""
    space = catalogued("digits-learned")
    for variant in space.variants[1:]:
        values = space.middle(variant)
        learned = built(space, variant, values).cell.readings()
        start = variant.controlled("no_learning", values)
        assert learned == {
            "momentum_layer0": pytest.approx(start["momentum"]),
            "step_layer0": pytest.approx(start["step"]),
        }
        assert built(space, variant, start).cell.readings() == {}
