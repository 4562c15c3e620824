"""The Long Range Arena's pairs of papers and paths, from files laid out as it releases them."""

import pickle

import pytest
import torch
from PIL import Image

from momentune.models import (
    PairClassifier,
    Pathfinder,
    Retrieval,
    TransformerClassifier,
    TransformerSettings,
    build,
    fit,
)
from momentune.models.tasks import pathfinder, retrieval

PARTS = ("train", "validation", "test")
TSV = {"train": 40, "eval": 12, "test": 12}


def write_pairs(folder, counts):
    """Papers cite each other where they tell of the same; texts of one letter and their number."""
    folder.mkdir(parents=True)
    for part, count in counts.items():
        lines = []
        for n in range(count):
            first, second = "ab"[n // 2 % 2], "ab"[(n // 2 + n) % 2]
            texts = f"{first * 9} é{n} {part}\t{second * 7}"
            lines.append(f"{float(first == second)}\tP{n}\tQ{n}\t{texts}\n")
        (folder / f"new_aan_pairs.{part}.tsv").write_text("".join(lines), "utf-8")


def write_paths(folder, count, side=32):
    """So many images of each class in two lists; one path is bright, two are dark."""
    (folder / "metadata").mkdir(parents=True)
    for batch in range(2):
        (folder / "imgs" / str(batch)).mkdir(parents=True)
        lines = []
        for n in range(batch, 2 * count, 2):
            label = n // 2 % 2
            image = Image.new("L", (side, side), 40 + 120 * label)
            image.putpixel((n % side, n // side), 255)
            image.save(folder / "imgs" / str(batch) / f"sample_{n}.png")
            lines.append(f"imgs/{batch} sample_{n}.png {n} {label} 1.0 6 2.0 5 1.5 2 1\n")
        (folder / "metadata" / f"{batch}.npy").write_text("".join(lines))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A data folder, and the Arena's in it."""
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    return tmp_path / "lra_release"


@pytest.fixture
def pairs(root):
    write_pairs(root / "tsv_data", TSV)
    return root / "tsv_data"


@pytest.fixture
def paths(root):
    write_paths(root / "pathfinder32" / "curv_baseline", count=40)
    return root / "pathfinder32" / "curv_baseline"


def spelled(tokens):
    return bytes((tokens[tokens > 0] - 1).tolist()).decode()


def test_pairs_are_the_bytes_and_labels_of_the_files(pairs):
    task = Retrieval(30)
    for part, name in zip(PARTS, TSV, strict=True):
        split = getattr(task, part)()
        assert split.inputs.shape == (TSV[name], 2, 30)
        for (first, second), label in zip(split.inputs, split.targets, strict=True):
            assert (spelled(first)[0] == spelled(second)[0]) == bool(label)
            assert spelled(first).endswith(name)
            assert len(spelled(second)) == 7


@pytest.mark.parametrize("place", [".", "lra_release/lra_release"])
def test_files_are_found_where_the_archive_unpacks(pairs, tmp_path, place):
    before = Retrieval(30).data
    pairs.rename(tmp_path / "moved")
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / "moved").rename(tmp_path / place / "tsv_data")
    retrieval._pairs.cache_clear()
    assert Retrieval(30).data == before


def test_a_long_text_is_cut(pairs):
    assert spelled(Retrieval(4).train().inputs[0, 0]) == "aaaa"


@pytest.mark.parametrize("samples", [2, 5, 12])
def test_fewer_pairs_are_as_many_of_each_class(pairs, samples):
    few, all_ = Retrieval(30, samples=samples).train(), Retrieval(30).train()
    assert len(few) == samples
    assert torch.equal(few.inputs, all_.inputs[:samples])
    assert abs(int(few.targets.sum()) - samples / 2) < 1


def test_pixels_are_those_of_the_images_and_each_image_is_in_one_split(paths):
    task = Pathfinder("easy")
    splits = [getattr(task, part)() for part in PARTS]
    assert [len(split) for split in splits] == [64, 8, 8]
    seen = torch.cat([split.inputs for split in splits])
    assert seen.shape == (80, 1024)
    assert len(seen.unique(dim=0)) == 80
    labels = torch.cat([split.targets for split in splits])
    assert torch.equal(seen.median(1).values == 160, labels.bool())
    assert all(int(split.targets.sum()) * 2 == len(split) for split in splits)
    row = int((seen[0] == 255).nonzero())
    assert (row % 32, row // 32) == (0, 0)  # image 0, class 0, is the first


def test_shrunk_images_are_means_of_blocks(paths):
    small, whole = Pathfinder("easy", shrunk=16).train(), Pathfinder("easy").train()
    blocks = whole.inputs.double().view(-1, 16, 2, 16, 2).mean((2, 4)).round().flatten(1)
    assert torch.equal(small.inputs.double(), blocks)
    assert Pathfinder("easy", shrunk=16).length == 256


def test_images_that_are_empty_or_gone_are_left_out(paths):
    (paths / "imgs" / "0" / "sample_0.png").write_bytes(b"")
    (paths / "imgs" / "1" / "sample_1.png").unlink()
    pathfinder._listed.cache_clear()
    task = Pathfinder("easy")
    assert sum(task.data[part] for part in PARTS) == 78


@pytest.mark.parametrize("make", [lambda: Retrieval(30), lambda: Pathfinder("easy", shrunk=8)])
def test_data_tell_what_is_used_and_a_task_is_small_to_send(pairs, paths, make):
    task = make()
    told = task.data
    assert [told[part] for part in PARTS] == [len(getattr(task, part)()) for part in PARTS]
    assert task.name in told["name"]
    assert len(pickle.dumps(task)) < 500
    assert pickle.loads(pickle.dumps(task)).data == told
    (pairs / "new_aan_pairs.test.tsv").write_text("1.0\tP\tQ\tsome\tother\n0.0\tP\tQ\tsome\tother")
    Image.new("L", (32, 32), 7).save(paths / "imgs" / "0" / "sample_0.png")
    for known in (retrieval._pairs, pathfinder._listed, pathfinder._decoded):
        known.cache_clear()
    assert task.data["sha256"] != told["sha256"]


@pytest.mark.parametrize("attention", ["linear", "momentum"])
def test_networks_learn_which_papers_cite_each_other(pairs, attention):
    task = Retrieval(24)
    settings = TransformerSettings(features=16, heads=2, layers=1, attention=attention)
    network = build(
        lambda: PairClassifier(task.input_size, task.length, 2, settings, padding=task.padding), 0
    )
    *_, last = fit(network, task, lr=0.01, epochs=12, seed=0, batch_size=8, test=True)
    assert last["test_accuracy"] > 0.9


def test_networks_learn_which_images_have_one_path(paths):
    task = Pathfinder("easy", shrunk=8)
    settings = TransformerSettings(features=16, heads=2, layers=1, attention="momentum")
    network = build(lambda: TransformerClassifier(256, task.length, 2, settings), 0)
    *_, last = fit(network, task, lr=0.01, epochs=4, seed=0, batch_size=8, test=True)
    assert last["test_accuracy"] == 1


@pytest.mark.parametrize(("make", "name"), [(Retrieval, "tsv_data"), (Pathfinder, "pathfinder32")])
def test_without_files_the_message_says_where_to_get_them(root, make, name):
    assert make().needs_data
    with pytest.raises(
        FileNotFoundError, match=rf"no folder {name} .*unpack https.*lra_release.gz"
    ):
        make().train()


def test_a_file_that_is_missing_is_named(pairs):
    (pairs / "new_aan_pairs.eval.tsv").unlink()
    with pytest.raises(FileNotFoundError, match=r"new_aan_pairs.eval.tsv is not there; unpack"):
        Retrieval(30).validation()


@pytest.mark.parametrize("line", ["1.0\tP\tQ\tonly one text", "label\tid1\tid2\ttext1\ttext2"])
def test_a_line_that_is_no_pair_is_named(pairs, line):
    with (pairs / "new_aan_pairs.train.tsv").open("a", encoding="utf-8") as file:
        file.write(line)
    with pytest.raises(ValueError, match=r"train.tsv, line 41 must be a label 0.0 or 1.0, two"):
        Retrieval(30).train()


def test_images_of_another_size_are_named(paths):
    Image.new("L", (16, 32)).save(paths / "imgs" / "0" / "sample_0.png")
    with pytest.raises(ValueError, match=r"sample_0.png must be 32 x 32 pixels, got \(16, 32\)"):
        Pathfinder("easy").train()


def test_a_folder_with_hardly_any_image_is_told(paths):
    for image in (paths / "imgs").rglob("*.png"):
        image.unlink()
    with pytest.raises(FileNotFoundError, match="has 0 of the 80 images that its metadata list"):
        Pathfinder("easy").train()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Retrieval(0), "length must be at least 1 byte, got 0"),
        (lambda: Retrieval(samples=1), "samples must be at least one of each class, got 1"),
        (lambda: Pathfinder("harder"), "level must be easy, medium, hard, .* got 'harder' and 32"),
        (lambda: Pathfinder(side=31), "32, 64, 128, 256, got 'hard' and 31"),
        (lambda: Pathfinder(shrunk=12), "shrunk must divide side=32, got 12"),
        (lambda: Pathfinder(samples=1), "samples must be at least one of each class, got 1"),
    ],
)
def test_what_makes_no_task_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
