"""Laws of the orthogonal recurrences."""

import pytest
import torch
from torch import Tensor

from momentune.models import DTRIV, MomentumDTRIV, SequenceClassifier
from momentune.models.insight import n_parameters

D, H, B, T = 2, 7, 3, 20
KINDS = ["", "Momentum", "Nesterov", "Adam", "RMSProp"]


def a_sequence() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(T, B, D, dtype=torch.float64)


def matrices(cell: DTRIV) -> list[Tensor]:
    return [layer.recurrent.detach() for layer in cell._layers()]


def trained(cell: DTRIV, steps: int, lr: float = 0.05) -> list[Tensor]:
    """The outputs met while an optimizer makes them small, at rates as the factors say."""
    factors = cell.learning_rate_factors()
    named = cell.named_parameters()
    groups = [{"params": [x], "lr": lr * factors.get(name, 1.0)} for name, x in named]
    optimizer = torch.optim.RMSprop(groups)
    outputs = []
    for _ in range(steps):
        optimizer.zero_grad()
        output, _ = cell(a_sequence())
        output.square().mean().backward()
        optimizer.step()
        outputs.append(output.detach())
    return outputs


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley"])
@pytest.mark.parametrize("rebase", [0, 1, 3])
@pytest.mark.parametrize("dynamics", KINDS)
def test_the_matrix_learns_and_stays_orthogonal(family, dynamics, orthogonal_map, rebase):
    """I-R7, the determinant too."""
    settings = {"orthogonal_map": orthogonal_map, "rebase": rebase, "orthogonal_lr": 0.5}
    cell = family(dynamics, "DTRIV")(D, H, 2, **settings)
    before = matrices(cell)
    trained(cell, steps=10)
    for W, start in zip(matrices(cell), before, strict=True):
        torch.testing.assert_close(W.T @ W, torch.eye(H).double(), rtol=0, atol=1e-9)
        torch.testing.assert_close(W.det(), start.det())
        assert (W - start).norm() > 1e-3


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley"])
def test_rebasing_changes_no_output(family, orthogonal_map):
    """I-R7: W is the new base, and A starts from zero."""
    cell = family("Momentum", "DTRIV")(D, H, 2, orthogonal_map=orthogonal_map)
    trained(cell, steps=5)
    output = cell(a_sequence())[0]
    cell.rebase()
    torch.testing.assert_close(cell(a_sequence())[0], output, rtol=0, atol=1e-11)
    for layer, W in zip(cell.layers, matrices(cell), strict=True):
        parametrization = layer.parametrizations.weight_hh
        assert parametrization.original.tril(-1).count_nonzero() == 0
        assert torch.equal(parametrization[0].base, W)


def test_the_base_is_renewed_after_as_many_steps_as_told(family):
    cell = family("", "DTRIV")(D, H, rebase=3)
    base = cell.layers[0].parametrizations.weight_hh[0]
    first, changed = base.base.clone(), []
    for _ in range(7):
        trained(cell, steps=1, lr=0.005)
        cell.eval()(a_sequence())  # counts for nothing
        with torch.no_grad():
            cell.train()(a_sequence())
        cell.unrolled(a_sequence())
        changed.append(not torch.equal(base.base, first))
        first = base.base.clone()
    assert changed == [False, False, False, True, False, False, True]


@pytest.mark.parametrize("kept", ["state", "gradients"])
def test_passes_without_a_step_between_them_share_a_base(family, kept):
    """Of one graph, or of accumulated gradients: both are by the A that the first pass had."""
    sequence, found = a_sequence(), []
    for rebase in (0, 1):
        cell = family("Momentum", "DTRIV")(D, H, rebase=rebase)
        trained(cell, steps=1)
        cell.rebase()  # A is 0 in both, and W the same
        cell.zero_grad()
        first, state = cell(sequence[:9])
        if kept == "gradients":
            first.square().sum().backward()
            first, state = torch.zeros(()), state.map(Tensor.detach)
        rest, _ = cell(sequence[9:], state)
        (first.square().sum() + rest.square().sum()).backward()
        found.append(cell.layers[0].parametrizations.weight_hh.original.grad)
    torch.testing.assert_close(*found)


def test_only_the_first_pass_after_a_step_counts(family):
    cell = family("Momentum", "DTRIV")(D, H, 2)
    cell(a_sequence())
    cell(a_sequence()[:, 0])
    cell(torch.nn.utils.rnn.pack_padded_sequence(a_sequence(), [T, 3, 1]))
    assert cell.passes == 1
    trained(cell, steps=3)
    _, state = cell(a_sequence())
    assert cell.passes == 4
    trained(cell, steps=1)
    cell.unrolled(a_sequence())
    cell.gate_velocity(state)
    assert cell.passes == 4


def test_a_static_base_and_a_renewed_one_learn_differently_but_start_alike(family):
    """The parametrization changes what a step does, not where it starts."""
    static, dynamic = (trained(family("", "DTRIV")(D, H, rebase=k), 6) for k in (0, 1))
    for got, want in zip(static[:2], dynamic[:2], strict=True):
        torch.testing.assert_close(got, want)
    assert not torch.allclose(static[-1], dynamic[-1], rtol=1e-9)


def test_the_matrix_is_computed_once_in_a_pass(family, monkeypatch):
    cell = family("Momentum", "DTRIV")(D, H)
    calls = []
    exponential = torch.matrix_exp
    monkeypatch.setattr(torch, "matrix_exp", lambda A: calls.append(1) or exponential(A))
    cell(a_sequence())[0].sum().backward()
    assert len(calls) == 1


@pytest.mark.parametrize("dynamics", KINDS)
def test_gradients_reach_an_embedding_that_is_read_batch_first(family, dynamics):
    """There the drive is a transposed view, and it needs gradients itself."""
    cell, found = family(dynamics, "DTRIV")(D, H, batch_first=True), []
    for form in (
        lambda inputs: cell(inputs)[0],
        lambda inputs: torch.stack(cell.unrolled(inputs.transpose(0, 1))[-1].h),
    ):
        inputs = a_sequence().transpose(0, 1).contiguous().requires_grad_()
        form(inputs).square().sum().backward()
        found.append(inputs.grad)
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-10)


def test_factors_name_the_orthogonal_parameters(family):
    cell = family("Adam", "DTRIV")(D, H, 2, orthogonal_lr=0.25)
    factors, names = cell.learning_rate_factors(), dict(cell.named_parameters())
    assert set(factors.values()) == {0.25}
    assert {name for name in names if "weight_hh" in name} == set(factors)


@pytest.mark.parametrize(
    ("features", "hidden", "outputs", "effective"),
    [
        (1, 170, 10, 16_415),
        (1, 360, 10, 68_950),
        (1, 512, 10, 136_970),
        (129, 224, 129, 83_121),
        (129, 322, 129, 135_208),
    ],
)
def test_every_published_size_is_met(features, hidden, outputs, effective):
    cell = MomentumDTRIV(features, hidden, momentum=0.3, step=0.3)
    assert n_parameters(SequenceClassifier(cell, outputs)) == effective


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley"])
def test_the_parameters_of_a_matrix_are_its_degrees_of_freedom(orthogonal_map):
    """The rank of what all that is stored does to all weights, one layer on the other."""
    cell = DTRIV(D, H, 2, orthogonal_map=orthogonal_map).double()
    names, stored = zip(*cell.named_parameters(), strict=True)

    def weights(*given: Tensor) -> Tensor:
        made = torch.func.functional_call(cell, dict(zip(names, given, strict=True)), a_sequence())
        return torch.cat([made[0].flatten(), made[1].h.flatten()])

    jacobian = torch.autograd.functional.jacobian(weights, stored)
    matrix = torch.cat([part.flatten(1) for part in jacobian], dim=1)
    assert torch.linalg.matrix_rank(matrix, rtol=1e-10) == n_parameters(cell)


def test_gradients_keep_their_size_where_an_rnns_vanish(family):
    """With offsets of 0 and no input, h turns: ||dh_T/dh_0|| = 1 whatever T."""
    cell = family("", "DTRIV")(D, H)
    torch.nn.init.zeros_(cell.layers[0].offset)
    silence = torch.zeros(200, 1, D).double()

    def last(h: Tensor) -> Tensor:
        return cell(silence, type(state)(h))[0][-1, 0]

    _, state = cell(torch.randn(1, 1, D).double())
    jacobian = torch.autograd.functional.jacobian(last, state.h.detach())[:, 0, 0]
    torch.testing.assert_close(jacobian.T @ jacobian, torch.eye(H).double())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"orthogonal_map": "qr"}, "is one of matrix_exp, cayley, got 'qr'"),
        ({"rebase": -1}, "rebase must be a number of optimizer steps, or 0, got -1"),
        ({"orthogonal_lr": 0.0}, "orthogonal_lr must be a positive number, got 0.0"),
        ({"dropout": 1.5}, r"dropout must be in \[0, 1\], got 1.5"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DTRIV(D, H, **settings)


def test_dropout_that_drops_nothing_is_warned_of():
    with pytest.warns(UserWarning, match="of num_layers=1 it drops nothing"):
        DTRIV(D, H, dropout=0.5)


@pytest.mark.parametrize("seed", [10, 15])
def test_in_float32_two_forms_part_only_where_a_unit_crosses_zero(seed):
    """There modReLU jumps by 2 b; where no b is above 0, it does not."""
    torch.manual_seed(seed)
    cell, sequence = MomentumDTRIV(1, 128, momentum=0.6, step=0.1), torch.rand(400, 32, 1)
    offset = cell.layers[0].offset
    for jumps in (True, False):
        if not jumps:
            offset.data.abs_().neg_()
        with torch.no_grad():
            fast, loop = cell(sequence)[0], torch.stack(cell.unrolled(sequence)[-1].h)
        apart = (fast - loop).abs()
        first = int((apart > 1e-3).flatten(1).any(1).int().argmax())
        units = (apart[first] > 1e-3).nonzero()[:, 1]
        assert (fast[first] * loop[first] < 0).any() == jumps
        assert (apart.max() > 1e-3) == jumps
        assert (offset[units] > 0).all()
