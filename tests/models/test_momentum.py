"""Laws of the velocity recurrence."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from momentune.models import nesterov_momentum, velocity, velocity_loop

MOMENTA = [0.0, 0.9, 0.999, 1.0]
LENGTHS = [1, 63, 64, 65, 784]
NESTEROV = [(0, 0), (1, 0), (2, 1), (40, 7)]  # restart, first
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 1e-5)]


def assert_near(got: Tensor, want: Tensor, tolerance: float) -> None:
    """Equal, to a tolerance relative to the largest number."""
    scale = want.abs().max().item()
    torch.testing.assert_close(got, want, rtol=0, atol=tolerance * max(scale, 1.0))


def values_and_gradients(scan, drive, momentum, step, initial) -> list[Tensor]:
    leaves = [
        torch.as_tensor(leaf, dtype=drive.dtype).clone().requires_grad_()
        for leaf in (drive, momentum, step, initial)
    ]
    velocities = scan(*leaves)
    weights = torch.linspace(0.5, 1.5, velocities.numel(), dtype=drive.dtype).view_as(velocities)
    return [velocities, *torch.autograd.grad((weights * velocities).sum(), leaves)]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("momentum", MOMENTA)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=["float64", "float32"])
def test_fast_form_equals_the_loop_in_values_and_gradients(length, momentum, dtype, tolerance):
    torch.manual_seed(length)
    drive, initial = torch.rand(length, 3, 2, dtype=dtype), torch.rand(3, 2, dtype=dtype)
    fast, loop = (
        values_and_gradients(scan, drive, momentum, 0.6, initial)
        for scan in (velocity, velocity_loop)
    )
    for got, want in zip(fast, loop, strict=True):
        assert_near(got, want, tolerance)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("restart", "first"), NESTEROV)
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS, ids=["float64", "float32"])
def test_fast_form_equals_the_loop_with_a_momentum_for_each_step(
    length, restart, first, dtype, tolerance
):
    """Gradients by each momentum too, those of 0 among them."""
    torch.manual_seed(length)
    drive, initial = torch.rand(length, 3, 2, dtype=dtype), torch.rand(3, 2, dtype=dtype)
    momenta = nesterov_momentum(length, restart, first)
    fast, loop = (
        values_and_gradients(scan, drive, momenta, 0.6, initial)
        for scan in (velocity, velocity_loop)
    )
    for got, want in zip(fast, loop, strict=True):
        assert_near(got, want, tolerance)


@pytest.mark.parametrize(("restart", "first"), NESTEROV)
def test_nesterovs_momenta_are_those_of_the_paper(restart, first):
    """I-R9: (k - 1)/(k + 2) with k = 1, ..., F is (t mod F)/(t mod F + 3) with t = 0, 1, ..."""
    counted = [t % restart if restart else t for t in range(first, first + 100)]
    want = torch.tensor([k / (k + 3) for k in counted], dtype=torch.float64)
    assert torch.equal(nesterov_momentum(100, restart, first), want)


def test_the_first_momenta_are_the_published_numbers():
    assert nesterov_momentum(6, restart=4).tolist() == [0, 0.25, 0.4, 0.5, 0, 0.25]


@settings(deadline=None, max_examples=40)
@given(
    length=st.integers(1, 200),
    shape=st.lists(st.integers(0, 4), max_size=3),
    momentum=st.floats(0, 1),
    step=st.floats(1e-3, 10),
)
def test_fast_form_equals_the_loop_for_any_shape_and_numbers(length, shape, momentum, step):
    drive = torch.randn(length, *shape, dtype=torch.float64)
    got, want = velocity(drive, momentum, step), velocity_loop(drive, momentum, step)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scan", [velocity, velocity_loop])
@pytest.mark.parametrize("momentum", [0.0, 0.6, 0.9])
def test_velocity_is_the_sum_of_faded_drives(scan, momentum):
    """I-R2: v_t = s sum_{j <= t} mu^(t - j) g_j."""
    drive = torch.randn(70, 4, dtype=torch.float64)
    for t in (0, 1, 31, 32, 69):
        fading = torch.tensor([momentum ** (t - j) for j in range(t + 1)], dtype=torch.float64)
        unrolled = 0.3 * (fading[:, None] * drive[: t + 1]).sum(0)
        assert_near(scan(drive, momentum, 0.3)[t], unrolled, 1e-13)


@pytest.mark.parametrize("scan", [velocity, velocity_loop])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_constant_drive_ends_at_the_steady_velocity(scan, momentum):
    """I-R11: v -> s g / (1 - mu)."""
    drive = torch.full((500, 1), 2.0, dtype=torch.float64)
    assert_near(scan(drive, momentum, 0.3)[-1], torch.tensor([0.6 / (1 - momentum)]).double(), 1e-6)


@pytest.mark.parametrize("cut", [1, 32, 50])
def test_two_pieces_make_the_whole(cut):
    drive = torch.randn(100, 3, dtype=torch.float64)
    whole = velocity(drive, 0.9, 0.5)
    first = velocity(drive[:cut], 0.9, 0.5)
    second = velocity(drive[cut:], 0.9, 0.5, initial=first[-1])
    assert_near(torch.cat([first, second]), whole, 1e-13)


def test_no_momentum_and_step_one_give_the_drive_itself():
    drive = torch.randn(100, 3)
    assert torch.equal(velocity(drive, 0.0, 1.0), drive)


@pytest.mark.parametrize("scan", [velocity, velocity_loop])
def test_no_steps_and_a_wrong_initial_velocity_are_refused(scan):
    with pytest.raises(ValueError, match="at least one time step"):
        scan(torch.zeros(0, 3), 0.9, 1.0)
    with pytest.raises(ValueError, match=r"\(3,\), got \(2,\)"):
        scan(torch.zeros(5, 3), 0.9, 1.0, torch.zeros(2))


@pytest.mark.parametrize("scan", [velocity, velocity_loop])
@pytest.mark.parametrize("shape", [(4,), (1,), (5, 3)])
def test_momenta_are_one_for_each_step(scan, shape):
    with pytest.raises(ValueError, match=r"one for each of 5 time steps, got shape \("):
        scan(torch.zeros(5, 3), torch.zeros(shape), 1.0)
