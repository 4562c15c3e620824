"""Laws of the walking figure: simulated for real, or read from the published archive."""

import io
import zipfile

import numpy as np
import pytest
import torch

from momentune.models import Walker
from momentune.models.tasks import walker
from momentune.models.tasks.walker import Simulated, _walks

SMALL = {"rollouts": 20, "frames": 40}
PARTS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """A cache and a data folder of the test's own."""
    monkeypatch.setenv("MOMENTUNE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path / "data"))
    walker._sequences.cache_clear()
    return tmp_path


@pytest.fixture
def simulator():
    pytest.importorskip("mujoco")
    pytest.importorskip("gymnasium")


@pytest.fixture
def recordings():
    """Recordings of different lengths, by the names of their files."""
    draw = np.random.RandomState(5)
    return {
        f"walker/{name}.npy": draw.randn(40 + 3 * place, 17)
        for place, name in enumerate("hgfedcbajkilmnopqrst")
    }


def archive(path, recordings) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name, rows in recordings.items():
            buffer = io.BytesIO()
            np.save(buffer, rows)
            file.writestr(name, buffer.getvalue())
        file.writestr("walker/readme.txt", "not a recording")


def authors_sequences(recordings, length):
    """Kept frames of every sequence, frame by frame as section 2.3 says, by part and recording."""
    names = sorted(recordings)
    np.random.RandomState(125487).shuffle(names)
    ends = [int(0.15 * len(names)), int(0.25 * len(names))]
    parts = {"test": names[: ends[0]], "validation": names[slice(*ends)], "train": names[ends[1] :]}
    draw, found = np.random.RandomState(891374), {}
    for part in PARTS:
        found[part] = []
        for name in parts[part]:
            kept = [t for t in range(len(recordings[name]) - 1) if draw.rand() < 0.9]
            for begin in range(0, len(kept) - length, length // 4):
                found[part].append((name, kept[begin : begin + length + 1]))
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_the_published_archive_is_cut_as_the_authors_cut_it(folders, recordings, packed):
    archive(folders / "data" / "walker.zip", recordings)
    if not packed:
        with zipfile.ZipFile(folders / "data" / "walker.zip") as file:
            file.extractall(folders / "data")
        (folders / "data" / "walker.zip").unlink()
    task, want = Walker(8), authors_sequences(recordings, 8)
    rows = np.concatenate([recordings[name] for name in {name for name, _ in want["train"]}])
    mean, spread = rows.mean(0), rows.std(0)
    assert task.data["name"] == f"walker-8: published, walker{'.zip' if packed else ''}"
    for part in PARTS:
        split = getattr(task, part)()
        assert len(split) == task.data[part] == len(want[part])
        values = np.stack([(recordings[name][at] - mean) / spread for name, at in want[part]])
        gaps = np.stack([np.diff(at) for _, at in want[part]]) / 64
        np.testing.assert_allclose(split.inputs[..., :17], values[:, :-1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(split.targets, values[:, 1:], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(split.inputs[..., -1], gaps, rtol=1e-6)
        assert (split.inputs[..., 17] == 1).all()


def test_simulated_recordings_say_that_they_are(simulator):
    task = Walker(8, **SMALL)
    told = str(task.data["name"])
    assert told.startswith("walker-8: simulated by gymnasium ")
    assert told.endswith("20 rollouts of 40 frames")
    split = task.train()
    assert split.inputs.shape[1:] == (8, 19)
    assert split.inputs.isfinite().all()
    assert split.targets.std().item() == pytest.approx(1, abs=0.2)
    gaps = 64 * split.inputs[..., -1]
    assert torch.equal(gaps, gaps.round())
    assert gaps.min() == 1
    assert gaps.mean().item() == pytest.approx(1 / 0.9, abs=0.1)


def test_no_recording_is_in_two_splits(simulator):
    task, seen = Walker(8, **SMALL), set()
    for part in PARTS:
        rows = {row.numpy().tobytes() for row in getattr(task, part)().targets.flatten(0, 1)}
        assert not rows & seen
        seen |= rows


def test_the_figure_moves_smoothly_and_otherwise_in_each_rollout(simulator):
    first, second = _walks(Simulated(2, 60, "", ""))
    again = _walks(Simulated(1, 60, "", ""))[0]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    jumps = np.square(np.diff(first, axis=0)).mean(0)
    assert (jumps < 0.5 * first.var(0)).all()


def test_simulated_recordings_are_made_once(simulator, folders, monkeypatch):
    before = Walker(8, **SMALL).train()
    walker._sequences.cache_clear()  # as in another process

    def never(source):
        raise AssertionError("simulated again")

    monkeypatch.setattr(walker, "_walks", never)
    assert torch.equal(Walker(8, **SMALL).train().inputs, before.inputs)
    with pytest.raises(AssertionError):
        Walker(8, rollouts=21, frames=40).train()


def test_samples_are_spread_over_a_split(folders, recordings):
    archive(folders / "data" / "walker.zip", recordings)
    whole, few = Walker(8).train().inputs, Walker(8, 5).train().inputs
    assert torch.equal(few, whole[np.arange(5) * len(whole) // 5])
    assert torch.equal(Walker(8, 10_000).train().inputs, whole)


def test_without_recordings_and_simulator_it_says_what_to_do(folders, monkeypatch):
    monkeypatch.setattr(walker, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError) as caught:
        Walker(8).train()
    message = str(caught.value)
    for part in ("pip install 'momentune[walker]'", "walker.zip", "MOMENTUNE_DATA", "https://"):
        assert part in message


def test_a_file_that_is_not_the_archive_is_refused(folders, recordings):
    path = folders / "data" / "walker.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"walker.zip cannot be read .*; fetch it again"):
        Walker(8).train()
    archive(path, {"walker/a.npy": np.zeros((40, 16))})
    with pytest.raises(ValueError, match=r"at least 10 recordings .* holds 1 with .* \[\(16,\)\]"):
        Walker(8).train()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 3}, "length must be at least 4 and samples at least 1, got 3 and None"),
        ({"samples": 0}, "samples at least 1, got 64 and 0"),
        ({"rollouts": 9}, "rollouts must be at least 10 .* got 9 and 300"),
        ({"length": 8, "frames": 15}, "twice a sequence's length, got 400 and 15 for length=8"),
    ],
)
def test_sizes_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Walker(**settings)
