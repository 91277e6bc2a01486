from dataclasses import fields
from itertools import product
from typing import ClassVar

import pytest
import torch

from benchmark.data.split import leave_one_out
from benchmark.models import MODELS, settings_of
from benchmark.models.entry import EVERYONES
from benchmark.presets import configurations_tried, load_preset, preset_facts
from benchmark.progress import silent
from benchmark.settings import Settings, as_line
from benchmark.tasks.pairs import PAIRWISE, Pairs
from benchmark.train import fit
from microlens.errors import RecipeError


def test_the_paper_preset_is_table_5():
    """Embedding 2048, learning rate 1e-5, batch 512, dropout and decay 0.1, two blocks, a bare dot product."""
    paper = load_preset("paper", "sasrec")

    assert (2048, 1e-5, 512) == (paper.width, paper.learning_rate, paper.batch_size)
    assert (0.1, 0.1, 2, 13) == (paper.dropout, paper.weight_decay, paper.blocks, paper.keep_interactions)
    assert (False, "frequency") == (paper.item_bias, paper.log_q)


@pytest.mark.parametrize(
    ("preset", "model", "published"),
    [
        ("paper", "dssm", (4096, 1e-5, 64, 0.1)),
        ("paper", "lightgcn", (1024, 1e-3, 1024, 0)),
        ("paper", "nfm", (1024, 5e-5, 64, 0.01)),
        ("paper", "deepfm", (512, 1e-4, 64, 0.1)),
        ("paper", "mmgcn_id", (4096, 1e-4, 64, 0)),
        ("paper", "mmgcn_id_v", (4096, 1e-4, 64, 0)),
        ("paper", "grcn_id", (4096, 1e-4, 64, 0)),
        ("paper", "grcn_id_v", (4096, 1e-4, 64, 0)),
        ("paper", "dssm_id_v", (4096, 1e-3, 1024, 0.1)),
        ("official", "dssm", (512, 1e-4, 1024, 0)),
        ("official", "lightgcn", (512, 1e-4, 128, 0)),
        ("official", "nfm", (1024, 1e-4, 64, 0)),
        ("official", "deepfm", (1024, 1e-4, 64, 0)),
        ("official", "sasrec", (1024, 1e-4, 512, 0.1)),
        ("official", "dssm_id_v", (512, 1e-3, 1024, 0)),
    ],
)
def test_presets_have_what_was_published(preset, model, published):
    """Width, learning rate, batch and decay of the paper's Table 5, and of the repository's settings, which differ."""
    chosen = load_preset(preset, model)

    assert published == (chosen.width, chosen.learning_rate, chosen.batch_size, chosen.weight_decay)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("nextitnet", (2048, 1e-3, 64)),
        ("gru4rec", (2048, 1e-4, 512)),
        ("youtube_id", (4096, 1e-4, 512)),
        ("youtube_id_v", (4096, 1e-4, 512)),
        ("sasrec_id_v", (2048, 1e-5, 64)),
        ("sasrec_id_pop_tag", (2048, 1e-5, 512)),
    ],
)
def test_the_paper_preset_has_the_other_sequence_models_of_table_5(model, expected):
    """Embedding, learning rate and batch of each; dropout and decay are 0.1 throughout."""
    paper = load_preset("paper", model)

    assert expected == (paper.width, paper.learning_rate, paper.batch_size)
    assert (0.1, 0.1) == (paper.dropout, paper.weight_decay)


@pytest.mark.parametrize("preset", ["default", "tuned", "paper", "official"])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_settings_in_every_preset(preset, model):
    """What makes it this model holds where the preset has no word on it."""
    assert load_preset(preset, model, own=MODELS[model].settings)


def test_what_makes_a_model_comes_before_what_holds_for_every_model():
    """The loss of gSASRec is gBCE although the preset's is another; an override still decides."""
    own = MODELS["gsasrec"].settings

    assert "gbce" == load_preset("default", "gsasrec", own=own).loss
    assert "full" == load_preset("default", "gsasrec", {"loss": "full"}, own=own).loss


def test_overrides_are_read_as_the_field_they_set():
    """Text of a command line becomes a number or a switch; YAML's 1e-5, which is text, a number."""
    changed = load_preset("default", "sasrec", {"epochs": "3", "learning_rate": "1e-5", "item_bias": "False"})

    assert (3, 1e-5, False) == (changed.epochs, changed.learning_rate, changed.item_bias)


def test_an_unknown_key_names_itself_and_the_nearest():
    """A misspelt setting is an error that suggests the right one."""
    with pytest.raises(RecipeError) as caught:
        load_preset("default", "sasrec", {"learning_rat": 1})

    assert "'learning_rat'" in caught.value.message
    assert "'learning_rate'" in caught.value.hint


def test_an_unknown_preset_names_the_known_ones():
    """A misspelt preset suggests the nearest, and lists all."""
    with pytest.raises(RecipeError) as caught:
        load_preset("papr", "sasrec")

    assert "did you mean 'paper'" in caught.value.hint
    assert "default" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value"),
    [("epochs", "many"), ("epochs", 1.5), ("item_bias", "perhaps"), ("learning_rate", "fast"), ("epochs", None)],
)
def test_a_value_of_another_kind_is_refused_with_the_value(key, value):
    """The message has the setting and what was given."""
    with pytest.raises(RecipeError, match=f"{key}.*{value}"):
        load_preset("default", "sasrec", {key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("dropout", 1.0),
        ("learning_rate", 0.0),
        ("weight_decay", -1.0),
        ("gradient_clip", 0.0),
        ("keep_interactions", 2),
        ("loss", "hinge"),
        ("negatives", 0),
        ("log_q", "no"),
        ("neighbours", 0),
        ("recency", 1.5),
        ("ridge", 0.0),
        ("calibration", 1.5),
        ("mask_share", 0.0),
        ("fusion", "product"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_value(key, value):
    """Each field is checked when settings are made, not an hour later."""
    with pytest.raises(RecipeError, match=f"{key}.*{value}"):
        Settings(**{key: value})


@pytest.fixture
def preset_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_a_file_is_a_preset(preset_file):
    """Its form is that of the package's own; a leaderboard tells its name and hash, and nothing of its folder."""
    name = preset_file("every_model: {width: 32}\nsasrec: {dropout: 0.4}\ntried: {sasrec: 12}\nsearch: {seed: 0}\n")
    chosen = load_preset(name, "sasrec", {"epochs": 2})

    assert (32, 0.4, 2) == (chosen.width, chosen.dropout, chosen.epochs)
    assert (12, 0) == (configurations_tried(name, "sasrec"), configurations_tried(name, "gru4rec"))
    assert "mine.yaml" == preset_facts(name)["preset"]
    assert 64 == len(preset_facts(name)["preset_sha256"])


def test_presets_of_the_package_tell_what_was_tried():
    """Twenty-one configurations of SASRec made `tuned`, one of GRU4Rec was looked at, and none of GRCN."""
    assert (21, 1, 0, 0) == (
        configurations_tried("tuned", "sasrec"),
        configurations_tried("tuned", "gru4rec"),
        configurations_tried("tuned", "grcn_id"),
        configurations_tried("paper", "sasrec"),
    )
    assert {"preset": "paper"} == preset_facts("paper")


@pytest.mark.parametrize("preset", ["default", "tuned", "official", "paper"])
@pytest.mark.parametrize("model", [name for name, entry in MODELS.items() if entry.task is not None])
def test_every_preset_has_a_line_that_each_model_can_be_trained_with(preset, model, make_world, make_side):
    """A batch of a toy world has a loss, at a small width."""
    split = leave_one_out(make_world(users=60))
    settings = load_preset(preset, model, {"width": 16, "batch_size": 32}, own=MODELS[model].settings)
    built = MODELS[model].build(split, settings, make_side(split.item_count))
    task = MODELS[model].task(built, split, settings)

    loss = task.loss(next(iter(task.batches(torch.Generator().manual_seed(0)))))

    assert torch.isfinite(loss)
    assert loss.requires_grad


CHOICE = ("sasrec_id_v", "youtube_id_v", "dssm_id_v")
ONE_WAY = ("mmgcn_id_v", "grcn_id_v", "alphafuse", "sasrec_id_pop", "sasrec_id_tag", "sasrec_id_pop_tag")


@pytest.mark.parametrize("preset", ["default", "tuned", "official", "paper"])
def test_rows_of_models_with_features_tell_the_fusion_that_they_have(preset):
    """SASRec and YouTube add, DSSM has features beside ids, and the others have a way of their own."""
    expected = dict.fromkeys(ONE_WAY, "own") | {"sasrec_id_v": "sum", "youtube_id_v": "sum", "dssm_id_v": "concat"}

    assert expected == {model: settings_of(model, preset).fusion for model in expected}
    assert {name for name, entry in MODELS.items() if entry.reads_features} <= set(expected)


@pytest.mark.parametrize("fusion", ["sum", "concat"])
@pytest.mark.parametrize("model", CHOICE)
def test_fusion_changes_the_models_that_have_the_choice(model, fusion, make_world, make_side):
    """A concatenation has a matrix (D, 2 D), and a sum has none."""
    split = leave_one_out(make_world(users=60))
    settings = settings_of(model, "default", {"width": 10, "fusion": fusion})
    weights = MODELS[model].build(split, settings, make_side(split.item_count)).parameters()

    assert fusion == settings.fusion
    assert (fusion == "concat") == any(one.shape == (10, 20) for one in weights)


@pytest.mark.parametrize("fusion", ["sum", "concat"])
@pytest.mark.parametrize("model", ONE_WAY)
def test_a_fusion_that_a_model_does_not_have_is_refused(model, fusion):
    """A row must not tell of one that was not done."""
    with pytest.raises(RecipeError, match=f"{model} .* not by fusion={fusion}"):
        settings_of(model, "default", {"fusion": fusion})


@pytest.mark.parametrize("model", ["sasrec", *CHOICE])
def test_a_fusion_of_its_own_is_refused_where_there_is_none(model):
    """`own` is no third choice."""
    with pytest.raises(RecipeError, match=f"{model} has no fusion of its own"):
        settings_of(model, "default", {"fusion": "own"})


@pytest.mark.parametrize("model", MODELS)
def test_rows_of_tuned_say_what_they_start_from(model):
    """Those trained on pairs have no sequences to count."""
    on_pairs = MODELS[model].task is Pairs

    assert ("random" if on_pairs else "spectral") == load_preset("tuned", model, own=MODELS[model].settings).start


def test_a_line_says_what_is_learned_and_not_how_fast():
    """Read again it gives the same settings, but for threads and the like."""
    chosen = Settings(width=24, learning_rate=5e-5, threads=7)

    assert "threads" not in as_line(chosen)
    assert chosen == Settings(**as_line(chosen), threads=7)


@pytest.mark.parametrize(
    "text", ["width: 32", "every_model: 3", "- 1", "every_model: {}\ntried: {sasrec: many}", "a: ["]
)
def test_a_file_of_another_form_is_refused(preset_file, text):
    """By its name, with where to find one that will do."""
    with pytest.raises(RecipeError, match=r"mine\.yaml") as caught:
        load_preset(preset_file(text), "sasrec")

    assert "tune" in caught.value.hint


def test_what_is_meant_for_models_of_content_makes_no_other_run_of_others():
    """Rows of ids and of content are made by one command; ids need not be learned anew for it."""
    changed = {"features": "text", "fusion": "concat"}

    assert settings_of("sasrec", "tuned") == settings_of("sasrec", "tuned", changed)
    assert ("text", "concat") == (
        settings_of("sasrec_id_v", "tuned", changed).features,
        settings_of("sasrec_id_v", "tuned", changed).fusion,
    )
    assert "own" == settings_of("sasrec_id_pop", "tuned", {"features": "text"}).fusion


def test_a_presets_line_for_no_model_is_refused(tmp_path):
    """It would do nothing, and look as if it did."""
    path = tmp_path / "mine.yaml"
    path.write_text("every_model: {width: 8}\nsasrek: {width: 16}\n")

    with pytest.raises(RecipeError, match="a line for 'sasrek'") as caught:
        settings_of("sasrec", str(path))
    assert "did you mean 'sasrec'?" in caught.value.hint


class Watched(Settings):
    """Settings that remember which of them were asked for."""

    asked: ClassVar[set[str]] = set()

    def __getattribute__(self, name):
        if name in {field.name for field in fields(Settings)}:
            Watched.asked.add(name)
        return super().__getattribute__(name)


def asked_for(model, split, side, chosen):
    """Which settings are looked at from the building of a model to its last answer."""
    entry, watched = MODELS[model], Watched(**vars(chosen))
    Watched.asked.clear()
    built = entry.build(split, watched, side)
    if entry.task is not None:
        fit(built, entry.task(built, split, watched), split.validation, watched, seed=0, progress=silent)
    return set(Watched.asked)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_reads_the_settings_that_it_says(model, make_world, make_side):
    """Each of them by one of its losses and starts, and no other; the rest may be whatever it is meant for."""
    world, entry = leave_one_out(make_world(users=20)), MODELS[model]
    side, asked = make_side(world.item_count), set(EVERYONES)
    small = {"width": 8, "blocks": 1, "epochs": 1, "batch_size": 64}
    losses = () if entry.task is None else entry.losses or entry.task.losses
    ways = product(
        losses or ("in_batch",), ("random", "spectral"), (True, False) if "start" in entry.built_by else (True,)
    )
    for loss, start, is_shared in ways:
        own = {"loss": loss, "start": start, "share_negatives": is_shared} if losses else {}
        asked |= asked_for(model, world, side, settings_of(model, "default", small | own))

    never = {"fusion"} if entry.has_own_fusion else set()  # it is told, and there is no choice
    never |= {"log_q"} if entry.losses == PAIRWISE else set()  # of the loss that these do not take
    assert entry.reads - never == asked


@pytest.mark.parametrize(
    ("model", "chosen", "fitting"),
    [
        ("nfm", {"loss": "in_batch"}, "choose one of bce, bpr"),
        ("dssm", {"loss": "full"}, "choose one of in_batch, bce, bpr"),
        ("sasrec", {"loss": "bpr"}, "choose one of in_batch, full, sampled, bce, gbce"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(model, chosen, fitting):
    """Before anything is trained, by the model's name; the hint names those that fit."""
    with pytest.raises(RecipeError, match=f"{model} is not trained with loss={chosen['loss']}") as caught:
        settings_of(model, "default", chosen)

    assert fitting in caught.value.hint


def test_what_a_model_does_not_read_makes_no_other_run_of_it():
    """Settings that are meant for others of a command leave its own as they were."""
    usual, others = settings_of("gru4rec", "default"), {"ridge": 5, "heads": 4, "recency": 0.5, "norm_first": False}

    assert usual == settings_of("gru4rec", "default", others)
    assert usual != settings_of("gru4rec", "default", others | {"dropout": 0.5})
