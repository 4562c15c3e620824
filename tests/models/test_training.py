"""Laws of one training run."""

import itertools
import pickle
import sys

import pytest
import torch

from momentune.models import Diverged, build, evaluate, fit, seeded

SETTINGS = {"lr": 0.02, "epochs": 4, "seed": 7, "batch_size": 10, "device": "cpu"}


def untimed(reports) -> list[dict[str, float]]:
    """The reports without the one number that differs from run to run."""
    return [{name: value for name, value in r.items() if name != "seconds"} for r in reports]


def weights_of(network) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def poisoned(task, when):
    """The task with a loss that is NaN where `when(call)` says so; calls count from 1."""
    plain, calls = task.loss, iter(range(1, 10_000))
    task.loss = lambda *args: plain(*args) * (float("nan") if when(next(calls)) else 1.0)
    return task


# What it yields


def test_each_epoch_yields_the_metrics_of_the_contract(network, task):
    reports = list(fit(network(), task, **SETTINGS))
    assert [report["epoch"] for report in reports] == [1, 2, 3, 4]
    for report in reports:
        assert set(report) == {
            "epoch",
            "train_loss",
            "validation_loss",
            "validation_accuracy",
            "seconds",
            "n_parameters",
        }
        assert report["seconds"] > 0
        assert report["n_parameters"] == 4 * 6 * (1 + 6 + 2) + 2 * 7


def test_training_learns(network, task):
    reports = list(fit(network(), task, **SETTINGS | {"epochs": 30}))
    assert reports[-1]["train_loss"] < 0.5 * reports[0]["train_loss"]
    assert reports[-1]["validation_accuracy"] > 0.7


def test_validation_is_that_of_the_trained_network(network, task):
    trained = network()
    *_, last = fit(trained, task, **SETTINGS)
    metrics = evaluate(trained, task, task.validation())
    assert {f"validation_{name}": value for name, value in metrics.items()}.items() <= last.items()


def test_batches_of_an_evaluation_do_not_matter(network, task):
    whole, split = (evaluate(network(), task, task.validation(), size) for size in (512, 5))
    assert split == pytest.approx(whole)


# Test data


def test_test_data_is_never_made_unless_asked_for(network, task):
    assert not any("test_loss" in report for report in fit(network(), task, **SETTINGS))
    assert task.tested == 0


def test_test_data_is_made_once_after_the_last_epoch(network, task):
    run = fit(network(), task, **SETTINGS, test=True)
    for _ in range(3):
        assert "test_accuracy" not in next(run)
    assert task.tested == 0
    assert {"test_loss", "test_accuracy"} <= set(next(run))
    assert list(run) == []
    assert task.tested == 1


def test_judging_on_test_data_changes_no_other_number(network, task):
    plain, judged = (untimed(fit(network(), task, **SETTINGS, test=t)) for t in (False, True))
    for numbers, more in zip(plain, judged, strict=True):
        assert numbers.items() <= more.items()


# The seed


def test_same_seed_same_numbers_whatever_ran_before(network, task):
    first = untimed(fit(network(), task, **SETTINGS))
    torch.manual_seed(99)
    torch.rand(5)
    assert untimed(fit(network(), task, **SETTINGS)) == first


def test_runs_that_alternate_do_not_disturb_each_other(network, task):
    alone = untimed(fit(network(), task, **SETTINGS))
    pairs = list(zip(*(fit(network(), task, **SETTINGS) for _ in range(2)), strict=True))
    assert untimed(left for left, _ in pairs) == alone
    assert untimed(right for _, right in pairs) == alone


def test_another_seed_gives_other_numbers(network, task):
    one, two = (untimed(fit(network(), task, **SETTINGS | {"seed": seed})) for seed in (7, 8))
    assert one[0]["train_loss"] != two[0]["train_loss"]


def test_training_leaves_the_random_numbers_of_others_alone(network, task):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    list(fit(network(), task, **SETTINGS))
    assert torch.equal(torch.rand(4), expected)


def test_a_network_is_built_from_its_seed():
    one, again, other = (build(lambda: torch.nn.Linear(9, 9), seed) for seed in (1, 1, 2))
    assert torch.equal(one.weight, again.weight)
    assert not torch.equal(one.weight, other.weight)


def test_every_epoch_of_every_seed_has_its_own_random_numbers():
    draws = []
    for seed, epoch in itertools.product(range(4), range(4)):
        with seeded(seed, epoch):
            draws.append(torch.rand(1).item())
    assert len(set(draws)) == 16


# Work only when it is asked for


def test_no_epoch_starts_before_it_is_asked_for(network, task):
    trained = network()
    before = weights_of(trained)
    run = fit(trained, task, **SETTINGS)
    assert torch.equal(weights_of(trained), before)
    next(run)
    after = weights_of(trained)
    assert not torch.equal(after, before)
    run.close()
    assert torch.equal(weights_of(trained), after)
    assert list(run) == []


def test_denormal_numbers_count_as_zero_in_training_and_only_there(network, task):
    """Vanishing gradients are made of them, and a CPU computes with them ten times slower."""
    plain, seen = task.loss, []
    task.loss = lambda *args: seen.append(sys.float_info.min / 2) or plain(*args)
    next(fit(network(), task, **SETTINGS))
    assert seen == 5 * [0.0] + [sys.float_info.min / 2]  # five batches, then validation
    assert sys.float_info.min / 2 > 0


# Divergence


@pytest.mark.parametrize("step", [1, 5, 7])
def test_divergence_in_training_says_at_which_step(network, task, step):
    """Five batches an epoch; the epoch's validation also asks for a loss, at call 6."""
    call = step + (step > 5)
    run = fit(network(), poisoned(task, lambda at: at == call), **SETTINGS)
    with pytest.raises(Diverged, match=f"train_loss is nan at optimizer step {step} ") as caught:
        list(run)
    assert (caught.value.step, caught.value.epoch) == (step, 1 + (step > 5))
    assert caught.value.reason == "diverged"
    assert list(run) == []


def test_divergence_in_validation_is_the_end_too(network, task):
    run = fit(network(), poisoned(task, lambda at: at == 12), **SETTINGS)
    assert next(run)["epoch"] == 1
    with pytest.raises(Diverged, match="validation_loss is nan") as caught:
        next(run)
    assert (caught.value.step, caught.value.epoch) == (10, 2)


def test_weights_that_overflow_are_a_divergence(network, task):
    wild = SETTINGS | {"lr": 1e38, "optimizer": "sgd", "clip_norm": None}
    with pytest.raises(Diverged):
        list(fit(network(), task, **wild))


def test_a_diverged_step_changes_no_weight(network, task):
    trained = network()
    before = weights_of(trained)
    with pytest.raises(Diverged):
        list(fit(trained, poisoned(task, lambda at: at == 1), **SETTINGS))
    assert torch.equal(weights_of(trained), before)


def test_a_divergence_can_be_sent_to_another_process():
    error = Diverged("train_loss", float("inf"), epoch=2, step=7)
    sent = pickle.loads(pickle.dumps(error))
    assert (str(sent), sent.step, sent.epoch, sent.reason) == (str(error), 7, 2, "diverged")


# Bad input


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lr": 0.0}, "lr must be a positive number, got 0.0"),
        ({"lr": float("nan")}, "lr must be a positive number, got nan"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0, or None to clip nothing, got 0.0"),
        ({"optimizer": "adma"}, "no optimizer 'adma'; there are adam, adamw, rmsprop, sgd"),
    ],
)
def test_arguments_out_of_range_are_refused_at_once(network, task, wrong, message):
    with pytest.raises(ValueError, match=message):
        fit(network(), task, **SETTINGS | wrong)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_every_optimizer_trains(network, task, optimizer):
    reports = list(fit(network(), task, **SETTINGS | {"optimizer": optimizer}))
    assert reports[-1]["train_loss"] < reports[0]["train_loss"]
