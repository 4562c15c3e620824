"""Making images: pixels come from the pixels before, and samples from what was learned."""

import math

import numpy as np
import pytest
import torch

from momentune.models import (
    AutoregressiveTransformer,
    Digits,
    Generation,
    TransformerSettings,
    build,
    fit,
)
from momentune.models.tasks.generation import MIXTURE

TASK = Generation()


def network(attention="momentum") -> AutoregressiveTransformer:
    settings = TransformerSettings(features=16, heads=2, attention=attention, momentum=0.3)
    return build(
        lambda: AutoregressiveTransformer(
            TASK.input_size, TASK.length, TASK.output_size, settings
        ).eval(),
        seed=0,
    )


def test_samples_of_digits_are_refused():
    with pytest.raises(ValueError, match=r"digits are few.* leave samples out, got 10"):
        Generation("digits", samples=10)


def test_inputs_are_targets_one_step_later():
    split = TASK.train()
    assert (split.inputs[:, 0] == TASK.levels).all()
    assert torch.equal(split.inputs[:, 1:], split.targets[:, :-1])
    assert split.targets.max() < TASK.levels


def test_targets_are_the_images_pixels():
    assert torch.equal(TASK.test().targets, (Digits().test().inputs.squeeze(-1) * 16).long())
    assert TASK.data["sha256"] == Digits().data["sha256"]


def test_a_prediction_that_takes_all_levels_for_equally_likely_costs_their_logarithm():
    """A mixture that is nearly flat within the range costs a little less at the edges."""
    flat = torch.zeros(2, 64, 3 * MIXTURE)
    flat[..., :MIXTURE] = -1e3
    flat[..., 0] = 0
    flat[..., 2 * MIXTURE :] = 20.0
    middle = torch.full((2, 64), 8)
    loss = TASK.loss(flat, middle)
    assert loss > math.log(TASK.levels)  # most of a wide logistic's mass is outside
    assert TASK.chance == math.log2(17)


def test_metrics_are_the_mean_cost_of_a_pixel():
    prediction, target = torch.randn(3, 64, 30), TASK.test().targets[:3]
    metrics = TASK.metrics(*TASK.condensed(prediction, target))
    assert metrics["loss"] == pytest.approx(TASK.loss(prediction, target).item(), rel=1e-5)
    assert metrics["bits"] == pytest.approx(metrics["loss"] / math.log(2))


@pytest.mark.parametrize("attention", ["softmax", "linear", "momentum", "adaptive"])
def test_samples_are_images_that_follow_from_the_seed(attention):
    images = TASK.samples(network(attention), 3, seed=1)
    assert images.shape == (3, 8, 8)
    assert images.dtype == np.uint8
    assert np.array_equal(images, TASK.samples(network(attention), 3, seed=1))
    assert not np.array_equal(images, TASK.samples(network(attention), 3, seed=2))


class Sure(torch.nn.Module):
    """Predicts one level, whatever came before."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.prediction = torch.nn.Parameter(torch.full((3 * MIXTURE,), -7.0))
        with torch.no_grad():
            self.prediction[MIXTURE : 2 * MIXTURE] = 2 * level / 16 - 1

    def token(self, tokens, state=None):
        return self.prediction.expand(len(tokens), -1), state


@pytest.mark.parametrize(("level", "grey"), [(0, 0), (8, 128), (16, 255)])
def test_samples_are_drawn_from_the_prediction(level, grey):
    assert (TASK.samples(Sure(level), 2, seed=0) == grey).all()


def test_learning_makes_pixels_cheaper_than_chance():
    *_, last = fit(network(), TASK, lr=1e-2, epochs=1, seed=0, batch_size=128)
    assert last["validation_bits"] < 0.9 * TASK.chance


def test_unknown_pictures_are_refused():
    with pytest.raises(ValueError, match="no pictures 'faces'; there are digits, mnist, cifar10"):
        Generation("faces")
