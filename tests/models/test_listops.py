"""ListOps: expressions are drawn once, differ from each other, and are worth what they say."""

import pickle

import pytest
import torch

from momentune.models import ListOps, Split
from momentune.models.tasks.listops import TOKENS, value

SMALL = ListOps(24, shortest=5, train=200, held_out=50)


def splits(task: ListOps) -> list[Split]:
    return [task.train(), task.validation(), task.test()]


def words(tokens: torch.Tensor) -> str:
    return " ".join(TOKENS[number] for number in tokens[tokens != ListOps.padding].tolist())


@pytest.mark.parametrize(
    ("expression", "worth"),
    [
        ("[MAX 2 9 [MIN 4 7 ] 0 ]", 9),
        ("[SM 5 6 7 ]", 8),
        ("[MED 1 8 3 ]", 3),
        ("[MED 1 8 3 4 ]", 3),  # the mean of 3 and 4, rounded down
        ("[MIN [SM 9 9 ] [MAX 3 [MED 0 5 ] ] ]", 3),
    ],
)
def test_an_expression_is_worth_what_it_says(expression, worth):
    assert value(expression) == worth


def test_every_target_is_its_expressions_value():
    for split in splits(SMALL):
        worths = [value(words(tokens)) for tokens in split.inputs]
        assert worths == split.targets.tolist()


def test_every_expression_is_within_the_bounds_and_in_one_split_only():
    texts = [words(tokens) for split in splits(SMALL) for tokens in split.inputs]
    assert len(set(texts)) == len(texts) == 300
    assert all(5 <= len(text.split()) <= 24 for text in texts)


def test_nesting_and_arguments_stay_within_their_limits():
    flat = ListOps(24, shortest=4, depth=2, arguments=3, train=50, held_out=10)
    for tokens in flat.train().inputs:
        assert words(tokens).count("[") == 1
        assert len(words(tokens).split()) <= 5
    deepest = max(words(tokens).count("[") for tokens in SMALL.train().inputs)
    assert deepest > 2


def test_all_operators_and_all_answers_occur():
    text = " ".join(words(tokens) for tokens in SMALL.train().inputs)
    assert set(text.split()) == set(TOKENS[1:])
    assert torch.bincount(SMALL.train().targets, minlength=10).min() > 0


def test_expressions_do_not_change():
    assert SMALL.data == {
        "name": "listops-24",
        "train": 200,
        "validation": 50,
        "test": 50,
        "sha256": "40db7bc6d58b3b0a61cf173cffedb2f7b9525c02a43536595b61a66c5543a0ba",
    }
    assert pickle.loads(pickle.dumps(SMALL)).data == SMALL.data


@pytest.mark.parametrize("bad", [{"shortest": 3}, {"shortest": 24}, {"depth": 1}, {"arguments": 1}])
def test_bounds_that_no_expression_can_keep_are_refused(bad):
    with pytest.raises(ValueError, match="shortest must be at least 4"):
        ListOps(24, **bad)


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        ({"length": 5, "shortest": 4, "arguments": 2, "train": 500, "held_out": 5}, "400 of 510"),
        ({"length": 2000, "shortest": 500, "train": 5, "held_out": 5}, "0 of 15"),
    ],
)
def test_more_expressions_than_there_are_end_in_an_error(bounds, found):
    with pytest.raises(ValueError, match=f"only {found} .*depth=2, .*fewer in train and held_out"):
        ListOps(depth=2, **bounds).train()
