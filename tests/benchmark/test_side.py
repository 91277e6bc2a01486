"""What is known of items beside their ids: read of a release, and fused with id vectors."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from benchmark.data.lists import Lists
from benchmark.data.side import Side, Tags
from benchmark.models import MODELS
from benchmark.models.alphafuse import Beside, strongest
from benchmark.models.fusion import FeatureFusion, MeanFusion, PopularityLevel, TagMean, centred
from benchmark.models.items import ItemTable
from benchmark.settings import Settings
from microlens.errors import CorruptDataError, NotReadyError, RecipeError


@pytest.fixture
def release_of_tags(tmp_path):
    """Write the tags of items 2, 7 and 9, in another order than that of their ids."""

    def write(tags):
        (tmp_path / "data").mkdir()
        items = {"item_id": pa.array([9, 2, 7], pa.int32()), "tags": pa.array(tags, pa.list_(pa.string()))}
        pq.write_table(pa.table(items), tmp_path / "data" / "items.parquet")
        return Side(tmp_path)

    return write


def test_tags_are_numbered_as_the_benchmark_numbers_items(release_of_tags):
    """Public item 2 is item 1, and so on; padding has no tag, and a tag has one number wherever it stands."""
    tags = release_of_tags([["cat", "dog"], [], ["dog", "fox", "cat"]]).tags()
    bags = [tags.of_item.of(torch.tensor([row]))[1].tolist() for row in range(len(tags.of_item.bounds) - 1)]

    assert 3 == tags.count
    assert [0, 0, 3, 2] == [len(bag) for bag in bags]
    assert {1, 2, 3} == set(bags[2])
    assert [bags[2][2], bags[2][0]] == bags[3]


def test_a_tag_that_is_null_is_none(release_of_tags):
    """Within a list, and instead of one."""
    tags = release_of_tags([[None, "dog"], None, ["dog", None, "cat"]]).tags()  # of items 9, 2 and 7
    bags = [tags.of_item.of(torch.tensor([row]))[1].tolist() for row in range(len(tags.of_item.bounds) - 1)]

    assert 2 == tags.count
    assert [0, 0, 2, 1] == [len(bag) for bag in bags]


def test_a_release_without_tags_says_so(release_of_tags):
    """There is nothing to learn of: the message names the table."""
    with pytest.raises(NotReadyError, match=r"no item of .*items\.parquet has a tag"):
        release_of_tags([[], [], []]).tags()


def test_a_table_without_a_tags_column_is_corrupt(small_release):
    """A table of other columns is refused with its path and theirs."""
    with pytest.raises(CorruptDataError, match=r"items\.parquet cannot be read as item_id, tags"):
        Side(small_release).tags()


def test_a_release_without_features_names_the_command_that_makes_them(tmp_path, make_world, write_release):
    """Features are refused before anything is trained."""
    release = write_release(tmp_path / "toy", make_world(users=50))
    (release / "_manifest.json").unlink()  # the toy's lists no files, and is none to go by
    with pytest.raises(NotReadyError) as caught:
        Side(release).features("videomae")

    assert f"microlens-build features {release}" in caught.value.hint


def test_what_was_given_is_not_read():
    """Tensors take the place of a release's files; what neither has is refused."""
    features = torch.ones(3, 2)
    side = Side(Path("nowhere"), features={"videomae": features}, tags=Tags(Lists(torch.zeros(0), torch.zeros(4)), 0))

    assert side.features("videomae") is features
    assert 0 == side.tags().count
    with pytest.raises(NotReadyError, match="no release is given, and no tags"):
        Side(None).tags()


def test_a_sum_is_the_id_vector_and_a_map_of_the_centred_unit_feature():
    """An item without a feature has its id vector alone."""
    features, ids = torch.randn(5, 7) + 3, torch.randn(4, 3)
    features[[0, 4]] = 0
    fusion = FeatureFusion(features, 3, concatenates=False)
    x = features[2] - features[1:4].mean(0)

    found = fusion(ids, torch.tensor([2, 4, 1, 3]))

    assert torch.allclose(ids[0] + fusion.project.weight @ (x / x.norm()), found[0], atol=1e-5)
    assert torch.equal(ids[1], found[1])


def test_a_concatenation_goes_through_one_matrix():
    """Id vector and projected feature, side by side, times a matrix (D, 2 D)."""
    fusion, ids, items = FeatureFusion(torch.randn(5, 7), 3, concatenates=True), torch.randn(2, 3), torch.tensor([1, 2])
    content = fusion.project(fusion.get_buffer("features")[items])

    assert torch.allclose(torch.cat([ids, content], -1) @ fusion.join.weight.T, fusion(ids, items))


@pytest.mark.parametrize("concatenates", [True, False])
def test_padding_is_zero_whatever_is_known_of_items(concatenates, make_side):
    """No fusion gives item 0 a vector."""
    side = make_side(20)
    parts = [PopularityLevel(torch.arange(21), 8), TagMean(side.tags(), 8)]
    fusions = [FeatureFusion(side.features("videomae"), 8, concatenates=concatenates), MeanFusion(parts)]

    for fusion in [*fusions, Beside(strongest(side.features("videomae"), 8))]:
        vectors = ItemTable(20, 8, side=fusion)(torch.tensor([[0, 1]]))
        assert not vectors[0, 0].any()
        assert vectors[0, 1].all()


def test_popularity_has_ten_levels_of_as_many_items():
    """Of 25 items two or three are in each; the most frequent are in level 1, padding in none."""
    frequency = torch.cat([torch.zeros(1, dtype=torch.long), torch.randperm(25) + 1])
    level = PopularityLevel(frequency, 4).level

    assert 0 == int(level[0])
    assert {2, 3} == set(torch.bincount(level[1:])[1:].tolist())
    assert [1, 2] == level[frequency.topk(5).indices].unique().tolist()
    assert bool((level[frequency.argsort(descending=True)[:-1]].diff() >= 0).all())


def test_tags_are_the_mean_of_their_vectors():
    """Whatever the shape of the ids, and zero for an item with no tag."""
    module = TagMean(Tags(Lists(torch.tensor([1, 3, 2, 2, 1]), torch.tensor([0, 0, 2, 2, 5])), 3), 4)
    weight = module.embedding.weight

    found = module(torch.tensor([[3, 0], [1, 2]]))

    assert (2, 2, 4) == found.shape
    assert torch.allclose(weight[[2, 2, 1]].mean(0), found[0, 0])
    assert torch.allclose(weight[[1, 3]].mean(0), found[1, 0])
    assert not found[0, 1].any()
    assert not found[1, 1].any()


def test_parts_and_the_id_count_alike():
    """The mean of three vectors, as Table 11 of the paper has it."""
    pop, tag = (
        PopularityLevel(torch.arange(4), 4),
        TagMean(Tags(Lists(torch.tensor([1, 2, 3]), torch.tensor([0, 0, 1, 2, 3])), 3), 4),
    )
    ids, items = torch.randn(2, 4), torch.tensor([3, 1])

    assert torch.allclose((ids + pop(items) + tag(items)) / 3, MeanFusion([pop, tag])(ids, items))


def test_centring_leaves_out_items_without_features():
    """The mean is of what there is, and rows of zeros stay."""
    features = torch.tensor([[0.0, 0.0], [1.0, 4.0], [0.0, 0.0], [3.0, 0.0]])

    assert [[0, 0], [-1, 2], [0, 0], [1, -2]] == centred(features).tolist()


def test_the_strongest_directions_are_those_of_a_singular_value_decomposition():
    """Up to sign, NumPy's SVD of the centred rows gives the same coordinates, each of variance one."""
    features = torch.cat([torch.zeros(1, 6), torch.randn(40, 6) * torch.tensor([5.0, 4, 3, 2, 1, 0.1]) + 2])
    rows = features[1:].double().numpy()
    left = np.linalg.svd(rows - rows.mean(0), full_matrices=False)[0][:, :3] * np.sqrt(40)

    kept = strongest(features, 3)

    assert not kept[0].any()
    assert np.allclose(np.abs(left), np.abs(kept[1:].flip(1).numpy()), atol=1e-4)


def test_a_direction_in_which_nothing_varies_stays_zero():
    """Features of rank one have one direction; the rest is not noise blown up."""
    kept = strongest(torch.outer(torch.arange(5.0), torch.ones(3)), 3)

    assert [False, False, True] == kept.any(0).tolist()


def test_more_directions_than_numbers_are_refused():
    """The message has both, and the largest width that fits."""
    with pytest.raises(RecipeError, match=r"width / 2 = 4 .* only 3") as caught:
        MODELS["alphafuse"].check_features(torch.ones(5, 3), Settings(width=8))
    with pytest.raises(RecipeError, match="width is 1"):
        MODELS["alphafuse"].check_features(torch.ones(5, 3), Settings(width=1, heads=1))

    assert "lower width to 6" in caught.value.hint
