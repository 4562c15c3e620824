"""Laws of momentum residual networks."""

import pytest
import torch
from torch import Tensor, nn

from momentune.models import MomentumResNet, build

WIDTH = 5


def network(momentum: float, depth: int = 6, dropout: float = 0.0, **options) -> MomentumResNet:
    def make() -> MomentumResNet:
        blocks = [
            nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, WIDTH))
            for _ in range(depth)
        ]
        return MomentumResNet(blocks, momentum=momentum, **options).double()

    return build(make, seed=1)


def drawn() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    x, v = torch.randn(2, 3, WIDTH, generator=generator, dtype=torch.float64)
    return x, v


def gradients(net: MomentumResNet) -> list[Tensor]:
    x, v = (tensor.clone().requires_grad_() for tensor in drawn())
    torch.manual_seed(3)  # of dropout
    position, velocity = net(x, v)
    loss = (position.square() + 0.3 * velocity).sum()
    return [position, velocity, *torch.autograd.grad(loss, [x, v, *net.parameters()])]


def test_momentum_0_is_a_resnet():
    """I-M1."""
    net = network(0.0, memory_free=False)
    x, v = drawn()
    want = x
    for block in net.blocks:
        want = want + block(want)
    torch.testing.assert_close(net(x, v)[0], want, rtol=0, atol=1e-13)


def test_the_forward_pass_is_the_papers():
    net = network(0.7)
    x, _ = drawn()
    v = torch.zeros_like(x)
    got = net(x)
    for block in net.blocks:
        v = 0.7 * v + 0.3 * block(x)
        x = x + v
    torch.testing.assert_close(got, (x, v), rtol=0, atol=1e-13)


@pytest.mark.parametrize("momentum", [0.5, 0.9, 1.0])
def test_the_inverse_undoes_the_forward_pass(momentum):
    """I-M2."""
    net = network(momentum)
    for got, want in zip(net.inverse(*net(*drawn())), drawn(), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("momentum", [0.5, 0.9, 1.0])
def test_the_memory_free_backward_pass_is_the_ordinary_one(momentum, dropout):
    """I-M3; with the same random numbers where blocks draw them."""
    free, kept = (
        gradients(network(momentum, dropout=dropout, memory_free=free)) for free in (True, False)
    )
    for got, want in zip(free, kept, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-11)


def test_the_backward_pass_leaves_the_random_numbers_as_they_were():
    net = network(0.9, dropout=0.5)
    position, _ = net(*drawn())
    before = torch.get_rng_state()
    position.sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("backward_inside", [False, True])
def test_the_memory_free_backward_pass_replays_under_the_same_autocast(backward_inside):
    """A replay in other numbers inverts another network."""
    found = []
    for free in (True, False):
        net = network(0.5, memory_free=free).float()
        x = drawn()[0].float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=True):
            loss = net(x)[0].square().sum()
            if backward_inside:
                loss.backward()
        if not backward_inside:
            loss.backward()
        found.append([x.grad, *(parameter.grad for parameter in net.parameters())])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0.02 * want.abs().max().item())


def test_a_block_used_twice_gathers_both_gradients():
    block = nn.Linear(WIDTH, WIDTH).double()
    free, kept = (
        gradients(MomentumResNet([block, block], momentum=0.9, memory_free=free))
        for free in (True, False)
    )
    for got, want in zip(free, kept, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


def test_frozen_blocks_pass_gradients_on():
    net = network(0.9)
    net.blocks[2].requires_grad_(False)
    position, _ = net(*drawn())
    position.sum().backward()
    assert net.blocks[2][0].weight.grad is None
    assert net.blocks[1][0].weight.grad.abs().sum() > 0


def kept_numbers(depth: int, memory_free: bool) -> int:
    """How many numbers autograd keeps for the backward pass, parameters apart."""
    net = network(0.9, depth, memory_free=memory_free)
    own = {parameter.data_ptr() for parameter in net.parameters()}
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(0 if tensor.data_ptr() in own else tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(*(tensor.requires_grad_() for tensor in drawn()))
    return sum(sizes)


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_depth():
    assert kept_numbers(2, memory_free=True) == kept_numbers(20, memory_free=True)
    assert kept_numbers(20, memory_free=False) > 5 * kept_numbers(2, memory_free=False)


def test_what_has_no_inverse_says_so():
    with pytest.raises(ValueError, match="momentum 0 has no inverse"):
        network(0.0)
    with pytest.raises(ValueError, match="momentum 0 has no inverse"):
        network(0.0, memory_free=False).inverse(*drawn())


def test_bad_settings_and_shapes_are_named():
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\], got 1.5"):
        network(1.5)
    with pytest.raises(ValueError, match="at least one block"):
        MomentumResNet([])
    with pytest.raises(ValueError, match="one shape"):
        network(0.9)(drawn()[0], torch.zeros(1))
    with pytest.raises(ValueError, match="keeps the shape"):
        MomentumResNet([nn.Linear(WIDTH, 2).double()])(drawn()[0])


def test_it_has_no_second_derivative_and_says_so():
    net = MomentumResNet([torch.nn.Linear(3, 3)], momentum=0.5)
    x = torch.rand(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="`memory_free=False` can"):
        torch.autograd.grad(net(x)[0].sum(), x, create_graph=True)
