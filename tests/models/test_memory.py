"""Copying and adding: what is read, what is answered, and what memory is worth."""

import math

import pytest
import torch

from momentune.models import Adding, Copying


@pytest.mark.parametrize("length", [2, 5, 30])
def test_the_answer_is_the_symbols_after_the_pause(length):
    split = Copying(length, train=7).train()
    read, answer = split.inputs.argmax(-1), split.targets
    assert split.inputs.shape == (7, length + 20, 10)
    assert torch.equal(split.inputs.sum(-1), torch.ones(7, length + 20))
    assert torch.equal(answer[:, -10:], read[:, :10])
    assert ((read[:, :10] >= 1) & (read[:, :10] <= 8)).all()
    assert (answer[:, :-10] == 0).all()
    assert (read[:, 10 : 10 + length - 1] == 0).all()
    assert (read[:, 9 + length] == 9).all()
    assert (read[:, 10 + length :] == 0).all()


def test_no_symbols_are_in_two_splits():
    task = Copying(5, train=3000, held_out=1000)
    splits = (task.train(), task.validation(), task.test())
    seen = [tuple(row) for split in splits for row in split.targets[:, -10:].tolist()]
    assert len(set(seen)) == len(seen) == 5000
    assert {symbol for row in seen for symbol in row} == set(range(1, 9))


@pytest.mark.parametrize("length", [5, 100])
def test_who_knows_all_but_the_symbols_costs_what_chance_says(length):
    task = Copying(length, train=50)
    target = task.train().targets
    logits = torch.full((*target.shape, 9), -30.0)
    logits[:, :-10, 0] = 30
    logits[:, -10:, 1:] = 30
    metrics = task.metrics(logits, target)
    assert metrics["loss"] == pytest.approx(task.chance, rel=1e-5)
    assert task.chance == pytest.approx(10 * math.log(8) / (length + 20))
    logits.scatter_(2, target[..., None], 100.0)
    perfect = task.metrics(logits, target)
    assert perfect == {"loss": pytest.approx(0, abs=1e-6), "recalled": 1.0}


@pytest.mark.parametrize("length", [2, 7, 50])
def test_two_numbers_are_marked_one_in_each_half(length):
    split = Adding(length, train=200).train()
    numbers, marks = split.inputs.unbind(-1)
    assert split.inputs.shape == (200, length, 2)
    assert ((numbers >= 0) & (numbers < 1)).all()
    half = length // 2
    assert torch.equal(marks[:, :half].sum(1), torch.ones(200))
    assert torch.equal(marks[:, half:].sum(1), torch.ones(200))
    torch.testing.assert_close(split.targets, (numbers * marks).sum(1, keepdim=True))


def test_who_always_says_one_costs_a_sixth():
    task = Adding(10, train=20_000)
    target = task.train().targets
    assert task.metrics(torch.ones_like(target), target)["loss"] == pytest.approx(1 / 6, rel=0.02)
    assert task.chance == 1 / 6


@pytest.mark.parametrize("task", [Copying, Adding])
def test_sizes_out_of_range_are_refused(task):
    with pytest.raises(ValueError, match="length must be at least 2 time steps, got 1"):
        task(1)
    with pytest.raises(ValueError, match="must be at least 1, got 10 and 0"):
        task(5, train=10, held_out=0)
