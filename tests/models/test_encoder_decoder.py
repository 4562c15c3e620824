"""Networks from one sequence to another: what an answer may and may not depend on."""

import itertools

import pytest
import torch
from torch import Tensor

from momentune.models import EncoderDecoderTransformer, PairClassifier, TransformerSettings, build
from momentune.models.transformer import ATTENTIONS

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
SOURCE, TARGET, START, END = 7, 9, 1, 2


def translator(settings: TransformerSettings, source_length: int = SOURCE):
    def make() -> EncoderDecoderTransformer:
        return EncoderDecoderTransformer(6, 5, source_length, TARGET, settings)

    return build(make, seed=0).double()


def tokens(rows: int, length: int, seed: int = 0, first: int = 1, below: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(first, below, (rows, length), generator=generator)


def pairs(rows: int, seed: int = 0) -> Tensor:
    return torch.cat([tokens(rows, SOURCE, seed, below=6), tokens(rows, TARGET, seed + 100)], 1)


@EVERY
def test_token_by_token_gives_what_whole_targets_give(settings):
    network, both = translator(settings), pairs(3)
    both[0, 4:SOURCE] = 0  # a shorter source
    source, target = both[:, :SOURCE], both[:, SOURCE:]
    state, answers = network.begin(source), []
    for step in range(TARGET):
        answer, state = network.token(target[:, step], state)
        answers.append(answer)
    torch.testing.assert_close(torch.stack(answers, 1), network(both))


@EVERY
def test_an_answer_depends_on_no_later_target_but_on_all_of_its_source(settings):
    network, both = translator(settings), pairs(2)
    whole = network(both)
    later = both.clone()
    later[:, SOURCE + 5 :] = tokens(2, TARGET - 5, seed=9)
    torch.testing.assert_close(network(later)[:, :5], whole[:, :5])
    torch.testing.assert_close(network(both[:, : SOURCE + 5]), whole[:, :5])
    for place in range(SOURCE):
        other = both.clone()
        other[:, place] = both[:, place] % 5 + 1
        assert ((network(other) - whole).abs().amax(-1) > 1e-9).all()


@EVERY
def test_padding_behind_a_source_changes_nothing(settings):
    wide, both = translator(settings, source_length=SOURCE + 4), pairs(2)
    narrow = translator(settings)
    weights = wide.state_dict()
    weights["source_embedding.places.weight"] = weights["source_embedding.places.weight"][:SOURCE]
    narrow.load_state_dict(weights)
    padded = torch.cat([both[:, :SOURCE], torch.zeros(2, 4).long(), both[:, SOURCE:]], 1)
    longer = torch.cat([tokens(1, SOURCE + 4, below=6), tokens(1, TARGET)], 1)
    torch.testing.assert_close(wide(torch.cat([padded, longer]))[:2], narrow(both))


@EVERY
def test_every_weight_learns(settings):
    network = translator(settings)
    network(pairs(3)).log_softmax(-1)[..., 1].square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_greedy_targets_are_the_likeliest_tokens_up_to_the_end(attention):
    network = translator(TransformerSettings(features=8, heads=2, attention=attention, **MOVING))
    with torch.no_grad():
        network.head.weight.mul_(10)  # so that targets differ
    source = tokens(20, SOURCE, below=6)
    targets = network.greedy(source, start=START, end=END)
    before = torch.cat([torch.full((20, 1), START), targets[:, :-1]], 1)
    likeliest = network(torch.cat([source, before], 1)).argmax(-1)
    ended = (likeliest == END).cumsum(1) > 0
    assert torch.equal(targets, likeliest.masked_fill(ended, 0))
    assert ended.any()
    assert not ended.all(0).any()  # the longest target is not cut


def test_a_layer_with_softmax_and_plain_connections_is_torchs():
    ours = translator(TransformerSettings(features=8, heads=2, layers=1, prenorm=False))
    block = ours.decoder[0]
    torchs = torch.nn.TransformerDecoderLayer(
        8, 2, 32, dropout=0.0, activation="gelu", batch_first=True, dtype=torch.float64
    )
    cross = torch.cat([block.cross.ask.weight, block.cross.project.weight])
    weights = {
        "self_attn.in_proj_weight": block.attention.project.weight,
        "self_attn.in_proj_bias": block.attention.project.bias,
        "self_attn.out_proj.weight": block.attention.join.weight,
        "self_attn.out_proj.bias": block.attention.join.bias,
        "multihead_attn.in_proj_weight": cross,
        "multihead_attn.in_proj_bias": torch.cat([block.cross.ask.bias, block.cross.project.bias]),
        "multihead_attn.out_proj.weight": block.cross.join.weight,
        "multihead_attn.out_proj.bias": block.cross.join.bias,
        "linear1.weight": block.linear[0].weight,
        "linear1.bias": block.linear[0].bias,
        "linear2.weight": block.linear[3].weight,
        "linear2.bias": block.linear[3].bias,
    }
    torchs.load_state_dict(torchs.state_dict() | weights)
    generator = torch.Generator().manual_seed(0)
    x, source = torch.randn(2, 2, 6, 8, dtype=torch.float64, generator=generator)
    there = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    want = torchs(
        x,
        source,
        tgt_mask=torch.nn.Transformer.generate_square_subsequent_mask(6, dtype=torch.float64),
        memory_key_padding_mask=~there,
    )
    got, _ = block.decode(x, block.cross.memory(source, there), None)
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("attention", ["linear", "momentum", "adaptive"])
def test_what_linear_attentions_remember_grows_neither_with_source_nor_with_target(attention):
    settings = TransformerSettings(features=8, heads=2, attention=attention)
    network, sizes = translator(settings, source_length=50), set()
    for length in (1, 50):
        state = network.begin(tokens(2, length))
        for _ in range(3):
            _, state = network.token(tokens(2, 1)[:, 0], state)
            kept = itertools.chain(*state.memories, *state.states)
            sizes.add(sum(part.numel() for part in kept))
    assert len(sizes) == 1


def test_pairs_need_columns_behind_the_source():
    with pytest.raises(ValueError, match=r"source_length=7 columns, the source's, got \(2, 7\)"):
        translator(TransformerSettings(features=8, heads=2))(tokens(2, SOURCE))


@EVERY
def test_a_pair_is_judged_by_two_vectors_each_read_alone(settings):
    def make() -> PairClassifier:
        return PairClassifier(5, 12, 3, settings, padding=0)

    network = build(make, seed=0).double()
    both = torch.stack([tokens(4, 12), tokens(4, 12, seed=1)], 1)
    both[:, 1, 7:] = 0
    answers = network(both)
    a, b = network.encoded(both[:, 0]), network.encoded(both[:, 1, :7])
    want = network.head(torch.cat([a, b, a * b, a - b], -1))
    torch.testing.assert_close(answers, want)
    assert not torch.allclose(network(both.flip(1)), answers)
