"""In a network that `torch.compile` compiles, cells compute what they compute elsewhere."""

import copy

import pytest
import torch

from momentune.models import SequenceClassifier

D, H, B, T = 2, 5, 3, 21


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()


def training(call, network) -> list[torch.Tensor]:
    """Losses and gradients of two steps of training."""
    optimizer, found = torch.optim.SGD(network.parameters(), lr=0.01), []
    torch.manual_seed(1)
    for _ in range(2):
        optimizer.zero_grad()
        loss = call(torch.randn(B, T, D)).square().mean()
        loss.backward()
        found += [loss.detach(), *(weight.grad.clone() for weight in network.parameters())]
        optimizer.step()
    return found


def test_training_steps_are_the_same_compiled(make):
    network = SequenceClassifier(make(D, H, batch_first=True), 2).float()  # runs on oneDNN
    twin = copy.deepcopy(network)
    compiled = torch.compile(network, backend="aot_eager")
    for got, want in zip(training(compiled, network), training(twin, twin), strict=True):
        torch.testing.assert_close(got, want)


def test_what_is_around_a_cell_is_compiled(family):
    """Both pieces: what comes before the cell, and what comes after."""
    cell, pieces = family("Momentum", "LSTM")(D, H), []

    def backend(graph, _):
        pieces.append({node.target for node in graph.graph.nodes})
        return graph.forward

    compiled = torch.compile(lambda x: cell(x.sin())[0].cos(), backend=backend)
    sequence = torch.randn(T, B, D).double()
    torch.testing.assert_close(compiled(sequence), cell(sequence.sin())[0].cos())
    assert [bool({"sin", "cos"} & piece) for piece in pieces] == [True, True]
