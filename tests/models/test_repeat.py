"""Repeating a word: what is asked is what was read, and nothing that nobody can know."""

import math

import pytest
import torch

from momentune.models import Repeat
from momentune.models.tasks import IGNORED

TASK = Repeat(32, train=100, held_out=20)


@pytest.mark.parametrize("length", [16, 32, 128])
def test_a_word_is_said_again_after_a_zero(length):
    split = Repeat(length, train=20, held_out=5).train()
    assert split.inputs.shape == split.targets.shape == (20, length)
    for read, asked in zip(split.inputs, split.targets, strict=True):
        n = int((asked != IGNORED).sum())
        assert length // 4 <= n < length // 2 - 1
        assert 1 <= read[:n].min() <= read[:n].max() <= 10
        assert torch.equal(read[:n], read[n + 1 : 2 * n + 1])
        assert torch.equal(read[:n], asked[n : 2 * n])
        assert read[n] == 0
        assert not read[2 * n + 1 :].any()


def test_a_target_is_the_next_token():
    split = TASK.train()
    asked = split.targets[:, :-1] != IGNORED
    assert torch.equal(split.inputs[:, 1:][asked], split.targets[:, :-1][asked])


def test_words_are_different_and_in_one_split_only():
    parts = (TASK.train(), TASK.validation(), TASK.test())
    texts = [tuple(row) for split in parts for row in split.inputs.tolist()]
    assert len(set(texts)) == len(texts) == 140


def test_words_do_not_change():
    assert TASK.data["sha256"] == "b6c7756c115bbd32d0b4b0104e08cdf91684a75b589c55ad42c7c97facb23b81"


def test_guessing_reaches_the_chance_value():
    split = TASK.test()
    logits = torch.zeros(*split.inputs.shape, TASK.output_size)
    logits[..., 0] = -math.inf
    metrics = TASK.metrics(*TASK.condensed(logits, split.targets))
    assert metrics["loss"] == pytest.approx(TASK.chance)


def test_only_what_is_asked_counts():
    split = TASK.test()
    right = torch.nn.functional.one_hot(split.targets.clamp_min(0), TASK.output_size).float() * 100
    right[split.targets == IGNORED] = torch.randn(TASK.output_size)
    metrics = TASK.metrics(*TASK.condensed(right, split.targets))
    assert metrics == {"loss": pytest.approx(0, abs=1e-6), "accuracy": 1.0}
    assert TASK.loss(right, split.targets).item() == pytest.approx(0, abs=1e-6)


def test_words_need_room():
    with pytest.raises(ValueError, match="length must be at least 16"):
        Repeat(15)
