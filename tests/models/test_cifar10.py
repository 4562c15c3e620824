"""CIFAR-10 as it is published, and in grey, a token a pixel."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from momentune.models import CIFAR10, Generation, GreyImages

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def drawn(seed: int) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (20, 3072)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """CIFAR-10's files with 20 photographs each, two of each class."""
    place = tmp_path / "cifar-10-batches-py"
    place.mkdir()
    for seed, name in enumerate(BATCHES):
        held = {b"data": drawn(seed), b"labels": [number % 10 for number in range(20)]}
        (place / name).write_bytes(pickle.dumps(held))
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    return tmp_path


def test_photographs_are_parted_by_class(folder):
    task = CIFAR10()
    assert (task.data["train"], task.data["validation"], task.data["test"]) == (90, 10, 20)
    assert torch.bincount(task.validation().targets).tolist() == [1] * 10
    assert torch.bincount(CIFAR10(samples=20).train().targets).tolist() == [2] * 10


def test_a_token_is_how_bright_a_pixel_is(folder):
    grey, test = GreyImages(CIFAR10()), CIFAR10().test()
    red, green, blue = (255 * test.inputs.double()).unbind(1)
    bright = (0.299 * red + 0.587 * green + 0.114 * blue).flatten(1)
    tokens = grey.test().inputs
    assert tokens.shape == (20, grey.length)
    assert (tokens - bright).abs().max() <= 0.5 + 1e-4
    assert torch.equal(grey.test().targets, test.targets)
    assert grey.data == CIFAR10().data


def test_smaller_photographs_are_shorter_sequences(folder):
    small = GreyImages(CIFAR10(side=8))
    assert small.train().inputs.shape == (90, small.length) == (90, 64)


def test_generation_reads_red_green_and_blue_in_turn(folder):
    task, first = Generation("cifar10"), drawn(5).reshape(20, 3, 1024)
    pixels = torch.from_numpy(first.transpose(0, 2, 1).copy()).flatten(1).long()
    assert torch.equal(task.test().targets, pixels)
    assert task.length == 3072


def test_missing_photographs_are_told_with_their_source(tmp_path, monkeypatch):
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"kriz/cifar-10-python"):
        GreyImages(CIFAR10()).train()


@pytest.mark.skipif(
    not (Path(os.environ.get("MOMENTUNE_DATA", "-")) / "cifar10_jpeg_12k.npz").is_file(),
    reason="needs cifar10_jpeg_12k.npz in the folder MOMENTUNE_DATA",
)
def test_real_photographs_are_parted_without_overlap():
    pytest.importorskip("PIL", reason="needs Pillow, of the extra `data`")
    task = GreyImages(CIFAR10())
    parts = (task.train(), task.validation(), task.test())
    assert [len(part) for part in parts] == [9000, 1000, 2000]
    images = [{image.tobytes() for image in part.inputs.numpy()} for part in parts]
    assert len(set.union(*images)) >= sum(map(len, images)) - 5  # CIFAR-10 has a few doubles
