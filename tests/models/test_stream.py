"""Laws of long sequences that are read piece by piece, with the state carried on."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from momentune.models import (
    LSTM,
    AdamLSTM,
    LanguageModel,
    MomentumGRU,
    MomentumLSTM,
    NesterovDTRIV,
    NesterovLSTM,
    RMSPropLSTM,
    Split,
    Stream,
    Task,
    build,
    evaluate,
    fit,
)
from momentune.models import checkpoint as checkpoint_module
from momentune.models.tasks import IGNORED
from momentune.models.training import predictions

TOKENS = 7
SETTINGS = {"lr": 0.01, "epochs": 4, "seed": 3, "batch_size": 4, "device": "cpu"}
CELLS = {
    "torch": lambda: torch.nn.LSTM(5, 6, batch_first=True),
    "lstm": lambda: LSTM(5, 6, batch_first=True),
    "momentum": lambda: MomentumLSTM(5, 6, momentum=0.6, step=0.6, batch_first=True),
    "nesterov": lambda: NesterovLSTM(5, 6, step=0.9, restart=4, batch_first=True),
    "adam": lambda: AdamLSTM(5, 6, momentum=0.5, step=0.6, beta2=0.9, batch_first=True),
    "gru": lambda: MomentumGRU(5, 6, momentum=0.6, step=0.6, batch_first=True),
    "dtriv": lambda: NesterovDTRIV(5, 6, step=0.9, restart=4, rebase=3, batch_first=True),
    "rmsprop": lambda: RMSPropLSTM(5, 6, step=0.6, beta2=0.9, batch_first=True),
}
EVERY = pytest.mark.parametrize("cell", CELLS)


class Counting(Task):
    """What comes next, where each token is the one before last plus one."""

    name, metric, direction = "counting", "loss", "minimize"
    input_size = output_size = TOKENS

    @property
    def data(self):
        return {"name": self.name}

    def train(self):
        return stream(203, piece=9)

    def validation(self):
        return stream(50, piece=9)

    def test(self):
        return stream(50, piece=9)

    def loss(self, prediction, target):
        return cross_entropy(prediction.flatten(0, -2), target.flatten())

    def condensed(self, prediction, target):
        valid = target != IGNORED
        nats = cross_entropy(prediction[valid], target[valid], reduction="none")
        return nats, target[valid]

    def metrics(self, prediction, target):
        return {"loss": prediction.mean().item(), "tokens": len(target)}


def stream(length, piece=4):
    text = torch.arange(length + 1) // 2 % TOKENS
    return Stream(text[:-1], text[1:], piece=piece)


def model(cell, **options):
    return build(lambda: LanguageModel(CELLS[cell](), TOKENS, **options), seed=1)


def untimed(reports):
    return [{name: value for name, value in r.items() if name != "seconds"} for r in reports]


# Batches


@pytest.mark.parametrize("length", [1, 7, 63, 64])
@pytest.mark.parametrize("size", [1, 3, 8, 100])
@pytest.mark.parametrize("piece", [1, 5, 100])
def test_a_stream_shows_every_step_once_in_order_of_time(length, size, piece):
    whole = Stream(torch.arange(length), torch.arange(length) + 1, piece=piece)
    batches = list(whole.batches(size, shuffled=True))
    inputs, targets = (torch.cat(b, dim=1).flatten() for b in zip(*batches, strict=True))
    valid = targets != IGNORED
    assert inputs[valid].tolist() == list(range(length))
    assert targets[valid].tolist() == list(range(1, length + 1))
    assert len(batches) == whole.steps(size)
    assert all(x.shape == y.shape and x.shape[1] <= piece for x, y in batches)


def test_a_split_shows_every_sample_once_shuffled_or_not():
    split = Split(torch.arange(10), torch.arange(10) * 2)
    for shuffled in (False, True):
        batches = list(split.batches(4, shuffled=shuffled))
        inputs, targets = (torch.cat(b) for b in zip(*batches, strict=True))
        assert [len(x) for x, _ in batches] == [4, 4, 2]
        assert len(batches) == split.steps(4)
        assert torch.equal(targets, inputs * 2)
        assert torch.equal(inputs.sort().values, split.inputs)
        assert torch.equal(inputs, split.inputs) is not shuffled


def test_a_stream_of_vectors_is_filled_up_too():
    whole = Stream(torch.ones(7, 3), torch.ones(7, 3), piece=4)
    ((inputs, targets),) = whole.batches(2)
    assert inputs.shape == targets.shape == (2, 4, 3)
    assert torch.equal(targets[1, 3], torch.full((3,), float(IGNORED)))


# The state


@EVERY
@pytest.mark.parametrize("piece", [1, 7, 50])
def test_an_evaluation_does_not_depend_on_the_pieces(cell, piece):
    network, task = model(cell), Counting()
    whole = evaluate(network, task, stream(50, piece=1000), batch_size=3)
    pieces = evaluate(network, task, stream(50, piece=piece), batch_size=3)
    assert pieces == pytest.approx(whole, rel=1e-5)
    assert pieces["tokens"] == 50


@EVERY
def test_gradients_end_where_a_piece_begins(cell):
    network = model(cell)
    for batch, (prediction, _) in enumerate(predictions(network, stream(24, piece=3), 2)):
        (gradient,) = torch.autograd.grad(prediction.sum(), network.embedding.weight)
        inputs, _ = list(stream(24, piece=3).batches(2))[batch]
        assert set(gradient.abs().sum(1).nonzero().flatten().tolist()) <= set(
            inputs.flatten().tolist()
        )


def test_a_network_that_carries_nothing_is_refused():
    with pytest.raises(TypeError, match=r"Embedding has no method\s+carry"):
        evaluate(torch.nn.Embedding(TOKENS, TOKENS), Counting(), stream(8))


# Training


@EVERY
def test_a_language_is_learned(cell):
    reports = list(fit(model(cell), Counting(), **SETTINGS | {"lr": 0.05, "epochs": 15}))
    assert reports[-1]["validation_loss"] < 0.8 * math.log(TOKENS)


@EVERY
@pytest.mark.parametrize("done", [1, 4])
def test_a_resumed_training_goes_on_bit_for_bit(cell, done, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "PACE", 0)
    whole = untimed(fit(model(cell, dropout=0.2), Counting(), **SETTINGS))
    run = fit(model(cell, dropout=0.2), Counting(), **SETTINGS, checkpoint=tmp_path / "c.pt")
    for _ in range(done):
        next(run)
    run.close()
    again = fit(model(cell, dropout=0.2), Counting(), **SETTINGS, checkpoint=tmp_path / "c.pt")
    assert untimed(again) == whole[done - 1 :]
