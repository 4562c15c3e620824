"""Laws of the recurrent family."""

import pytest
import torch
from torch import Tensor

from momentune.models import (
    LSTM,
    LSTMState,
    MomentumLSTM,
    MomentumState,
    momentum_lstm_loop,
    velocity_loop,
)

PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 1e-5)]
T, B, D, H = 70, 3, 2, 5


def momentum_lstm(num_layers: int = 1, **changes) -> MomentumLSTM:
    torch.manual_seed(1)
    cell = MomentumLSTM(D, H, num_layers, **{"momentum": 0.9, "step": 0.6} | changes)
    return cell.double()


def lstm(num_layers: int = 1, **changes) -> LSTM:
    torch.manual_seed(1)
    return LSTM(D, H, num_layers, **changes).double()


def a_sequence(length: int = T) -> Tensor:
    return torch.randn(length, B, D, dtype=torch.float64)


FAMILY = pytest.mark.parametrize("make", [lstm, momentum_lstm], ids=["LSTM", "MomentumLSTM"])
LAYERS = pytest.mark.parametrize("num_layers", [1, 2])


def by_loop(cell: MomentumLSTM, sequence: Tensor) -> Tensor:
    """The top layer's output as the paper writes it."""
    for weights in cell.all_weights:
        sequence, _ = momentum_lstm_loop(sequence, weights, momentum=cell.momentum, step=cell.step)
    return sequence


def close(got, want, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


# The momentum cell and its specification


@LAYERS
@pytest.mark.parametrize("length", [1, 33, 784])
@pytest.mark.parametrize(("momentum", "step"), [(0.0, 0.6), (0.6, 1.0), (0.99, 0.1)])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=["float64", "float32"])
def test_the_fused_form_equals_the_loop(length, num_layers, momentum, step, dtype, tolerance):
    cell = momentum_lstm(num_layers, momentum=momentum, step=step).to(dtype)
    sequence = torch.rand(length, B, D, dtype=dtype, requires_grad=True)
    leaves = [sequence, *cell.parameters()]
    results = []
    for output in (cell(sequence)[0], by_loop(cell, sequence)):
        weights = torch.linspace(-1, 1, output.numel(), dtype=dtype).view_as(output)
        loss = (weights * output).mean()
        results.append([output, *torch.autograd.grad(loss, leaves)])
    close(*results, tolerance)


@LAYERS
def test_no_momentum_and_step_one_give_the_lstm_back(num_layers):
    """I-R1, with the weights handed over by state_dict."""
    plain, cell = lstm(num_layers), momentum_lstm(num_layers, momentum=0.0, step=1.0)
    plain.load_state_dict(cell.state_dict())
    sequence = a_sequence()
    (output, state), (want, want_state) = cell(sequence), plain(sequence)
    close(output, want, 1e-14)
    close((state.h, state.c), tuple(want_state), 1e-14)


def test_constant_input_ends_at_the_steady_velocity():
    """I-R11, the bias inside: v -> s (W_x x + b_x) / (1 - mu)."""
    cell = momentum_lstm(momentum=0.8, step=0.5)
    x = torch.randn(B, D, dtype=torch.float64)
    _, state = cell(x.expand(300, B, D))
    (v,) = cell.gate_velocity(state)
    close(v, 0.5 / (1 - 0.8) * (x @ cell.weight_ih_l0.T + cell.bias_ih_l0))


@LAYERS
def test_the_gates_velocity_is_that_of_the_loop(num_layers):
    cell = momentum_lstm(num_layers)
    sequence = a_sequence()
    _, state = cell(sequence)
    for layer, weights in enumerate(cell.all_weights):
        sequence, (h, c, v) = momentum_lstm_loop(sequence, weights, momentum=0.9, step=0.6)
        close((state.h[layer], state.c[layer], cell.gate_velocity(state)[layer]), (h, c, v))


def test_the_gradient_along_h_knows_no_momentum():
    """I-R4(a): with the velocity given, d(h_T, c_T)/dh_0 is that of an LSTM it drives."""
    cell, sequence = momentum_lstm(), a_sequence(20)
    driven = LSTM(4 * H, H).double()
    driven.load_state_dict(
        cell.state_dict() | {"weight_ih_l0": torch.eye(4 * H), "bias_ih_l0": torch.zeros(4 * H)}
    )
    gates = velocity_loop(sequence @ cell.weight_ih_l0.T + cell.bias_ih_l0, 0.9, 0.6)
    _, start = cell(a_sequence(1))
    start = MomentumState(start.h, start.c, (torch.zeros_like(start.p[0]),))

    def ends(reader, inputs, *rest):
        return lambda h: torch.stack(reader(inputs, type(rest[0])(h, *rest[0][1:]))[1][:2])

    jacobian = torch.autograd.functional.jacobian
    close(
        jacobian(ends(cell, sequence, start), start.h),
        jacobian(ends(driven, gates, LSTMState(start.h, start.c)), start.h),
    )


def test_the_gradient_along_the_velocity_fades_as_momentum_does():
    """I-R4(b): dh_T/dv_0 is nothing without momentum, and the more the closer it is to 1."""
    sizes = []
    for momentum in (0.0, 0.5, 0.9, 0.99):
        cell = momentum_lstm(momentum=momentum, step=1 - momentum)
        _, zero = cell(torch.zeros(1, B, D, dtype=torch.float64))
        p = torch.zeros_like(zero.p[0], requires_grad=True)
        output, _ = cell(a_sequence(40), zero._replace(p=(p,)))
        sizes.append(torch.autograd.grad(output[-1].sum(), p)[0].norm().item())
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    assert sizes[1] < 1e-3 * sizes[3]


# The baseline


@LAYERS
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_baseline_is_the_lstm_of_torch(num_layers, batch_first):
    ours = lstm(num_layers, batch_first=batch_first)
    torch.manual_seed(1)
    theirs = torch.nn.LSTM(D, H, num_layers, batch_first=batch_first).double()
    sequence = a_sequence()
    (got, state), (want, want_state) = ours(sequence), theirs(sequence)
    assert torch.equal(got, want)
    assert all(map(torch.equal, state, want_state))
    assert torch.equal(ours(sequence, want_state)[0], theirs(sequence, want_state)[0])


# What the family shares


@FAMILY
@LAYERS
def test_state_dicts_are_those_of_torch(make, num_layers):
    theirs = torch.nn.LSTM(D, H, num_layers)
    ours = make(num_layers)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())


@FAMILY
def test_members_of_one_seed_start_from_the_same_weights(make):
    for got, want in zip(make().parameters(), lstm().parameters(), strict=True):
        assert torch.equal(got, want)


@FAMILY
@LAYERS
@pytest.mark.parametrize("cuts", [(1,), (32,), (5, 40, 69)])
def test_pieces_make_the_whole_in_values_and_gradients(make, num_layers, cuts):
    cell = make(num_layers)
    sequence = a_sequence().requires_grad_()
    whole, end = cell(sequence)
    outputs, state = [], None
    for piece in sequence.tensor_split(cuts):
        output, state = cell(piece, state)
        outputs.append(output)
    leaves = [sequence, *cell.parameters()]
    close(torch.cat(outputs), whole)
    close(state.tensors(), end.tensors())
    gradients = [torch.autograd.grad(output[-1].sum(), leaves) for output in (outputs[-1], whole)]
    close(*gradients)


@FAMILY
@LAYERS
def test_batch_first_only_swaps_the_axes(make, num_layers):
    sequence = a_sequence()
    output, state = make(num_layers)(sequence)
    swapped, same = make(num_layers, batch_first=True)(sequence.transpose(0, 1))
    close(swapped.transpose(0, 1), output)
    close(same.tensors(), state.tensors())


@FAMILY
@LAYERS
@pytest.mark.parametrize("batch_first", [False, True])
def test_one_sequence_alone_is_a_batch_of_one(make, num_layers, batch_first):
    cell = make(num_layers, batch_first=batch_first)
    sequence = a_sequence()[:, 0]
    batch = sequence[None] if batch_first else sequence[:, None]
    (alone, alone_state), (output, state) = cell(sequence), cell(batch)
    close(alone, output.squeeze(0 if batch_first else 1))
    close(alone_state.tensors(), state.map(lambda tensor: tensor.squeeze(-2)).tensors())
    again, _ = cell(sequence, alone_state)
    close(again, cell(batch, state)[0].squeeze(0 if batch_first else 1))


@FAMILY
def test_a_mapped_state_can_cut_gradients(make):
    _, state = make(2)(a_sequence())
    assert all(tensor.requires_grad for tensor in state.tensors()[:2])
    assert not any(tensor.requires_grad for tensor in state.map(Tensor.detach).tensors())


# Bad input


@pytest.mark.parametrize("size", ["input_size", "hidden_size", "num_layers"])
def test_sizes_are_positive(size):
    sizes = {"input_size": D, "hidden_size": H, "num_layers": 1, size: 0}
    with pytest.raises(ValueError, match=f"{size} must be at least 1, got 0"):
        LSTM(**sizes)
    with pytest.raises(ValueError, match=f"{size} must be at least 1, got 0"):
        MomentumLSTM(**sizes, momentum=0.9, step=1.0)


@pytest.mark.parametrize(
    ("momentum", "step", "message"),
    [
        (-0.1, 1.0, r"momentum must be in \[0, 1\), got -0.1"),
        (1.0, 1.0, r"momentum must be in \[0, 1\), got 1.0"),
        (float("nan"), 1.0, "momentum must be .* got nan"),
        (0.9, 0.0, "step must be a positive number, got 0.0"),
        (0.9, float("inf"), "step must be a positive number, got inf"),
    ],
)
def test_dynamics_out_of_range_are_refused(momentum, step, message):
    with pytest.raises(ValueError, match=message):
        MomentumLSTM(D, H, momentum=momentum, step=step)


@FAMILY
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((D,), r"must be \(T, B, D\) or \(T, D\), got shape \(2,\)"),
        ((T, B, D + 1), r"must have 2 features \(last\), got shape \(70, 3, 3\)"),
        ((0, B, D), "at least one step"),
    ],
)
def test_input_of_a_wrong_shape_is_refused(make, shape, message):
    with pytest.raises(ValueError, match=message):
        make()(torch.zeros(shape, dtype=torch.float64))


@FAMILY
def test_the_state_of_another_batch_is_refused(make):
    cell = make()
    _, state = cell(a_sequence())
    with pytest.raises(ValueError, match=r"must have shapes \[\(1, 2, 5\).*got \[\(1, 3, 5\)"):
        cell(a_sequence()[:, :2], state)
