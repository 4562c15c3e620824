"""The laws of `Translation`, on names of numbers and on files of its layout."""

import pickle
import sys

import pytest
import torch

from momentune.models import EncoderDecoderTransformer, TransformerSettings, Translation, build, fit
from momentune.models.tasks.numerals import english, german, numerals
from momentune.models.tasks.task import IGNORED
from momentune.models.tasks.translation import (
    BEGIN,
    END,
    FOLDER,
    PADDING,
    SPECIAL,
    UNKNOWN,
    _source,
)

PARTS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def no_files(monkeypatch):
    monkeypatch.delenv("MOMENTUNE_DATA", raising=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Forty sentences to train and three each to hold out, each translated by its reverse."""
    (tmp_path / FOLDER).mkdir()
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    for part, count in zip(PARTS, (40, 3, 3), strict=True):
        sources = [f"ä {part[:2]}{n} x" for n in range(count)]
        write(tmp_path / FOLDER, part, sources, [" ".join(s.split()[::-1]) for s in sources])
    return tmp_path / FOLDER


def write(folder, part, sources, targets):
    for ending, lines in (("src", sources), ("tgt", targets)):
        (folder / f"{part}.{ending}").write_text("\n".join(lines) + "\n", "utf-8", newline="")


def spelled(tokens):
    return bytes(token - SPECIAL for token in tokens.tolist() if token >= SPECIAL).decode()


@pytest.mark.parametrize(
    ("number", "in_english", "in_german"),
    [
        (1, "one", "eins"),
        (16, "sixteen", "sechzehn"),
        (70, "seventy", "siebzig"),
        (42, "forty two", "zwei und vierzig"),
        (101, "one hundred one", "ein hundert eins"),
        (21_000, "twenty one thousand", "ein und zwanzig tausend"),
        (900_017, "nine hundred thousand seventeen", "neun hundert tausend siebzehn"),
        (
            342_651,
            "three hundred forty two thousand six hundred fifty one",
            "drei hundert zwei und vierzig tausend sechs hundert ein und fünfzig",
        ),
    ],
)
def test_numbers_have_their_names(number, in_english, in_german):
    assert english(number) == in_english
    assert german(number) == in_german


def test_numbers_are_all_different_and_always_the_same():
    pairs = numerals()
    assert len(pairs) == len({source for source, _ in pairs}) == 5000
    assert pairs == numerals()
    assert len({target for _, target in pairs}) == 5000


def test_an_input_is_a_source_and_its_translation_one_token_late():
    task = Translation(samples=20)
    split = task.train()
    assert split.inputs.shape == (20, 2 * task.length)
    for row, target, (source, translation) in zip(
        split.inputs, split.targets, numerals()[:20], strict=True
    ):
        read, written = row.tensor_split(2)
        assert (spelled(read), spelled(written)) == (source, translation)
        assert written[0] == BEGIN
        length = len(translation.encode())
        assert torch.equal(written[1 : length + 1].long(), target[:length])
        assert target[length] == END
        assert target[length + 1 :].eq(IGNORED).all()
        assert written[length + 1 :].eq(PADDING).all()


def test_what_is_longer_is_cut_and_still_ends(folder):
    split = Translation(length=4).train()
    assert split.inputs.shape == (40, 8)
    assert spelled(split.inputs[0, :4]) == "ä t"
    assert split.targets[0].tolist() == [*(ord(c) + SPECIAL for c in "x t"), END]


def test_words_are_numbered_by_how_frequent_they_are(folder):
    task = Translation("word", length=5, vocabulary=SPECIAL + 3)
    train, test = task.train(), task.test()
    assert train.inputs[:, :5].unique().tolist() == [PADDING, UNKNOWN, 4, 5, 6]
    assert train.inputs[0].tolist() == [5, 6, 4, PADDING, PADDING, BEGIN, 4, 6, 5, PADDING]
    assert train.targets[0].tolist() == [4, 6, 5, END, IGNORED]
    assert test.inputs[:, 1].eq(UNKNOWN).all()  # a word that training has not
    assert task.input_size == task.output_size == SPECIAL + 3


def test_files_are_taken_line_by_line(folder):
    task = Translation(length=20)
    assert [task.data[part] for part in PARTS] == [40, 3, 3]
    validation = task.validation()
    assert [spelled(row[:20]) for row in validation.inputs] == ["ä va0 x", "ä va1 x", "ä va2 x"]
    assert [spelled(row[20:]) for row in validation.inputs] == ["x va0 ä", "x va1 ä", "x va2 ä"]


def test_a_pair_that_is_held_out_is_not_learned_from(folder):
    write(folder, "test", ["a", "b"], ["c", "d"])
    write(folder, "validation", ["a", "e"], ["c", "f"])
    write(folder, "train", ["a", "e", "g", "b"], ["c", "f", "h", "another"])
    assert [Translation(length=20).data[part] for part in PARTS] == [2, 1, 2]
    write(folder, "train", ["a"], ["c"])
    _source.cache_clear()
    with pytest.raises(ValueError, match="no pair of train is left"):
        Translation(length=20).train()


def test_only_a_line_feed_ends_a_line(folder):
    """U+2028, a form feed and their like stand inside of sentences, and would shift the pairs."""
    for sign in "\r\u2028\u2029\x0b\x0c\x1c\x85":
        write(folder, "test", [f"a{sign}b", "c"], ["d", "e"])
        _source.cache_clear()
        assert Translation(length=20).data["test"] == 2
    assert spelled(Translation(length=20).test().inputs[1]) == "ce"


def test_of_training_files_alone_every_twentieth_pair_is_held_out(folder):
    for part in ("validation", "test"):
        for ending in ("src", "tgt"):
            (folder / f"{part}.{ending}").unlink()
    again = [f"ä t{n} x" for n in range(40)]
    write(folder, "train", again[:5] + again, ["x"] * 5 + [s[::-1] for s in again])
    task = Translation(length=20)
    seen = {part: {spelled(row) for row in getattr(task, part)().inputs} for part in PARTS}
    assert [len(seen[part]) for part in PARTS] == [41, 2, 2]
    assert len(set.union(*seen.values())) == 45  # no pair is in two of them


def test_data_tell_what_is_used_and_a_task_is_small_to_send(folder):
    for task in (Translation(length=20), Translation("word", length=5)):
        told = task.data
        assert told["name"] == f"{task.name}: files"
        assert pickle.loads(pickle.dumps(task)).data == told
        assert len(pickle.dumps(task)) < 500
    assert Translation(length=20).data["sha256"] != Translation(length=19).data["sha256"]


def test_whoever_guesses_gets_the_chance_that_is_stated():
    task = Translation("word", length=16, vocabulary=40, samples=50)
    target = task.test().targets
    nats = task.metrics(*task.condensed(torch.zeros(*target.shape, 40), target))["loss"]
    assert nats == pytest.approx(task.chance)


class Knowing(torch.nn.Module):
    """Writes what a list says; the first sentence with a mistake."""

    def __init__(self, task):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.targets = task.test().targets.clone()
        self.targets[self.targets == IGNORED] = PADDING
        self.targets[self.targets == END] = PADDING
        self.targets[0, 0] = self.targets[0, 1]
        self.place = 0

    def greedy(self, source, *, start, end):
        assert (start, end) == (BEGIN, END)
        self.place += len(source)
        return self.targets[self.place - len(source) : self.place]


def test_what_a_network_writes_is_judged_whole():
    task = Translation(samples=100)
    measured = task.generated(Knowing(task))
    assert measured["exact"] == pytest.approx(0.99)


def test_bleu_is_sacrebleu_s():
    sacrebleu = pytest.importorskip("sacrebleu")
    task = Translation(samples=100)
    written = task.translated(Knowing(task), [english for english, _ in numerals()[4500:4600]])
    references = [german for _, german in numerals()[4500:4600]]
    assert sum(map(str.__ne__, written, references)) == 1
    expected = sacrebleu.corpus_bleu(written, [references]).score
    assert task.generated(Knowing(task))["bleu"] == expected
    assert 98 < expected < 100


def test_without_sacrebleu_there_is_no_bleu(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    task = Translation(samples=100)
    assert task.generated(Knowing(task)).keys() == {"exact"}


def test_a_network_that_writes_nothing_is_judged_by_its_predictions_alone():
    assert Translation(samples=10).generated(torch.nn.Linear(1, 1)) == {}


@pytest.mark.parametrize("attention", ["linear", "momentum"])
def test_a_network_learns_to_translate(attention):
    """Words of numbers, which a hundred batches teach."""
    task = Translation("word", length=14, vocabulary=40, samples=1500)
    settings = TransformerSettings(features=32, heads=4, layers=1, attention=attention)
    network = build(lambda: EncoderDecoderTransformer(40, 40, 14, 14, settings), 0)
    *_, last = fit(network, task, lr=0.01, epochs=6, seed=0, batch_size=32, test=True)
    assert last["test_exact"] > 0.8
    assert task.translated(network.eval(), ["forty two thousand six"]) == [
        "zwei und vierzig tausend sechs"
    ]


def test_files_that_do_not_fit_are_told(folder):
    (folder / "test.tgt").write_text("one line\n")
    with pytest.raises(ValueError, match=r"test.src and .tgt must have as many lines.* 3 and 1"):
        Translation().train()
    (folder / "test.tgt").unlink()
    with pytest.raises(FileNotFoundError, match=r"test.tgt is not there; .* train.src and train"):
        Translation().test()


def test_files_may_be_insisted_on(tmp_path, monkeypatch):
    task = Translation(full=True)
    assert task.needs_data
    with pytest.raises(FileNotFoundError, match=r"put translation/train.src and .*--data"):
        task.train()
    monkeypatch.setenv("MOMENTUNE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"put translation/train.src and"):
        task.train()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": "letter"}, "level must be 'byte' or 'word', got 'letter'"),
        ({"length": 1}, "length must be at least 2.*got 1, 10000, None"),
        ({"vocabulary": 4}, "vocabulary more than 4"),
        ({"samples": 0}, "samples at least 1"),
    ],
)
def test_what_makes_no_task_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Translation(**arguments)
