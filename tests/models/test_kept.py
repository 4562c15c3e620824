"""What takes long to make is made once, and a disk that fails costs time, never a run."""

import numpy as np
import pytest

from momentune.models import ListOps
from momentune.models.tasks import listops
from momentune.models.tasks.kept import folder, kept

SETTINGS = {"version": 1, "length": 3}


class Maker:
    """Makes arrays, and counts how often."""

    def __init__(self):
        self.made = 0

    def __call__(self):
        self.made += 1
        return np.arange(3, dtype=np.uint8), np.array([[0.5]])


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("MOMENTUNE_CACHE", str(tmp_path / "deep" / "cache"))
    yield tmp_path / "deep" / "cache"
    listops._expressions.cache_clear()


@pytest.fixture
def make():
    return Maker()


def same(found, expected):
    return all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(found, expected, strict=True)
    )


def test_arrays_are_made_once_and_read_again(make, caches):
    first, second = kept("some", SETTINGS, make), kept("some", SETTINGS, make)
    assert make.made == 1
    assert same(second, first)
    assert [path.suffix for path in caches.iterdir()] == [".npz"]  # and nothing half written


@pytest.mark.parametrize("change", [{"version": 2}, {"length": 4}, {"more": 0}])
def test_other_settings_are_made_anew(make, change):
    kept("some", SETTINGS, make)
    kept("some", SETTINGS | change, make)
    assert make.made == 2


@pytest.mark.parametrize("keep", [0, 40, -1])
def test_a_damaged_file_is_made_anew_and_mended(make, caches, keep):
    whole = kept("some", SETTINGS, make)
    (file,) = caches.iterdir()
    file.write_bytes(file.read_bytes()[:keep])
    assert same(kept("some", SETTINGS, make), whole)
    assert same(kept("some", SETTINGS, make), whole)
    assert make.made == 2


def test_flipped_bits_are_noticed_wherever_they_are(make, caches):
    """Some break the compressed stream, which raises another error than the archive does."""
    whole = kept("some", SETTINGS, make)
    (file,) = caches.iterdir()
    sound = file.read_bytes()
    for place in range(0, len(sound), 3):
        content = bytearray(sound)
        content[place] ^= 0x77
        file.write_bytes(content)
        assert same(kept("some", SETTINGS, make), whole)


def test_a_folder_that_cannot_be_made_keeps_nothing_and_breaks_nothing(make, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOMENTUNE_CACHE", str(tmp_path / "file" / "cache"))
    first, second = kept("some", SETTINGS, make), kept("some", SETTINGS, make)
    assert make.made == 2
    assert same(second, first)


def test_a_full_disk_keeps_nothing_and_breaks_nothing(make, caches, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("momentune.models.tasks.kept.np.savez_compressed", full)
    kept("some", SETTINGS, make)
    assert list(caches.iterdir()) == []


def test_the_folder_is_the_user_s_for_caches(monkeypatch):
    monkeypatch.delenv("MOMENTUNE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(folder()) == "/somewhere/momentune"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/one")
    assert str(folder()) == "/home/one/.cache/momentune"


def test_large_listops_are_drawn_once_for_all_processes(caches, monkeypatch):
    monkeypatch.setattr(listops, "_KEPT_FROM", 24 * 300)
    small = {"length": 24, "shortest": 5, "held_out": 50}
    drawn = ListOps(**small, train=200).data
    assert len(list(caches.iterdir())) == 1
    listops._expressions.cache_clear()  # as in another process
    monkeypatch.setattr(listops, "_drawn", lambda *settings: pytest.fail(f"draws {settings}"))
    assert ListOps(**small, train=200).data == drawn
    for other in ({"train": 201}, {"train": 200, "depth": 9}, {"train": 200, "arguments": 9}):
        with pytest.raises(pytest.fail.Exception, match="draws"):
            _ = ListOps(**small | other).data
