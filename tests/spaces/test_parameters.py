import json

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from momentune.spaces import Choice, Float, Int, describe, middle
from momentune.spaces.parameters import Middle, contains, problem, suggest, to_json

RANGES = [
    Float(0.1, 0.9),
    Float(1e-4, 1e-1, log=True),
    Float(0.0, 1.0, step=0.25),
    Int(1, 9),
    Int(2, 64, log=True),
    Int(0, 100, step=10),
    Choice(["adam", "rmsprop"]),
    Choice([16, 32]),
]


@pytest.mark.parametrize("parameter", RANGES, ids=describe)
def test_a_draw_and_the_middle_lie_in_the_range(parameter):
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    for value in (suggest(trial, "p", parameter), middle(parameter)):
        assert parameter._contains(parameter.to_internal_repr(value))
        assert contains(parameter, value)


@pytest.mark.parametrize(
    ("parameter", "outside"),
    [
        (Float(0.1, 0.9), [0.0, 1, True, "0.5", None]),
        (Float(0.0, 1.0, step=0.25), [0.3]),
        (Int(1, 9), [0, 10, 1.5, True]),
        (Int(0, 100, step=10), [15]),
        (Choice(["adam", "sgd"]), ["rmsprop", 0]),
        (0.5, [0.6, None]),
    ],
)
def test_a_value_outside_a_range_is_known(parameter, outside):
    assert not any(contains(parameter, value) for value in outside)


@pytest.mark.parametrize("parameter", RANGES, ids=describe)
def test_a_range_survives_json(parameter):
    written = json.dumps(to_json(parameter))
    assert optuna.distributions.json_to_distribution(written) == parameter


@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e4))
def test_the_middle_of_a_log_range_is_geometric(low, ratio):
    value = middle(Float(low, low * ratio, log=True))
    assert value == pytest.approx(low * ratio**0.5, rel=0.006)


@pytest.mark.parametrize("fixed", [3, 0.5, "adam", True, None])
def test_a_fixed_value_is_drawn_as_it_is(fixed):
    assert suggest(Middle(), "p", fixed) == fixed
    assert to_json(fixed) == {"fixed": fixed}
    assert problem("p", fixed) is None


def test_the_middle_trial_serves_a_define_by_run_function():
    trial = Middle()
    depth = trial.suggest_int("depth", 1, 3)
    assert [trial.suggest_float(f"rate{i}", 0, 1) for i in range(depth)] == [0.5, 0.5]
    assert trial.suggest_categorical("kind", ["a", "b"]) == "a"


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (Float(1.0, 1.0), "low < high"),
        (Int(3, 3), "low < high"),
        (Choice([len, max]), "choices are"),
        (float("nan"), "finite"),
        ([1, 2], "type list"),
    ],
)
def test_a_bad_parameter_is_told(parameter, words):
    assert words in (problem("p", parameter) or "")
