from importlib.util import find_spec

import orjson
import pytest

from benchmark.models import MODELS


def test_list_names_every_model_with_a_sentence(cli):
    """A line each, or one JSON object; nothing is trained and no release is needed."""
    done, as_json = cli("benchmark", "--list"), cli("benchmark", "--list", "--json")

    assert {name: entry.description for name, entry in MODELS.items()} == orjson.loads(as_json.stdout)
    assert list(MODELS) == [line.split()[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "widht=3"], "did you mean 'width'"),
        (["--set", "width"], "is not NAME=VALUE"),
        (["--models", "sasrek"], "did you mean 'sasrec'"),
        (["--preset", "papre"], "did you mean 'paper'"),
        (["--seeds", "0,one"], "'one' is no whole number"),
        (["--sedes", "0"], "--seeds"),
    ],
)
def test_what_is_misspelt_is_answered_with_the_nearest(here, arguments, words):
    """Exit code 2, before anything is read."""
    done = here("benchmark", "nowhere", *arguments)

    assert 2 == done.returncode
    assert words in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--try", "widht=3,4"], "did you mean 'width'"),
        (["--try", "width"], "is not NAME=VALUE,VALUE"),
        (["--set", "dropuot=0"], "did you mean 'dropout'"),
        (["--models", "sasrek"], "did you mean 'sasrec'"),
        (["--preset", "nowhere.yaml"], "nowhere.yaml cannot be read"),
    ],
)
def test_what_cannot_be_searched_is_answered_before_anything_is_read(here, arguments, words):
    """Exit code 2, as in a benchmark."""
    done = here("tune", "nowhere", *arguments)

    assert 2 == done.returncode
    assert words in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["benchmark", "nowhere", "--split", "temporel"], "did you mean 'temporal'"),
        (["reproduce", "tabel2", "nowhere"], "did you mean 'table2'"),
        (["features", "nowhere", "--encoder", "clipp"], "did you mean 'clip'"),
        (["features", "nowhere", "--encoder", "clip", "--dtype", "float61"], "did you mean 'float16'"),
        (["import", "nowhere", "made", "--format", "recbol"], "did you mean 'recbole'"),
        (["import", "nowhere", "made", "--format", "recbole", "--time-unit", "oder"], "did you mean 'order'"),
    ],
)
def test_a_misspelt_choice_is_answered_with_the_nearest(here, arguments, words):
    """Exit code 2, whatever command it is a choice of."""
    done = here(*arguments)

    assert 2 == done.returncode
    assert words in done.stderr


@pytest.mark.skipif(find_spec("tensorboard") is not None, reason="TensorBoard is installed")
def test_tensorboard_is_asked_for_by_name(here):
    """Where it is not installed, the command to install it is told before anything is trained."""
    done = here("benchmark", "nowhere", "--tensorboard", "curves")

    assert 2 == done.returncode
    assert "pip install tensorboard" in done.stderr


def test_recommend_names_a_missing_checkpoint(here):
    """Exit code 3, and where checkpoints lie."""
    done = here("recommend", "nowhere.pt")

    assert 3 == done.returncode
    assert "nowhere.pt" in done.stderr
    assert "results/<release>/models/" in done.stderr
