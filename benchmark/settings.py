"""How a model is built and trained: what each setting means, its unit, and what it can be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from microlens.errors import RecipeError

LOSSES = ("in_batch", "full", "sampled", "bce", "gbce", "bpr")
FUSIONS = ("sum", "concat", "own")
STARTS = ("random", "spectral")
COMPUTING = ("chunk_scores", "compile", "row_wise", "threads")
"""Settings that say how fast something is computed: a result changes by its rounding, and with `compile` by
what dropout draws."""
NO_OTHER_RUN = ("chunk_scores",)
"""What may be lowered where memory lacks and trains nothing anew, though it moves sums by their rounding."""


@dataclass(frozen=True)
class Settings:
    keep_interactions: int = 13
    """Steps of the longest sequence that a model is trained on and asked with, validation and test included. Popularity
    counts its training part; models of pairs, ItemKNN and EASE learn from all interactions before a user's last two."""

    width: int = 64
    """Numbers in an item vector and in a user's."""
    blocks: int = 2
    """Number of transformer, convolution or GRU blocks, of hidden layers, or of steps over a graph."""
    heads: int = 2
    """Number of attention heads; `width` must be divisible by it."""
    dropout: float = 0.2
    """Share of numbers that training sets to zero, 0 to 1."""
    norm_first: bool = True
    """Normalise before attention and feed-forward layer (pre-LN) instead of after them (post-LN)."""
    start: str = "random"
    """Directions of item vectors before training, in models of sequences: `random`, as everyone's, or `spectral`, told
    from which items stand near each other in training (benchmark/models/spectral.py)."""
    start_length: float = 1.0
    """About how long those vectors are. Short ones let what is rarely met score low; with a softmax over all items of a
    small catalogue that ranks better."""
    item_bias: bool = True
    """Add the log of an item's training frequency, and a learned offset, to its score; the paper does not."""

    features: str = "videomae"
    """Name of the frozen item features of models that use content: a folder of the release's `features`."""
    fusion: str = "sum"
    """How an item's id vector and its projected features become one: their `sum`, or a matrix on both (`concat`). `own`
    is the way of models that have one and no choice, and of those alone."""

    loss: str = "in_batch"
    """`in_batch`: softmax over the distinct items of a batch; `full`: over all items; `sampled`: over drawn ones;
    `bce`, `gbce`, `bpr`: the target against each of the drawn ones. Not every task takes each."""
    negatives: int = 1
    """Items drawn against each target, where the loss draws any."""
    share_negatives: bool = True
    """Draw negatives once for a whole batch instead of anew for each target: many more for the same time."""
    calibration: float = 0.75
    """gBCE's t, 0 to 1: how far the overconfidence of few negatives is undone; 0 is plain BCE."""
    mask_share: float = 0.2
    """Share of a sequence's items that masked-item training hides, above 0 and below 1."""
    log_q: str = "inclusion"
    """What `in_batch` takes off a score: log `frequency`, as MicroLens does, or the log chance of `inclusion`."""
    batch_size: int = 256
    """Users, or pairs of user and item, per step of the optimiser."""
    learning_rate: float = 1e-3
    """AdamW's step size, constant."""
    weight_decay: float = 0.1
    """AdamW's decay of matrices, as a share of them per step and unit of learning rate; vectors do not decay."""
    gradient_clip: float = 5.0
    """Largest norm of all gradients together."""
    epochs: int = 40
    """Most passes over all users."""
    validation_users: int = 0
    """Users, drawn by the seed, whom each epoch's validation asks; 0 asks all. The test always asks all."""
    average_epochs: int = 1
    """Epochs at whose ends weights are averaged, the last one among them: what is validated, kept and tested."""
    patience: int = 5
    """Epochs without a better validation NDCG@10 after which training stops."""
    row_wise: str = "auto"
    """Move only those rows of an embedding that a step looks up, to the same result: `always`, `never`, or `auto`,
    which is large tables (benchmark/optimizer.py). `loss=full` looks up all."""
    chunk_scores: int = 4_000_000
    """Scores of users times items that an evaluation holds at once, 4 bytes each and as much again."""
    mixed_precision: bool = True
    """Train in bfloat16 and TF32 on a GPU; an evaluation is in float32 everywhere."""
    compile: bool = False
    """Have `torch.compile` make what a model spends its training in: a minute at the start (docs/benchmark.md). Dropout
    then draws other numbers."""
    threads: int = 2
    """CPU threads that torch may use."""

    neighbours: int = 1000
    """Number of items that ItemKNN keeps as alike to each."""
    recency: float = 0.8
    """Weight of a step in ItemKNN, as a share of the next one's; 1 weighs all alike."""
    ridge: float = 100.0
    """EASE's λ, in users: added to how many met each item."""

    def __post_init__(self) -> None:
        whole = ("width", "blocks", "heads", "negatives", "batch_size", "epochs", "patience", "chunk_scores", "threads")
        for name in (*whole, "average_epochs", "neighbours"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _require(self.validation_users >= 0, "validation_users", self.validation_users, "0 or more")
        _require(self.keep_interactions >= 3, "keep_interactions", self.keep_interactions, "3 or more")  # noqa: PLR2004
        _require(0 <= self.dropout < 1, "dropout", self.dropout, "at least 0 and below 1")
        _require(0 <= self.calibration <= 1, "calibration", self.calibration, "from 0 to 1")
        _require(0 < self.mask_share < 1, "mask_share", self.mask_share, "above 0 and below 1")
        _require(self.fusion in FUSIONS, "fusion", self.fusion, f"one of {', '.join(FUSIONS)}")
        _require(self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        _require(self.start in STARTS, "start", self.start, f"one of {', '.join(STARTS)}")
        _require(self.start_length > 0, "start_length", self.start_length, "above 0")
        _require(self.gradient_clip > 0, "gradient_clip", self.gradient_clip, "above 0")
        _require(0 < self.recency <= 1, "recency", self.recency, "above 0 and at most 1")
        _require(self.ridge > 0, "ridge", self.ridge, "above 0")
        _require(self.loss in LOSSES, "loss", self.loss, f"one of {', '.join(LOSSES)}")
        _require(self.row_wise in {"auto", "always", "never"}, "row_wise", self.row_wise, "auto, always or never")
        _require(self.log_q in {"inclusion", "frequency"}, "log_q", self.log_q, "inclusion or frequency")


def as_line(settings: Settings) -> dict[str, Any]:
    """Give all that a preset should say of a model: what it learns, not how fast."""
    return {name: value for name, value in asdict(settings).items() if name not in COMPUTING}


def _require(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise RecipeError(
            f"the benchmark setting {name!r} is {value!r}, but must be {wanted}",
            hint=f"change {name} in the preset or among the overrides",
        )
