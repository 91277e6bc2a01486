"""`microlens-build features`: what it makes, says and refuses."""

import json

import pytest

from microlens.manifest import verify
from tests.benchmark.tiny import tiny_clip, tiny_text
from tests.benchmark.with_media import items_of, release_with_media


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return release_with_media(tmp_path_factory.mktemp("built"), videos=6)


def test_titles_are_encoded(cli, release, tmp_path):
    """One JSON object says where they are and what they are of."""
    command = ["features", str(release), "--encoder", "text", "--weights", str(tiny_text(tmp_path)), "--json"]
    told = json.loads(cli(*command).stdout)["features"][0]

    assert ("text", True, [len(items_of(release)), 32]) == (told["name"], told["is_new"], told["shape"])
    assert (str(release / "features" / "text"), []) == (told["path"], told["broken"])
    assert "features" == verify(release / "features" / "text").stage


def test_a_broken_cover_is_8_and_the_rest_is_there(cli, release, tmp_path):
    """The exit says what cannot be decoded, after the features are finished."""
    cover = release / items_of(release)[1]["cover_path"]
    body = cover.read_bytes()
    cover.unlink()  # the file itself is the run's
    cover.write_bytes(body[:300])
    done = cli("features", str(release), "--encoder", "clip", "--weights", str(tiny_clip(tmp_path)))

    assert 8 == done.returncode, done.stderr
    assert "item 2 (broken)" in done.stderr
    assert "Traceback" not in done.stderr
    assert f"{len(items_of(release)) - 1} items have one" in done.stdout
    assert verify(release / "features" / "clip").counters["broken_inputs"] == 1


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--encoder", "vidoemae"], 2, "did you mean 'videomae'?"),
        (["--weights", "x"], 2, "--weights and --name are for one encoder"),
        (["--import", "x.npy"], 2, "it goes with --name"),
        (["--import", "x.npy", "--name", "x", "--batch", "4", "-n", "3"], 2, "without --batch, --processes"),
        (["--device", "meta", "--encoder", "text"], 2, "does not compute on device 'meta'"),
    ],
)
def test_what_cannot_be_used_is_told(here, release, options, code, words):
    """In one plain message, with its exit code."""
    done = here("features", str(release), *options)

    assert code == done.returncode, done.stderr
    assert words in done.stderr
    assert "" == done.stdout


def test_a_folder_that_is_no_release_is_3(here, tmp_path):
    """With the command to run first."""
    done = here("features", str(tmp_path), "--encoder", "text")

    assert 3 == done.returncode
    assert "microlens-build subset" in done.stderr
