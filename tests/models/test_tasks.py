"""Laws that every task of the recurrent family holds, whatever its data are."""

import math
import pickle

import pytest
import torch

from momentune.models import (
    LSTM,
    MNIST,
    Adding,
    Copying,
    Digits,
    Language,
    LanguageModel,
    SequenceClassifier,
    SequenceTagger,
    Speech,
    build,
    evaluate,
    fit,
)

TASKS = {
    "digits": (Digits, SequenceClassifier),
    "copying": (lambda: Copying(5, train=60, held_out=20), SequenceTagger),
    "adding": (lambda: Adding(10, train=60, held_out=20), SequenceClassifier),
    "mnist": (lambda: MNIST(side=7, samples=60), SequenceClassifier),
    "pmnist": (lambda: MNIST(True, side=7, samples=60), SequenceClassifier),
    "speech": (lambda: Speech(longest=10), SequenceTagger),
    "word": (lambda: Language("word", vocabulary=50, tokens=2000, piece=16), LanguageModel),
    "character": (lambda: Language("character", vocabulary=40, tokens=3000), LanguageModel),
}
EVERY = pytest.mark.parametrize("name", TASKS)
PARTS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def data(name, voices, monkeypatch):
    """Speech has no data of its own; the others are taken as the packages bring them."""
    if name == "speech":
        monkeypatch.setenv("MOMENTUNE_DATA", str(voices))
    else:
        monkeypatch.delenv("MOMENTUNE_DATA", raising=False)


def network(task, head):
    if head is LanguageModel:
        return build(lambda: head(LSTM(8, 8, batch_first=True), task.output_size), 0)
    return build(lambda: head(LSTM(task.input_size, 8, batch_first=True), task.output_size), 0)


def splits(task):
    return {part: getattr(task, part)() for part in PARTS}


@EVERY
def test_splits_are_the_same_every_time(name):
    make, _ = TASKS[name]
    for part, split in splits(make()).items():
        torch.manual_seed(hash(part) % 1000)
        again = getattr(make(), part)()
        assert torch.equal(split.inputs, again.inputs)
        assert torch.equal(split.targets.nan_to_num(9), again.targets.nan_to_num(9))


@EVERY
def test_data_says_which_data_and_how_many(name):
    task = TASKS[name][0]()
    told = task.data
    assert task.name in str(told["name"])
    assert len(str(told["sha256"])) == 64
    more = isinstance(task, Language)  # the last token has none after it
    assert {part: told[part] for part in PARTS} == {
        part: len(split) + more for part, split in splits(task).items()
    }


@EVERY
def test_a_task_is_small_to_send(name):
    task = TASKS[name][0]()
    splits(task)
    assert len(pickle.dumps(task)) < 500
    assert pickle.loads(pickle.dumps(task)).data == task.data


@EVERY
def test_a_network_learns_and_is_judged_by_the_task_s_metric(name):
    task, head = TASKS[name][0](), TASKS[name][1]
    settings = {"lr": 0.01, "epochs": 3, "seed": 1, "batch_size": 16}
    first, *_, last = fit(network(task, head), task, **settings, test=True)
    assert last["train_loss"] < first["train_loss"]
    assert {f"validation_{task.metric}", f"test_{task.metric}"} <= set(last)
    assert task.direction in ("minimize", "maximize")


@pytest.mark.parametrize("name", [name for name in TASKS if name != "speech"])
def test_who_guesses_gets_about_the_chance_that_the_task_states(name):
    """A network whose head says nothing; the reasons differ, the number must not."""
    task, head = TASKS[name][0](), TASKS[name][1]
    silent = network(task, head)
    torch.nn.init.zeros_(silent.head.weight)
    torch.nn.init.zeros_(silent.head.bias)
    if name == "adding":
        torch.nn.init.ones_(silent.head.bias)
    part = task.train()
    if isinstance(task, Language):  # chance knows how often each token comes
        counts = torch.bincount(torch.cat([part.inputs[:1], part.targets])) + 1.0
        torch.nn.init.constant_(silent.head.bias, -1e9)  # tokens that the text does not have
        silent.head.bias.data[: len(counts)] = counts.log()
        part = task.validation()
    value = evaluate(silent, task, part)[task.metric]
    if name == "copying":  # silence says everything at every step; chance knows the blanks
        assert task.chance < value == pytest.approx(math.log(9), rel=1e-5)
    else:
        assert value == pytest.approx(
            task.chance, rel={"adding": 0.4, "digits": 0.1}.get(name, 1e-3)
        )
