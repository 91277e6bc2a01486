"""Each sequence model against an independent formula, or a second implementation of it."""

import pytest
import torch
from torch.nn.functional import conv1d, layer_norm, pad, silu

from benchmark.data.split import leave_one_out
from benchmark.models import MODELS
from benchmark.models.bert4rec import BERT4Rec, Encoder
from benchmark.models.esasrec import ESASRec
from benchmark.models.gru4rec import GRU4Rec
from benchmark.models.hstu import HSTU
from benchmark.models.items import ItemTable
from benchmark.models.nextitnet import CausalConvolution, NextItNet
from benchmark.models.sequence import SequenceModel, shortest_first
from benchmark.models.youtube import YouTube
from benchmark.settings import Settings
from benchmark.tasks.masked_item import hide
from benchmark.tasks.next_item import NextItem
from tests.benchmark.references import torchs_block

NEXT_ITEM = [name for name, entry in MODELS.items() if entry.task is NextItem]


@pytest.fixture
def build(interactions, make_side):
    """Build a model of 20 items, six steps at most."""

    def _build(name):
        split = leave_one_out(interactions([1] * 4, [1, 2, 3, 4], item_count=20))
        model = MODELS[name].build(split, Settings(width=8, keep_interactions=7, dropout=0.0), make_side(20))
        for weights in model.encoder.parameters():
            torch.nn.init.normal_(weights, std=0.3)  # no zeros and ones left: positions, biases, gains
        return model.eval()

    return _build


@pytest.mark.parametrize("name", NEXT_ITEM)
def test_no_state_looks_ahead(name, build):
    """Changing the last item leaves every earlier state as it was, and changes the last."""
    model = build(name)

    before, after = model(torch.tensor([[0, 3, 5, 2, 9, 11]])), model(torch.tensor([[0, 3, 5, 2, 9, 12]]))

    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.allclose(before[:, -1], after[:, -1])


@pytest.mark.parametrize("name", NEXT_ITEM)
def test_padding_on_the_left_changes_no_state(name, build):
    """Two zeros more give the same states for the real items."""
    model = build(name)

    short, padded = model(torch.tensor([[3, 5, 2, 9]])), model(torch.tensor([[0, 0, 3, 5, 2, 9]]))

    assert torch.allclose(short, padded[:, 2:], atol=1e-5)


@pytest.mark.parametrize("name", [*NEXT_ITEM, "bert4rec"])
def test_a_user_is_scored_as_if_alone(name, build):
    """Whoever else is asked about, and in what order, a user's scores are the same; padding alone has some, too."""
    model = build(name)
    histories = torch.tensor([[0, 3, 5, 2, 9, 11], [0, 0, 0, 0, 0, 4], [0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]])

    together = model.scores(torch.arange(4), histories)
    alone = torch.cat([model.scores(torch.zeros(1), row[None]) for row in histories])

    assert bool(together.isfinite().all())
    assert torch.allclose(alone, together, atol=1e-5)


def test_blocks_of_like_length_are_the_rows_without_their_padding():
    """Each row is in one block, at its end; more than half of a block is real, but for rows of nothing."""
    rows = torch.tensor([[0, 0, 0, 7, 8], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0], [0, 0, 0, 0, 6], [0, 0, 9, 8, 7]])

    order, blocks = shortest_first(rows)
    whole = torch.cat([pad(block, (5 - block.shape[1], 0)) for block in blocks])

    assert torch.equal(rows[order], whole)
    assert [(2, 1), (1, 2), (1, 3), (1, 5)] == [tuple(block.shape) for block in blocks]


def test_gru4rec_is_torchs_gru_of_the_unpadded_sequence():
    """The states of 3 items behind 4 of padding are those of nn.GRU over the 3 alone, then one linear layer."""
    encoder, vectors = GRU4Rec(8, blocks=2, dropout=0.0).eval(), torch.randn(1, 7, 8)
    reference = torch.nn.GRU(8, 8, 2, bias=False, batch_first=True)
    reference.load_state_dict(encoder.gru.state_dict())

    expected = encoder.out(reference(vectors[:, 4:])[0])

    assert torch.allclose(expected, encoder(vectors, torch.arange(7)[None] >= 4)[:, 4:], atol=1e-6)


def test_autocast_leaves_a_gru_in_float32():
    """Under it cuDNN's would compute in float16, whatever type is asked for."""
    model, seen = GRU4Rec(8), []
    model.gru.register_forward_hook(lambda _, given, made: seen.extend([given[0].dtype, made[0].dtype]))
    with torch.autocast("cpu", torch.bfloat16):
        model(torch.randn(2, 3, 8).bfloat16(), torch.ones(2, 3, dtype=torch.bool))

    assert [torch.float32] * 2 == seen


@pytest.mark.parametrize("dilation", [1, 2, 8])
def test_a_causal_convolution_is_torchs_own(dilation):
    """The same taps in conv1d, with zeros before the first step, give the same numbers."""
    layer, x = CausalConvolution(4, dilation), torch.randn(2, 9, 4)
    weight = layer.taps.weight.view(4, 3, 4).transpose(1, 2)  # (out, in, taps)

    expected = conv1d(pad(x.mT, (2 * dilation, 0)), weight, layer.taps.bias, dilation=dilation).mT

    assert torch.allclose(expected, layer(x), atol=1e-5)


def test_nextitnet_sees_31_steps_a_block_and_no_more():
    """Dilations 1, 2, 4 and 8 of three taps reach 2 (1 + 2 + 4 + 8) steps back, and the step itself."""
    encoder, x = NextItNet(4, blocks=1, dropout=0.0), torch.randn(1, 40, 4, requires_grad=True)

    encoder(x, torch.ones(1, 40, dtype=torch.bool))[0, -1].sum().backward()
    seen = x.grad[0].any(1)

    assert [False] * 9 + [True] * 31 == seen.tolist()


def test_youtubes_state_is_the_tower_of_the_mean_so_far():
    """Of real items only: step 5 of a row that begins at step 3 has the mean of three."""
    encoder, vectors = YouTube(4, dropout=0.0), torch.randn(1, 6, 4)
    states = encoder(vectors, torch.arange(6)[None] >= 2)

    for step in range(2, 6):
        expected = encoder.tower(vectors[0, 2 : step + 1].mean(0))
        assert torch.allclose(expected, states[0, step], atol=1e-6)


def test_hstu_equals_a_loop_over_steps():
    """The paper's equations 1 to 3, one head and one query at a time."""
    encoder, x, real = HSTU(8, steps=6, blocks=1, heads=2, dropout=0.0), torch.randn(1, 6, 8), torch.arange(6) >= 2
    block = encoder.blocks[0]
    torch.nn.init.normal_(block.distance)
    torch.nn.init.normal_(encoder.position)
    start = x[0] + encoder.position
    u, v, q, k = silu(block.gate_value_query_key(layer_norm(start, (8,)))).split(8, -1)
    attended = torch.zeros(6, 8)
    for query in range(2, 6):
        for key in range(2, query + 1):
            for head in (slice(0, 4), slice(4, 8)):
                weight = silu(q[query, head] @ k[key, head] + block.distance[query - key]) / 6
                attended[query, head] += weight * v[key, head]
    expected = layer_norm(start + block.out(layer_norm(attended, (8,)) * u), (8,))

    assert torch.allclose(expected[2:], encoder(x, real[None])[0, 2:], atol=1e-5)


def test_a_block_of_esasrec_is_ligrs_with_torchs_attention():
    """What is added to x is sigmoid(W x) * F(norm(x)): first with nn.MultiheadAttention, then SwiGLU."""
    encoder, x = ESASRec(8, steps=5, blocks=1, heads=2, dropout=0.0).eval(), torch.randn(2, 5, 8)
    block = encoder.blocks[0]
    attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    ours = block.attention
    attention.load_state_dict(
        {
            "in_proj_weight": ours.query_key_value.weight,
            "in_proj_bias": ours.query_key_value.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    past = torch.ones(5, 5, dtype=torch.bool).tril()
    normed = layer_norm(x, (8,))
    middle = x + block.attention_gate(x).sigmoid() * attention(normed, normed, normed, attn_mask=~past)[0]
    gate, value = block.feed_forward.gate_and_value(layer_norm(middle, (8,))).split(32, -1)
    mapped = block.feed_forward.out(silu(gate) * value)
    expected = layer_norm(middle + block.feed_forward_gate(middle).sigmoid() * mapped, (8,))

    assert torch.allclose(expected, encoder(x, torch.ones(2, 5, dtype=torch.bool)), atol=1e-5)


def small_bert():
    encoder = Encoder(8, steps=6, blocks=1, heads=2, dropout=0.0, norm_first=False)
    torch.nn.init.normal_(encoder.position)
    return BERT4Rec(ItemTable(20, 8), encoder, 8).eval()


def test_bert4rec_is_torchs_encoder_over_items_and_the_hidden_vector():
    """With the same weights, post-LN and GELU, nn.TransformerEncoderLayer gives the same states."""
    model, history = small_bert(), torch.tensor([[3, 5, 2, 9, 11, 4]])
    hidden = torch.tensor([[False, True, False, False, True, False]])
    reference = torchs_block(model.encoder.blocks[0], 8, activation="gelu")
    vectors = model.items(history)
    vectors[hidden] = model.hidden_vector

    expected = layer_norm(reference(vectors + model.encoder.position), (8,))

    assert torch.allclose(expected, model(history, hidden), atol=1e-5)


def test_bert4rec_knows_nothing_of_what_is_hidden():
    """Another item behind the mask changes no state; another before or after it changes all."""
    model, hidden = small_bert(), torch.tensor([[False, False, True, False]])

    states = [model(torch.tensor([row]), hidden) for row in ([3, 5, 2, 9], [3, 5, 8, 9], [3, 5, 2, 8])]

    assert torch.equal(states[0], states[1])
    assert not torch.isclose(states[0], states[2]).all(-1).any()


def test_bert4rec_is_asked_with_one_hidden_step_after_the_history():
    """The next item's state is that of a mask behind the newest item, and padding changes nothing."""
    model = small_bert()
    asked = torch.tensor([[3, 5, 2, 0]]), torch.tensor([[False, False, False, True]])
    expected = model.items.scores(model(*asked)[:, -1])

    assert torch.allclose(expected, model.scores(torch.zeros(1), torch.tensor([[0, 0, 3, 5, 2]])), atol=1e-5)


def test_every_row_hides_something_real_and_some_the_last_alone():
    """Of 4,000 rows of five items and three of padding a fifth is hidden, and a tenth or more their last item alone."""
    rows = pad(torch.randint(1, 9, (4_000, 5)), (3, 0))
    hidden = hide(rows, 0.2, torch.Generator().manual_seed(0))
    counts = hidden.sum(1)

    assert not hidden[rows == 0].any()
    assert 1 == int(counts.min())
    assert 0.1 < float((hidden[:, -1] & (counts == 1)).float().mean()) < 0.6
    assert pytest.approx(0.9 * 0.2, abs=0.02) == float(hidden[:, 3:-1].float().mean())


def test_a_sequence_model_keeps_no_scores_of_older_weights():
    """Item vectors that were put together for an evaluation are made anew after another step of training."""
    model = SequenceModel(ItemTable(20, 8), YouTube(8, dropout=0.0))
    history = torch.tensor([[1, 2, 3]])
    before = model.eval().scores(torch.zeros(1), history)
    torch.nn.init.normal_(model.train().items.embedding.weight)

    assert not torch.allclose(before, model.eval().scores(torch.zeros(1), history))
