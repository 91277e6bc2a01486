"""Toys and second implementations that several tests hold models against."""

import numpy as np
import torch

from benchmark.data.met import Met

USERS, ITEMS = 7, 9
_NAMES = {
    "self_attn.in_proj_": "attention.query_key_value.",
    "self_attn.out_proj.": "attention.out.",
    "linear1.": "feed_forward.0.",
    "linear2.": "feed_forward.2.",
    "norm1.": "attention_norm.",
    "norm2.": "feed_forward_norm.",
}


def few_met():
    """Seven users who met one to four of nine items each; item 9 was met by nobody."""
    rng = np.random.default_rng(0)
    pairs = [(user, item) for user in range(USERS) for item in 1 + rng.permutation(ITEMS - 1)[: 1 + user % 4]]
    return Met.of_pairs(torch.tensor(pairs), USERS, ITEMS)


def dense(met):
    """The same as a table of users and items."""
    table = torch.zeros(USERS, ITEMS + 1)
    table[met.user, met.item] = 1
    return table


def torchs_block(block, width, **how):
    """torch.nn.TransformerEncoderLayer of two heads with the weights of one of our blocks."""
    reference = torch.nn.TransformerEncoderLayer(width, 2, 4 * width, 0.0, batch_first=True, **how)
    ours = block.state_dict()
    weights = {name + kind: ours[own + kind] for name, own in _NAMES.items() for kind in ("weight", "bias")}
    reference.load_state_dict(weights)
    return reference
