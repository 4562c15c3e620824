"""Laws of the spaces for neural ODEs."""

import math

import numpy as np
import pytest

from momentune.spaces import CATALOGUE, Space, Variant, catalogued, check
from momentune.spaces.space import TRAINING_PARAMETERS

NAMES = [name for name in CATALOGUE if name.endswith("-ode")]
DYNAMICS = ["node", "anode", "sonode", "hbnode", "ghbnode"]
PAPER = {  # I-N13; where the authors register a number that nothing uses, one less
    "spheres-ode": (525, 567, 527, 568, 568),
    "mnist-ode": (85_316, 85_462, 86_179, 85_930, 85_235),
    "cifar10-ode": (173_611, 172_452, 171_635, 172_916, 172_916),
    "vibration-ode": (15_986, 16_730, 16_649, 16_126, 16_127),
    "walker-ode": (8_729, 8_819, 8_757, 8_898, 8_899),
}


def size(space: Space, variant: Variant) -> int:
    values = space.middle(variant)
    settings = {name: values[name] for name in values.keys() - TRAINING_PARAMETERS.keys()}
    assert space.task is not None
    assert variant.network is not None
    network = variant.network(space.task(), **settings)
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_five_dynamics_compete_with_nearly_as_many_parameters(name):
    space = check(catalogued(name))
    assert [variant.name for variant in space.variants] == DYNAMICS
    sizes = [size(space, variant) for variant in space.variants]
    assert max(sizes) < 1.15 * min(sizes)


@pytest.mark.parametrize("name", PAPER)
def test_at_paper_scale_the_sizes_are_the_papers(name):
    space = check(catalogued(name).at("paper"))
    assert tuple(size(space, variant) for variant in space.variants) == PAPER[name]


@pytest.mark.parametrize("name", NAMES)
def test_controls_switch_off_what_their_names_say(name):
    space = catalogued(name)
    for variant in space.variants[3:]:
        values = space.middle(variant)
        fixed = variant.controlled("fixed_damping", values)
        assert fixed["damping"] == values["damping_start"]
    assert variant.controlled("no_correction", values)["correction"] == 0.0


def test_evaluations_are_what_a_training_costs():
    space = catalogued("spheres-ode")
    variant = space.variant("hbnode")
    (report,) = space.train(variant, space.middle(variant), epochs=1, seed=1)
    assert report[space.cost] == report["nfe_forward"] + report["nfe_backward"] > 0
    assert 0 < report["damping"] < 1


def test_a_forecast_costs_too():
    space = catalogued("oscillators-ode")
    variant = space.variant("ghbnode")
    (report,) = space.train(variant, space.middle(variant), epochs=1, seed=1)
    assert report[space.cost] > 0
    assert {"damping", "correction"} <= report.keys()


def test_only_the_pull_and_the_bound_keep_an_untrained_state_small(tmp_path, monkeypatch):
    """The paper's test on Silverbox, on a voltage of our own: the recording may not be shared."""
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    voltage = 0.1 * np.sin(np.arange(1200) / 3)
    rows = np.stack([voltage, voltage.cumsum() / 10], axis=1)
    np.savetxt(tmp_path / "sb.csv", rows, delimiter=",", header="V1,V2")
    space = check(catalogued("silverbox-growth"))
    sizes = {}
    for name in ("hbnode", "ghbnode"):
        variant = space.variant(name)
        for control in (None, *variant.controls):
            values = variant.controlled(control, space.middle(variant) | {"starts": 5})
            (report,) = space.train(variant, values, epochs=1, seed=1, test=True)
            assert report["validation_growth"] == report["test_growth"] == report["size"][-1]
            assert len(report["size"]) == 64
            sizes[name, control] = report["test_growth"]
    assert sizes["hbnode", None] > 6
    assert sizes["hbnode", "no_damping"] > sizes["hbnode", None]
    assert sizes["ghbnode", None] < 1.5
    assert sizes["ghbnode", "no_correction"] < math.log10(100 + 5 * 63)
