"""Which configurations are tried."""

import pytest

from benchmark.presets import load_preset
from benchmark.tuning.grid import PAPER_GRID, configurations, read_grid, searched
from microlens.errors import RecipeError

NONE = {"preset": "default", "overrides": {}, "grid": None, "seed": 0}


def draw(model="sasrec", count=1000, **changes):
    return configurations(model, **NONE | {"count": count} | changes)


def test_the_papers_grid_is_the_usual_one():
    """Five learning rates, seven widths, six batch sizes: each combination once."""
    drawn = draw()

    assert 5 * 7 * 6 == len(drawn) == len(set(drawn))
    assert set(PAPER_GRID) == set(searched(drawn))
    assert {1e-5, 5e-5, 1e-4, 5e-4, 1e-3} == {one.learning_rate for one in drawn}


def test_a_larger_draw_begins_with_a_smaller_one():
    """More configurations add to a search, of which nothing is lost; another seed draws others."""
    assert draw(count=7) == draw(count=30)[:7]
    assert set(draw(count=7)) != set(draw(count=7, seed=1))


def test_the_presets_own_settings_are_tried_first_where_the_grid_has_them():
    """Width 2048, learning rate 1e-5 and batch size 512 are SASRec's in the paper: one of its own grid."""
    first = draw(preset="paper", count=3)[0]

    assert load_preset("paper", "sasrec", {"threads": 1}) == first


def test_what_is_set_is_not_searched():
    """The paper's grid is left with the other two."""
    drawn = draw(overrides={"width": "64"})

    assert ["batch_size", "learning_rate"] == sorted(searched(drawn))
    assert {64} == {one.width for one in drawn}


def test_a_grid_of_ones_own():
    """Values are read as the setting's kind, and one that is spelled twice is one."""
    drawn = draw(grid=read_grid(["learning_rate=1e-3,0.001, 2e-3", "norm_first=true,false"]))

    assert {(1e-3, True), (1e-3, False), (2e-3, True), (2e-3, False)} == {
        (one.learning_rate, one.norm_first) for one in drawn
    }
    assert 4 == len(drawn)


@pytest.mark.parametrize(
    ("tries", "overrides", "words"),
    [
        (["widht=3"], {}, "did you mean 'width'"),
        (["width=3,many"], {}, "'many', which is not a whole number"),
        (["width="], {}, "is not NAME=VALUE,VALUE"),
        (["width=1", "width=2"], {}, "twice"),
        (["width=1,2"], {"width": 3}, "settled by --set and searched by --try"),
        (["dropout=0.1,1"], {}, "at least 0 and below 1"),
        (["ridge=1,10", "recency=0.5"], {}, "does not read ridge and recency"),
    ],
)
def test_what_cannot_be_tried_is_told(tries, overrides, words):
    """Before anything is trained: a name with the nearest, a value with what is allowed."""
    with pytest.raises(RecipeError) as caught:
        draw(grid=read_grid(tries), overrides=overrides)

    assert words in str(caught.value)


def test_the_papers_grid_is_refused_where_it_changes_nothing():
    """EASE has no steps: learning rates would be so many times the same; its own settings can be searched."""
    with pytest.raises(RecipeError, match="changes nothing") as caught:
        draw("ease")

    assert "--try ridge=" in caught.value.hint
    assert [10.0, 100.0] == sorted(one.ridge for one in draw("ease", grid={"ridge": (10, 100)}))
