"""Laws of the gradients' norms over time."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from momentune.models import (
    LSTM,
    Copying,
    SequenceClassifier,
    SequenceTagger,
    Speech,
    gradient_flow,
)
from momentune.models.insight import diagnostics
from momentune.models.tasks import Split


def network_of(make, **changes) -> SequenceClassifier:
    torch.manual_seed(3)
    return SequenceClassifier(make(1, 5, **changes), 2).double()


class Double:
    """A task in float64."""

    def __init__(self, task) -> None:
        self.validation = lambda: split
        self.loss = task.loss
        split = task.validation()
        split = type(split)(split.inputs.double(), split.targets)


@pytest.fixture
def exact(task) -> Double:
    return Double(task)


def test_the_norm_at_each_step_is_that_by_the_carried_state(make, exact):
    """By h alone: the rest of the state is held."""
    network = network_of(make)
    split = exact.validation()
    sequence = split.inputs.transpose(0, 1)
    norms = gradient_flow(network, exact)["gradient_norm_hidden"]
    assert len(norms) == len(sequence)
    for t in (1, 4, 7):
        _, state = network.cell(sequence[:t])
        h = state.h.detach().requires_grad_()
        output, _ = network.cell(sequence[t:], state._replace(h=h))
        loss = exact.loss(network.head(output[-1]), split.targets)
        (gradient,) = torch.autograd.grad(loss, h)
        assert norms[t - 1] == pytest.approx(gradient.norm().item(), rel=1e-9)


def test_the_velocitys_gradient_gathers_what_later_drives_get(family, recurrence, exact):
    """dL/dv_t = dL/da_t + mu dL/dv_(t+1); the plain cell that reads v itself knows dL/da_t."""
    network, split = network_of(family("Momentum", recurrence)), exact.validation()
    trace = network.cell.unrolled(split.inputs.transpose(0, 1))[0]
    velocities = torch.stack(trace.v).detach().requires_grad_()
    units = velocities.shape[-1]
    plain = family("", recurrence)(units, 5)
    weights = network.cell.state_dict()
    for name, weight in weights.items():
        if "_ih" in name:
            weights[name] = torch.eye(units) if weight.dim() > 1 else torch.zeros(units)
    plain.load_state_dict(weights)
    loss = exact.loss(network.head(plain(velocities)[0][-1]), split.targets)
    (direct,) = torch.autograd.grad(loss, velocities)
    gathered, norms = torch.zeros_like(direct[0]), []
    for gradient in direct.flip(0):
        gathered = gradient + network.cell.momentum * gathered
        norms.insert(0, gathered.norm().item())
    assert gradient_flow(network, exact)["gradient_norm_velocity"] == pytest.approx(norms)


def test_only_dynamics_have_a_velocity(make, dynamics, exact):
    expected = {"gradient_norm_hidden"} | ({"gradient_norm_velocity"} if dynamics else set())
    assert set(network_of(make).diagnostics(exact)) == expected


def test_looking_changes_nothing(make, exact):
    network = network_of(make, num_layers=2, dropout=0.5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert diagnostics(network, exact) == diagnostics(network, exact)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_every_module_is_in_its_own_mode_afterwards_even_after_an_error(family, exact):
    network = network_of(family("", "GRU"))
    network.head.eval()  # frozen, say
    gradient_flow(network, exact)
    modes = (network.training, network.cell.training, network.head.training)
    assert modes == (True, True, False)
    exact.loss = None
    with pytest.raises(TypeError):
        gradient_flow(network, exact)
    assert (network.training, network.cell.training, network.head.training) == modes


def test_a_cell_of_torch_has_none(exact):
    network = SequenceClassifier(torch.nn.LSTM(1, 5), 2).double()
    assert network.diagnostics(exact) == {}
    with pytest.raises(TypeError, match="through a RecurrentCell, got LSTM"):
        gradient_flow(network, exact)


def test_where_every_step_answers_the_last_answer_alone_is_followed():
    """Each step's own loss is as large at the first step as at the last, and flows nowhere."""
    torch.manual_seed(0)
    task = Copying(20)
    network = SequenceTagger(LSTM(task.input_size, 32, batch_first=True), task.output_size)
    norms = gradient_flow(network, task)["gradient_norm_hidden"]
    assert len(norms) == 40
    assert norms[0] < 1e-4 * norms[-1]
    inputs, targets = next(task.validation().batches(64))
    output, _ = network.cell(inputs)
    output.retain_grad()
    torch.nn.functional.cross_entropy(network.head(output)[:, -1], targets[:, -1]).backward()
    assert norms[-1] == pytest.approx(output.grad[:, -1].norm().item(), rel=1e-5)


def test_what_is_padded_is_not_followed():
    inputs, targets = torch.randn(3, 9, 4), torch.randn(3, 9, 2)
    targets[:, 6:], targets[1, 4:] = torch.nan, torch.nan
    task = SimpleNamespace(
        loss=partial(Speech.loss, None), validation=lambda: Split(inputs, targets)
    )
    network = SequenceTagger(LSTM(4, 5, batch_first=True), 2)
    norms = gradient_flow(network, task)["gradient_norm_hidden"]
    assert len(norms) == 6
    assert all(norms)
