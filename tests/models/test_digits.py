"""The digits never change, and no image is in two splits."""

import hashlib
import pickle

import pytest
import torch

from momentune.models import Digits, Split

PINNED = {
    ("digits", "train"): "e9a561eedf1c87f21456f8e93bdc641409a2ba6031d1d2754bf9429837608499",
    ("digits", "validation"): "7d20a5aab66e2e5af329151495e41d20dadb673760a17f4b8bab968873c1c773",
    ("digits", "test"): "fd0f84111b16dfaca20405b6b3e7297382a2077efbd2137cc42c7974b0a9dd19",
    ("permuted-digits", "train"): (
        "0382d8ca69b19c9e4dcf748b792e0f9f9c239ece51f4fffe6b33b3a321b2a938"
    ),
    ("permuted-digits", "validation"): (
        "2a627d060fed96a450909d2808d2c23aca8d6a32a38039098ea53641ebc436ab"
    ),
    ("permuted-digits", "test"): (
        "4484e794c688d16ff07ab3b670324bd2329357accf3246032297a59569c01434"
    ),
}
EITHER = pytest.mark.parametrize("permuted", [False, True])


def splits(task: Digits) -> dict[str, Split]:
    return {"train": task.train(), "validation": task.validation(), "test": task.test()}


def images(split: Split) -> set[bytes]:
    return {image.tobytes() for image in split.inputs.numpy()}


@EITHER
def test_splits_are_pinned(permuted):
    task = Digits(permuted)
    for part, split in splits(task).items():
        content = split.inputs.numpy().tobytes() + split.targets.numpy().tobytes()
        assert hashlib.sha256(content).hexdigest() == PINNED[task.name, part]


@EITHER
def test_data_says_which_data(permuted):
    task = Digits(permuted)
    start = {False: "87ff0c9e40dc7e2c", True: "8d83df50d611c1ac"}[permuted]
    assert {part: len(split) for part, split in splits(task).items()}.items() <= task.data.items()
    assert task.data["name"] == task.name
    assert str(task.data["sha256"]).startswith(start)


@EITHER
def test_splits_are_disjoint_and_whole(permuted):
    parts = [images(split) for split in splits(Digits(permuted)).values()]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 1797


def test_splits_are_stratified():
    for share, split in zip((0.6, 0.2, 0.2), splits(Digits()).values(), strict=True):
        counts = torch.bincount(split.targets)
        everything = torch.tensor([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
        assert ((counts - share * everything).abs() < 1.5).all()


def test_sequences_are_pixels_in_zero_to_one():
    split = Digits().train()
    assert split.inputs.shape == (1085, 64, Digits.input_size)
    assert split.inputs.dtype == torch.float32
    assert (split.inputs.min(), split.inputs.max()) == (0, 1)


def test_permuted_images_have_the_same_pixels_in_another_order():
    plain, permuted = Digits().train(), Digits(permuted=True).train()
    assert torch.equal(plain.targets, permuted.targets)
    assert not torch.equal(plain.inputs, permuted.inputs)
    assert torch.equal(plain.inputs.sort(dim=1).values, permuted.inputs.sort(dim=1).values)


def test_metrics_of_a_sure_and_right_prediction():
    target = torch.arange(10)
    metrics = Digits().metrics(100 * torch.eye(10), target)
    assert metrics == {"loss": pytest.approx(0, abs=1e-6), "accuracy": 1.0}
    assert Digits().metrics(100 * torch.eye(10), target.roll(1))["accuracy"] == 0


@EITHER
def test_a_task_is_small_to_send(permuted):
    task = Digits(permuted)
    task.train()
    assert len(pickle.dumps(task)) < 200
    assert pickle.loads(pickle.dumps(task)).data == task.data


def test_a_split_has_a_target_for_each_sample():
    with pytest.raises(ValueError, match="got 3 inputs and 2 targets"):
        Split(torch.zeros(3, 1), torch.zeros(2))
