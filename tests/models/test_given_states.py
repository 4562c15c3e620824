"""A state may come as torch's own cells take it, in every way that a sequence is read."""

import math

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from momentune.models import (
    DTRIV,
    AdamLSTM,
    Learned,
    LSTMState,
    MomentumLSTM,
    NesterovDTRIV,
    NesterovLSTM,
    RMSPropLSTM,
    largest_drive,
)
from momentune.models.adaptive import adaptive, adaptive_loop

T, B, D, H, L = 5, 3, 2, 4, 2
LENGTHS = torch.tensor([3, 5, 2])
PLAIN = ["LSTM", "GRU", "RNN", "RNN-relu"]


def reader(how: str, cell):
    """Reads a sequence (T, B, D) from h and, perhaps, c; outputs and states in one layout."""

    def read(sequence, state):
        if how == "batch":
            return cell(sequence, state)
        if how == "one":
            return cell(sequence[:, 0], _first(state))
        packed = pack_padded_sequence(sequence, LENGTHS, enforce_sorted=False)
        output, state = cell(packed, state)
        return output.data, state

    return read


def _first(state):
    if isinstance(state, torch.Tensor):
        return state[:, 0]
    return tuple(tensor[:, 0] for tensor in state)


@pytest.mark.parametrize("how", ["batch", "one", "packed"])
@pytest.mark.parametrize("recurrence", PLAIN)
def test_a_plain_cell_goes_on_from_torchs_state(family, recurrence, how):
    cell = family("", recurrence)(D, H, L)
    kind = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}.get(recurrence, torch.nn.RNN)
    relu = {"nonlinearity": "relu"} if recurrence == "RNN-relu" else {}
    theirs = kind(D, H, L, **relu).double()
    theirs.load_state_dict(cell.state_dict())
    torch.manual_seed(0)
    sequence, h, c = torch.randn(T, B, D), torch.randn(L, B, H), torch.randn(L, B, H)
    sequence, h, c = sequence.double(), h.double(), c.double()
    state = (h, c) if recurrence == "LSTM" else h
    output, after = reader(how, cell)(sequence, state)
    want, end = reader(how, theirs)(sequence, state)
    torch.testing.assert_close(output, want)
    torch.testing.assert_close(tuple(after), end if recurrence == "LSTM" else (end,))


@pytest.mark.parametrize("how", ["batch", "one"])
def test_every_cell_takes_its_fields_as_a_plain_tuple(make, how):
    cell, sequence = make(D, H, L).eval(), torch.randn(T, B, D).double()
    sequence = sequence[:, 0] if how == "one" else sequence
    _, state = cell(sequence)
    assert torch.equal(cell(sequence, tuple(state))[0], cell(sequence, state)[0])


def test_a_dtriv_goes_on_from_h_alone():
    cell, sequence = DTRIV(D, H), torch.randn(T, B, D)
    whole, _ = cell(sequence)
    _, state = cell(sequence[:2])
    torch.testing.assert_close(cell(sequence[2:], state.h)[0], whole[2:])


@pytest.mark.parametrize("how", ["batch", "one", "packed"])
@pytest.mark.parametrize("state", [(0, 1), (None, None), "a state", 1])
def test_what_is_no_state_of_the_cell_is_refused(how, state):
    cell = MomentumLSTM(D, H, momentum=0.5, step=0.5)
    h = torch.zeros(1, B, H)
    given = (h, h) if state == (0, 1) else state
    sequence = torch.randn(T, B, D)
    if how == "packed":
        sequence = pack_padded_sequence(sequence, LENGTHS, enforce_sorted=False)
    with pytest.raises(TypeError, match=r"MomentumLSTM goes on from \(h, c, p\), a MomentumState"):
        cell(sequence[:, 0] if how == "one" else sequence, given)
    with pytest.raises(TypeError, match=r"got \(Tensor, Tensor\)"):
        cell(torch.randn(T, B, D), LSTMState(h, h))


@pytest.mark.parametrize(
    ("cell", "settings", "message"),
    [
        (NesterovLSTM, {"restart": None}, "restart must be a number of time steps, or 0, got None"),
        (NesterovLSTM, {"restart": math.nan}, "restart must be a number of time steps.* got nan"),
        (NesterovLSTM, {"restart": math.inf}, "restart must be a number of time steps.* got inf"),
        (NesterovLSTM, {"hidden_size": 2.5}, "hidden_size must be a whole number, got 2.5"),
        (NesterovLSTM, {"step": None}, "step must be a positive number, got None"),
        (NesterovDTRIV, {"rebase": math.inf}, "rebase must be a number of optimizer steps.* inf"),
        (RMSPropLSTM, {"beta2": "learned"}, r"beta2 must be in \[0, 1\), got 'learned'"),
        (RMSPropLSTM, {"beta2": 0.9, "divided": "no"}, "divided is True or False, got 'no'"),
        (NesterovLSTM, {"step": True}, "step must be a positive number, got True"),
        (NesterovLSTM, {"restart": True}, "restart must be a number of time steps.* got True"),
        (NesterovLSTM, {"num_layers": True}, "num_layers must be a whole number, got True"),
        (NesterovLSTM, {"batch_first": "no"}, "batch_first is True or False, got 'no'"),
        (NesterovDTRIV, {"batch_first": 1}, "batch_first is True or False, got 1"),
        (NesterovDTRIV, {"dropout": None}, r"dropout must be in \[0, 1\], got None"),
        (NesterovDTRIV, {"orthogonal_lr": "x"}, "orthogonal_lr must be a positive number, got 'x'"),
    ],
)
def test_a_setting_of_a_wrong_kind_is_refused_with_the_rule(cell, settings, message):
    sizes = {"input_size": D, "hidden_size": H, "step": 0.5}
    with pytest.raises(ValueError, match=message):
        cell(**sizes | settings)


@pytest.mark.parametrize("number", [np.float32, np.float64, np.int64])
def test_numbers_of_numpy_are_numbers(number):
    cell = AdamLSTM(np.int64(D), H, momentum=number(0), step=number(1), beta2=np.float32(0.5))
    want = AdamLSTM(D, H, momentum=0.0, step=1.0, beta2=0.5)
    assert repr(cell) == repr(want)
    assert NesterovLSTM(D, H, step=1, restart=np.int64(3)).restart == 3


@pytest.mark.parametrize(
    "steps",
    [
        -1,
        2.0,
        True,
        "3",
        None,
        torch.tensor([[0], [1], [-1]]),
        torch.ones(B),
        torch.full((B, 1), 0.5),
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["batch", "packed"])
def test_a_count_of_steps_that_no_cell_made_is_refused(steps, how):
    cell, sequence = NesterovLSTM(D, H, step=0.5), torch.randn(T, B, D)
    _, state = cell(sequence)
    if how == "packed":
        sequence = pack_padded_sequence(sequence, LENGTHS, enforce_sorted=False)
    with pytest.raises(ValueError, match=r"steps, which counts the time steps .* number from 0 on"):
        cell(sequence, state._replace(steps=steps))


@pytest.mark.parametrize("step", [1e-30, 1e-12, 1e12, 1e30])
def test_a_step_of_any_size_scales_what_is_heard(step):
    """Also where its square is no number of float32's."""
    drive, zero = torch.randn(T, B), torch.zeros(B)
    drive.requires_grad_()
    (want, *_), (got, v, m) = (adaptive(drive, zero, zero, 0.5, s, 0.9) for s in (1.0, step))
    torch.testing.assert_close(got / step, want)
    gradients = [torch.autograd.grad(heard.mean(), drive)[0] for heard in (got / step, want)]
    torch.testing.assert_close(*gradients)
    assert v.isfinite().all()
    assert m.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("step", [0.5, "learned"])
def test_half_precision_divides_as_a_whole_one(dtype, step):
    """Silence and small drives, where a half's epsilon would be 0."""
    torch.manual_seed(0)
    cell = RMSPropLSTM(D, H, step=step, beta2=0.9)
    torch.nn.init.zeros_(cell.bias_ih_l0)
    sequence = torch.cat([torch.zeros(3, B, D), 1e-3 * torch.randn(T, B, D)])
    want, _ = cell(sequence)
    got, state = cell.to(dtype)(sequence.to(dtype))
    again, _ = cell(sequence.to(dtype), state)
    assert got.dtype == again.dtype == dtype
    assert again.isfinite().all()
    torch.testing.assert_close(got.float(), want, rtol=0.05, atol=0.05)
    torch.testing.assert_close(
        torch.stack(cell.unrolled(sequence.to(dtype))[-1].h), got, rtol=0.05, atol=0.05
    )


@pytest.mark.parametrize("beta2", [0.25, 0.26])
def test_momentum_is_warned_of_where_the_drive_has_no_bound(beta2):
    """At momentum**2 = beta2 the worst drive grows as the root of the steps."""
    heard = []
    for steps in (6, 24):
        ages = torch.arange(steps, dtype=torch.float64).flip(0)
        worst = ((0.5 / beta2) ** ages)[:, None]
        zero = torch.zeros(1).double()
        heard.append(adaptive_loop(worst, zero, zero, 0.5, 1.0, beta2)[0].abs().max())
    assert math.isinf(largest_drive(0.5, 1.0, beta2)) == (heard[1] > 1.9 * heard[0])


@pytest.mark.parametrize(
    ("input", "error", "message"),
    [
        (np.zeros((T, B, D)), TypeError, "reads a tensor or a PackedSequence, got ndarray"),
        (None, TypeError, "reads a tensor or a PackedSequence, got NoneType"),
        (
            torch.ones(T, B, D).long(),
            ValueError,
            "like the weights', torch.float64, got torch.int64",
        ),
        (torch.ones(T, B, D), ValueError, "like the weights', torch.float64, got torch.float32"),
    ],
    ids=["array", "nothing", "tokens", "another precision"],
)
def test_what_is_no_sequence_of_the_weights_numbers_is_refused(make, input, error, message):
    with pytest.raises(error, match=message):
        make(D, H)(input)


def test_a_state_of_another_precision_is_refused(make):
    cell, sequence = make(D, H), torch.randn(T, B, D).double()
    state = cell(sequence)[1].map(torch.Tensor.float)
    with pytest.raises(ValueError, match="the state must be of numbers like the weights'"):
        cell(sequence, state)


def test_shapes_follow_without_numbers(make):
    """On the meta device, where there is nothing to compute: so no tensor is left behind."""
    cell = make(D, H, 2).to("meta")
    output, state = cell(torch.empty(T, B, D, dtype=torch.float64, device="meta"))
    output.sum().backward()
    assert output.shape == (T, B, H)
    assert all(tensor.is_meta for tensor in state.tensors())


def test_a_state_of_sequences_of_several_lengths_changes_its_precision():
    """Counts of steps are whole numbers in any."""
    cell, sequence = NesterovLSTM(D, H, step=0.5, restart=3), torch.randn(T, B, D)
    _, state = cell(pack_padded_sequence(sequence, LENGTHS, enforce_sorted=False))
    want, _ = cell(sequence, state)
    got, _ = cell.double()(sequence.double(), state.map(torch.Tensor.double))
    torch.testing.assert_close(got.float(), want)


@pytest.mark.parametrize("shape", [(T, D), (T, B, D + 1), (0, B, D)])
def test_the_plain_loop_refuses_what_is_no_batch_of_sequences(make, shape):
    with pytest.raises(ValueError, match=r"got shape \("):
        make(D, H).unrolled(torch.zeros(shape).double())


@pytest.mark.parametrize("how", ["learned", "learned-per-unit"])
def test_weights_drawn_anew_are_those_of_the_seed_and_learning_starts_again(
    family, recurrence, how
):
    cell = family("Momentum", recurrence)(D, H, 2, momentum=how, step=Learned(0.9)).float()
    start = {name: tensor.clone() for name, tensor in cell.state_dict().items()}
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += 0.1
    torch.manual_seed(1)
    cell.reset_parameters()
    for name, tensor in cell.state_dict().items():
        torch.testing.assert_close(tensor, start[name], msg=name)


def test_the_velocity_of_another_cell_s_state_is_refused():
    cell, other = MomentumLSTM(D, H, momentum=0.5, step=0.5), LSTMState(*torch.zeros(2, 1, B, H))
    with pytest.raises(TypeError, match="MomentumLSTM goes on from"):
        cell.gate_velocity(other)
