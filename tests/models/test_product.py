"""The product of the hand-written loops, by either library."""

import pytest
import torch

from momentune.models import MomentumDTRIV, RMSPropLSTM
from momentune.models import product as product_module
from momentune.models.product import LARGE, product, working

SIZES = [(3, 4, 5), (128, 128, 128), (512, 96, 40)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transposed", [False, True])
def test_it_is_the_plain_product(size, dtype, transposed):
    torch.manual_seed(1)
    rows, inner, columns = size
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(columns, inner).to(dtype)
    if transposed:
        left, right = left.T.contiguous().T, right.T.contiguous().T
    assert product(left, right).dtype == dtype
    want = left.double() @ right.double().T
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(product(left, right).double(), want, rtol=0, atol=tolerance)


def _raises(*_):
    raise RuntimeError("mkldnn is not supported on this platform")


@pytest.mark.parametrize(
    "operator",
    [None, _raises, lambda left, right: left @ right.T, lambda *_: torch.zeros(2, 4), lambda *_: 3],
    ids=["missing", "refuses", "other arguments", "wrong", "no tensor"],
)
def test_an_operator_of_another_build_is_left_alone(operator):
    assert working(operator) is None


def test_an_operator_that_multiplies_is_taken():
    def operator(left, right, *_):
        return left @ right.T

    assert working(operator) is operator


@pytest.mark.parametrize("kind", [MomentumDTRIV, RMSPropLSTM])
def test_without_the_operator_large_cells_are_the_same(kind, monkeypatch):
    torch.manual_seed(1)
    numbers = {"momentum": 0.6} if kind is MomentumDTRIV else {"beta2": 0.9}
    cell, sequence = kind(2, 128, step=0.5, **numbers), torch.randn(20, 70, 2)
    assert LARGE < 128 * 128 * 70
    passes = []
    for operator in (product_module._linear, None):
        monkeypatch.setattr(product_module, "_linear", operator)
        output = cell(sequence)[0]
        gradients = torch.autograd.grad(output[-1].sum(), list(cell.parameters()))
        passes.append((output, *gradients))
    for got, want in zip(*passes, strict=True):
        assert (got - want).norm() <= 1e-3 * want.norm()
