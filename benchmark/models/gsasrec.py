"""gSASRec: SASRec trained with gBCE (Petrov & Macdonald, RecSys 2023, https://arxiv.org/abs/2308.07192).

BCE with one negative makes a model too sure of what is merely popular. gBCE draws many, and weighs targets so that the
probabilities come out as those of a full softmax. The network is benchmark/models/sasrec.py; the loss is `bce` with
`gbce_power` in benchmark/losses.py. Differences from the authors' code: predictions of a batch share their negatives,
and scores begin at the log of popularity. From scores of zero, negatives push all of them down until nothing but
popularity is left, and it takes very long to leave it again.
"""

from __future__ import annotations

from benchmark.models.sasrec import build

SETTINGS = {"loss": "gbce", "negatives": 256, "calibration": 0.75, "item_bias": True}

__all__ = ["SETTINGS", "build"]
