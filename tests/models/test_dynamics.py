"""Laws of every cell: each recurrence with each dynamics.

The reference is the paper's formula for the drive, one time step after the other, before torch's
own `LSTMCell`, `GRUCell` or `RNNCell`.
"""

import copy

import pytest
import torch
from torch import Tensor

from momentune.models import Learned, RecurrentCell
from momentune.models.recurrence import PIECE

T, B, D, H = PIECE + 5, 3, 2, 5
ADAPTIVE = ("Adam", "RMSProp")
LINEAR = ("Momentum", "Nesterov")


def heard(cell: RecurrentCell, inputs: Tensor, layer, **given) -> list[Tensor]:
    """The paper's drive of each time step; `given` coefficients stand for learned ones."""
    momentum, step, beta2, restart = (
        given.get(name, getattr(cell, name, None))
        for name in ("momentum", "step", "beta2", "restart")
    )
    bias = 0 if layer.input_bias is None else layer.input_bias
    outside = getattr(cell, "drive_bias", "inside") == "outside"
    v = m = torch.zeros((), dtype=inputs.dtype)
    drives = []
    for t, x in enumerate(inputs):
        y = x @ layer.input.T + (0 if outside else bias)
        if restart is not None:
            k = t % restart + 1 if restart else t + 1
            momentum = (k - 1) / (k + 2)
        gain = 1 - momentum if getattr(cell, "form", "") == "paper" else 1
        v = momentum * v + gain * step * y if step is not None else y
        m = beta2 * m + (1 - beta2) * y**2 if beta2 is not None else 1 - 1e-16
        size = (m + 1e-16) ** 0.5 if getattr(cell, "divided", True) else 1
        drives.append(v / size + (bias if outside else 0))
    return drives


def recurred(cell: RecurrentCell, drives: list[Tensor], layer) -> Tensor:
    """Torch's cell on drives: its input's weight is 1."""
    h = c = drives[0].new_zeros(B, H)
    one, none = torch.eye(len(layer.input)).double(), torch.zeros(len(layer.input)).double()
    weights = (one, layer.recurrent, none, layer.bias)
    outputs = []
    for drive in drives:
        if "LSTM" in type(cell).__name__:
            h, c = torch.lstm_cell(drive, (h, c), *weights)
        elif "GRU" in type(cell).__name__:
            h = torch.gru_cell(drive, h, *weights)
        elif "RNN" in type(cell).__name__:
            kernel = torch.rnn_relu_cell if cell.nonlinearity == "relu" else torch.rnn_tanh_cell
            h = kernel(drive, h, *weights)
        else:
            z = drive + h @ layer.recurrent.T
            h = torch.where(z.abs() + layer.bias > 0, z + z.sign() * layer.bias, 0 * z)
        outputs.append(h)
    return torch.stack(outputs)


def by_paper(cell: RecurrentCell, sequence: Tensor, **given) -> Tensor:
    for layer in cell._layers():
        sequence = recurred(cell, heard(cell, sequence, layer, **given), layer)
    return sequence


def a_sequence(length: int = T, batch: int = B) -> Tensor:
    torch.manual_seed(length)
    return torch.randn(length, batch, D, dtype=torch.float64)


def values_and_gradients(output: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return [output, *torch.autograd.grad((weights * output).mean(), leaves)]


def close(got, want, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


# Each cell and its specification


@pytest.mark.parametrize("length", [1, T])
def test_a_cell_is_the_papers_in_values_and_gradients(make, length):
    cell, sequence = make(D, H, 2), a_sequence(length).requires_grad_()
    leaves = [sequence, *cell.parameters()]
    want = values_and_gradients(by_paper(cell, sequence), leaves)
    close(values_and_gradients(cell(sequence)[0], leaves), want)
    close(values_and_gradients(torch.stack(cell.unrolled(sequence)[-1].h), leaves), want)


@pytest.mark.parametrize("dynamics", [*LINEAR, *ADAPTIVE])
def test_the_drives_bias_may_stay_outside_what_is_filtered(family, dynamics, recurrence):
    cell, sequence = family(dynamics, recurrence)(D, H, drive_bias="outside"), a_sequence()
    leaves = list(cell.parameters())
    want = values_and_gradients(by_paper(cell, sequence), leaves)
    close(values_and_gradients(cell(sequence)[0], leaves), want)
    close(torch.stack(cell.unrolled(sequence)[-1].h), want[0])


@pytest.mark.parametrize("step", [0.3, Learned(0.3), Learned(0.3, per_unit=True)])
@pytest.mark.parametrize(
    "option",
    [{"form": "code"}, {"drive_bias": "outside"}, {"divided": False}],
    ids=["average", "paper", "undivided"],
)
def test_adams_other_forms_are_the_formula_s(family, recurrence, option, step):
    """Section 1.3, the paper's own form, and the control without the division."""
    cell, sequence = family("Adam", recurrence)(D, H, 2, step=step, **option), a_sequence()
    leaves = list(cell.parameters())
    given = {} if step == 0.3 else {"step": 0.3}  # where learning starts
    if given:
        close(cell(sequence)[0], by_paper(cell, sequence, **given), 1e-7)
    else:
        want = values_and_gradients(by_paper(cell, sequence), leaves)
        close(values_and_gradients(cell(sequence)[0], leaves), want)
    own = values_and_gradients(torch.stack(cell.unrolled(sequence)[-1].h), leaves)
    close(values_and_gradients(cell(sequence)[0], leaves), own)


def test_adam_without_division_and_average_is_momentum(family, recurrence):
    adam = family("Adam", recurrence)
    undivided = adam(D, H, momentum=0.7, step=0.4, divided=False, form="code")
    momentum = family("Momentum", recurrence)(D, H, momentum=0.7, step=0.4)
    close(undivided(a_sequence())[0], momentum(a_sequence())[0], 1e-13)


def test_rmsprop_without_division_is_the_plain_cell_at_step_one(family, recurrence):
    undivided = family("RMSProp", recurrence)(D, H, step=1.0, divided=False)
    close(undivided(a_sequence())[0], family("", recurrence)(D, H)(a_sequence())[0], 1e-13)


def by_published_code(cell: RecurrentCell, sequence: Tensor) -> Tensor:
    """O-R1, as the authors code it: r = W h + b - s y, and Nesterov's look-ahead of r."""
    for layer in cell._layers():
        drive = sequence @ layer.input.T
        drive = drive if layer.input_bias is None else drive + layer.input_bias
        modrelu = "DTRIV" in type(cell).__name__
        alone = layer._replace(
            recurrent=torch.zeros_like(layer.recurrent),
            bias=layer.bias if modrelu else torch.zeros_like(layer.bias),
        )
        h, r, outputs, heard = drive.new_zeros(B, H), 0, [], []
        for t, y in enumerate(drive):
            k = t % cell.restart + 1
            now = h @ layer.recurrent.T + (0 if modrelu else layer.bias) - cell.step * y
            heard.append(now + (k - 1) / (k + 2) * (now - r))
            outputs, r = recurred(cell, heard, alone), now
            h = outputs[-1]
        sequence = outputs
    return sequence


PREACTIVATION = pytest.mark.parametrize("recurrence", ["LSTM", "RNN", "RNN-relu", "DTRIV"])


@PREACTIVATION
def test_nesterov_on_the_preactivation_is_that_of_the_published_code(family, recurrence):
    make = family("Nesterov", recurrence)
    cell, sequence = make(D, H, 2, momentum_on="preactivation"), a_sequence().requires_grad_()
    leaves = [sequence, *cell.parameters()]
    want = values_and_gradients(by_published_code(cell, sequence), leaves)
    close(values_and_gradients(cell(sequence)[0], leaves), want)
    close(values_and_gradients(torch.stack(cell.unrolled(sequence)[-1].h), leaves), want)
    other = make(D, H, 2)(sequence)[0]
    assert not torch.allclose(other, want[0], rtol=0.1)


@PREACTIVATION
def test_nesterov_on_the_preactivation_without_momentum_only_turns_the_drive(family, recurrence):
    cell = family("Nesterov", recurrence)(D, H, restart=1, step=1.0, momentum_on="preactivation")
    plain = family("", recurrence)(D, H)
    turned = cell.state_dict()
    turned |= {name: -turned[name] for name in turned if "_ih" in name}
    plain.load_state_dict(turned)
    close(cell(a_sequence())[0], plain(a_sequence())[0], 1e-14)


@pytest.mark.parametrize(
    ("dynamics", "neutral"),
    [("Momentum", {"momentum": 0.0, "step": 1.0}), ("Nesterov", {"restart": 1, "step": 1.0})],
)
def test_no_momentum_and_step_one_give_the_plain_cell_back(family, dynamics, neutral, recurrence):
    """I-R1."""
    cell, plain = family(dynamics, recurrence)(D, H, 2, **neutral), family("", recurrence)(D, H, 2)
    plain.load_state_dict(cell.state_dict())
    close(cell(a_sequence())[0], plain(a_sequence())[0], 1e-14)


def test_rmsprop_is_adam_without_momentum(family, recurrence):
    """I-R8."""
    adam = family("Adam", recurrence)(D, H, momentum=0.0)
    assert torch.equal(family("RMSProp", recurrence)(D, H)(a_sequence())[0], adam(a_sequence())[0])


def test_nesterov_restarting_at_every_step_has_no_momentum(family, recurrence):
    """I-R8."""
    nesterov = family("Nesterov", recurrence)(D, H, restart=1)
    momentum = family("Momentum", recurrence)(D, H, momentum=0.0)
    close(nesterov(a_sequence())[0], momentum(a_sequence())[0], 1e-14)


def test_the_steady_velocity_is_step_over_one_minus_momentum(family, recurrence):
    """I-R11."""
    cell = family("Momentum", recurrence)(D, H, momentum=0.8, step=0.5)
    x = torch.randn(B, D, dtype=torch.float64)
    (v,) = cell.gate_velocity(cell(x.expand(300, B, D))[1])
    (layer,) = cell._layers()
    bias = 0 if layer.input_bias is None else layer.input_bias
    close(v, 0.5 / (1 - 0.8) * (x @ layer.input.T + bias))


# What velocity does to gradients, on the cell that the paper reasons with


def test_the_velocity_can_be_eliminated(family):
    """I-R3: a second-order recurrence in h alone."""
    cell, sequence = family("Momentum", "RNN")(D, H, drive_bias="outside"), a_sequence()
    h, mu, s = cell(sequence)[0], cell.momentum, cell.step
    (layer,) = cell._layers()
    U, b = layer.recurrent, layer.bias + layer.input_bias
    for t in range(2, T):
        inner = (h[t - 1] - mu * h[t - 2]) @ U.T + mu * (h[t - 1].atanh() - b) + b
        close(torch.tanh(inner + s * sequence[t] @ layer.input.T), h[t], 1e-13)


def test_the_papers_jacobian_is_that_of_the_eliminated_form(family):
    """I-R5: dh_t/dh_(t-1) = D_t (U + mu Sigma_(t-1)) while h_(t-2) stands still."""
    cell, sequence = family("Momentum", "RNN")(D, H), a_sequence()[:, :1]
    h = cell(sequence)[0][:, 0].detach()
    (layer,) = cell._layers()
    U, mu, t = layer.recurrent.detach(), cell.momentum, 9
    rest = h[t].atanh() - U @ (h[t - 1] - mu * h[t - 2]) - mu * h[t - 1].atanh()

    def eliminated(before: Tensor) -> Tensor:
        return torch.tanh(U @ (before - mu * h[t - 2]) + mu * before.atanh() + rest)

    formula = torch.diag(1 - h[t] ** 2) @ (U + mu * torch.diag(1 / (1 - h[t - 1] ** 2)))
    close(torch.autograd.functional.jacobian(eliminated, h[t - 1]), formula)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_along_h_gradients_are_those_of_a_plain_rnn(family, momentum):
    """I-R4(a) and I-R6: dh_T/dh_0 = prod D_k U, without momentum, and no longer than ||U||^T."""
    cell, sequence = family("Momentum", "RNN")(D, H, momentum=momentum), a_sequence()[:, :1]
    start = cell(a_sequence(1)[:, :1])[1].map(torch.zeros_like)

    def last(h: Tensor) -> Tensor:
        return cell(sequence, start._replace(h=h))[0][-1, 0]

    jacobian = torch.autograd.functional.jacobian(last, start.h)[:, 0, 0]
    (U,) = (layer.recurrent for layer in cell._layers())
    product = torch.eye(H).double()
    for h in cell(sequence, start)[0][:, 0]:
        product = torch.diag(1 - h**2) @ U @ product
    close(jacobian, product, 1e-13)
    norm = torch.linalg.matrix_norm
    assert norm(jacobian, 2) <= norm(U, 2) ** T


def test_along_the_velocity_gradients_fade_as_momentum_does(family):
    """I-R4(b): dh_T/dv_0 is nothing without momentum, and the more the closer it is to 1."""
    sizes = []
    for momentum in (0.0, 0.5, 0.9, 0.99):
        cell = family("Momentum", "RNN")(D, H, momentum=momentum, step=1 - momentum)
        zero = cell(a_sequence(1))[1].map(torch.zeros_like)
        p = zero.p[0].requires_grad_()
        output, _ = cell(a_sequence(), zero._replace(p=(p,)))
        sizes.append(torch.autograd.grad(output[-1].sum(), p)[0].norm().item())
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    assert sizes[1] < 1e-3 * sizes[3]


@pytest.mark.parametrize("dynamics", ADAPTIVE)
@pytest.mark.parametrize("beta2", [0.1, 0.9])
@pytest.mark.filterwarnings("ignore:momentum")
def test_silence_makes_no_nan(family, dynamics, recurrence, beta2):
    """0 / 0 at the start, then a velocity that outlives its mean square."""
    cell = family(dynamics, recurrence)(D, H, beta2=beta2).float()
    for name, parameter in cell.named_parameters():
        if "bias_ih" in name:
            torch.nn.init.zeros_(parameter)
    sequence = torch.zeros(60, B, D)
    sequence[20:23] = 1
    sequence.requires_grad_()
    output, state = cell(sequence)
    gradients = torch.autograd.grad(output[-1].sum(), [sequence, *cell.parameters()])
    assert all(tensor.isfinite().all() for tensor in (output, *state.tensors(), *gradients))


def test_a_second_derivative_is_the_plain_loop_s_or_an_error(family, dynamics):
    cell, sequence = family(dynamics, "DTRIV")(D, H), a_sequence().requires_grad_()
    with pytest.raises(RuntimeError, match="a cell's plain loop, `unrolled`, can"):
        torch.autograd.grad(cell(sequence)[0].sum(), sequence, create_graph=True)
    output = torch.stack(cell.unrolled(sequence)[-1].h)
    (gradient,) = torch.autograd.grad(output.square().sum(), sequence, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), sequence)
    assert second.isfinite().all()


# Learned coefficients


@pytest.mark.parametrize("per_unit", [False, True])
@pytest.mark.parametrize(
    ("dynamics", "names"),
    [("Momentum", ("momentum", "step")), ("Nesterov", ("step",)), ("Adam", ("momentum", "step"))],
)
def test_learned_coefficients_have_the_gradients_of_the_formula(
    family, dynamics, names, recurrence, per_unit
):
    learned = {name: Learned(0.7, per_unit) for name in names}
    cell, sequence = family(dynamics, recurrence)(D, H, **learned), a_sequence()
    own = [getattr(cell, f"{name}_l0") for name in names]
    with torch.no_grad():  # away from the start, each unit its own way
        for parameter in own:
            parameter += 0.3 * torch.randn_like(parameter)
    maps = {"momentum": torch.sigmoid, "step": torch.nn.functional.softplus}
    given = {name: maps[name](parameter) for name, parameter in zip(names, own, strict=True)}
    leaves = list(cell.parameters())
    want = values_and_gradients(by_paper(cell, sequence, **given), leaves)
    close(values_and_gradients(cell(sequence)[0], leaves), want)
    close(torch.stack(cell.unrolled(sequence)[-1].h), want[0])


@pytest.mark.parametrize("how", ["learned", "learned-per-unit"])
def test_learning_starts_where_it_is_told_and_is_read_by_layer(family, recurrence, how):
    start = Learned.named(how)._replace(start=0.9)
    cell = family("Momentum", recurrence)(D, H, 2, momentum=start, step=how)
    assert cell.readings() == pytest.approx(
        {"momentum_layer0": 0.9, "momentum_layer1": 0.9, "step_layer0": 0.6, "step_layer1": 0.6}
    )
    fixed = family("Momentum", recurrence)(D, H, 2, momentum=0.9, step=0.6)
    fixed.load_state_dict(cell.state_dict(), strict=False)
    assert fixed.readings() == {}
    close(cell(a_sequence())[0], fixed(a_sequence())[0], 1e-6)


def test_no_optimizer_leaves_the_range(family):
    cell = family("Momentum", "LSTM")(D, H, momentum="learned", step="learned")
    for push in (-30.0, 30.0):
        with torch.no_grad():
            cell.momentum_l0.fill_(push)
            cell.step_l0.fill_(push)
        told = cell.readings()
        assert 0 < told["momentum_layer0"] < 1
        assert 0 < told["step_layer0"] < 31


# Pieces, lengths, layers


@pytest.mark.parametrize("cuts", [(1, PIECE + 1)])
def test_pieces_make_the_whole_in_values_and_gradients(make, cuts):
    cell, sequence = make(D, H, 2), a_sequence().requires_grad_()
    outputs, state = [], None
    for piece in sequence.tensor_split(cuts):
        output, state = cell(piece, state)
        outputs.append(output)
    whole, end = cell(sequence)
    close(torch.cat(outputs), whole)
    close(state.tensors(), end.tensors())
    leaves = [sequence, *cell.parameters()]
    gradients = [torch.autograd.grad(output[-1].sum(), leaves) for output in (outputs[-1], whole)]
    close(*gradients)


LENGTHS = (4, 9, 1, 9)


@pytest.mark.parametrize("how", [{}, {"step": "learned-per-unit"}])
def test_packed_sequences_are_each_alone_and_go_on_so(make, dynamics, how):
    """The state is that of each sequence's own last step, its count of steps too."""
    each_alone_and_on(make(D, H, 2, **(how if dynamics else {})))


@PREACTIVATION
def test_packed_sequences_go_on_with_their_preactivation(family, recurrence):
    each_alone_and_on(family("Nesterov", recurrence)(D, H, 2, momentum_on="preactivation"))


def each_alone_and_on(cell: RecurrentCell) -> None:
    sequences = [a_sequence(length)[:, 0] for length in LENGTHS]
    packed, state = cell(torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False))
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(packed)
    later = a_sequence(3, batch=len(LENGTHS))
    after, _ = cell(later, state)
    for index, sequence in enumerate(sequences):
        alone, end = cell(sequence)
        close(outputs[: len(sequence), index], alone)
        close(tuple(tensor[..., index, :] for tensor in state.tensors()), end.tensors())
        close(after[:, index], cell(torch.cat([sequence, later[:, index]]))[0][-3:])


@pytest.mark.parametrize("batch_first", [False, True])
def test_masked_sequences_are_the_packed_ones(make, batch_first):
    """Values, states, gradients; and what stands in the padding is nothing to them."""
    cell, sequence = make(D, H, 2, batch_first=batch_first), a_sequence(9, batch=len(LENGTHS))
    mask = torch.arange(9)[:, None] < torch.tensor(LENGTHS)
    sequence[~mask] = torch.nan
    packed = torch.nn.utils.rnn.pack_padded_sequence(sequence, LENGTHS, enforce_sorted=False)
    want, end = cell(packed)
    want, _ = torch.nn.utils.rnn.pad_packed_sequence(want)
    if batch_first:
        sequence, mask = sequence.transpose(0, 1), mask.T
    leaves = [sequence.requires_grad_(), *cell.parameters()]
    output, state = cell(sequence, mask=mask)
    assert all(g.isfinite().all() for g in torch.autograd.grad(output.sum(), leaves))
    close(output.transpose(0, 1) if batch_first else output, want)
    close(state.tensors(), end.tensors())
    sequence = sequence.detach().nan_to_num()
    later, _ = cell(sequence, state, mask=mask)
    assert later.isfinite().all()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(T, B), r"shape of a batch .* \(21, 3\), and is of booleans, got .*float32"),
        (torch.ones(B, T, dtype=torch.bool), r"got shape \(3, 21\) of torch.bool"),
        (torch.arange(T)[:, None].expand(T, B) > 0, "padding comes last"),
        (torch.arange(T)[:, None] < torch.tensor([T, 0, 1]), "needs at least one step"),
    ],
)
def test_masks_that_say_something_else_are_refused(family, mask, message):
    with pytest.raises(ValueError, match=message):
        family("Momentum", "GRU")(D, H)(a_sequence(), mask=mask)


def test_packed_sequences_take_no_mask(family):
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(4, D).double()])
    with pytest.raises(ValueError, match="give them no mask"):
        family("", "LSTM")(D, H)(packed, mask=torch.ones(4, 1, dtype=torch.bool))


@pytest.mark.filterwarnings("ignore:momentum")
def test_autocast_stays_finite_and_near(make):
    """In bfloat16; what adds up over time steps does so in the weights' precision."""
    cell, sequence = make(D, H, 2).float(), 3 * a_sequence(60).float()
    want, _ = cell(sequence)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, state = cell(sequence)
        more, _ = cell(sequence, state)
        packed, _ = cell(torch.nn.utils.rnn.pack_padded_sequence(sequence, [60, 50, 1]))
    gradients = torch.autograd.grad(more.float().sum(), list(cell.parameters()))
    tensors = (output, more, packed.data, *state.tensors(), *gradients)
    assert all(tensor.isfinite().all() for tensor in tensors)
    torch.testing.assert_close(output.float(), want, rtol=0.1, atol=0.1)


def test_packed_sequences_of_one_length_are_a_batch(make):
    cell, sequence = make(D, H), a_sequence()
    packed = torch.nn.utils.rnn.pack_padded_sequence(sequence, [T] * B)
    _, state = cell(packed)
    output, end = cell(packed, state)
    want, want_end = cell(sequence, cell(sequence)[1])
    close(output.data, want.flatten(0, 1))
    close(end.tensors(), want_end.tensors())
    assert getattr(end, "steps", 0) == getattr(want_end, "steps", 0)


def test_dropout_is_between_layers_and_while_training_only(make):
    """All is dropped, so that the upper layer reads zeros."""
    cell, sequence = make(D, H, 2, dropout=1.0), a_sequence()
    silent = cell(sequence)[0]
    other = cell(2 * sequence)[0]
    assert torch.equal(silent, other)
    close(cell.eval()(sequence)[0], make(D, H, 2)(sequence)[0])
    lower = make(D, H, 1, **({"dropout": 0.0}))
    close(lower(sequence)[0], lower.eval()(sequence)[0])


def test_the_plain_loop_drops_as_the_fast_form_does(make, family):
    """The same numbers, where both lay out their outputs alike."""
    cell, sequence = make(D, H, 2, dropout=1.0), a_sequence()
    close(torch.stack(cell.unrolled(sequence)[-1].h), cell(sequence)[0])
    cell, found = family("Momentum", "LSTM")(D, H, 2, dropout=0.5), []
    for form in (lambda: torch.stack(cell.unrolled(sequence)[-1].h), lambda: cell(sequence)[0]):
        torch.manual_seed(3)
        found.append(form())
    close(*found)


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_a_plain_cell_is_that_of_torch(family, kind):
    ours = family("", kind)(D, H, 2)
    theirs = getattr(torch.nn, kind)(D, H, 2).double()
    theirs.load_state_dict(ours.state_dict())
    (output, (h,)), (want, want_h) = ours(a_sequence()), theirs(a_sequence())
    close((output, h), (want, want_h))
    close(ours(a_sequence(), want_h)[0], theirs(a_sequence(), want_h)[0])


# Bad input


@pytest.mark.parametrize(
    ("dynamics", "recurrence", "settings", "message"),
    [
        ("Momentum", "RNN", {"nonlinearity": "gelu"}, "is one of tanh, relu, got 'gelu'"),
        ("Momentum", "GRU", {"drive_bias": "between"}, "is one of inside, outside, got 'between'"),
        ("Momentum", "LSTM", {"momentum": "high"}, "number or one of learned, .*, got 'high'"),
        ("Adam", "GRU", {"step": Learned(0.0)}, "step must be a positive number, got 0.0"),
        ("Momentum", "GRU", {"momentum": Learned(0.0)}, r"starts inside \(0, 1\), got 0.0"),
        ("Nesterov", "RNN", {"restart": -2}, "restart must be a number of time steps, .* got -2"),
        ("Nesterov", "RNN", {"momentum_on": "h"}, "is one of drive, preactivation, got 'h'"),
        ("Nesterov", "GRU", {"momentum_on": "preactivation"}, "NesterovGRU has no preactivation"),
        ("Adam", "LSTM", {"form": "sketch"}, "form is one of code, paper, got 'sketch'"),
        ("Adam", "LSTM", {"drive_bias": "no"}, "drive_bias is one of inside, outside, got 'no'"),
    ],
)
def test_settings_out_of_range_are_refused(family, dynamics, recurrence, settings, message):
    with pytest.raises(ValueError, match=message):
        family(dynamics, recurrence)(D, H, **settings)


def test_packed_sequences_of_another_size_are_refused(make):
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(4, D + 1).double()])
    with pytest.raises(ValueError, match="must have 2 features"):
        make(D, H)(packed)


def test_in_float32_it_is_as_near_to_the_truth_as_the_loop(make):
    """By norms, over 70 steps: both forms round, in another order, so neither is the measure."""
    low = make(D, 16).float()
    exact = copy.deepcopy(low).double()
    sequence = torch.randn(70, B, D)
    truth = by_loop_and_back(exact, sequence.double())
    fast = values_and_gradients(low(sequence)[0], list(low.parameters()))
    loop = by_loop_and_back(low, sequence)
    for got, plain, want in zip(fast, loop, truth, strict=True):
        allowed = 10 * (plain - want).norm() + 1e-6 * want.norm()
        assert (got - want).norm() <= allowed


def by_loop_and_back(cell: RecurrentCell, sequence: Tensor) -> list[Tensor]:
    output = torch.stack(cell.unrolled(sequence)[-1].h)
    return list(values_and_gradients(output, list(cell.parameters())))
