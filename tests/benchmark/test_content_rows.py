"""From files to a leaderboard: videos, covers and titles are encoded, and models of ids and content are ranked."""

import pytest

from benchmark.features import extract_features
from benchmark.leaderboard import label_of
from benchmark.models import MODELS
from benchmark.run import run_benchmark
from tests.benchmark.tiny import tiny_clip, tiny_text, tiny_videomae
from tests.benchmark.with_media import release_with_media

CONTENT = [name for name, entry in MODELS.items() if entry.reads_features]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """With features of each kind, by encoders drawn at random."""
    folder = tmp_path_factory.mktemp("content")
    made = release_with_media(folder / "run", videos=16)
    for encoder, weights in (("videomae", tiny_videomae), ("clip", tiny_clip), ("text", tiny_text)):
        path = str(weights(folder / encoder))
        extract_features(made, encoder, weights=path, device="cpu", processes=1, name=f"by-{encoder}")
    return made


@pytest.mark.parametrize(("features", "told"), [("by-videomae", "ID+V"), ("by-clip", "ID+I"), ("by-text", "ID+T")])
def test_every_model_of_content_has_a_row(release, features, told):
    """Each is trained on real vectors of the release's own files, and its row says of what they are."""
    quick = {"features": features, "width": 8, "blocks": 1, "epochs": 1, "threads": 1, "batch_size": 16}
    board = run_benchmark(release, CONTENT, overrides=quick, device="cpu")

    assert {f"{model} ({told}: {features})" for model in CONTENT} == {label_of(row) for row in board.rows}
    assert all(0 < row["hr@20"] <= 1 for row in board.rows)  # of 16 items twenty are all
