import math
from dataclasses import replace

import pytest

from momentune.models import LSTM, Digits, SequenceClassifier
from momentune.spaces import (
    Float,
    Published,
    Space,
    SpaceError,
    Variant,
    check,
)


def network(task, *, hidden_size):
    return SequenceClassifier(LSTM(task.input_size, hidden_size, batch_first=True), 10)


def good(**changes):
    space = Space(
        "mine",
        task=Digits,
        parameters={"hidden_size": 8, "lr": Float(1e-3, 1e-2, log=True)},
        variants=[
            Variant("lstm", network=network, baseline=True),
            Variant("other", network=network, controls={"small": {"hidden_size": 4}}),
        ],
    )
    return replace(space, **changes)


def variants(**changes):
    """The good space's variants, the second one changed."""
    first, second = good().variants
    return [first, replace(second, **changes)]


def test_a_good_space_is_returned():
    assert check(good()) == good()


def published(variant, **changes):
    told = {"metric": "loss", "value": 1.0, "setting": "s", "source": "t", "evidence": "files"}
    return [Published(variant=variant, **told | changes)]


def generator(x, unknown):
    yield {"validation_loss": x}


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (good(name="my space"), "space name 'my space'"),
        (good(trials=0), "trials must be at least 1, got 0"),
        (good(direction="up"), "'maximize' or 'minimize', got 'up'"),
        (good(variants=variants(name="lstm")), "lstm stands twice"),
        (good(variants=variants(baseline=True)), "found 2: lstm, other"),
        (good(variants=[Variant("a", network=network)]), "found none"),
        (good(variants=variants(network=None)), "either a network or a run"),
        (good(task=None), "needs a task"),
        (good(parameters={"hidden_size": 8}), "training needs 'lr'"),
        (good(parameters={"lr": 0.1}), "needs 'hidden_size'"),
        (good(parameters={**good().parameters, "depth": 2}), "does not take 'depth'"),
        (good(parameters={**good().parameters, "seed": 2}), "'seed' is set by the sweep"),
        (good(parameters={**good().parameters, "a b": 2}), "Python identifier"),
        (good(parameters={**good().parameters, "lr": Float(1, 1)}), "low < high"),
        (good(variants=variants(parameters={"lr": 0.1})), "shared by all variants"),
        (good(variants=variants(controls={"c": {"momentum": 0}})), "none of its parameters"),
        (good(variants=variants(controls={"c": lambda v: {"lr": v["x"]}})), "fails with KeyError"),
        (good(variants=variants(controls={"c": lambda v: None})), "fails with TypeError"),
        (good(variants=variants(controls={"c": lambda v: {"lr": math.nan}})), "must be finite"),
        (good(variants=variants(parameters=lambda t: {"seed": 1})), "'seed' is set by the sweep"),
        (good(variants=variants(parameters=lambda t: {"x": (1, 2)})), "must be drawn as a number"),
        (good(variants=variants(controls={"c": {"lr": [1]}})), "must set fixed values"),
        (good(variants=variants(network=None, run=generator)), "needs 'unknown', 'x'"),
        (good(variants=variants(network=lambda: None)), "takes no argument"),
        (good(variants=variants(parameters=lambda trial: trial.no)), "cannot be drawn"),
        (good(grid={"width": [1]}), "grid names 'width', which is none of its parameters"),
        (good(grid={"lr": [0.1]}), "has lr=0.1, which is not in 0.001 … 0.01 (log)"),
        (good(grid={"hidden_size": [8, 16]}), "has hidden_size=16, which is not in = 8"),
        (good(grid={"lr": ["fast"]}), "has lr='fast'"),
        (good(grid={"lr": []}), "has no value for 'lr'"),
        (good(variants=variants(grid={"lr": [0.01]})), "grid of variant 'other' names 'lr'"),
        (good(paper={"width": 3}), "paper changes 'width'; it may change cost, direction"),
        (good(paper={"name": "yours"}), "paper changes 'name'"),
        (good(paper={"epochs": 0}), "at paper scale: epochs must be at least 1, got 0"),
        (good(paper={"parameters": {"lr": Float(1, 1)}}), "at paper scale: parameter 'lr'"),
        (good(published=published("gru")), "of variant 'gru', which is none of lstm, other"),
        (good(published=published("lstm", control="x")), "control 'x', which is none of its con"),
        (good(published=published("other", control="x")), "its controls: small"),
        (good(published=published("lstm", split="dev")), "split 'dev', which is none of train, v"),
        (good(published=published("lstm", evidence="hope")), "evidence 'hope', which is none of"),
    ],
)
def test_what_is_wrong_with_a_space_is_told(space, words):
    with pytest.raises(SpaceError, match="space ") as caught:
        check(space)
    assert words in str(caught.value)


def test_what_is_wrong_at_both_scales_is_told_once():
    with pytest.raises(SpaceError) as caught:
        check(good(trials=0, paper={"epochs": 500}))
    assert "at paper scale" not in str(caught.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(SpaceError) as caught:
        check(good(trials=0, epochs=0))
    assert "trials" in str(caught.value)
    assert "epochs" in str(caught.value)


def test_define_by_run_parameters_are_bound_to_the_builder_too():
    def chosen(trial):
        return {"hidden_size": trial.suggest_int("hidden_size", 4, 8), "wrong": 1}

    shared = {"lr": 0.01}
    with pytest.raises(SpaceError, match="does not take 'wrong'"):
        check(good(parameters=shared, variants=variants(parameters=chosen)))
