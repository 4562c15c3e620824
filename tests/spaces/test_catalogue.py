"""Every ready question is sound: it builds, and each of its contenders can learn."""

import itertools
import pickle
from dataclasses import replace

import pytest
import torch

from momentune.models.training import predictions
from momentune.spaces import CATALOGUE, SpaceError, catalogued, check
from momentune.spaces.family import MOMENTA, SECOND_MOMENTS, STEPS
from momentune.spaces.parameters import contains
from momentune.spaces.space import TRAINING_PARAMETERS, _encode_control

EVERY = pytest.mark.parametrize("name", CATALOGUE)
SCALED = [name for name in CATALOGUE if catalogued(name).paper]
FAMILIES = ("lstm", "rnn", "gru", "tanh", "orthogonal")
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
        elif contains(variant.parameters["step"], 1.0):
            assert variant.controls["unit_step"] == {"step": 1.0}


@pytest.mark.parametrize("name", ["copying-rnn", "mnist-lstm", "pmnist-lstm", "speech-lstm"])
def test_the_grid_is_the_paper_s_ablation(name):
    (variant,) = (v for v in catalogued(name).variants if v.name == "momentum_lstm")
    assert {n: tuple(values) for n, values in variant.grid.items()} == {
        "momentum": MOMENTA,
        "step": STEPS,
    }


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
