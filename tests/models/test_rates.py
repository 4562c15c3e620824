"""A module's own factors of the learning rate."""

import pytest
import torch

from momentune.models import LSTM, SequenceClassifier, build, fit

SETTINGS = {
    "lr": 0.5,
    "epochs": 1,
    "seed": 7,
    "batch_size": 48,
    "device": "cpu",
    "optimizer": "sgd",
    "clip_norm": None,
}


class Slow(LSTM):
    """Recurrent weights learn at a tenth of the rate."""

    def learning_rate_factors(self):
        return {"weight_hh_l0": 0.1}


def network(cell):
    return build(lambda: SequenceClassifier(cell(1, 6, batch_first=True), 2), seed=5)


def change(cell, task, **settings):
    """How far one step of gradient descent moves each parameter."""
    before, trained = network(cell).state_dict(), network(cell)
    *_, _ = fit(trained, task, **SETTINGS | settings)
    return {name: value - before[name] for name, value in trained.state_dict().items()}


def test_a_factor_scales_the_steps_of_its_parameters_and_of_no_other(task):
    plain, slow = change(LSTM, task), change(Slow, task)
    for name in plain:
        factor = 0.1 if name == "cell.weight_hh_l0" else 1.0
        torch.testing.assert_close(slow[name], factor * plain[name], rtol=1e-4, atol=1e-7)
        assert plain[name].abs().max() > 0


def test_the_schedule_multiplies_every_rate(task):
    rates = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            rates.append([group["lr"] for group in self.param_groups])

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fit.__globals__["OPTIMIZERS"], "sgd", Watched)
        list(fit(network(Slow), task, **SETTINGS | {"epochs": 2, "schedule": "linear"}))
    assert rates == [[0.5, pytest.approx(0.05)], [0.25, pytest.approx(0.025)]]


def test_a_factor_of_no_parameter_is_refused_at_once(task):
    class Wrong(Slow):
        def learning_rate_factors(self):
            return {"weight": 0.1}

    with pytest.raises(ValueError, match=r"names cell\.weight, which the network does not have"):
        fit(network(Wrong), task, **SETTINGS)
