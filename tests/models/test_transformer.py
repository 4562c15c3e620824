"""Transformers: the laws that every attention and every connection keeps."""

import itertools
from functools import partial

import pytest
import torch

from momentune.models import (
    AutoregressiveTransformer,
    TransformerClassifier,
    TransformerSettings,
    build,
)
from momentune.models.transformer import ATTENTIONS, Transformer

MOVING = {"momentum": 0.6, "step": 0.9, "residual_momentum": 0.3, "residual_step": 0.9}
SETTINGS = {
    f"{attention}-{residual}-{'pre' if prenorm else 'post'}": TransformerSettings(
        features=8, heads=2, attention=attention, residual=residual, prenorm=prenorm, **MOVING
    )
    for attention, residual, prenorm in itertools.product(
        ATTENTIONS, ("plain", "momentum", "adaptive"), (True, False)
    )
}
EVERY = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
LENGTH = 12


def small(settings: TransformerSettings, causal: bool) -> Transformer:
    return build(lambda: Transformer(settings, causal=causal), seed=0).double()


def reader(settings: TransformerSettings) -> AutoregressiveTransformer:
    return build(lambda: AutoregressiveTransformer(5, LENGTH, 3, settings), seed=0).double()


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def tokens(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(1, 5, (rows, length), generator=torch.Generator().manual_seed(seed))


@EVERY
def test_token_by_token_gives_what_the_whole_sequence_gives(settings):
    network, sequence = reader(settings), tokens(3, LENGTH)
    state, answers = None, []
    for step in range(LENGTH):
        answer, state = network.token(sequence[:, step], state)
        answers.append(answer)
    torch.testing.assert_close(torch.stack(answers, 1), network(sequence))


@EVERY
def test_an_answer_depends_on_no_later_token(settings):
    network, sequence = reader(settings), tokens(2, LENGTH)
    changed = sequence.clone()
    changed[:, 7:] = tokens(2, LENGTH - 7, seed=1)
    torch.testing.assert_close(network(changed)[:, :7], network(sequence)[:, :7])
    torch.testing.assert_close(network(sequence[:, :7]), network(sequence)[:, :7])


@EVERY
def test_padding_changes_no_answer(settings):
    make = partial(TransformerClassifier, 5, LENGTH, 3, settings, padding=0)
    network, sequence = build(make, seed=0).double(), tokens(3, 7)
    padded = torch.zeros(4, LENGTH, dtype=torch.long)
    padded[:3, :7], padded[3] = sequence, tokens(1, LENGTH, seed=1)
    torch.testing.assert_close(network(padded)[:3], network(sequence))


@EVERY
def test_a_sequence_is_read_alone_whatever_is_in_its_batch(settings):
    network, x = small(settings, causal=False), drawn(4, 6, 8)
    alone = torch.cat([network(row.unsqueeze(0)) for row in x])
    torch.testing.assert_close(network(x), alone)


@EVERY
@pytest.mark.parametrize("causal", [True, False])
def test_every_weight_learns(settings, causal):
    network = small(settings, causal)
    network(drawn(2, 6, 8)).square().mul(drawn(2, 6, 8, seed=1)).sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


@EVERY
@pytest.mark.parametrize("causal", [True, False])
def test_mixed_precision_stays_finite_and_near(settings, causal):
    network, x = small(settings, causal).float(), drawn(2, 300, 8).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = network(x)
        mixed.float().square().mean().backward()
    for name, weight in network.named_parameters():
        assert weight.grad.isfinite().all(), name
    torch.testing.assert_close(mixed.float(), network(x), rtol=0.1, atol=0.3)


@pytest.mark.parametrize("prenorm", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("moving", "still"),
    [
        ({"attention": "momentum", "momentum": 0.0, "step": 1.0}, {"attention": "linear"}),
        ({"residual": "momentum", "residual_momentum": 0.0, "residual_step": 1.0}, {}),
        ({"residual": "adaptive", "delta": 1.0}, {}),
        ({"attention": "adaptive", "delta": 1.0}, {"attention": "linear"}),
    ],
    ids=lambda changed: "-".join(map(str, changed.values())) or "plain",
)
def test_without_momentum_it_is_the_plain_transformer(moving, still, prenorm, causal):
    x = drawn(2, 9, 8)
    plain, other = (
        small(TransformerSettings(features=8, heads=2, prenorm=prenorm, **changed), causal)
        for changed in (still, moving)
    )
    torch.testing.assert_close(other(x), plain(x))


def test_a_layer_with_softmax_and_plain_connections_is_torchs():
    settings = TransformerSettings(features=8, heads=2, layers=1, prenorm=False)
    ours = small(settings, causal=False)
    torchs = torch.nn.TransformerEncoderLayer(
        8, 2, 32, dropout=0.0, activation="gelu", batch_first=True, dtype=torch.float64
    )
    block = ours.blocks[0]
    pairs = {
        torchs.self_attn.in_proj_weight: block.attention.project.weight,
        torchs.self_attn.in_proj_bias: block.attention.project.bias,
        torchs.self_attn.out_proj.weight: block.attention.join.weight,
        torchs.self_attn.out_proj.bias: block.attention.join.bias,
        torchs.linear1.weight: block.linear[0].weight,
        torchs.linear1.bias: block.linear[0].bias,
        torchs.linear2.weight: block.linear[3].weight,
        torchs.linear2.bias: block.linear[3].bias,
    }
    with torch.no_grad():
        for theirs, mine in pairs.items():
            theirs.copy_(mine)
    x = drawn(2, 6, 8)
    torch.testing.assert_close(ours(x), torchs(x))


@pytest.mark.parametrize("attention", ["linear", "momentum", "adaptive"])
def test_linear_attentions_remember_as_much_after_many_tokens_as_after_one(attention):
    settings = TransformerSettings(features=8, heads=2, attention=attention)
    network, sizes = small(settings, causal=True), []
    states = None
    for step in range(5):
        _, states = network.token(drawn(2, 8, seed=step), states)
        sizes.append(sum(part.numel() for state in states for part in state))
    assert len(set(sizes)) == 1


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        ({"layers": 0}, "layers must be at least 1, got 0"),
        ({"features": 10, "heads": 4}, "features must be a multiple of heads"),
        ({"attention": "sharp"}, "no attention 'sharp'; there are softmax, linear"),
        ({"residual": "none"}, "no residual 'none'; there are plain, momentum, adaptive"),
        ({"attention": "momentum", "momentum": 1.5}, "momentum must lie in"),
        ({"residual": "momentum", "residual_momentum": -1}, "residual_momentum must be"),
    ],
)
def test_settings_out_of_range_are_refused_before_a_network_is_made(bad, rule):
    with pytest.raises(ValueError, match=rule):
        TransformerSettings(**bad)


def test_a_sequence_may_not_be_longer_than_the_places():
    network = reader(TransformerSettings(features=8, heads=2))
    with pytest.raises(ValueError, match="may have 12 tokens, got 13"):
        network(tokens(1, 13))


def test_what_is_not_causal_does_not_go_token_by_token():
    network = small(TransformerSettings(features=8, heads=2), causal=False)
    with pytest.raises(ValueError, match="causal=True"):
        network.token(drawn(2, 8))
