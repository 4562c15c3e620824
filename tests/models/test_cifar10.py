"""CIFAR-10 from the files that users have."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from momentune.models import CIFAR10, CIFAR10Pixels
from momentune.models.tasks.photographs import BINARY, PICKLED


def records(count: int, seed: int) -> np.ndarray:
    drawn = np.random.RandomState(seed).randint(0, 256, (count, 3073)).astype(np.uint8)
    drawn[:, 0] = np.arange(count) % 10
    return drawn


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """CIFAR-10's binary files with 20 photographs each."""
    place = tmp_path / BINARY
    place.mkdir()
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    for seed, name in enumerate(names):
        records(20, seed).tofile(place / name)
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    return tmp_path


def test_the_binary_files_are_read_as_published(folder):
    task = CIFAR10Pixels(grey=False)
    assert (task.data["train"], task.data["validation"], task.data["test"]) == (90, 10, 20)
    first = records(20, 5)
    test = task.test()
    assert test.inputs.shape == (20, 3072)
    red_green_blue = torch.from_numpy(first[0, 1:].reshape(3, 1024).T.copy()).flatten()
    assert torch.equal(test.inputs[0], red_green_blue.long())
    assert torch.bincount(task.validation().targets).tolist() == [1] * 10


def test_grey_is_how_bright_a_pixel_is(folder):
    coloured = CIFAR10Pixels(grey=False).test().inputs.view(-1, 1024, 3).double()
    bright = coloured @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    grey = CIFAR10Pixels().test().inputs
    assert grey.shape == (20, 1024)
    assert (grey - bright).abs().max() <= 0.5 + 1e-9


def test_smaller_photographs_are_means_of_blocks(folder):
    whole = CIFAR10Pixels(grey=False).test().inputs.view(-1, 8, 4, 8, 4, 3).double().mean((2, 4))
    small = CIFAR10Pixels(grey=False, side=8).test().inputs.view(-1, 8, 8, 3)
    assert (small - whole).abs().max() <= 0.5
    assert CIFAR10Pixels(side=8).length == 64
    with pytest.raises(ValueError, match="side must be 32, 16, 8 or 4, got 5"):
        CIFAR10Pixels(side=5)


def test_samples_are_as_many_of_each_class(folder):
    assert torch.bincount(CIFAR10Pixels(samples=20).train().targets).tolist() == [2] * 10


def test_jpegs_are_decoded(tmp_path, monkeypatch):
    pictures = pytest.importorskip("PIL.Image", reason="needs Pillow, of the extra `data`")
    files = []
    for number in range(40):
        held = io.BytesIO()
        pictures.new("RGB", (32, 32), (5 * number, 0, 0)).save(held, "JPEG")
        files.append(np.frombuffer(held.getvalue(), np.uint8))
    np.savez(
        tmp_path / "cifar10_jpeg_12k.npz",
        data=np.concatenate(files),
        size=np.array([len(file) for file in files]),
        label=np.arange(40) // 20 % 2,
        is_test=np.arange(40) % 4 == 3,
    )
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    task = CIFAR10Pixels(grey=False)
    assert (task.data["train"], task.data["validation"], task.data["test"]) == (28, 2, 10)
    reds = task.test().inputs.view(-1, 1024, 3)[..., 0].double().mean(1)
    expected = 5.0 * np.arange(40)[np.arange(40) % 4 == 3]
    first, second = expected[:5], expected[5:]
    interleaved = torch.tensor([pair for both in zip(first, second, strict=True) for pair in both])
    torch.testing.assert_close(reds, interleaved, atol=2.0, rtol=0)


def test_missing_photographs_are_told_with_their_source(tmp_path, monkeypatch):
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"kriz/cifar-10-binary.*cifar-10-batches-bin"):
        CIFAR10Pixels().train()


@pytest.mark.skipif(
    not (Path(os.environ.get("MOMENTUNE_DATA", "-")) / "cifar10_jpeg_12k.npz").is_file(),
    reason="needs cifar10_jpeg_12k.npz in the folder MOMENTUNE_DATA",
)
def test_real_photographs_are_parted_without_overlap():
    task = CIFAR10Pixels()
    parts = (task.train(), task.validation(), task.test())
    assert [len(part) for part in parts] == [9000, 1000, 2000]
    images = [{image.tobytes() for image in part.inputs.numpy()} for part in parts]
    assert len(set.union(*images)) >= sum(map(len, images)) - 5  # CIFAR-10 has a few doubles


def test_the_python_files_hold_the_same_photographs(folder, monkeypatch):
    binary = CIFAR10Pixels(grey=False).data["sha256"]
    python = folder / "python" / PICKLED
    python.mkdir(parents=True)
    for path in (folder / BINARY).iterdir():
        table = np.fromfile(path, np.uint8).reshape(-1, 3073)
        held = {b"data": table[:, 1:], b"labels": table[:, 0].tolist()}
        (python / path.stem).write_bytes(pickle.dumps(held))
    monkeypatch.setenv("MOMENTUNE_DATA", str(python.parent))
    assert CIFAR10Pixels(grey=False).data["sha256"] == binary


def test_images_and_pixels_are_of_the_same_photographs(folder):
    images, pixels = CIFAR10().train(), CIFAR10Pixels(grey=False).train()
    assert images.inputs.shape == (90, 3, 32, 32)
    torch.testing.assert_close(
        images.inputs.permute(0, 2, 3, 1).flatten(1) * 255, pixels.inputs.float()
    )
    assert torch.equal(images.targets, pixels.targets)
