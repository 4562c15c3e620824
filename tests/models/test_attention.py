"""Laws of the attention family: every form, causal and not, with padding and without."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.functional import elu
from torch.utils.flop_counter import FlopCounterMode

from momentune import models
from momentune.models import (
    adaptive_momentum_attention,
    adaptive_momentum_attention_step,
    linear_attention,
    momentum_attention,
    momentum_attention_loop,
)

# Name of a contender -> name of its function and its coefficients.
LINEAR = {
    "linear": ("linear_attention", {}),
    "momentum": ("momentum_attention", {"momentum": 0.6, "step": 0.9}),
    "momentum 0": ("momentum_attention", {"momentum": 0.0, "step": 0.9}),
    "momentum 1": ("momentum_attention", {"momentum": 1.0, "step": 0.9}),
    "normalised": (
        "momentum_attention",
        {"momentum": 0.99, "step": 0.9, "normalised": True},
    ),
    "adaptive": ("adaptive_momentum_attention", {"step": 0.9, "delta": 1e-4}),
}
ALL = LINEAR | {"softmax": ("softmax_attention", {})}
LENGTHS = [1, 63, 256, 1000]
CAUSAL = pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
MASKED = pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
EVERY = pytest.mark.parametrize("name", ALL)
EVERY_LINEAR = pytest.mark.parametrize("name", LINEAR)


def form(name: str, suffix: str = ""):
    function, coefficients = ALL[name]
    return partial(getattr(models, function + suffix), **coefficients)


def drawn(length: int, dtype=torch.float64, keys: int | None = None) -> list[Tensor]:
    """Queries, keys, values for two sequences and two heads."""
    generator = torch.Generator().manual_seed(length)
    sizes = [(length, 3), (keys or length, 3), (keys or length, 4)]
    return [
        torch.randn(2, 2, *s, generator=generator, dtype=torch.float64).to(dtype) for s in sizes
    ]


def holes(length: int, masked: bool) -> Tensor | None:
    """Keys missing anywhere in the first sequence, and at the end of the second."""
    if not masked:
        return None
    mask = torch.rand(2, length, generator=torch.Generator().manual_seed(length)) > 0.3
    mask[1] = torch.arange(length) < max(1, length // 2)
    return mask


def values_and_gradients(attend, inputs: list[Tensor], **options) -> list[Tensor]:
    leaves = [leaf.clone().requires_grad_() for leaf in inputs]
    out = attend(*leaves, **options)
    weights = torch.linspace(0.5, 1.5, out.numel(), dtype=out.dtype).view_as(out)
    return [out, *torch.autograd.grad((weights * out).sum(), leaves)]


def assert_near(got: Tensor, want: Tensor, tolerance: float = 1e-9) -> None:
    """Equal, to a tolerance relative to the largest number."""
    scale = max(want.abs().max().item(), 1.0)
    torch.testing.assert_close(got, want, rtol=0, atol=tolerance * scale)


def phi(x: Tensor) -> Tensor:
    return elu(x) + 1


# --- the three forms agree ---------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 63, 256, pytest.param(1000, marks=pytest.mark.slow)])
@CAUSAL
@MASKED
@EVERY_LINEAR
def test_the_chunked_form_equals_the_recurrence(name, masked, causal, length):
    options = {"causal": causal, "key_mask": holes(length, masked)}
    chunked, loop = (
        values_and_gradients(form(name, suffix), drawn(length), **options)
        for suffix in ("", "_loop")
    )
    for got, want in zip(chunked, loop, strict=True):
        assert_near(got, want)


@pytest.mark.parametrize("name", ["momentum", "adaptive"])
def test_the_chunked_form_equals_the_recurrence_over_a_thousand_tokens(name):
    options = {"causal": True, "key_mask": holes(1000, masked=True)}
    chunked, loop = (
        values_and_gradients(form(name, suffix), drawn(1000), **options) for suffix in ("", "_loop")
    )
    for got, want in zip(chunked, loop, strict=True):
        assert_near(got, want)


@pytest.mark.parametrize("length", LENGTHS)
@EVERY_LINEAR
def test_float32_agrees_to_its_precision(name, length):
    wide = form(name)(*drawn(length), causal=True)
    narrow = form(name)(*(x.float() for x in drawn(length)), causal=True)
    assert_near(narrow.double(), wide, 3e-3 if name == "adaptive" else 1e-4)


@pytest.mark.parametrize("length", [1, 63])
@MASKED
@EVERY
def test_the_step_form_walks_the_causal_form(name, masked, length):
    q, k, v = drawn(length)
    mask = holes(length, masked)
    whole = form(name)(q, k, v, causal=True, key_mask=mask)
    state = None
    for i in range(length):
        real = None if mask is None else mask[:, i]
        state, out = form(name, "_step")(state, q[:, :, i], k[:, :, i], v[:, :, i], real=real)
        assert_near(out, whole[:, :, i])


@EVERY_LINEAR
def test_the_step_forms_state_never_grows(name):
    """I-T7: D x M + D, and D x M more for momentum."""
    q, k, v = (x[:, :, 0] for x in drawn(1))
    state, sizes = None, set()
    for _ in range(5):
        state, _ = form(name, "_step")(state, q, k, v)
        sizes.add(sum(tensor[0, 0].numel() for tensor in state))
    d, m = 3, 4
    want = {"linear": d * m + d, "normalised": 2 * d * (m + 1) + d, "adaptive": 3 * d * m + d}
    assert sizes == {want.get(name, 2 * d * m + d)}


# --- the formulas ------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.9, 0.999, 1.0])
@CAUSAL
def test_momentum_weighs_a_key_by_its_distance(momentum, causal):
    """I-T1, I-T5: (1 - mu^(i-j+1)) / (1 - mu), and i - j + 1 at 1; z has no momentum."""
    q, k, v = drawn(70)
    i = torch.arange(70, dtype=torch.float64)
    distance = ((i[:, None] if causal else i[-1]) - i + 1).expand(70, 70).clamp(min=0)
    weights = distance if momentum == 1 else (1 - momentum**distance) / (1 - momentum)
    read = torch.ones(70, 70).tril() if causal else torch.ones(70, 70)
    similar = phi(q) @ phi(k).mT * read
    want = (0.7 * weights * similar) @ v / (similar.sum(-1, keepdim=True) + 1e-6)
    assert_near(momentum_attention(q, k, v, momentum=momentum, step=0.7, causal=causal), want)


def test_momentum_is_two_scans():
    """I-T1: s = step / (1 - mu) (C - mu G), with C the sum and G the fading sum."""
    q, k, v = drawn(70)
    outer = phi(k).unsqueeze(-1) * v.unsqueeze(-2)
    fading = torch.zeros_like(outer)
    for i in range(70):
        fading[:, :, i] = outer[:, :, i] + (0.9 * fading[:, :, i - 1] if i else 0)
    s = 0.7 / 0.1 * (outer.cumsum(2) - 0.9 * fading)
    z = (phi(q) * phi(k).cumsum(2)).sum(-1, keepdim=True) + 1e-6
    want = torch.einsum("bhtd,bhtdm->bhtm", phi(q), s) / z
    assert_near(momentum_attention(q, k, v, momentum=0.9, step=0.7, causal=True), want)


@CAUSAL
@MASKED
def test_momentum_0_and_step_1_is_linear_attention(causal, masked):
    """I-T2."""
    options = {"causal": causal, "key_mask": holes(100, masked)}
    want = linear_attention(*drawn(100), **options)
    assert_near(momentum_attention(*drawn(100), momentum=0, step=1, **options), want)


@EVERY_LINEAR
def test_without_differences_between_tokens_only_the_gain_is_left(name):
    """Constant values come back as they are, times step / (1 - mu) at most."""
    q, k, _ = drawn(400)
    out = form(name)(q, k, torch.ones(2, 2, 400, 1, dtype=torch.float64), causal=True)
    gain = {"linear": 1, "normalised": 1, "momentum": 0.9 / 0.4, "momentum 0": 0.9}
    if name in gain:
        assert_near(out[:, :, -1], torch.full_like(out[:, :, -1], gain[name]), 0.02)
    assert out.min() > 0


def test_the_normalised_form_averages():
    """O-T5: weights add up to 1, so values stay within their range, and steps do not matter."""
    q, k, v = drawn(200)
    settings = {"momentum": 0.9, "causal": True, "normalised": True}
    out = momentum_attention(q, k, v, step=1.0, **settings)
    assert (out <= v.cummax(2).values + 1e-4).all()
    assert (out >= v.cummin(2).values - 1e-4).all()
    assert_near(momentum_attention(q, k, v, step=7.0, **settings), out, 1e-5)


def test_features_are_positive_where_elu_rounds_to_minus_1():
    """I-T9: a query meets no denominator of 0."""
    x = torch.tensor([-50.0, -20.0, 0.0, 3.0])
    assert (models.attention_state.features(x) > 0).all()
    torch.testing.assert_close(models.attention_state.features(x), elu(x) + 1)


@pytest.mark.parametrize("momentum", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("normalised", [False, True])
@CAUSAL
@MASKED
def test_gradients_flow_into_learned_coefficients(masked, causal, normalised, momentum):
    """Momentum 0 and 1 too, where a closed form would divide by 0."""
    learned = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (momentum, 0.5)]
    options = {"causal": causal, "key_mask": holes(150, masked), "normalised": normalised}
    gradients = []
    for attend in (momentum_attention, momentum_attention_loop):
        out = attend(*drawn(150), momentum=learned[0], step=learned[1], **options)
        gradients.append(torch.autograd.grad(out.square().sum(), learned))
    assert gradients[0][0].isfinite()
    for got, want in zip(*gradients, strict=True):
        assert_near(got, want)


@CAUSAL
def test_gradients_flow_into_the_step_of_adaptive_attention(causal):
    step = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    gradients = []
    for attend in (adaptive_momentum_attention, models.adaptive_momentum_attention_loop):
        out = attend(*drawn(70), step=step, causal=causal)
        gradients += torch.autograd.grad(out.square().sum(), step)
    assert_near(*gradients)


# --- time and padding --------------------------------------------------------------------------


@EVERY
def test_no_output_depends_on_later_tokens(name):
    """I-T4."""
    q, k, v = drawn(100)
    before = form(name)(q, k, v, causal=True)
    for tensor in (q, k, v):
        tensor[:, :, 70:] = 5.0
    after = form(name)(q, k, v, causal=True)
    assert_near(after[:, :, :70], before[:, :, :70])
    assert not torch.allclose(after[:, :, 70:], before[:, :, 70:])


@pytest.mark.parametrize("length", [1, 63, 64, 200])
@EVERY
def test_appending_tokens_leaves_earlier_outputs_as_they_were(name, length):
    whole = form(name)(*drawn(256), causal=True)
    part = form(name)(*(x[:, :, :length] for x in drawn(256)), causal=True)
    assert_near(part, whole[:, :, :length])


def test_appending_tokens_changes_earlier_outputs_of_the_published_weighting():
    """I-T4: why it is for comparison only."""
    attend = partial(momentum_attention, momentum=0.9, step=0.6, causal=True, weighting="published")
    whole, part = attend(*drawn(100)), attend(*(x[:, :, :80] for x in drawn(100)))
    assert not torch.allclose(part, whole[:, :, :80], atol=0.01)


@MASKED
def test_the_published_weighting_agrees_with_the_recurrence_at_the_last_token_only(masked):
    """I-T3."""
    options = {"momentum": 0.9, "step": 0.6, "causal": True, "key_mask": holes(100, masked)}
    published = momentum_attention(*drawn(100), weighting="published", **options)
    recurrence = momentum_attention_loop(*drawn(100), **options)
    assert_near(published[:, :, -1], recurrence[:, :, -1])
    assert (published[:, :, 10] - recurrence[:, :, 10]).abs().max() > 0.1


def test_the_published_weighting_is_the_recurrence_where_not_causal():
    options = {"momentum": 0.9, "step": 0.6, "causal": False}
    assert torch.equal(
        momentum_attention(*drawn(50), weighting="published", **options),
        momentum_attention(*drawn(50), **options),
    )


@CAUSAL
@EVERY
def test_a_masked_key_is_as_if_it_were_not_there(name, causal):
    """I-T8, and no time passes: the same outputs as for the sequence without these tokens."""
    q, k, v = drawn(100)
    mask = holes(100, masked=True)
    out = form(name)(q, k, v, causal=causal, key_mask=mask)
    for b, kept in enumerate(mask):
        short = [x[b : b + 1, :, kept] for x in (q, k, v)]
        assert_near(out[b : b + 1, :, kept], form(name)(*short, causal=causal))


@EVERY
def test_what_is_masked_has_no_gradient_and_no_influence(name):
    mask = holes(100, masked=True)
    first = values_and_gradients(form(name), drawn(100), causal=True, key_mask=mask)
    away = ~mask[:, None, :, None]
    assert (first[2].masked_select(away) == 0).all()
    assert (first[3].masked_select(away) == 0).all()
    q, k, v = drawn(100)
    other = form(name)(
        q, k.masked_fill(away, 3.0), v.masked_fill(away, -9.0), causal=True, key_mask=mask
    )
    assert_near(other, first[0])


@CAUSAL
@EVERY
def test_a_query_that_may_read_no_key_gives_0(name, causal):
    none = torch.zeros(2, 70, dtype=torch.bool)
    results = values_and_gradients(form(name), drawn(70), causal=causal, key_mask=none)
    assert all((result == 0).all() for result in results)


@pytest.mark.parametrize(("queries", "keys"), [(1, 90), (90, 1), (33, 90)])
@MASKED
@EVERY
def test_queries_from_elsewhere_read_the_state_after_the_last_key(name, masked, queries, keys):
    """Cross-attention: each query reads alone what it would read among others."""
    q, k, v = drawn(queries, keys=keys)
    options = {"causal": False, "key_mask": holes(keys, masked)}
    together = values_and_gradients(form(name), [q, k, v], **options)
    assert together[0].shape == (2, 2, queries, 4)
    assert_near(form(name)(q[:, :, :1], k, v, **options), together[0][:, :, :1])
    if name in LINEAR:
        plain = values_and_gradients(form(name, "_loop"), [q, k, v], **options)
        for got, want in zip(together, plain, strict=True):
            assert_near(got, want)


# --- adaptive momentum -------------------------------------------------------------------------


def momenta(k: Tensor, v: Tensor, delta: float = 1e-4) -> Tensor:
    """The momenta (B, H, T) that adaptive attention uses, in its plain form, told by its state."""
    state, found = None, []
    for i in range(k.shape[2]):
        old = state
        state, _ = adaptive_momentum_attention_step(
            state, k[:, :, i], k[:, :, i], v[:, :, i], step=1.0, delta=delta
        )
        if old is not None:  # p = mu p_old - u
            found.append(((state.p + state.u) * old.p).sum((-2, -1)) / (old.p**2).sum((-2, -1)))
    return torch.stack(found, -1)


@pytest.mark.parametrize("delta", [1e-4, 0.1, 1.0])
def test_adaptive_momentum_stays_below_1_minus_delta(delta):
    """I-T6."""
    _, k, v = drawn(200)
    mu = momenta(k, v, delta)
    assert mu.min() >= -1e-12
    assert mu.max() <= 1 - delta + 1e-12


def test_adaptive_momentum_is_the_optimal_one_of_a_quadratic():
    """I-T6: (1 - sqrt(r))^2 where the change of the gradient is r times the momentum."""
    adaptive = models.attention_state.adaptive_momentum
    ratios = torch.tensor([0.01, 0.25, 0.49, 1.0], dtype=torch.float64)
    got = adaptive((3 * ratios) ** 2, torch.full_like(ratios, 9.0), delta=1e-4)
    assert_near(got, (1 - ratios.sqrt()) ** 2)


def test_adaptive_momentum_of_nothing_is_finite():
    """Equal tokens: no change of the gradient at all. Zero values: neither change nor momentum."""
    q, k, v = drawn(100)
    same = [x[:, :, :1].expand_as(x) for x in (q, k, v)]
    for inputs in (same, [q, k, torch.zeros_like(v)], [q, k, v.masked_fill(v > 0, 0.0)]):
        chunked, loop = (
            values_and_gradients(form("adaptive", suffix), inputs, causal=True)
            for suffix in ("", "_loop")
        )
        for got, want in zip(chunked, loop, strict=True):
            assert got.isfinite().all()
            assert_near(got, want, 1e-6)


def test_equal_tokens_have_the_largest_momentum():
    _, k, v = (x[:, :, :1].expand_as(x) for x in drawn(50))
    assert_near(momenta(k, v), torch.full((2, 2, 49), 1 - 1e-4, dtype=torch.float64))


def test_adaptive_attention_is_scaled_by_its_step_alone():
    """Steps cancel in the momentum: |ds| is step |p|."""
    options = {"causal": True}
    one = adaptive_momentum_attention(*drawn(80), step=1.0, **options)
    assert_near(adaptive_momentum_attention(*drawn(80), step=0.3, **options), 0.3 * one)


# --- precision ---------------------------------------------------------------------------------


@MASKED
@CAUSAL
@EVERY
def test_bfloat16_stays_finite_and_near(name, causal, masked):
    options = {"causal": causal, "key_mask": holes(1000, masked)}
    short = values_and_gradients(form(name), drawn(1000, torch.bfloat16), **options)
    assert all(result.dtype == torch.bfloat16 for result in short)
    assert all(result.isfinite().all() for result in short)
    wide = form(name)(*(x.double() for x in drawn(1000, torch.bfloat16)), **options)
    assert_near(short[0].double(), wide, 0.02)


@CAUSAL
@EVERY_LINEAR
def test_autocast_does_not_shorten_the_sums(name, causal):
    inputs = [x.float() for x in drawn(300)]
    outside = values_and_gradients(form(name), inputs, causal=causal)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = form(name)(*inputs, causal=causal)
    assert torch.equal(inside, outside[0])
    q, k, v = (x[:, :, 0] for x in inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, step = form(name, "_step")(None, q, k, v)
    assert torch.equal(step, form(name, "_step")(None, q, k, v)[1])


# --- time and memory ---------------------------------------------------------------------------


def cost(name: str, length: int, causal: bool) -> tuple[int, int]:
    """Products' operations, forward and backward, and numbers kept for the backward pass."""
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    inputs = [x.requires_grad_() for x in drawn(length)]
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = form(name)(*inputs, causal=causal)
        out.sum().backward()
    return counter.get_total_flops(), sum(sizes)


@CAUSAL
@EVERY_LINEAR
def test_twice_the_tokens_cost_twice_the_time_and_memory(name, causal):
    """I-T7, by what can be counted; the clock is for the benchmark."""
    for once, twice in zip(*(cost(name, length, causal) for length in (512, 1024)), strict=True):
        assert 1.9 * once < twice <= 2 * once


def test_softmax_attention_would_fail_that():
    (once, _), (twice, _) = (cost("softmax", length, causal=False) for length in (512, 1024))
    assert twice == 4 * once


# --- shapes, coefficients ----------------------------------------------------------------------


@EVERY
def test_shapes_that_do_not_fit_are_named(name):
    q, k, v = drawn(10)
    attend = form(name)
    with pytest.raises(ValueError, match=r"\(B, H, T, D\)"):
        attend(q[0], k[0], v[0], causal=True)
    with pytest.raises(ValueError, match="share B, H and D"):
        attend(q[..., :2], k, v, causal=True)
    with pytest.raises(ValueError, match="share B, H and D"):
        attend(q, k, v[:, :, :5], causal=False)
    with pytest.raises(ValueError, match="causal=False"):
        attend(q[:, :, :5], k, v, causal=True)
    with pytest.raises(ValueError, match="at least one token"):
        attend(q[:, :, :0], k[:, :, :0], v[:, :, :0], causal=True)
    for wrong in (torch.ones(2, 10), torch.ones(2, 9, dtype=torch.bool)):
        with pytest.raises(ValueError, match="key_mask is bool"):
            attend(q, k, v, causal=True, key_mask=wrong)
    with pytest.raises(ValueError, match="one token has"):
        form(name, "_step")(None, q, k, v)
    with pytest.raises(ValueError, match="real is bool"):
        form(name, "_step")(None, q[:, :, 0], k[:, :, 0], v[:, :, 0], real=torch.ones(2))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("momentum", {"momentum": -0.1}),
        ("momentum", {"momentum": 1.1}),
        ("momentum", {"momentum": math.nan}),
        ("momentum", {"step": 0.0}),
        ("momentum", {"step": math.inf}),
        ("adaptive", {"step": -1.0}),
        ("adaptive", {"delta": 1.5}),
    ],
)
def test_coefficients_out_of_range_are_named(name, wrong):
    q, k, v = drawn(3)
    (word,) = wrong
    with pytest.raises(ValueError, match=f"{word} must"):
        form(name)(q, k, v, causal=True, **wrong)
    with pytest.raises(ValueError, match=f"{word} must"):
        form(name, "_step")(None, q[:, :, 0], k[:, :, 0], v[:, :, 0], **wrong)


def test_an_unknown_weighting_is_named():
    with pytest.raises(ValueError, match="'recurrence' or 'published'"):
        momentum_attention(*drawn(3), momentum=0.5, step=1, causal=True, weighting="newest")
