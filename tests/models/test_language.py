"""Language: which text, which tokens, and what a token costs."""

import math

import pytest
import torch

from momentune.models import Language
from momentune.models.tasks import IGNORED

PENN = {
    "train": " the cat <unk> on N mats \n the cat sat \n",
    "valid": " the dog sat \n",
    "test": " a cat \n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    return tmp_path


def write_penn(folder):
    for part, text in PENN.items():
        (folder / f"ptb.{part}.txt").write_text(text)


def tokens(stream):
    return [stream.inputs[0].item(), *stream.targets.tolist()]


def test_the_penn_treebank_is_taken_as_it_is(folder):
    """By frequency, then by the alphabet: <eos> cat the N mats on sat are 1 to 7."""
    write_penn(folder)
    (folder / "other.txt").write_text("not this")
    task = Language("word")
    assert "Penn Treebank" in str(task.data["name"])
    assert tokens(task.train()) == [3, 2, 0, 6, 4, 5, 1, 3, 2, 7, 1]
    assert tokens(task.validation()) == [3, 0, 7, 1]
    assert tokens(task.test()) == [0, 2, 1]


@pytest.mark.parametrize("full", [True, False])
def test_a_part_of_the_penn_treebank_is_no_text(folder, full):
    write_penn(folder)
    (folder / "ptb.train.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks ptb\.train\.txt: put"):
        Language(full=full).train()


def test_the_penn_treebank_is_insisted_on(folder):
    (folder / "other.txt").write_text("not this " * 100)
    task = Language(full=True)
    assert task.needs_data
    with pytest.raises(FileNotFoundError, match=r"lacks ptb\.train\.txt, ptb\.valid\.txt"):
        task.train()


def test_any_text_is_cut_at_its_signs(folder):
    text = "Who's there? Nay, answer me: " * 40
    (folder / "b.txt").write_text(text[: len(text) // 2])
    (folder / "c.txt").write_text(text[len(text) // 2 :])
    task = Language("word", vocabulary=100)
    assert "b.txt, c.txt" in str(task.data["name"])
    assert len(set(tokens(task.train()))) == 8  # who's there ? nay , answer me :
    assert task.train().inputs.min() == 1


def test_characters_keep_the_text(folder):
    text = "abcab " * 100
    (folder / "a.txt").write_text(text)
    task = Language("character", vocabulary=10)
    by_frequency = " abc"  # a and b come twice as often
    number = {
        c: i for i, c in enumerate(sorted(by_frequency, key=lambda c: (-text.count(c), c)), 1)
    }
    assert tokens(task.train()) == [number[c] for c in text[:540]]
    assert tokens(task.validation()) == [number[c] for c in text[540:570]]
    assert tokens(task.test()) == [number[c] for c in text[570:]]


def test_what_training_never_showed_is_unknown(folder):
    (folder / "a.txt").write_text("a " * 90 + "b " * 10)
    task = Language("word", vocabulary=10)
    assert set(tokens(task.train())) == {1}
    assert set(tokens(task.test())) == {0}


@pytest.mark.parametrize("vocabulary", [2, 5])
def test_rare_tokens_are_one(folder, vocabulary):
    (folder / "a.txt").write_text("a b c d e f g h " * 50)
    stream = Language("word", vocabulary=vocabulary).train()
    assert set(stream.targets.tolist()) == set(range(vocabulary))


def test_python_brings_a_text(monkeypatch):
    monkeypatch.delenv("MOMENTUNE_DATA", raising=False)
    task = Language("word", tokens=5000)
    assert "Python" in str(task.data["name"])
    assert (task.data["train"], task.data["validation"]) == (5000, 500)
    assert task.train().piece == task.piece


@pytest.mark.parametrize(("level", "unit"), [("word", "perplexity"), ("character", "bits")])
def test_a_uniform_guess_costs_the_number_of_tokens_or_its_logarithm(level, unit):
    task = Language(level, vocabulary=32)
    target = torch.tensor([[1, 5, IGNORED], [2, 7, 9]])
    prediction, kept = task.condensed(torch.zeros(2, 3, 32), target)
    assert kept.tolist() == [1, 5, 2, 7, 9]
    metrics = task.metrics(prediction, kept)
    assert metrics == {
        "loss": pytest.approx(math.log(32)),
        unit: pytest.approx(32 if level == "word" else 5),
    }
    assert task.loss(torch.zeros(2, 3, 32), target).item() == pytest.approx(math.log(32))
    assert task.metric == unit


@pytest.mark.parametrize("level", ["word", "character"])
@pytest.mark.parametrize("vocabulary", [4, 10_000])
def test_chance_is_what_frequencies_alone_foresee_of_the_text_that_is_there(
    folder, level, vocabulary
):
    """Whatever the vocabulary might hold: logits of the frequencies, as a network gives them."""
    (folder / "a.txt").write_text("a b a c a b d e " * 60)
    task = Language(level, vocabulary=vocabulary)
    seen = torch.bincount(torch.tensor(tokens(task.train())))
    assert len(seen) <= vocabulary
    target = task.validation().targets[None]
    logits = (seen + 1.0).log().expand(1, target.shape[1], -1)
    told = task.metrics(*task.condensed(logits, target))
    assert task.chance == pytest.approx(told[task.metric], rel=1e-5)
    assert 1 < task.chance < len(seen)


def test_chance_counts_an_unknown_that_training_never_showed(folder):
    """90 times a; b comes first in validation, where it is unknown: 1 of 92."""
    (folder / "a.txt").write_text("a " * 90 + "b " * 10)
    task = Language("word")
    unseen = 1 / (len(tokens(task.train())) + 2)
    assert task.chance == pytest.approx(1 / unseen)


@pytest.mark.parametrize("name", ["b.txt", "ptb.valid.txt"])
def test_a_text_that_is_not_utf_8_is_told_with_its_byte(folder, name):
    write_penn(folder)
    if not name.startswith("ptb"):
        for part in PENN:
            (folder / f"ptb.{part}.txt").unlink()
        (folder / "a.txt").write_text("fine " * 50)
    (folder / name).write_bytes("first line\ncaf\u00e9 au lait".encode("latin1"))
    with pytest.raises(
        ValueError, match=r"is no UTF-8 text: byte 14 \(line 2\) is 0xe9.*iconv"
    ) as told:
        Language("word").train()
    assert name in str(told.value)


def test_a_hopeless_model_has_a_finite_perplexity():
    assert math.isfinite(Language().metrics(torch.tensor([1e6]), torch.tensor([0]))["perplexity"])


def test_a_text_that_is_too_short_is_told(folder):
    (folder / "a.txt").write_text("one two")
    with pytest.raises(ValueError, match=r"a\.txt is too short: no token to predict in"):
        Language("word").train()


@pytest.mark.parametrize(
    "wrong", [{"level": "letter"}, {"vocabulary": 1}, {"piece": 0}, {"tokens": 19}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Language(**wrong)
