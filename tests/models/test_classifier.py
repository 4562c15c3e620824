"""Laws of the sequence classifier."""

import pytest
import torch

from momentune.models import (
    LSTM,
    AdamLSTM,
    MomentumLSTM,
    NesterovLSTM,
    RMSPropLSTM,
    SequenceClassifier,
)

CELLS = [
    LSTM(1, 128, batch_first=True),
    MomentumLSTM(1, 128, momentum=0.6, step=0.6, batch_first=True),
    MomentumLSTM(1, 128, momentum=0.6, step=0.6),
    NesterovLSTM(1, 128, step=1.0),
    AdamLSTM(1, 128, momentum=0.6, step=0.6, beta2=0.9, batch_first=True),
    RMSPropLSTM(1, 128, step=0.6, beta2=0.9),
    torch.nn.LSTM(1, 128),
]


@pytest.mark.parametrize("cell", CELLS)
def test_parameters_are_as_many_as_published(cell):
    """I-R10: LSTM N=128 with a head of ten classes, on one feature; momentum adds none."""
    parameters = SequenceClassifier(cell, 10).parameters()
    assert sum(weight.numel() for weight in parameters) == 68_362


@pytest.mark.parametrize("cell", CELLS)
def test_logits_are_linear_in_the_last_output(cell):
    network, sequence = SequenceClassifier(cell, 10), torch.randn(4, 9, 1)
    state = cell(sequence if cell.batch_first else sequence.transpose(0, 1))[1]
    torch.testing.assert_close(network(sequence), network.head(state[0][-1]))


def test_two_classes_at_least():
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        SequenceClassifier(CELLS[0], 1)


@pytest.mark.parametrize(
    ("features", "hidden", "outputs", "published"),
    [
        (1, 256, 10, 267_786),
        (129, 84, 129, 83_205),
        (129, 120, 129, 136_089),
        (129, 158, 129, 203_159),
    ],
)
@pytest.mark.parametrize(
    ("cell", "dynamics"),
    [
        (LSTM, {}),
        (MomentumLSTM, {"momentum": 0.3, "step": 0.1}),
        (NesterovLSTM, {"step": 0.1, "restart": 2}),
        (AdamLSTM, {"momentum": 0.3, "step": 0.1, "beta2": 0.999}),
        (RMSPropLSTM, {"step": 0.1, "beta2": 0.999}),
    ],
)
def test_every_published_size_is_met(cell, dynamics, features, hidden, outputs, published):
    """I-R10, on MNIST and TIMIT."""
    network = SequenceClassifier(cell(features, hidden, **dynamics), outputs)
    assert sum(weight.numel() for weight in network.parameters()) == published
