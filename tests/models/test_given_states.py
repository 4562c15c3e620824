"""A state may come as torch's own cells take it, in every way that a sequence is read."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from momentune.models import DTRIV, LSTMState, MomentumLSTM

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
