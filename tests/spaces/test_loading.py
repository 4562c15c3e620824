import sys

import pytest

from momentune.spaces import SpaceError, load

GOOD = """
from momentune.spaces import Space, Variant
def run(x):
    yield {"validation_loss": x}
mine = Space("mine", metric="loss", direction="minimize", parameters={"x": 1},
             variants=[Variant("a", run=run, baseline=True)])
"""


def write(folder, text, name="space.py"):
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("suffix", ["", ":mine"])
def test_a_users_file_is_loaded_from_anywhere(tmp_path, monkeypatch, suffix):
    path = write(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    loaded = load(f"space.py{suffix}")
    assert loaded.space.name == "mine"
    assert loaded.reference == f"{path}:mine"
    assert len(loaded.source) == 64
    assert loaded.modules[0].__name__ in sys.modules


def test_a_file_called_like_a_library_replaces_nothing(tmp_path):
    import json

    loaded = load(str(write(tmp_path, GOOD, "json.py")))
    assert sys.modules["json"] is json
    assert loaded.space.name == "mine"


def test_the_neighbours_that_a_file_imports_travel_with_it(tmp_path):
    write(tmp_path, "def run(x):\n    yield {'validation_loss': x}\n", "neighbour_of_space.py")
    own = GOOD.replace("def run(x):", "def unused(x):")
    path = write(tmp_path, "from neighbour_of_space import run" + own)
    assert {m.__name__ for m in load(str(path)).modules} >= {"neighbour_of_space"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = (", "line 1"),
        ("import nonsense_that_is_not_there", "ModuleNotFoundError"),
        ("x = 1", "defines no space"),
        (GOOD + "\nother = Space('other', variants=[])", "space.py:mine, space.py:other"),
        (GOOD.replace("baseline=True", "baseline=False"), "exactly one variant"),
        ("from momentune.spaces import Float\n\nFloat(3, 1)", "line 3: `low <= high` must hold"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, text, words):
    with pytest.raises(SpaceError) as caught:
        load(str(write(tmp_path, text)))
    assert words in str(caught.value)


def test_a_missing_file_a_missing_name_and_a_misspelt_space_are_told(tmp_path):
    with pytest.raises(SpaceError, match="no file"):
        load(str(tmp_path / "none.py"))
    with pytest.raises(SpaceError, match="defines no space 'yours'; it defines: mine"):
        load(f"{write(tmp_path, GOOD)}:yours")
    with pytest.raises(SpaceError, match="did you mean digits-lstm"):
        load("digit-lstm")
