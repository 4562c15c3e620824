"""Laws of the sequence classifier."""

import itertools

import pytest
import torch

from momentune.models import (
    LSTM,
    AdamLSTM,
    MomentumLSTM,
    NesterovLSTM,
    RMSPropLSTM,
    SequenceClassifier,
    SequenceTagger,
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


@pytest.mark.parametrize("cell", CELLS)
def test_a_tagger_answers_at_every_step_as_a_classifier_does_at_the_last(cell):
    tagger, classifier = SequenceTagger(cell, 3), SequenceClassifier(cell, 3)
    tagger.load_state_dict(classifier.state_dict())
    sequence = torch.randn(4, 9, 1)
    answers = tagger(sequence)
    assert answers.shape == (4, 9, 3)
    for t in (1, 5, 9):
        torch.testing.assert_close(answers[:, t - 1], classifier(sequence[:, :t]))


@pytest.mark.parametrize("reader", [SequenceClassifier, SequenceTagger])
@pytest.mark.parametrize("batch_first", [False, True])
def test_tokens_are_looked_up(reader, batch_first):
    network = reader(LSTM(6, 5, batch_first=batch_first), 3, embedding=10)
    tokens = torch.randint(10, (4, 9))
    vectors = network.embedding(tokens)
    got, network.embedding = network(tokens), None
    assert torch.equal(got, network(vectors))


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_reader_goes_on_with_a_carried_state(batch_first):
    reader = SequenceTagger(MomentumLSTM(2, 5, momentum=0.6, step=0.6, batch_first=batch_first), 3)
    sequence = torch.randn(4, 9, 2)
    whole, _ = reader.hidden(sequence)
    first, state = reader.hidden(sequence[:, :5])
    second, _ = reader.hidden(sequence[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


@pytest.mark.parametrize("reader", [SequenceClassifier, SequenceTagger])
@pytest.mark.parametrize("settings", [{"num_outputs": 0}, {"num_outputs": 2, "embedding": 0}])
def test_sizes_are_positive(reader, settings):
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        reader(CELLS[0], **settings)


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


@pytest.mark.parametrize(
    ("cell", "dynamics"),
    [
        (LSTM, {}),
        (MomentumLSTM, {"momentum": 0.0, "step": 0.6}),
        (NesterovLSTM, {"step": 0.6, "restart": 2}),
    ],
)
def test_the_published_language_model_has_as_many_parameters(cell, dynamics):
    """I-R10, Penn Treebank: 400-1150-1150-400, and one embedding of 10,000 words at both ends."""
    widths = [400, 1150, 1150, 400]
    layers = [cell(a, b, **dynamics) for a, b in itertools.pairwise(widths)]
    inside = sum(weight.numel() for layer in layers for weight in layer.parameters())
    assert inside + 10_000 * 400 + 10_000 == 24_221_600
