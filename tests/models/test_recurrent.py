"""Laws of the recurrent family."""

import pytest
import torch
from torch import Tensor

from momentune.models import (
    LSTM,
    AdamLSTM,
    LSTMState,
    MomentumLSTM,
    MomentumState,
    NesterovLSTM,
    RecurrentCell,
    RMSPropLSTM,
    adam_lstm_loop,
    largest_drive,
    momentum_lstm_loop,
    nesterov_lstm_loop,
    velocity_loop,
)

PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 1e-5)]
T, B, D, H = 70, 3, 2, 5


def momentum_lstm(num_layers: int = 1, **changes) -> MomentumLSTM:
    torch.manual_seed(1)
    cell = MomentumLSTM(D, H, num_layers, **{"momentum": 0.9, "step": 0.6} | changes)
    return cell.double()


def nesterov_lstm(num_layers: int = 1, **changes) -> NesterovLSTM:
    torch.manual_seed(1)
    cell = NesterovLSTM(D, H, num_layers, **{"step": 0.6, "restart": 40} | changes)
    return cell.double()


ADAM = {"momentum": 0.6, "step": 0.3, "beta2": 0.9, "form": "code"}


def adam_lstm(num_layers: int = 1, **changes) -> AdamLSTM:
    torch.manual_seed(1)
    cell = AdamLSTM(D, H, num_layers, **ADAM | changes)
    return cell.double()


def rmsprop_lstm(num_layers: int = 1, **changes) -> RMSPropLSTM:
    torch.manual_seed(1)
    return RMSPropLSTM(D, H, num_layers, **{"step": 0.3, "beta2": 0.9} | changes).double()


def lstm(num_layers: int = 1, **changes) -> LSTM:
    torch.manual_seed(1)
    return LSTM(D, H, num_layers, **changes).double()


def a_sequence(length: int = T) -> Tensor:
    return torch.randn(length, B, D, dtype=torch.float64)


FAMILY = pytest.mark.parametrize(
    "make",
    [lstm, momentum_lstm, nesterov_lstm, adam_lstm, rmsprop_lstm],
    ids=["LSTM", "MomentumLSTM", "NesterovLSTM", "AdamLSTM", "RMSPropLSTM"],
)
LAYERS = pytest.mark.parametrize("num_layers", [1, 2])
SIZES = pytest.mark.parametrize(("length", "num_layers"), [(33, 2), (784, 1)])
LOOPS = {
    MomentumLSTM: (momentum_lstm_loop, ("momentum", "step")),
    NesterovLSTM: (nesterov_lstm_loop, ("step", "restart")),
    AdamLSTM: (adam_lstm_loop, ("momentum", "step", "beta2")),
    RMSPropLSTM: (adam_lstm_loop, ("momentum", "step", "beta2")),
}


def by_loop(cell: RecurrentCell, sequence: Tensor) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
    """The top layer's output as the paper writes it, and how each layer ends."""
    loop, settings = LOOPS[type(cell)]
    ends = []
    for weights in cell.all_weights:
        dynamics = {name: getattr(cell, name) for name in settings}
        sequence, end = loop(sequence, weights, **dynamics)
        ends.append(end)
    return sequence, ends


def values_and_gradients(output: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return [output, *torch.autograd.grad((weights * output).mean(), leaves)]


def close(got, want, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


# Each cell and its specification


@SIZES
@pytest.mark.parametrize(
    ("make", "dynamics"),
    [
        (momentum_lstm, {"momentum": 0.0, "step": 0.6}),
        (momentum_lstm, {"momentum": 0.6, "step": 1.0}),
        (momentum_lstm, {"momentum": 0.99, "step": 0.1}),
        (nesterov_lstm, {"step": 0.1, "restart": 0}),
        (nesterov_lstm, {"step": 1.0, "restart": 2}),
        (nesterov_lstm, {"step": 0.9, "restart": 40}),
    ],
)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=["float64", "float32"])
def test_the_fast_form_equals_the_loop(length, num_layers, make, dynamics, dtype, tolerance):
    cell = make(num_layers, **dynamics).to(dtype)
    sequence = torch.rand(length, B, D, dtype=dtype, requires_grad=True)
    leaves = [sequence, *cell.parameters()]
    fast, loop = (
        values_and_gradients(output, leaves)
        for output in (cell(sequence)[0], by_loop(cell, sequence)[0])
    )
    close(fast, loop, tolerance)


@SIZES
@pytest.mark.parametrize(
    ("make", "dynamics"),
    [
        (adam_lstm, {"momentum": 0.6, "step": 0.6, "beta2": 0.9}),
        (adam_lstm, {"momentum": 0.3, "step": 0.1, "beta2": 0.999}),
        (adam_lstm, {"momentum": 0.0, "step": 0.6, "beta2": 0.5}),
        (rmsprop_lstm, {"step": 1.0, "beta2": 0.01}),
        (rmsprop_lstm, {"step": 0.6, "beta2": 0.0}),
    ],
)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)], ids=str
)
def test_the_divided_form_equals_the_loop(length, num_layers, make, dynamics, dtype, tolerance):
    """Division amplifies rounding where the mean square is small: 1e-4 in float32."""
    test_the_fast_form_equals_the_loop(length, num_layers, make, dynamics, dtype, tolerance)


@LAYERS
@pytest.mark.parametrize(
    ("make", "dynamics"),
    [
        (momentum_lstm, {"momentum": 0.0, "step": 1.0}),
        (nesterov_lstm, {"restart": 1, "step": 1.0}),
    ],
)
def test_no_momentum_and_step_one_give_the_lstm_back(make, dynamics, num_layers):
    """I-R1, with the weights handed over by state_dict."""
    plain, cell = lstm(num_layers), make(num_layers, **dynamics)
    plain.load_state_dict(cell.state_dict())
    sequence = a_sequence()
    (output, state), (want, want_state) = cell(sequence), plain(sequence)
    close(output, want, 1e-14)
    close((state.h, state.c), tuple(want_state), 1e-14)


@pytest.mark.parametrize("step", [0.3, 1.0])
def test_nesterov_restarting_at_every_step_has_no_momentum(step):
    """I-R8."""
    sequence = a_sequence()
    output, _ = nesterov_lstm(restart=1, step=step)(sequence)
    close(output, momentum_lstm(momentum=0.0, step=step)(sequence)[0], 1e-14)


def test_nesterov_forgets_the_inputs_velocity_at_a_restart():
    """With the state cut to h and c, what comes after a restart does not change."""
    cell = nesterov_lstm(restart=40)
    _, state = cell(a_sequence(40))
    fresh = state._replace(p=tuple(map(torch.zeros_like, state.p)), steps=0)
    after = a_sequence()
    close(cell(after, state)[0], cell(after, fresh)[0], 1e-14)


def test_constant_input_ends_at_the_steady_velocity():
    """I-R11, the bias inside: v -> s (W_x x + b_x) / (1 - mu)."""
    cell = momentum_lstm(momentum=0.8, step=0.5)
    x = torch.randn(B, D, dtype=torch.float64)
    _, state = cell(x.expand(300, B, D))
    (v,) = cell.gate_velocity(state)
    close(v, 0.5 / (1 - 0.8) * (x @ cell.weight_ih_l0.T + cell.bias_ih_l0))


@LAYERS
@pytest.mark.parametrize("make", [momentum_lstm, nesterov_lstm])
def test_the_state_is_that_of_the_loop(make, num_layers):
    cell, sequence = make(num_layers), a_sequence()
    _, state = cell(sequence)
    velocities = cell.gate_velocity(state)
    for layer, end in enumerate(by_loop(cell, sequence)[1]):
        close((state.h[layer], state.c[layer], velocities[layer]), end)


@LAYERS
@pytest.mark.parametrize("make", [adam_lstm, rmsprop_lstm])
def test_the_divided_state_is_that_of_the_loop(make, num_layers):
    cell, sequence = make(num_layers), a_sequence()
    _, state = cell(sequence)
    for layer, end in enumerate(by_loop(cell, sequence)[1]):
        close(tuple(tensor[layer] for tensor in state), end)


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


# Adam and RMSProp


def test_rmsprop_is_adam_without_momentum():
    """I-R8."""
    sequence = a_sequence()
    adam, rmsprop = adam_lstm(momentum=0.0)(sequence), rmsprop_lstm()(sequence)
    assert torch.equal(adam[0], rmsprop[0])
    assert all(map(torch.equal, adam[1], rmsprop[1]))


def test_constant_input_ends_at_the_steady_ratio():
    """I-R11, and m -> y^2: every gate's drive ends at s / (1 - mu), whatever the input's size."""
    cell = adam_lstm(momentum=0.5, step=0.3, beta2=0.9)
    _, state = cell(torch.randn(B, D, dtype=torch.float64).expand(600, B, D))
    close((state.v.abs() / state.m.sqrt()), torch.full_like(state.v, 0.3 / (1 - 0.5)), 1e-9)


@pytest.mark.parametrize(
    ("momentum", "beta2"), [(0.0, 0.0), (0.0, 0.9), (0.6, 0.4), (0.6, 0.9), (0.9, 0.82)]
)
def test_the_drive_stays_below_its_bound_and_can_come_near(momentum, beta2):
    """The worst input has y_(t - k) proportional to (mu / beta2)^k, by Cauchy and Schwarz."""
    bound = largest_drive(momentum, 0.3, beta2)
    ages = torch.arange(400, dtype=torch.float64).flip(0)
    worst = (momentum / beta2) ** ages if momentum else (ages == 0).double()
    cell = rmsprop_lstm(step=0.3, beta2=beta2)
    if momentum:
        cell = adam_lstm(momentum=momentum, step=0.3, beta2=beta2)
    torch.nn.init.zeros_(cell.bias_ih_l0)
    ratios = []
    for sequence in (worst[:, None, None].expand(400, 1, D), a_sequence(400)):
        _, state = cell(sequence)
        ratios.append((state.v.abs() / state.m.sqrt()).max().item())
    assert max(ratios) <= bound * (1 + 1e-6)
    assert ratios[0] == pytest.approx(bound, rel=1e-2)


@pytest.mark.parametrize("beta2", [0.1, 0.9])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.filterwarnings("ignore:momentum")
def test_silence_makes_no_nan(beta2, dtype):
    """0 / 0 at the start, then a velocity that outlives its mean square, through long silence."""
    cell = adam_lstm(momentum=0.9, beta2=beta2).to(dtype)
    torch.nn.init.zeros_(cell.bias_ih_l0)
    sequence = torch.zeros(300, B, D, dtype=dtype)
    sequence[30:33] = 1
    sequence.requires_grad_()
    output, state = cell(sequence)
    gradients = torch.autograd.grad(output[-1].sum(), [sequence, *cell.parameters()])
    assert all(tensor.isfinite().all() for tensor in (output, *state.tensors(), *gradients))


def test_a_momentum_too_large_for_beta2_is_warned_of():
    with pytest.warns(UserWarning, match=r"below beta2.*got momentum=0.6 and beta2=0.1"):
        adam_lstm(momentum=0.6, beta2=0.1)


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


@pytest.mark.parametrize(("restart", "cuts"), [(7, (10, 11, 35)), (0, (30,)), (32, (32,))])
def test_a_restart_keeps_its_beat_from_piece_to_piece(restart, cuts):
    cell, sequence = nesterov_lstm(restart=restart), a_sequence()
    outputs, state = [], None
    for piece in sequence.tensor_split(cuts):
        output, state = cell(piece, state)
        outputs.append(output)
    close(torch.cat(outputs), cell(sequence)[0])
    assert state.steps == T


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


@pytest.mark.parametrize(
    ("cell", "dynamics"),
    [
        (LSTM, {}),
        (MomentumLSTM, {"momentum": 0.9, "step": 1.0}),
        (NesterovLSTM, {"step": 1.0}),
        (AdamLSTM, {"momentum": 0.9, "step": 1.0, "beta2": 0.9}),
        (RMSPropLSTM, {"step": 1.0, "beta2": 0.9}),
    ],
)
@pytest.mark.parametrize("size", ["input_size", "hidden_size", "num_layers"])
def test_sizes_are_positive(cell, dynamics, size):
    sizes = {"input_size": D, "hidden_size": H, "num_layers": 1, size: 0}
    with pytest.raises(ValueError, match=f"{size} must be at least 1, got 0"):
        cell(**sizes, **dynamics)


@pytest.mark.parametrize(
    ("make", "dynamics", "message"),
    [
        (momentum_lstm, {"momentum": -0.1}, r"momentum must be in \[0, 1\), got -0.1"),
        (momentum_lstm, {"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        (momentum_lstm, {"momentum": float("nan")}, "momentum must be .* got nan"),
        (momentum_lstm, {"step": 0.0}, "step must be a positive number, got 0.0"),
        (momentum_lstm, {"step": float("inf")}, "step must be a positive number, got inf"),
        (nesterov_lstm, {"step": -1.0}, "step must be a positive number, got -1.0"),
        (nesterov_lstm, {"restart": -1}, "restart must be a number of time steps, or 0, got -1"),
        (adam_lstm, {"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        (adam_lstm, {"beta2": 1.0}, r"beta2 must be in \[0, 1\), got 1.0"),
        (rmsprop_lstm, {"beta2": -0.1}, r"beta2 must be in \[0, 1\), got -0.1"),
        (rmsprop_lstm, {"step": 0.0}, "step must be a positive number, got 0.0"),
        (nesterov_lstm, {"restart": 2.5}, "restart must be a number of time steps, .* got 2.5"),
    ],
)
def test_dynamics_out_of_range_are_refused(make, dynamics, message):
    with pytest.raises(ValueError, match=message):
        make(**dynamics)


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
