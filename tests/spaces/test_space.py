import json
import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import optuna
import pytest
import torch

from momentune.models import Digits, Oscillators, largest_drive
from momentune.spaces import Choice, Float, Published, Space, Variant, catalogued
from momentune.spaces.space import tried


def echo(**given):
    yield given


def reserved(x, epochs, seed, test, checkpoint, task):
    yield {"x": x, "epochs": epochs, "seed": seed, "test": test, "task": task}


def test_a_run_is_given_only_what_it_names():
    space = Space("s", variants=[Variant("a", run=reserved)], parameters={"x": 1}, task=Digits)
    told = next(space.train(space.variant("a"), {"x": 1}, epochs=2, seed=3, test=True))
    assert told == {
        "epoch": 1,
        "x": 1,
        "epochs": 2,
        "seed": 3,
        "test": True,
        "task": space.loaded_task,
    }
    plain = Space("s", variants=[Variant("a", run=echo)])
    assert next(plain.train(plain.variant("a"), {"y": 2}, epochs=1, seed=0)) == {"y": 2, "epoch": 1}


def test_data_stay_at_home_when_a_space_travels():
    space = catalogued("digits-lstm")
    assert space.loaded_task is not None
    assert "loaded_task" not in vars(pickle.loads(pickle.dumps(space)))


def test_a_control_changes_only_what_it_says():
    variant = catalogued("digits-lstm").variant("momentum_lstm")
    values = {"momentum": 0.5, "step": 0.4, "lr": 0.1}
    assert variant.controlled(None, values) == values
    assert variant.controlled("no_momentum", values) == {**values, "momentum": 0.0}
    assert variant.controlled("same_gain", values) == {**values, "momentum": 0.0, "step": 0.8}


def test_the_digest_follows_what_decides_the_trials_and_nothing_else():
    space = catalogued("digits-lstm")
    digest = space.to_json()["digest"]
    assert replace(space).to_json()["digest"] == digest
    assert replace(space, trials=99).to_json()["digest"] == digest
    wider = {**space.parameters, "lr": Float(1e-5, 1.0, log=True)}
    assert replace(space, parameters=wider).to_json()["digest"] != digest


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        ({"grid": {"lr": [0.01]}}, True),
        ({"cost": "seconds"}, True),
        ({"scale": "paper"}, False),
        ({"question": "Really?"}, False),
        (
            {
                "published": [
                    Published(
                        variant="lstm",
                        metric="accuracy",
                        value=1.0,
                        setting="",
                        source="",
                        evidence="files",
                    )
                ]
            },
            False,
        ),
    ],
    ids=lambda change: "-".join(change) if isinstance(change, dict) else "",
)
def test_grids_and_costs_decide_and_words_do_not(change, decides):
    space = catalogued("digits-lstm")
    changed = replace(space, **change).to_json()
    assert (changed["digest"] != space.to_json()["digest"]) is decides
    json.dumps(changed)


def test_what_a_grid_goes_without_is_told_and_decides_nothing():
    space = catalogued("digits-rnn")
    variant = space.variant("nesterov_lstm")
    assert space.to_json()["left_out"]["nesterov_lstm"]["step"] == [0.01]
    whole = [replace(v, left_out={}) for v in space.variants]
    changed = replace(space, variants=whole).to_json()
    assert changed["left_out"] == {}
    assert changed["digest"] == space.to_json()["digest"]
    assert tried(variant.parameters, {"restart": (2, 6), "step": (9.0,)}) == {
        "grid": {"restart": [2]},
        "left_out": {"restart": [6], "step": [9.0]},
    }


def test_plan_json_holds_what_a_linear_predictor_reaches_where_the_task_knows():
    task = partial(Oscillators, train=64, held_out=32)
    told = replace(catalogued("oscillators-ode"), task=task).to_json()
    assert told["linear"] == task().linear() < told["chance"]
    assert catalogued("digits-lstm").to_json()["linear"] is None


def test_plan_json_holds_scale_chance_and_what_others_published():
    result = Published(
        variant="lstm", metric="accuracy", value=0.9, setting="small", source="A", evidence="paper"
    )
    told = replace(catalogued("digits-lstm"), published=[result]).to_json()
    assert (told["scale"], told["chance"], told["cost"]) == ("laptop", 0.1, "")
    assert told["published"] == [
        {
            "variant": "lstm",
            "metric": "accuracy",
            "value": 0.9,
            "setting": "small",
            "source": "A",
            "evidence": "paper",
            "split": "test",
            "control": "",
            "spread": None,
        }
    ]


# Scales


def scaled():
    return Space(
        "s",
        variants=[Variant("a", run=echo, baseline=True)],
        metric="loss",
        direction="minimize",
        parameters={"width": Choice([8, 16]), "lr": Float(0.1, 1.0)},
        paper={"epochs": 700, "parameters": {"width": 128}},
    )


def test_paper_scale_changes_what_it_names_and_nothing_else():
    space, paper = scaled(), scaled().at("paper")
    assert (paper.scale, paper.epochs) == ("paper", 700)
    assert paper.parameters == {"width": 128, "lr": Float(0.1, 1.0)}
    assert replace(paper, epochs=10, parameters=space.parameters, paper=space.paper) == replace(
        space, scale="paper"
    )


def test_a_space_at_its_own_scale_is_itself():
    space = scaled()
    assert space.at("laptop") is space
    paper = space.at("paper")
    assert paper.at("paper") is paper


def test_a_scale_that_is_not_there_is_told():
    with pytest.raises(ValueError, match="no scale 'galaxy'; there are laptop, paper"):
        scaled().at("galaxy")
    with pytest.raises(ValueError, match="'digits-lstm' is at laptop scale only, not at paper"):
        replace(catalogued("digits-lstm"), paper={}).at("paper")
    with pytest.raises(ValueError, match="at paper scale only, not at laptop"):
        scaled().at("paper").at("laptop")


def test_suggestions_come_from_the_trial_and_hold_every_parameter():
    space = catalogued("digits-lstm")
    variant = space.variant("momentum_lstm")
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    values = space.suggest(variant, trial)
    assert set(values) == {*space.parameters, *variant.parameters}
    assert trial.params.items() <= values.items()


def test_an_unknown_variant_is_told_with_the_known_ones():
    with pytest.raises(KeyError, match="it has: lstm, momentum_lstm"):
        catalogued("digits-lstm").variant("gru")


def test_the_same_seed_gives_the_same_training():
    space = catalogued("digits-lstm")
    variant = space.variant("momentum_lstm")
    runs = [
        [
            {n: v for n, v in metrics.items() if n != "seconds"}
            for metrics in space.train(variant, space.middle(variant), epochs=2, seed=seed)
        ]
        for seed in (5, 5, 6)
    ]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("number", [np.float32(0.5), np.array(0.5), torch.tensor(0.5), 0.5])
def test_reports_hold_plain_numbers_wherever_they_come_from(number):
    def run():
        yield {"validation_loss": number}

    space = Space("s", variants=[Variant("a", run=run)])
    (report,) = space.train(space.variant("a"), {}, epochs=1, seed=0)
    assert report == {"validation_loss": 0.5, "epoch": 1}
    assert type(report["validation_loss"]) is float


def test_a_training_that_yields_no_dict_is_told():
    def run():
        yield 0.5

    space = Space("s", variants=[Variant("a", run=run)])
    with pytest.raises(TypeError, match=r"yields one dict of metrics per epoch.*yielded 0\.5"):
        next(space.train(space.variant("a"), {}, epochs=1, seed=0))


def test_a_space_says_where_the_adam_cell_has_no_bound():
    """O-R4: the published momentum 0.6 with beta2 0.1 has none; the middle of the ranges has."""
    space = catalogued("digits-rnn")
    variant = space.variant("adam_lstm")
    momenta, decays = variant.grid["momentum"], variant.grid["beta2"]
    assert np.isinf(largest_drive(max(momenta), 1.0, min(decays)))
    assert "momentum squared is not below beta2" in variant.caution
    middle = space.middle(variant)
    assert np.isfinite(largest_drive(middle["momentum"], middle["step"], middle["beta2"]))
